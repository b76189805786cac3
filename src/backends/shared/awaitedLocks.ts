/** Which locks this process waits for, as far as a storage can tell: those that were claimed here, and that somebody else had. */

/** In milliseconds. Who still waits has asked again by then: at the end of the lease at the latest. */
const grace = 1_000

/** What a storage remembers of each, for as long as somebody may wait. */
export class AwaitedLocks<A> {
  /** The newest last. `until` is by `performance.now()`. */
  private readonly locks = new Map<string, { readonly until: number; readonly value: A }>()

  /** `most`: the oldest of more are forgotten. */
  constructor(private readonly most: number) {}

  get(lockId: string): A | undefined {
    return this.locks.get(lockId)?.value
  }

  /** `millis`: how long the lock surely is not free. By default as was known. */
  keep(lockId: string, value: A, millis?: number): void {
    const now = performance.now()
    const until =
      millis === undefined ? Math.max(now + grace, this.locks.get(lockId)?.until ?? 0) : now + millis + grace
    this.locks.delete(lockId)
    this.locks.set(lockId, { until, value })
    for (const oldest of this.locks.keys()) {
      if (this.locks.size <= this.most) break
      this.locks.delete(oldest)
    }
  }

  /** Whether it was one of them. */
  forget(lockId: string): boolean {
    return this.locks.delete(lockId)
  }

  ids(): ReadonlyArray<string> {
    const now = performance.now()
    for (const [lockId, { until }] of this.locks) {
      if (until < now) this.locks.delete(lockId)
    }
    return [...this.locks.keys()]
  }
}
