/** What a living layer keeps in memory, counted: for the soak, which asks at quiet moments whether anything grows. */
import * as Context from "#effect/Context"
import type { Core } from "./core.js"

export type Counts = Readonly<
  Record<
    | "holds"
    | "due"
    | "tasks"
    | "acquiring"
    | "queues"
    | "timers"
    | "busyWorkers"
    | "idleWorkers"
    | "direct"
    | "inBackground"
    | "listeners",
    number
  >
>

const countsOf = (core: Core): Counts => ({
  holds: core.holds.size,
  due: core.due.size,
  tasks: core.tasks.length,
  acquiring: core.acquiring,
  queues: core.queues.size,
  timers: core.timers.pending(),
  ...core.calls.counts(),
  listeners: Array.from(core.holds).reduce((sum, { listening }) => sum + listening, core.events.listening)
})

/** Is given what counts a layer's insides, when the layer opens. */
export const Inspector: Context.Reference<(counts: () => Counts) => void> = Context.Reference(
  "effect-storage-lock/internal/Inspector",
  {
    defaultValue: () => (_: () => Counts) => {}
  }
)

export const inspect = (core: Core, tell: (counts: () => Counts) => void): void => tell(() => countsOf(core))
