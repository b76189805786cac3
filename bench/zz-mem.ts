import * as Effect from "effect/Effect"
import * as subjects from "./subjects.js"
import * as StorageLock from "../src/StorageLock.js"
let i = 0
const n0 = Number(process.argv[2] ?? 60000)
Effect.runPromise(Effect.scoped(Effect.gen(function*() {
  const s = yield* subjects.memory
  const cycle = Effect.suspend(() => Effect.scoped(StorageLock.acquire(`x${i++ % 5000}`, "o")))
  const go = (n: number) => Effect.provide(Effect.whileLoop({ while: () => n > 0, body: () => cycle, step: () => void n-- }), s.context)
  yield* go(10000)
  for (let r = 0; r < 3; r++) { const t = performance.now(); yield* go(n0 / 3); console.log(((performance.now() - t) / n0 * 3000).toFixed(1), "µs") }
})))
