/** The queues of a layer, one for each lock. */
import { LockQueue } from "./lockQueue.js"

/** How many queues are remembered that nobody needs. */
const mostIdle = 1000

/** The queues of a layer. One that nobody needs any more is forgotten, soon if it has met other processes. */
export class LockQueues {
  private readonly queues = new Map<string, LockQueue>()
  /** Those that were kept when nobody needed them, the longest first. */
  private readonly idle = new Set<string>()

  get size(): number {
    return this.queues.size
  }

  of(key: string): LockQueue {
    let queue = this.queues.get(key)
    if (queue === undefined) this.queues.set(key, (queue = new LockQueue()))
    return queue
  }

  tidy(key: string, now: number): void {
    const queue = this.queues.get(key)
    this.idle.delete(key)
    if (queue?.isEmpty === true) {
      if (queue.remembers(now)) this.idle.add(key)
      else this.queues.delete(key)
    }
    for (const oldest of this.idle) {
      const kept = this.queues.get(oldest)
      if (kept?.isEmpty === true && kept.remembers(now) && this.idle.size <= mostIdle) break
      this.idle.delete(oldest)
      if (kept?.isEmpty === true) this.queues.delete(oldest)
    }
  }

  hint(key: string, now: number): void {
    this.queues.get(key)?.freed(now)
    if (key === "all") {
      for (const queue of this.queues.values()) queue.hint()
    }
  }

  isHolder(key: string, ownerId: string): boolean {
    return this.queues.get(key)?.isHolder(ownerId) === true
  }

  notifyAll(): void {
    for (const queue of this.queues.values()) queue.notifyAll()
  }
}
