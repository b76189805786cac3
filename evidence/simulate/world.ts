/**
 * The one event loop of a simulation, in virtual time. Nothing in it waits for the real one: no promise, no timer, no microtask. That is what makes it fast,
 * and the same again for the same seed.
 */
import type { Rng } from "./random.js"

export type Task = () => void

interface Timer {
  readonly at: number
  readonly order: number
  run: Task | undefined
}

export interface Cancel {
  readonly cancel: () => void
}

/** Whoever has tasks of its own that are ready: a machine. */
export interface Runnable {
  readonly isReady: boolean
  /** Runs one turn: what was ready at its begin, and what that made ready. */
  readonly turn: () => void
}

/** More turns than any run needs at one moment: somebody spins. */
const mostTurns = 20_000

export class World {
  /** True time, in milliseconds. No process and no storage sees it. */
  now = 0
  private readonly heap: Array<Timer> = []
  private order = 0
  private readonly runnables: Array<Runnable> = []

  constructor(private readonly rng: Rng) {}

  add(runnable: Runnable): void {
    this.runnables.push(runnable)
  }

  remove(runnable: Runnable): void {
    const index = this.runnables.indexOf(runnable)
    if (index >= 0) this.runnables.splice(index, 1)
  }

  at(time: number, run: Task): Cancel {
    const timer: Timer = { at: Math.max(time, this.now), order: this.order++, run }
    this.push(timer)
    return {
      cancel: () => {
        timer.run = undefined
      }
    }
  }

  after(millis: number, run: Task): Cancel {
    return this.at(this.now + millis, run)
  }

  /** Goes on until nothing is left to do before `until`, or `done` says so. */
  advance(until: number, done: () => boolean = () => false): void {
    for (;;) {
      this.settle()
      if (done()) return
      const next = this.heap[0]
      if (next === undefined || next.at > until) {
        this.now = Math.max(this.now, until)
        return
      }
      this.pop()
      if (next.run === undefined) continue
      this.now = next.at
      next.run()
    }
  }

  /** Everything that is ready runs before time moves on; whose turn comes first among the machines is chance. */
  private settle(): void {
    for (let turns = 0; ; turns++) {
      if (turns > mostTurns) throw new Error(`somebody spins at ${this.now} ms`)
      const ready = this.runnables.filter((runnable) => runnable.isReady)
      if (ready.length === 0) return
      const one = ready.length === 1 ? ready[0]! : this.rng.pick(ready)
      one.turn()
    }
  }

  private static before(a: Timer, b: Timer): boolean {
    return a.at < b.at || (a.at === b.at && a.order < b.order)
  }

  private push(timer: Timer): void {
    const { heap } = this
    let index = heap.length
    heap.push(timer)
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (World.before(heap[parent]!, timer)) break
      heap[index] = heap[parent]!
      index = parent
    }
    heap[index] = timer
  }

  private pop(): void {
    const { heap } = this
    const last = heap.pop()!
    if (heap.length === 0) return
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && World.before(heap[child + 1]!, heap[child]!)) child++
      if (!World.before(heap[child]!, last)) break
      heap[index] = heap[child]!
      index = child
    }
    heap[index] = last
  }
}
