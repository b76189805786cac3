/** One process of a fleet that keeps two schedules of every second: it is killed and stopped, and knows nothing of it. */
import * as Context from "#effect/Context"
import * as DateTime from "#effect/DateTime"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Layer from "#effect/Layer"
import * as Schedule from "#effect/Schedule"
import * as FleetSchedule from "../../src/FleetSchedule.js"
import { appendTo, type Config } from "./protocol.js"
import { storages } from "../chaos/storages.js"
import { clockFrom } from "../chaos/log.js"

const config = JSON.parse(process.argv[2]!) as Config
const { lease, p } = config
const now = clockFrom(BigInt(config.base))
const write = appendTo(config.log)

const main = Effect.gen(function* () {
  const storage = Layer.unwrap(Effect.promise(() => storages[config.storage]!.layer({ url: config.url })))
  const context = yield* Effect.retry(
    Layer.build(
      FleetSchedule.layer({ leaseExpireAfter: lease, clockMargin: lease / 10, ownerLabel: p }).pipe(
        Layer.provide(storage)
      )
    ),
    Schedule.spaced("200 millis")
  )
  const { run } = Context.get(context, FleetSchedule.FleetSchedule)
  yield* Effect.forEach(
    config.schedules,
    ({ name, runs }) =>
      run(
        name,
        { every: config.every },
        ({ isAgain, time, token }) =>
          Effect.suspend(() => {
            const tick = DateTime.toEpochMillis(time)
            write({ type: "begin", t: now(), p, schedule: name, tick, token, isAgain })
            return Effect.onExit(Effect.sleep(Math.random() * 200), (exit) =>
              Effect.sync(() =>
                write({
                  type: "end",
                  t: now(),
                  p,
                  schedule: name,
                  tick,
                  token,
                  how: Exit.isSuccess(exit) ? "done" : "interrupted"
                })
              )
            )
          }),
        { runs, overlap: "queue", missed: "all" }
      ),
    { concurrency: "unbounded", discard: true }
  )
})

setTimeout(
  () =>
    Effect.runFork(
      Effect.tapErrorCause(Effect.scoped(main), (cause) =>
        Effect.sync(() => write({ type: "failed", t: now(), p, text: String(cause) }))
      )
    ),
  config.startsAfter
)
process.on("SIGINT", () => {})
process.on("disconnect", () => process.exit(0))
process.send?.("ready")
