import * as Effect from "effect/Effect"
import { Session } from "node:inspector/promises"
import { writeFileSync } from "node:fs"
import * as Postgres from "../test/harness/postgres.js"
import * as subjects from "./subjects.js"
import * as StorageLock from "../src/StorageLock.js"
const n = Number(process.argv[2] ?? 3000), rounds = Number(process.argv[3] ?? 5)
let i = 0
const session = new Session(); session.connect()
const main = Effect.scoped(Effect.gen(function*() {
  const server = yield* Postgres.own
  yield* server.admin("ALTER SYSTEM SET synchronous_commit = off"); yield* server.admin("SELECT pg_reload_conf()")
  const s = yield* subjects.postgres(server, 4)
  const cycle = Effect.suspend(() => Effect.scoped(StorageLock.acquire(`x${i++}`, "o")))
  const go = (n: number) => Effect.provide(Effect.whileLoop({ while: () => n > 0, body: () => cycle, step: () => void n-- }), s.context)
  const floor = async (n: number) => { for (; n > 0; n--) { const l = `f${i++}`; await s.floor.claim(l, "o", l, 1e7); await s.floor.release(l, l) } }
  const port = (n: number) => Effect.whileLoop({ while: () => n > 0, step: () => void n--, body: () => { const l = `p${i++}`; return Effect.zipRight(s.storage.claim({ lockId: l, ownerId: "o", holdId: l, lease: 1e7 }), s.storage.release({ lockId: l, holdId: l })) } })
  yield* go(n); yield* Effect.promise(() => floor(n)); yield* port(n)
  const acc: Record<string, Array<number>> = { floor: [], port: [], lock: [] }
  const wall: Record<string, Array<number>> = { floor: [], port: [], lock: [] }
  for (let r = 0; r < rounds; r++) {
    for (const [name, f] of [["floor", Effect.suspend(() => Effect.promise(() => floor(n)))], ["port", Effect.suspend(() => port(n))], ["lock", Effect.suspend(() => go(n))]] as const) {
      const t = performance.now(), c = process.cpuUsage()
      yield* f
      const d = process.cpuUsage(c); acc[name]!.push((d.user + d.system) / n); wall[name]!.push((performance.now() - t) / n * 1000)
    }
  }
  const med = (a: Array<number>) => a.sort((x, y) => x - y)[a.length >> 1]!.toFixed(0)
  for (const k in acc) console.log(k, "cpu", med(acc[k]!), "wall", med(wall[k]!), "wall/floor")
  if (process.argv[4]) {
    yield* Effect.promise(async () => { await session.post("Profiler.enable"); await session.post("Profiler.setSamplingInterval", { interval: 100 }); await session.post("Profiler.start") })
    yield* go(n * rounds)
    const { profile } = yield* Effect.promise(() => session.post("Profiler.stop") as any) as any
    writeFileSync(process.argv[4], JSON.stringify(profile))
    console.log("profiled", n * rounds)
  }
}))
Effect.runPromise(main).then(() => process.exit(0))
