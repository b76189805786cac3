/** How this process measures time that has passed. */
import type * as Clock from "effect/Clock"
import { monotonicNanos, wallMillis } from "#effect/clocks"
import { isMovedByHand } from "../common/clocks.js"

/**
 * This process's time, in milliseconds, for measuring how long ago something was. It runs by the monotonic clock, and jumps ahead with the wall clock:
 * Linux's monotonic clock stands still while the machine is suspended, and a lease does not.
 */
export interface Timeline {
  readonly now: () => number
  /** How often it was seen to jump ahead: a sleep from before such a jump ends too late. */
  readonly jumps: () => number
  /** A test moves this clock: its sleeps end exactly when it says so, and nothing suspends it. */
  readonly isMovedByHand: boolean
}

/** `Date.now()` is cut to whole milliseconds: smaller differences between the two clocks are no jump. */
const noise = 2

export const make = (clock: Clock.Clock): Timeline => {
  let jumped = 0
  let jumps = 0
  let base = Number.POSITIVE_INFINITY
  const monotonicNow = () => Number(monotonicNanos(clock)) / 1e6
  return {
    now: () => {
      let monotonic = monotonicNow()
      let offset = wallMillis(clock) - monotonic
      // This thread may have been put aside between the two readings, which looks the same: what is still there when looked at again is true.
      for (let looks = 0; offset > base + noise && looks < 2; looks++) {
        monotonic = monotonicNow()
        offset = Math.min(offset, wallMillis(clock) - monotonic)
      }
      // A wall clock set back tells nothing; set ahead, it may have been a suspend, and is believed.
      if (offset > base + noise) {
        jumped += offset - base
        jumps++
        base = offset
      } else if (offset < base) base = offset
      return monotonic + jumped
    },
    jumps: () => jumps,
    isMovedByHand: isMovedByHand(clock)
  }
}
