/**
 * The rule of turns: when this process should claim, so that not every process that waits for a lock claims each time it is freed.
 *
 * All processes hear the same hints, and whoever is refused is told who has the lock. So each knows how many others there are, and how many have gone since it began to wait: when that
 * is all of them, it has waited longest, and is next. Here three processes take turns: each needs two hints of others until it is next.
 *
 * ```
 *   freed by        C             A             B             C             A
 *   ────────────────┼─────────────┼─────────────┼─────────────┼─────────────┼───▶ time
 *   A has heard     2: claims     0             1             2: claims     0
 *   B has heard     1             2: claims     0             1             2: claims
 *   C has heard     0             1             2: claims     0             1
 * ```
 *
 * Who knows fewer than there are claims too early, is refused, and so meets another. Who knows one that has gone waits in vain for its hint, for as long as the lock takes to change hands, and forgets it:
 *
 * ```
 *   last hint
 *   ├── hints it is short of × usual time between two (longestSlot at most) ──▶ due: it claims, though the hints did not come
 *   ├── longestTurn ─────────────────────────────────────────────────────────────▶ due at the latest
 *   ├────── next hint: it is short of one less, and counts from here
 * ```
 *
 * Some storages wake only the process that is next. There a hint is the turn, and who has just given the lock back waits for one, also if it never met those who wait: the answer to its release says that somebody was woken.
 *
 * A wrong guess costs one claim, or such a time, and mends itself. Safety never depends on it.
 */
import { processOf } from "../common/ids.js"
import type { LockRecord } from "../LockRecord.js"

/** How long at most a hint is left to others, what one place in the queue may cost, and when hints are too old to tell anything. In milliseconds. */
const longestTurn = 250
const longestSlot = 100
const memory = 1000
/** So many others are remembered. */
const most = 64
/** How many turns it awaits from the start once it has come back and found the lock taken. */
const wary = 3

/** Another process that has had the lock. */
interface Other {
  /** Of the hold in which it was last met. */
  readonly token: number
  /** It has been met with two holds: it takes turns. One that does not may have been here once, or have hold ids that tell nothing. */
  readonly isRegular: boolean
}

export class Turns {
  /** Hints of others since this process began to wait: so often they went first. */
  private heard = 0
  /** Those that it has been refused for, the longest ago first; and how many of them are regular. */
  private others: Map<string, Other> | undefined
  private regulars = 0
  private refusals = 0
  /** It has just come back, and has not asked yet; and how many turns it awaits from the start. */
  private isBack = false
  private caution = 0
  /** So many hints of its own releases are still to come, and say nothing of others. */
  private echoes = 0
  private began = Number.NEGATIVE_INFINITY
  private lastHint = Number.NEGATIVE_INFINITY
  /** Between hints, on average. */
  private interval = longestSlot
  /** The storage hints to one process at a time. */
  private isInvited = false
  /** Another was told of the last release of this process: it waits, even if it was never met. */
  private isAwaited = false

  begin(now: number): void {
    this.heard = this.refusals = 0
    this.began = now
    this.isBack = false
  }

  /** Whether it may ask at once: it has wanted nothing for so long that it cannot know who waits, and did not find the lock taken when it last did so. */
  comesBack(now: number): boolean {
    if (this.caution > 0 || now - this.began <= this.interval / 4) return false
    this.begin(now)
    this.isBack = true
    return true
  }

  releases(): void {
    this.echoes++
  }

  /** Nobody is told of a release that frees nothing. */
  notFreed(): void {
    this.echoes = Math.max(0, this.echoes - 1)
  }

  /** The storage told another of the release of this process. It is the last that is heard until that one has had its turn. */
  awaited(now: number): void {
    this.isAwaited = true
    this.lastHint = now
  }

  /** Somebody else has it: what was released before them has been heard by now, if it was told at all, but perhaps for the last time. */
  beaten(holder: LockRecord | undefined): void {
    this.echoes = Math.min(this.echoes, 1)
    this.refusals++
    if (this.isBack) this.caution = wary
    this.isBack = false
    if (holder !== undefined) this.meet(holder)
  }

  /** Whether somebody else has released it. `toOne`: nobody else was told. */
  hint(now: number, toOne: boolean): boolean {
    this.isInvited = toOne
    this.isAwaited = false
    const since = now - this.lastHint
    if (since < memory) this.interval += (since - this.interval) / 4
    else {
      this.interval = longestSlot
      // Before the first, nobody was met that could be gone.
      if (this.lastHint !== Number.NEGATIVE_INFINITY) this.forget(most)
    }
    this.lastHint = now
    if (this.echoes > 0 && !toOne) {
      this.echoes--
      return false
    }
    this.heard++
    return true
  }

  won(): void {
    // Others did not come.
    if (this.others !== undefined && this.heard < this.needed) this.forget(this.others.size - this.heard)
    if (this.refusals === 0 && this.caution > 0) this.caution--
    this.heard = 0
    this.isAwaited = false
  }

  remembers(now: number): boolean {
    return this.needed > 0 && now - this.lastHint < memory
  }

  /** When hints have stayed away for so long that no more may come. */
  quietFrom(): number {
    return this.lastHint + Math.min(longestTurn, 2 * this.interval)
  }

  /** From when on to claim. */
  due(now: number): number {
    if (!this.remembers(now)) return now
    const short = Math.max(0, this.needed - this.heard)
    return (
      Math.max(this.began, this.lastHint) + Math.min(longestTurn, short * Math.min(longestSlot, 1.25 * this.interval))
    )
  }

  /** How many hints of others it takes. None: it has not met others, and always goes at once. */
  private get needed(): number {
    const some = this.isAwaited || (this.others?.size ?? 0) > 0 ? 1 : 0
    return this.isInvited ? some : Math.max(this.regulars, some)
  }

  /** So many, those first that were met longest ago. */
  private forget(count: number): void {
    if (this.others === undefined) return
    for (const [process, { isRegular }] of this.others) {
      if (count-- <= 0) return
      this.others.delete(process)
      if (isRegular) this.regulars--
    }
  }

  private meet({ holds, token }: LockRecord): void {
    const process = processOf(holds)
    if (process === undefined) return
    const others = (this.others ??= new Map<string, Other>())
    const before = others.get(process)
    const isRegular = before !== undefined && (before.isRegular || before.token !== token)
    if (isRegular && !before.isRegular) this.regulars++
    others.delete(process)
    others.set(process, { token, isRegular })
    if (others.size > most) this.forget(1)
  }
}
