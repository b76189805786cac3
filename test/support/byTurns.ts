/** Several processes take one lock by turns, again and again, while a test does something to its servers: never two are inside, and tokens grow. */
import { assert } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Schedule from "#effect/Schedule"
import type * as StorageLock from "../../src/StorageLock.js"

const stubborn = Schedule.max([Schedule.spaced("100 millis"), Schedule.recurs(600)])

/** `body` is given what waits for so many turns more. Then all end; gives the number of turns. */
export const byTurns = <E>(
  processes: ReadonlyArray<{ readonly locks: StorageLock.Service }>,
  body: (more: (turns: number) => Effect.Effect<void>) => Effect.Effect<void, E>
) =>
  Effect.gen(function* () {
    let inside = 0
    let last = 0
    let turns = 0
    let over = false
    const turn = (locks: StorageLock.Service) =>
      locks.withLock(
        (lock) =>
          Effect.gen(function* () {
            assert.strictEqual(++inside, 1)
            assert.isAbove(lock.token, last)
            last = lock.token
            yield* Effect.sleep("5 millis")
            assert.strictEqual(inside--, 1)
            turns++
          }),
        "by turns"
      )
    const working = yield* Effect.forkChild(
      Effect.forEach(
        processes,
        ({ locks }) =>
          Effect.whileLoop({
            while: () => !over,
            body: () =>
              Effect.retry(turn(locks), { schedule: stubborn, while: (error) => error._tag === "StorageError" }),
            step: () => {}
          }),
        { concurrency: "unbounded" }
      )
    )
    yield* body((wanted) =>
      Effect.suspend(() => {
        const enough = turns + wanted
        const seen = Effect.delay(
          Effect.sync(() => turns),
          "20 millis"
        )
        return Effect.asVoid(Effect.repeat(seen, { until: (now) => now >= enough }))
      })
    )
    over = true
    yield* Fiber.join(working)
    return turns
  })
