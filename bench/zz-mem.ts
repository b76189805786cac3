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
  for (let r = 0; r < 3; r++) { const c = process.cpuUsage(); yield* go(n0 / 3); const d = process.cpuUsage(c); console.log(((d.user + d.system) / n0 * 3).toFixed(1), "µs cpu") }
})))
