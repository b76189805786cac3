/**
 * The rule of turns: when this process should claim, so that not every process that waits for a lock claims each time it is freed.
 *
 * All processes hear the same hints. So the process that has heard the most since it began to wait has waited longest, and is next. Here three processes take turns: each needs
 * two hints of others (its `depth`) until it is next.
 *
 * ```
 *   freed by        C             A             B             C             A
 *   ────────────────┼─────────────┼─────────────┼─────────────┼─────────────┼───▶ time
 *   A has heard     2: claims     0             1             2: claims     0
 *   B has heard     1             2: claims     0             1             2: claims
 *   C has heard     0             1             2: claims     0             1
 * ```
 *
 * A process claims at once if it has heard three quarters of what it took the last time. So the few that have waited longest compete: the lock is seldom idle for want of one
 * of them, and differences between processes shrink from turn to turn. A process that is short of that leaves the lock to the others, for as long as it takes to change hands so many times:
 *
 * ```
 *   last hint
 *   ├── hints it is short of × usual time between two (longestSlot at most) ──▶ due: it claims, though the hints did not come
 *   ├── longestTurn ─────────────────────────────────────────────────────────────▶ due at the latest
 *   ├────── next hint: it is short of one less, and counts from here
 * ```
 *
 * A wrong guess costs one claim, or such a time, and the next win corrects it. Safety never depends on it.
 */
/** How long at most a hint is left to others, what one place in the queue may cost, and when hints are too old to tell anything. In milliseconds. */
const longestTurn = 250
const longestSlot = 100
const memory = 1000

export class Turns {
  /** Hints heard since this process began to wait: so often others went first. */
  private heard = 0
  /** How many it takes. 0: it has not met others, and always goes at once. */
  private depth = 0
  /** So many hints of its own releases are still to come, and say nothing of others. */
  private echoes = 0
  private began = Number.NEGATIVE_INFINITY
  private lastHint = Number.NEGATIVE_INFINITY
  /** Between hints, on average. */
  private interval = longestSlot

  begin(now: number): void {
    this.heard = 0
    this.began = now
  }

  /** Whether it has wanted nothing for so long that it cannot know who waits. */
  isAway(now: number): boolean {
    return now - this.began > this.interval / 4
  }

  releases(): void {
    this.echoes++
  }

  /** Somebody else has it: what was released before them has been heard by now, if it was told at all, but perhaps for the last time. */
  beaten(): void {
    this.echoes = Math.min(this.echoes, 1)
  }

  /** Whether somebody else has released it. */
  hint(now: number): boolean {
    const since = now - this.lastHint
    if (since < memory) this.interval += (since - this.interval) / 4
    else {
      this.interval = longestSlot
      this.depth = 0
    }
    this.lastHint = now
    if (this.echoes > 0) {
      this.echoes--
      return false
    }
    this.heard++
    return true
  }

  /** Down at once, up in steps: a competitor that goes many times in a row is still only one. */
  won(): void {
    this.depth = Math.min(this.heard, 2 * this.depth + 1)
    this.heard = 0
  }

  remembers(now: number): boolean {
    return this.depth > 0 && now - this.lastHint < memory
  }

  /** From when on to claim. */
  due(now: number): number {
    if (!this.remembers(now)) return now
    const short = Math.max(0, Math.ceil(0.75 * this.depth) - this.heard)
    return (
      Math.max(this.began, this.lastHint) + Math.min(longestTurn, short * Math.min(longestSlot, 1.25 * this.interval))
    )
  }
}
