/** A storage that answers at once must not keep the process from everything else. */
import { expect, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as direct from "../../src/common/direct.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as Process from "../support/process.js"

/** The same by callbacks, within the call. */
const byCallback = Effect.map(MemoryStorage.make(), (memory) =>
  direct.offer(
    { ...memory },
    {
      claim: (request, _, done) => done(Effect.succeed(Effect.runSync(memory.claim(request)))),
      release: (request, _, done) => done(Effect.succeed(Effect.runSync(memory.release(request))))
    }
  )
)

for (const [way, storage] of [
  ["", MemoryStorage.make()],
  [" that is asked by callbacks", byCallback]
] as const)
  for (const fibers of [1, 8]) {
    it.live(
      `timers fire while ${fibers === 1 ? "one fiber takes" : `${fibers} fibers take`} a lock in memory${way} again and again`,
      () =>
        Effect.scoped(
          Effect.gen(function* () {
            const { locks } = yield* Process.make(yield* storage)
            let turns = 0
            let firedAfter = Number.POSITIVE_INFINITY
            const timer = setTimeout(() => {
              firedAfter = turns
            }, 0)
            yield* Effect.addFinalizer(() => Effect.sync(() => clearTimeout(timer)))
            const loop = Effect.whileLoop({
              while: () => turns < 2000,
              body: () => locks.withLock(() => Effect.sync(() => turns++), "lock"),
              step: () => {}
            })
            yield* Effect.all(
              Array.from({ length: fibers }, () => loop),
              { concurrency: "unbounded", discard: true }
            )
            expect(firedAfter).toBeLessThan(1000)
          })
        )
    )
  }
