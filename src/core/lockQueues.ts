/** Which queue a lock has, and for how long it is remembered. */
import { exclusive } from "../LockRecord.js"
import { LockQueue } from "./lockQueue.js"
import { SharedQueue } from "./sharedQueue.js"

/** How many queues are remembered that nobody needs, and from how many on only those that have met others. */
const mostIdle = 1000
const mostWarm = 64

/** So many hashes of locks that were freed of late. */
const slots = 256

/** The queues of a layer, one for each lock. One that nobody needs any more is forgotten, soon if it has met other processes. */
export class LockQueues {
  private readonly queues = new Map<string, LockQueue>()
  /** Those that were kept when nobody needed them, the longest first. */
  private readonly idle = new Set<string>()
  /** Locks that were freed here of late, one for each of some hashes. Most locks are taken once: of these nothing is kept. */
  private readonly freed: Array<string> = []

  constructor(private readonly kind = exclusive) {}

  get size(): number {
    return this.queues.size
  }

  /** How many wait in the longest. */
  longest(): number {
    let longest = 0
    for (const queue of this.queues.values()) longest = Math.max(longest, queue.length)
    return longest
  }

  of(key: string): LockQueue {
    let queue = this.queues.get(key)
    if (queue === undefined)
      this.queues.set(key, (queue = this.kind === exclusive ? new LockQueue() : new SharedQueue(this.kind)))
    return queue
  }

  /** For who comes to wait. What was kept for too long tells nothing. */
  join(key: string, now: number): LockQueue {
    const queue = this.of(key)
    if (this.idle.size === 0 || !this.idle.has(key)) return queue
    const isKept = this.keeps(queue, now) || !queue.isEmpty
    this.idle.delete(key)
    if (isKept) return queue
    this.queues.delete(key)
    return this.of(key)
  }

  tidy(key: string, now: number): void {
    const queue = this.queues.get(key)
    if (queue?.isEmpty === true) {
      if (this.keeps(queue, now) && (queue.remembers(now) || this.isFreedAgain(key))) this.idle.add(key)
      else {
        this.queues.delete(key)
        this.idle.delete(key)
      }
    }
    if (this.idle.size > 0) this.forget(now)
  }

  /** Those that nobody needs any more, the oldest first. */
  private forget(now: number): void {
    for (const oldest of this.idle) {
      const kept = this.queues.get(oldest)
      if (kept?.isEmpty === true) {
        if (this.keeps(kept, now)) break
        this.queues.delete(oldest)
      }
      this.idle.delete(oldest)
    }
  }

  private isFreedAgain(key: string): boolean {
    const { length } = key
    const slot = (length + key.charCodeAt(length - 1) + 31 * key.charCodeAt(length - 2)) & (slots - 1)
    if (this.freed[slot] === key) return true
    this.freed[slot] = key
    return false
  }

  private keeps(queue: LockQueue, now: number): boolean {
    return this.idle.size <= (queue.remembers(now) ? mostIdle : queue.isWarm(now) ? mostWarm : -1)
  }

  hint(key: string, now: number, toOne = false): void {
    this.queues.get(key)?.freed(now, toOne)
    if (key === "all") {
      for (const queue of this.queues.values()) queue.hint()
    }
  }

  /** Whether nobody here has or wants it, and no other process was met lately that does; or this owner has it already. */
  seemsFree(key: string, ownerId: string, now: number): boolean {
    const queue = this.queues.get(key)
    return queue === undefined || queue.isHolder(ownerId) || (queue.isEmpty && !queue.remembers(now))
  }

  gone(key: string, holdId: string): void {
    this.queues.get(key)?.gone(holdId)
  }

  isHolder(key: string, ownerId: string): boolean {
    return this.queues.get(key)?.isHolder(ownerId) === true
  }

  notifyAll(): void {
    for (const queue of this.queues.values()) queue.notifyAll()
  }
}
