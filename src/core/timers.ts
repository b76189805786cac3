/**
 * One timer for everything in a layer that has a time: deadlines, renewals, time-outs. Callbacks are synchronous and do no I/O, so none can
 * be late because another hangs; setting and cancelling costs no fiber.
 */
import * as Effect from "#effect/Effect"
import { beforeSleep } from "#effect/fibers"
import { Signal } from "./signal.js"
import { Entry, TimerHeap } from "./timerHeap.js"
import type { Timeline } from "./timeline.js"

export interface Timer {
  readonly cancel: () => void
  /** To another time, also if it has been called, or was cancelled. */
  readonly move: (due: number) => void
}

export interface Timers {
  /** Calls `callback` once the timeline has reached `due`. `subject`: what it is called with, so that what is set again and again needs no function of its own. */
  readonly set: <A = undefined>(due: number, callback: (subject: A) => void, subject?: A) => Timer
  /** How many are set, and neither due nor cancelled. */
  readonly pending: () => number
  /** Never ends. */
  readonly run: Effect.Effect<never>
}

/**
 * Never asleep for longer: timers stand still while the machine is suspended, and a wall clock's jump must be noticed. Neither happens under a clock that a test moves, where each
 * wake-up costs milliseconds of real time.
 */
const longestSleep = 1000

export const make = (timeline: Timeline): Timers => {
  let wakeAt = Number.POSITIVE_INFINITY
  let used = false
  let jumps = 0
  let setting = false
  const signal = new Signal()

  /** Wakes the fiber that sleeps for longer. */
  const heap = new TimerHeap((due) => {
    used = true
    // After a jump the sleep goes on by a clock that stood still meanwhile.
    if (due >= wakeAt && timeline.jumps() === jumps) return
    jumps = timeline.jumps()
    wakeAt = Math.min(due, wakeAt)
    // On Effect 4 the next sleep begins within: so a test clock that is moved right after this knows of it.
    setting = true
    signal.notify()
    setting = false
  })

  const runDue = (): number => {
    let now = timeline.now()
    // Who sets a timer has not finished what it does.
    if (setting) return now
    for (let entry = heap.first; entry !== undefined && entry.due <= now; entry = heap.first) {
      heap.delete(entry)
      entry.ring()
      now = timeline.now()
    }
    return now
  }

  /** No sleep is spent on what is set and cancelled again while what was just called is done. */
  const settled = timeline.isMovedByHand
    ? Effect.suspend(() => {
        runDue()
        return Effect.map(beforeSleep, () => signal.clear())
      })
    : Effect.void

  return {
    set: (due, callback, subject) => {
      const entry = new Entry(due, callback, subject, heap)
      heap.put(entry)
      return entry
    },
    pending: () => heap.size,
    run: settled
      .pipe(
        Effect.flatMap(() => {
          const now = runDue()
          jumps = timeline.jumps()
          // After a use it stays awake for a while though nothing is due, so that the next timer, which is seldom nearer, need not wake it.
          const idle = heap.size === 0 && (!used || timeline.isMovedByHand)
          used = false
          const longest = timeline.isMovedByHand ? Number.POSITIVE_INFINITY : longestSleep
          const wait = idle
            ? Number.POSITIVE_INFINITY
            : Math.min(longest, (heap.first?.due ?? Number.POSITIVE_INFINITY) - now)
          wakeAt = now + wait
          return idle
            ? signal.waitWithin
            : Effect.raceFirst(wait > 0 ? Effect.sleep(Math.ceil(wait)) : Effect.yieldNow, signal.waitWithin)
        })
      )
      .pipe(
        Effect.catchDefect((defect) => Effect.logError("effect-storage-lock: a timer failed", defect)),
        Effect.forever
      )
  }
}
