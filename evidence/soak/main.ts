/**
 * A layer at full speed for two minutes, on memory and on PostgreSQL, and what it keeps: at quiet moments its heap, its handles and every count of its insides must be what they were.
 *
 *   npm run soak                          both, a minute each
 *   npm run soak -- --seconds 300         for longer
 *   npm run soak -- --storage memory      one of them
 *   npm run soak -- --leak                whether it can fail: over a copy of the library that leaves a timer behind at every acquire
 */
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "#effect/Scope"
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import * as PostgresStorage from "../../src/backends/postgres/PostgresStorage.js"
import { MemoryStorage, type Storage, StorageLock } from "../../src/index.js"
import { type Counts, Inspector } from "../../src/core/counts.js"
import * as Postgres from "../../test/harness/postgres.js"
import { withMutant } from "../simulate/mutate.js"
import { judge, none as waiting, type Quiet } from "./judge.js"
import { load } from "./load.js"

const { values } = parseArgs({
  options: { seconds: { type: "string" }, storage: { type: "string" }, leak: { type: "boolean" } }
})
const storages = values.storage === undefined ? ["memory", "postgres"] : [values.storage]
const seconds = Number(values.seconds ?? 60)
if (!(seconds >= 5)) throw new Error("--seconds must be 5 or more")
if (globalThis.gc === undefined)
  throw new Error("the heap is looked at after a collection: run it with node --expose-gc")

/** Milliseconds. */
const lease = 2000

/** How many quiet moments there are. The first ones are for whatever warms up. */
const moments = 12

const storageOf = (name: string): Effect.Effect<Layer.Layer<Storage.Storage, unknown>, unknown, Scope.Scope> => {
  switch (name) {
    case "memory":
      return Effect.succeed(MemoryStorage.layer)
    case "postgres":
      return Effect.map(Postgres.scoped, (server) =>
        PostgresStorage.layer({ url: Redacted.make(server.url), table: "storage_lock_soak" })
      )
    default:
      return Effect.fail(new Error(`--storage must be memory or postgres, but is ${JSON.stringify(name)}`))
  }
}

const quiet = (counts: () => Counts): Effect.Effect<Quiet> =>
  Effect.gen(function* () {
    // What is not sure to have been undone is undone again and again, for as long as a lease.
    for (let waited = 0; waited < 2 * lease && waiting.some((name) => counts()[name] > 0); waited += 50)
      yield* Effect.sleep(50)
    yield* Effect.sleep(100)
    for (let i = 0; i < 3; i++) {
      globalThis.gc!()
      yield* Effect.sleep("20 millis")
    }
    const handles: Record<string, number> = {}
    for (const kind of process.getActiveResourcesInfo()) handles[kind] = (handles[kind] ?? 0) + 1
    return { heap: process.memoryUsage().heapUsed, handles, counts: counts() }
  })

const soak = (name: string) =>
  Effect.scoped(
    Effect.gen(function* () {
      const storage = yield* storageOf(name)
      let counts: (() => Counts) | undefined
      const layer = StorageLock.layer({ leaseExpireAfter: lease }).pipe(Layer.provide(storage))
      const context = yield* Layer.build(layer).pipe(
        Effect.provideService(Inspector, (told) => {
          counts = told
        })
      )
      const locks = Context.get(context, StorageLock.StorageLock)
      const seen: Array<Quiet> = []
      let acquired = 0
      for (let i = 0; i < moments; i++) {
        acquired += yield* load(locks, (seconds * 1000) / moments)
        seen.push(yield* quiet(counts!))
      }
      const problems = judge(seen)
      const last = seen.at(-1)!
      console.log(
        `${name}: ${acquired} acquisitions in ${seconds} s; heap ${seen.map(({ heap }) => (heap / 2 ** 20).toFixed(1)).join(" ")} MB; at the end ${JSON.stringify(last.counts)}, ${JSON.stringify(last.handles)}`
      )
      for (const problem of problems) console.log(`${name}: GROWS: ${problem}`)
      return problems.length
    })
  )

/** Whether the soak can fail: over a copy of the library that leaves a timer behind at every acquire. */
const canFail = async (): Promise<boolean> => {
  const leak = {
    name: "timer-left",
    what: "the timer of `acquireTimeout` is left behind at every acquire",
    file: "src/core/acquire.ts",
    replace: "    this.deadlineTimer?.cancel()\n",
    by: "    void this.deadlineTimer\n"
  }
  return withMutant(fileURLToPath(new URL("../..", import.meta.url)), leak, (folder) => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ["--expose-gc", "--import", "tsx", "evidence/soak/main.ts", "--storage", "memory", "--seconds", "12"],
      { cwd: folder, encoding: "utf8" }
    )
    const caught = status === 1 && /GROWS: \d+ timers are set/.test(stdout)
    console.log(
      caught ? `the bug "${leak.what}" is caught` : `the bug "${leak.what}" is NOT caught:\n${stdout}${stderr}`
    )
    return Promise.resolve(caught)
  })
}

if (values.leak === true) process.exitCode = (await canFail()) ? 0 : 1
else {
  const problems = await Effect.runPromise(Effect.forEach(storages, soak))
  process.exitCode = problems.some((count) => count > 0) ? 1 : 0
}
