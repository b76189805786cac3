import * as Effect from "effect/Effect"
import * as Postgres from "../test/harness/postgres.js"
import * as subjects from "./subjects.js"
import * as StorageLock from "../src/StorageLock.js"
const kind = process.argv[2]!, n = Number(process.argv[3] ?? 8000)
let i = 0
const main = Effect.scoped(Effect.gen(function*() {
  const s = kind.startsWith("pg") ? yield* subjects.postgres(yield* Postgres.own, 4) : kind.startsWith("mem") ? yield* subjects.memory : yield* subjects.sqlite("normal")
  const cycle = Effect.suspend(() => Effect.scoped(StorageLock.acquire(`x${i++}`, "o")))
  const go = (n: number) => Effect.provide(Effect.whileLoop({ while: () => n > 0, body: () => cycle, step: () => void n-- }), s.context)
  const floor = async (n: number) => { for (; n > 0; n--) { const l = `f${i++}`; await s.floor.claim(l, "o", l, 1e7); await s.floor.release(l, l) } }
  const port = (n: number) => Effect.whileLoop({ while: () => n > 0, step: () => void n--, body: () => { const l = `p${i++}`; return Effect.zipRight(s.storage.claim({ lockId: l, ownerId: "o", holdId: l, lease: 1e7 }), s.storage.release({ lockId: l, holdId: l })) } })
  yield* go(2000); yield* Effect.promise(() => floor(2000)); yield* port(2000)
  for (let r = 0; r < 3; r++) {
    let t = performance.now(), c = process.cpuUsage(); const rep = (name: string) => { const d = process.cpuUsage(c); console.log(name, ((performance.now() - t) / n * 1000).toFixed(1), "µs wall", ((d.user + d.system) / n).toFixed(1), "µs cpu"); t = performance.now(); c = process.cpuUsage() }
    yield* Effect.promise(() => floor(n)); rep("floor")
    yield* port(n); rep("port")
    yield* go(n); rep("lock")
  }
}))
Effect.runPromise(main).then(() => process.exit(0))
