/**
 * One timer for everything in a layer that has a time: deadlines, renewals, time-outs. Callbacks are synchronous and do no I/O, so none can
 * be late because another hangs; setting and cancelling costs no fiber.
 */
import * as Effect from "#effect/Effect"
import { beforeSleep } from "#effect/fibers"
import { Signal } from "./signal.js"
import type { Timeline } from "./timeline.js"

export interface Timer {
  readonly cancel: () => void
}

export interface Timers {
  /** Calls `callback` once the timeline has reached `due`. */
  readonly set: (due: number, callback: () => void) => Timer
  /** How many are set, and neither due nor cancelled. */
  readonly pending: () => number
  /** Never ends. */
  readonly run: Effect.Effect<never>
}

/** What all entries share. */
interface Heap {
  readonly cancelled: () => void
}

class Entry implements Timer {
  constructor(
    readonly due: number,
    public callback: (() => void) | undefined,
    private readonly heap: Heap
  ) {}

  cancel(): void {
    if (this.callback === undefined) return
    this.callback = undefined
    this.heap.cancelled()
  }
}

/**
 * Never asleep for longer: timers stand still while the machine is suspended, and a wall clock's jump must be noticed. Neither happens under a clock that a test moves, where each
 * wake-up costs milliseconds of real time.
 */
const longestSleep = 1000

export const make = (timeline: Timeline): Timers => {
  let heap: Array<Entry> = []
  let cancelled = 0
  let wakeAt = Number.POSITIVE_INFINITY
  let used = false
  let jumps = 0
  let setting = false
  const signal = new Signal()

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

  /** Most timers are cancelled long before they are due; they must not pile up. */
  const compact = (): void => {
    const live = heap.filter((entry) => entry.callback !== undefined)
    heap = []
    cancelled = 0
    live.forEach(push)
  }

  const shared: Heap = {
    cancelled: () => {
      if (++cancelled > 64 && cancelled > heap.length / 2) compact()
    }
  }

  const runDue = (): number => {
    let now = timeline.now()
    // Who sets a timer has not finished what it does.
    if (setting) return now
    while (heap.length > 0 && (heap[0]!.callback === undefined || heap[0]!.due <= now)) {
      const entry = pop()
      const { callback } = entry
      if (callback === undefined) cancelled--
      else {
        // To cancel it from now on cancels nothing.
        entry.callback = undefined
        callback()
        now = timeline.now()
      }
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
    set: (due, callback) => {
      const entry = new Entry(due, callback, shared)
      push(entry)
      used = true
      // After a jump the sleep goes on by a clock that stood still meanwhile.
      if (due < wakeAt || timeline.jumps() !== jumps) {
        jumps = timeline.jumps()
        wakeAt = Math.min(due, wakeAt)
        // On Effect 4 the next sleep begins within: so a test clock that is moved right after this knows of it.
        setting = true
        signal.notify()
        setting = false
      }
      return entry
    },
    pending: () => heap.length - cancelled,
    run: settled
      .pipe(
        Effect.flatMap(() => {
          const now = runDue()
          jumps = timeline.jumps()
          // After a use it stays awake for a while though nothing is due, so that the next timer, which is seldom nearer, need not wake it.
          const idle = heap.length === 0 && (!used || timeline.isMovedByHand)
          used = false
          const longest = timeline.isMovedByHand ? Number.POSITIVE_INFINITY : longestSleep
          const wait = idle
            ? Number.POSITIVE_INFINITY
            : Math.min(longest, (heap[0]?.due ?? Number.POSITIVE_INFINITY) - now)
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
