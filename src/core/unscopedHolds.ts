/** Holds that no scope keeps: the layer does, from a `lock` to its `unlock`, which another request of this process may call. */
import * as Effect from "#effect/Effect"
import type { Hold } from "./hold.js"

/** So many lost ones are remembered, for whoever comes to unlock them: a request that never comes must not keep them for ever. */
export const mostLost = 1_000

export class UnscopedHolds {
  private readonly holds = new Map<string, Array<Hold>>()
  private readonly lost: Array<Hold> = []
  private isClosed = false

  /** `false` once the layer closes: then it is the caller's to give back. */
  keep(hold: Hold): boolean {
    if (this.isClosed) return false
    const { key } = hold.claimant
    const others = this.holds.get(key)
    if (others === undefined) this.holds.set(key, [hold])
    else others.push(hold)
    hold.onLost(() => {
      this.lost.push(hold)
      if (this.lost.length > mostLost) this.forget(this.lost.shift()!)
    })
    return true
  }

  /** Of how many locks there are holds. */
  get size(): number {
    return this.holds.size
  }

  /** Of one owner, the latest last. */
  of(key: string, ownerId: string): ReadonlyArray<Hold> {
    return (this.holds.get(key) ?? []).filter((hold) => hold.claimant.ownerId === ownerId)
  }

  forget(hold: Hold): void {
    const { key } = hold.claimant
    const others = (this.holds.get(key) ?? []).filter((other) => other !== hold)
    if (others.length === 0) this.holds.delete(key)
    else this.holds.set(key, others)
    const index = this.lost.indexOf(hold)
    if (index >= 0) this.lost.splice(index, 1)
  }

  /** Gives back all of them: nobody can unlock them any more. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    this.isClosed = true
    const all = Array.from(this.holds.values()).flat()
    this.holds.clear()
    return Effect.forEach(all, (hold) => hold.release, { concurrency: "unbounded", discard: true })
  })
}
