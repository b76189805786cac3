/**
 * What a cycle costs in processor time, in several trees of this project side by side: `npm run bench:majors -- name=folder …`. Each tree has a process of its own, they take turns of some
 * milliseconds, and what is told is the median of all turns: a busy machine slows all of them alike.
 */
import { build } from "esbuild"
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"

/** With events, metrics and spans, where the tree has them. */
const lookedAt = (tree: string): string =>
  existsSync(join(tree, "src/LockMetrics.ts"))
    ? `
  import * as Stream from "effect/Stream"
  import * as Tracer from "effect/Tracer"
  import * as LockMetrics from "${tree}/src/LockMetrics.ts"

  const watched = ManagedRuntime.make(LockMetrics.layer().pipe(Layer.provideMerge(StorageLock.layer()), Layer.provide(MemoryStorage.layer)))
  watched.runFork(Stream.runDrain(StorageLock.events))
  const span = Tracer.externalSpan({ traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331", sampled: true })
  const seen = (cycle) => (id) => Effect.withParentSpan(cycle(id), span)
  Object.assign(works, {
    "memory, acquire, everybody looks": () => inTurn(watched, seen(acquire), 640),
    "memory, 64 at once, everybody looks": () => atOnce(watched, seen(acquire), 640)
  })
`
    : ""

/** What is measured, in names that every tree has. */
const program = (tree: string): string => `
  import * as Effect from "effect/Effect"
  import * as Layer from "effect/Layer"
  import * as ManagedRuntime from "effect/ManagedRuntime"
  import * as StorageLock from "${tree}/src/StorageLock.ts"
  import * as MemoryStorage from "${tree}/src/backends/memory/MemoryStorage.ts"
  import * as SqliteStorage from "${tree}/src/backends/sqlite/SqliteStorage.ts"

  const over = (storage) => ManagedRuntime.make(Layer.provide(StorageLock.layer(), storage))
  const memory = over(MemoryStorage.layer)
  const sqlite = over(SqliteStorage.layer({ filename: process.argv[2] }))
  const acquire = (id) => Effect.scoped(StorageLock.acquire(id))
  // What no lock as a scoped resource can be below: a scope with a finalizer, and one whose parts wait for an answer that comes later.
  const empty = () => Effect.scoped(Effect.acquireRelease(Effect.void, () => Effect.void))
  const later = Effect.promise(() => Promise.resolve())
  const waiting = () => Effect.scoped(Effect.acquireRelease(later, () => later))
  const withLock = (id) => StorageLock.withLock(Effect.void, id)
  const ids = Array.from({ length: 64 }, (_, i) => "lock " + i)
  const inTurn = (runtime, cycle, count) => runtime.runPromise(Effect.forEach(Array.from({ length: count }), () => cycle("lock"), { discard: true }))
  const atOnce = (runtime, cycle, count) =>
    runtime.runPromise(Effect.forEach(Array.from({ length: count / 64 }), () => Effect.forEach(ids, cycle, { concurrency: "unbounded", discard: true }), { discard: true }))
  const works = {
    "Effect alone, a scope with a finalizer": () => inTurn(memory, empty, 640),
    "Effect alone, 64 at once": () => atOnce(memory, empty, 640),
    "Effect alone, both wait for a promise": () => inTurn(memory, waiting, 640),
    "Effect alone, both wait, 64 at once": () => atOnce(memory, waiting, 640),
    "memory, acquire": () => inTurn(memory, acquire, 640),
    "memory, withLock": () => inTurn(memory, withLock, 640),
    "memory, 64 at once": () => atOnce(memory, acquire, 640)
  }
${lookedAt(tree)}
  // At last: what has run over two storages runs more slowly over either.
  Object.assign(works, {
    "SQLite, acquire": () => inTurn(sqlite, acquire, 64),
    "SQLite, 64 at once": () => atOnce(sqlite, acquire, 64)
  })
  const countOf = (name) => (name.startsWith("SQLite") ? 64 : 640)
  process.on("message", async (name) => {
    const before = process.cpuUsage()
    await works[name]()
    const { system, user } = process.cpuUsage(before)
    process.send((user + system) / countOf(name))
  })
  process.send(Object.keys(works))
`

interface Tree {
  readonly name: string
  readonly child: ChildProcess
  readonly works: ReadonlyArray<string>
}

const start = async (folder: string, name: string, tree: string): Promise<Tree> => {
  const file = join(folder, `${name.replace(/\W+/g, "-")}.mjs`)
  await build({
    stdin: { contents: program(tree), resolveDir: tree, loader: "js" },
    absWorkingDir: tree,
    outfile: file,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20",
    external: ["better-sqlite3"],
    banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
    logLevel: "error"
  })
  const child = fork(file, [join(folder, `${name}.db`)], { execArgv: ["--max-semi-space-size=64"] })
  const [works] = (await once(child, "message")) as [ReadonlyArray<string>]
  return { name, child, works }
}

const measure = async ({ child }: Tree, work: string): Promise<number> => {
  child.send(work)
  const [micros] = (await once(child, "message")) as [number]
  return micros
}

const quantile = (sorted: ReadonlyArray<number>, part: number) => sorted[Math.floor((sorted.length - 1) * part)]!

const args = process.argv.slice(2)
const rounds = Number(args.find((arg) => arg.startsWith("--rounds="))?.slice(9) ?? 60)
const given = args.filter((arg) => !arg.startsWith("--")).map((arg) => arg.split("=") as [string, string])
if (given.length === 0) {
  console.error(
    "Usage: npm run bench:majors -- [--rounds=60] name=folder …, each a tree of this project with its packages"
  )
  process.exit(2)
}
const folder = mkdtempSync(join(tmpdir(), "storage-lock-majors-"))
writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }))
symlinkSync(resolve(given[0]![1], "node_modules"), join(folder, "node_modules"))
const trees: Array<Tree> = []
try {
  for (const [name, tree] of given) trees.push(await start(folder, name, resolve(tree)))
  const warm = 5
  console.log(`| µs of processor time per cycle | ${given.map(([name]) => name).join(" | ")} |`)
  console.log(`|---|${given.map(() => "---:|").join("")}`)
  for (const work of new Set(trees.flatMap(({ works }) => works))) {
    const figures = trees.map((): Array<number> => [])
    for (let round = 0; round < warm + rounds; round++) {
      for (const [i, tree] of trees.entries()) {
        if (!tree.works.includes(work)) continue
        const micros = await measure(tree, work)
        if (round >= warm) figures[i]!.push(micros)
      }
    }
    const cells = figures.map((all) => {
      if (all.length === 0) return "–"
      const sorted = all.sort((a, b) => a - b)
      const at = (part: number) => quantile(sorted, part).toFixed(1)
      return `${at(0.5)} (${at(0.25)}–${at(0.75)})`
    })
    console.log(`| ${work} | ${cells.join(" | ")} |`)
  }
} finally {
  for (const { child } of trees) child.kill()
  rmSync(folder, { recursive: true, force: true })
}
