/** One of the processes that contend. It is killed, stopped, blocked and cut off, and knows nothing of it. */
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as Layer from "#effect/Layer"
import * as Schedule from "#effect/Schedule"
import * as Scope from "#effect/Scope"
import * as logs from "#harness/logs"
import { Rng } from "../simulate/random.js"
import type { Services } from "../simulate/parts.js"
import { type Action, attempt, draw, type Stage, wholeOf } from "./actor.js"
import { servicesOf } from "./services.js"
import { append, clockFrom } from "./log.js"
import type { FromWorker, ToWorker, WorkerConfig } from "./protocol.js"
import { storages } from "./storages.js"
import { connect } from "./writer.js"

const config = JSON.parse(process.argv[2]!) as WorkerConfig
const { lease, locks, name: p } = config
const now = clockFrom(BigInt(config.base))
const log = append(config.log)
const rng = new Rng(config.seed)
const tell = (message: FromWorker): void => void (process.connected && process.send?.(message))

/** Finds its own pauses, whatever made them: it is excused for what was due in them, and for nothing else. */
const beat = 10
let last = now()
setInterval(() => {
  const t = now()
  if (t - last > 2 * beat) log.write({ type: "stop", t: last, p, until: t, suspended: false })
  last = t
}, beat).unref()

let phase: "waiting" | "going" | "finishing" = "waiting"
let held = 0
let attempts = config.firstAttempt
const stageOf = (services: Services): Stage => ({
  p,
  now,
  record: log.write,
  services,
  lease,
  wrong: config.wrong,
  writer: connect(config.resourcePort),
  next: () => ++attempts,
  holding: (change) => {
    held += change
    tell({ type: "holding", count: held })
  }
})

/** An owner of its own for each acquire, one of this place that also its successor has, and one that two places share. */
const owners = [undefined, undefined, undefined, `of place ${config.place}`, `of pair ${Math.floor(config.place / 2)}`]

const millis = (value: number) => Effect.sleep(Duration.millis(value))
const untilPhase = (...wanted: ReadonlyArray<typeof phase>) =>
  Effect.sync(() => wanted.includes(phase)).pipe(Effect.delay("20 millis"), Effect.repeat({ until: (there) => there }))

const contend = (stage: Stage) =>
  Effect.gen(function* () {
    while (phase === "going") {
      const exit = yield* attempt(stage, draw(rng, lease, locks, owners, config.kind))
      // Who has failed to reach the storage does not hammer at it.
      yield* millis(exit.startsWith("StorageError") ? rng.between(20, 100) : rng.between(0, 120))
    }
  })

const plain: Omit<Action, "lock"> = {
  kind: "withLock",
  part: wholeOf(config.kind),
  owner: undefined,
  body: 2,
  looks: 1,
  finalizer: 0,
  fails: false,
  timeout: undefined,
  interruptAfter: undefined,
  nested: false,
  renews: false,
  releasesEarly: false,
  blind: false
}

/** Once nothing goes wrong any more, everybody gets every lock. What was under way before may still fail. */
const haveEach = (stage: Stage) =>
  Effect.forEach(
    locks,
    (lock) =>
      attempt(stage, { ...plain, lock }).pipe(
        Effect.tap((exit) => (exit === "ok" ? Effect.void : millis(50))),
        Effect.repeat({ until: (exit) => exit === "ok" })
      ),
    { discard: true }
  )

const main = Effect.gen(function* () {
  const entry = storages[config.storage]!
  const storage = Layer.unwrap(Effect.promise(() => entry.layer(config.storageConfig)))
  const scope = yield* Scope.make()
  // The storage may be down just now.
  const services = yield* servicesOf(
    config.kind,
    { leaseExpireAfter: lease, clockMargin: config.margin },
    storage
  ).pipe(
    Scope.provide(scope),
    Effect.tapError((error) =>
      Effect.sync(() => log.write({ type: "message", t: now(), p, text: `has no storage yet: ${error.message}` }))
    ),
    Effect.retry(Schedule.spaced("100 millis"))
  )
  const stage = stageOf(services)
  process.on("message", (message: ToWorker) => {
    if (message.type !== "close") return
    log.write({ type: "message", t: now(), p, text: "closes its layer" })
    Effect.runFork(
      Scope.close(scope, Exit.void).pipe(
        Effect.andThen(
          Effect.sync(() => {
            tell({ type: "closed" })
            stage.writer.close()
            process.disconnect?.()
          })
        )
      )
    )
  })
  for (;;) {
    yield* untilPhase("going", "finishing")
    const fibers = yield* Effect.forEach(Array.from({ length: config.fibers }), () => Effect.forkChild(contend(stage)))
    yield* Fiber.joinAll(fibers)
    yield* untilPhase("finishing")
    yield* haveEach(stage)
    phase = "waiting"
    tell({ type: "idle" })
  }
})

// Faults are worth a warning; an error that is logged is a finding.
const logger = logs.to(({ level, message }) => {
  if (["Debug", "Info"].includes(level)) return
  const text = `${level} ${message}`
  log.write(
    level === "Warning" ? { type: "message", t: now(), p, text: `logged: ${text}` } : { type: "log", t: now(), p, text }
  )
})
Effect.runFork(
  main.pipe(
    Effect.provide(logger),
    Effect.tapErrorCause((cause) =>
      Effect.sync(() => log.write({ type: "log", t: now(), p, text: `the worker failed: ${String(cause)}` }))
    )
  )
)

const block = new Int32Array(new SharedArrayBuffer(4))
process.on("message", (message: ToWorker) => {
  if (message.type === "go") phase = "going"
  if (message.type === "finish") phase = "finishing"
  if (message.type === "block") Atomics.wait(block, 0, 0, message.millis)
})
process.on("uncaughtException", (error) => {
  log.write({ type: "log", t: now(), p, text: `uncaught: ${error.stack ?? String(error)}` })
  process.exit(1)
})
process.on("SIGINT", () => {})
process.on("disconnect", () => process.exit(0))
tell({ type: "ready" })
