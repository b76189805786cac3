/**
 * One timer for everything in a layer that has a time: deadlines, renewals, time-outs. Callbacks are synchronous and do no I/O, so none can
 * be late because another hangs; setting and cancelling costs no fiber.
 */
import * as Effect from "#effect/Effect"
import { beforeSleep } from "#effect/fibers"
import { Bell } from "./bell.js"
import type { Timeline } from "./timeline.js"

export interface Alarm {
  readonly cancel: () => void
}

export interface Alarms {
  /** Calls `ring` once the timeline has reached `due`. */
  readonly set: (due: number, ring: () => void) => Alarm
  /** How many are set, and neither rung nor cancelled. */
  readonly pending: () => number
  /** Never ends. */
  readonly run: Effect.Effect<never>
}

interface Entry {
  readonly due: number
  ring: (() => void) | undefined
}

/**
 * Never asleep for longer: timers stand still while the machine is suspended, and a wall clock's jump must be noticed. Neither happens under a clock that a test moves, where each
 * wake-up costs milliseconds of real time.
 */
const longestSleep = 1000

export const make = (timeline: Timeline): Alarms => {
  let heap: Array<Entry> = []
  let cancelled = 0
  let wakeAt = Number.POSITIVE_INFINITY
  let used = false
  let jumps = 0
  let setting = false
  const bell = new Bell()

  const up = (index: number): void => {
    const entry = heap[index]!
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (heap[parent]!.due <= entry.due) break
      heap[index] = heap[parent]!
      index = parent
    }
    heap[index] = entry
  }

  const down = (index: number): void => {
    const entry = heap[index]!
    for (;;) {
      let child = 2 * index + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && heap[child + 1]!.due < heap[child]!.due) child++
      if (heap[child]!.due >= entry.due) break
      heap[index] = heap[child]!
      index = child
    }
    heap[index] = entry
  }

  const pop = (): Entry => {
    const top = heap[0]!
    const last = heap.pop()!
    if (heap.length > 0) {
      heap[0] = last
      down(0)
    }
    return top
  }

  const push = (entry: Entry): void => {
    heap.push(entry)
    up(heap.length - 1)
  }

  /** Most alarms are cancelled long before they are due; they must not pile up. */
  const compact = (): void => {
    const live = heap.filter((entry) => entry.ring !== undefined)
    heap = []
    cancelled = 0
    live.forEach(push)
  }

  const ringDue = (): number => {
    let now = timeline.now()
    // Who sets an alarm has not finished what it does.
    if (setting) return now
    while (heap.length > 0 && (heap[0]!.ring === undefined || heap[0]!.due <= now)) {
      const { ring } = pop()
      if (ring === undefined) cancelled--
      else {
        ring()
        now = timeline.now()
      }
    }
    return now
  }

  /** No sleep is spent on what is set and cancelled again while what was just rung for is done. */
  const settled = timeline.isMovedByHand
    ? Effect.suspend(() => {
        ringDue()
        return Effect.map(beforeSleep, () => bell.silence())
      })
    : Effect.void

  return {
    set: (due, ring) => {
      const entry: Entry = { due, ring }
      push(entry)
      used = true
      // After a jump the sleep goes on by a clock that stood still meanwhile.
      if (due < wakeAt || timeline.jumps() !== jumps) {
        jumps = timeline.jumps()
        wakeAt = Math.min(due, wakeAt)
        // On Effect 4 the next sleep begins within: so a test clock that is moved right after this knows of it.
        setting = true
        bell.ring()
        setting = false
      }
      return {
        cancel: () => {
          if (entry.ring === undefined) return
          entry.ring = undefined
          if (++cancelled > 64 && cancelled > heap.length / 2) compact()
        }
      }
    },
    pending: () => heap.length - cancelled,
    run: settled
      .pipe(
        Effect.flatMap(() => {
          const now = ringDue()
          jumps = timeline.jumps()
          // After a use it stays awake for a while though nothing is due, so that the next alarm, which is seldom nearer, need not wake it.
          const idle = heap.length === 0 && (!used || timeline.isMovedByHand)
          used = false
          const longest = timeline.isMovedByHand ? Number.POSITIVE_INFINITY : longestSleep
          const wait = idle
            ? Number.POSITIVE_INFINITY
            : Math.min(longest, (heap[0]?.due ?? Number.POSITIVE_INFINITY) - now)
          wakeAt = now + wait
          return idle
            ? bell.waitWithin
            : Effect.raceFirst(wait > 0 ? Effect.sleep(Math.ceil(wait)) : Effect.yieldNow, bell.waitWithin)
        })
      )
      .pipe(
        Effect.catchDefect((defect) => Effect.logError("effect-storage-lock: an alarm failed", defect)),
        Effect.forever
      )
  }
}
