/**
 * The waiters of this process for one lock that several may hold. They ask together, up to and including the first that was refused: those behind it wait, so that nobody is overtaken in this process. Between
 * processes the record itself keeps the place of who waits first.
 */
import type { View } from "../LockRecord.js"
import { LockQueue, tell, type Waiter } from "./lockQueue.js"

export class SharedQueue extends LockQueue {
  private places = 0
  /** The first of those that the storage has refused. */
  private refused: Waiter | undefined
  private readonly owners = new Set<string>()

  constructor(private readonly kind: string) {
    super()
  }

  override join(waiter: Waiter, now: number): boolean {
    waiter.place = ++this.places
    super.join(waiter, now)
    return false
  }

  override leave(waiter: Waiter): void {
    super.leave(waiter)
    if (this.refused !== waiter) return
    this.refused = undefined
    // All of them may ask now: none that waits behind another was refused.
    for (let each = this.waiters?.first; each !== undefined; each = each.after) each.signal.notify()
  }

  override mayGo(waiter: Waiter): boolean {
    return this.refused === undefined || waiter.place <= this.refused.place || this.isReentry(waiter)
  }

  override due(_waiter: Waiter, now: number): number {
    return now
  }

  override takePause(): boolean {
    return false
  }

  override held(holder: View | undefined, waiter: Waiter): void {
    this.named = holder
    this.owners.clear()
    for (const { ownerId } of holder?.holders ?? []) this.owners.add(ownerId)
    if (this.waiters?.has(waiter) === true && (this.refused === undefined || waiter.place < this.refused.place))
      this.refused = waiter
  }

  /** There may be room now, though others of this process go on. */
  override ended(ownerId: string, now: number): void {
    super.ended(ownerId, now)
    if (this.holders.size > 0) this.hint()
  }

  override hint(): void {
    for (let waiter = this.waiters?.first; waiter !== undefined; waiter = waiter.after) {
      tell(waiter)
      if (waiter === this.refused) return
    }
  }

  /** An owner that reads or writes already skips the queue, or it would wait behind one that waits for it. Of a semaphore nobody has anything for nothing. */
  private isReentry({ ownerId }: Waiter): boolean {
    return this.kind === "readWrite" && (this.isHolder(ownerId) || this.owners.has(ownerId))
  }
}
