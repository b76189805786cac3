/** The opening and closing of a layer: its three fibers, and an end that leaves nothing behind. */
import * as Deferred from "#effect/Deferred"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import type * as Scope from "#effect/Scope"
import { live, withClock } from "#effect/clocks"
import * as fibers from "#effect/fibers"
import type * as Storage from "../Storage.js"
import * as timerHeap from "./timers.js"
import { guarded } from "./checkedAnswers.js"
import { Signal } from "./signal.js"
import * as clocks from "../common/clocks.js"
import * as direct from "../common/direct.js"
import * as storageCalls from "./calls.js"
import type { Core } from "./core.js"
import { randomMark } from "../common/ids.js"
import { Events, SharedEvents } from "./events.js"
import { listen } from "./hints.js"
import { inspect, Inspector } from "./counts.js"
import { LinkedList } from "./linkedList.js"
import { LockQueues } from "./lockQueues.js"
import { renewDue } from "./refresher.js"
import { Logs } from "./logs.js"
import * as timelines from "./timeline.js"

/** How long bodies may take to end when the layer closes under them, and how long their releases may take then. */
const grace = Duration.seconds(1)
const drain = Duration.seconds(2)

const startTasks = (core: Core): void => {
  for (const task of core.tasks.splice(0)) core.calls.background(task)
}

/** What synchronous code has asked for. */
const work = (core: Core): Effect.Effect<never> =>
  core.work.wait.pipe(
    Effect.map(() => {
      startTasks(core)
      renewDue(core)
    }),
    Effect.catchDefect((defect) => Effect.logError("effect-storage-lock: the refresher failed, and goes on", defect)),
    Effect.forever
  )

/**
 * In a fiber of its own, since a finalizer cannot be interrupted, and one that only asks to be would be at once. Bounded by the time in the context and by real time: a
 * program under a test clock that nobody moves any more must end too.
 */
export const bounded = (self: Effect.Effect<void>, limit: Duration.Duration): Effect.Effect<void> =>
  Effect.flatMap(
    Effect.forkDetach(Effect.interruptible(Effect.raceAll([self, Effect.sleep(limit), live.sleep(limit)]))),
    (fiber) => Effect.asVoid(Fiber.await(fiber))
  )

/** For so long, or until that is done, which is looked at whenever something has ended. */
const until = (core: Core, limit: Duration.Duration, isDone: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (isDone()) return Effect.void
    const look = { while: () => !isDone(), body: () => core.quiet.wait, step: () => {} }
    return bounded(Effect.whileLoop(look), limit)
  })

const close = (core: Core, ownsEvents: boolean): Effect.Effect<void> =>
  Effect.gen(function* () {
    core.closed = true
    yield* Deferred.succeed(core.closing, undefined)
    core.queues.notifyAll()
    // Nobody needs the answers of renewals any more.
    yield* core.calls.abort("renew")
    const holds = core.holds.toArray()
    for (const hold of holds) hold.lose("Closed")
    yield* until(core, grace, () => !holds.some((hold) => hold.owesRelease))
    for (const hold of holds) hold.giveBack()
    yield* until(core, drain, () => {
      startTasks(core)
      return core.calls.isIdle() && core.acquiring === 0 && core.tasks.length === 0
    })
    core.logs.flush()
    if (ownsEvents) core.events.close()
    for (const last of core.lastWords) yield* last
    yield* core.calls.close
  })

export const open = (
  storage: Storage.Service,
  namespace: string | undefined,
  kind: string
): Effect.Effect<Core, never, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* clocks.forStorage(storage.guarantees)
    const timeline = timelines.make(clock)
    const timers = timerHeap.make(timeline)
    const quiet = new Signal()
    const run = yield* fibers.run
    const shared = yield* SharedEvents
    const events =
      shared ??
      new Events(
        clock,
        timeline,
        (defect) =>
          void run.fork(
            Effect.logError("effect-storage-lock: a listener to events, or a tracer, failed; no lock is harmed", defect)
          )
      )
    const core: Core = {
      storage: guarded(storage),
      direct: direct.of(storage),
      namespace,
      kind,
      clock,
      timeline,
      timers,
      calls: storageCalls.make(
        storage.guarantees.name,
        yield* Effect.context<never>(),
        run,
        clock,
        timeline,
        timers,
        events,
        () => quiet.notify()
      ),
      queues: new LockQueues(kind),
      logs: new Logs(run, clock, timers, timeline),
      events,
      mark: randomMark(),
      holds: new LinkedList(),
      due: new Set(),
      tasks: [],
      work: new Signal(),
      listen: new Signal(),
      hearsItself: false,
      acquiring: 0,
      quiet,
      ending: false,
      closed: false,
      closing: yield* Deferred.make<void>(),
      lastWords: new Set()
    }
    inspect(core, yield* Inspector)
    const loops = yield* Effect.forEach([timers.run, work(core)], (loop: Effect.Effect<void>) =>
      fibers.forkDetach(withClock(Effect.interruptible(loop), clock))
    )
    const listening = yield* fibers.forkDetach(withClock(Effect.interruptible(listen(core)), clock))
    const end = Effect.suspend(() => {
      fibers.interrupt(listening)
      return Effect.andThen(
        Fiber.interruptAll(loops),
        // A storage whose stream of hints cannot be ended must not keep the layer from closing.
        Effect.suspend(() =>
          fibers.exitOf(listening) === undefined ? bounded(Effect.asVoid(Fiber.await(listening)), grace) : Effect.void
        )
      )
    })
    yield* Effect.addFinalizer(() => Effect.ensuring(close(core, shared === undefined), end))
    return core
  })
