import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { arch, cpus, loadavg, platform, totalmem } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import Pg from "pg"
import * as PostgresStorage from "../src/backends/PostgresStorage.js"
import type { PostgresServer } from "../test/harness/postgres.js"
import * as Postgres from "../test/harness/postgres.js"
import * as handOff from "./handOff.js"
import type { Options } from "./options.js"
import * as report from "./report.js"
import * as roundTrips from "./roundTrips.js"
import type { Comparison } from "./rounds.js"
import * as scenarios from "./scenarios.js"
import * as subjects from "./subjects.js"

const versionOf = (name: string): string => {
  const file = fileURLToPath(new URL(`../node_modules/${name}/package.json`, import.meta.url))
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version : "not installed"
}

const environment = () => ({
  machine: `${platform()} ${arch()}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB of memory`,
  loadAverage: loadavg()[0]!,
  versions: Object.fromEntries([
    ["node", process.versions.node],
    ...["effect", "pg", "better-sqlite3", "@effect/sql-sqlite-node"].map((name) => [name, versionOf(name)])
  ]) as Record<string, string>
})

/** One line that is painted over on a terminal; elsewhere, nothing until something is finished. */
const progress = (text: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text.slice(0, process.stderr.columns - 1)}`)
}
const finished = (text: string): void => {
  process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${text}\n` : `${text}\n`)
}

const execute = async (url: string, text: string): Promise<void> => {
  const client = new Pg.Client({ connectionString: url })
  await client.connect()
  await client.query(text).finally(() => client.end())
}

export const run = (options: Options) =>
  Effect.gen(function*() {
    const before = environment()
    const comparisons: Array<Comparison> = []
    const settings: Array<{ readonly name: string; readonly setting: string }> = []

    const measure = <E>(subject: Effect.Effect<subjects.Subject, E, Scope.Scope>) =>
      Effect.scoped(Effect.gen(function*() {
        const made = yield* subject
        settings.push({ name: made.name, setting: made.setting })
        comparisons.push(
          ...(yield* Effect.promise(() =>
            scenarios.run(made, options.plan, progress, (comparison) => finished(report.line(comparison)))
          ))
        )
      }))

    if (options.storages.includes("memory")) yield* measure(subjects.memory)
    if (options.storages.includes("sqlite")) {
      yield* measure(subjects.sqlite("full"))
      yield* measure(subjects.sqlite("normal"))
    }
    let server: PostgresServer | undefined
    let counted: roundTrips.RoundTripReport | undefined
    if (options.storages.includes("postgres")) {
      server = yield* Postgres.own
      yield* measure(subjects.postgres(server, options.poolSize))
      counted = yield* Effect.scoped(roundTrips.measure(server, options.quick ? 20 : 100, progress))
      for (const row of counted.operations) finished(report.roundTripLine(row))
    }

    const candidates: Array<handOff.Candidate> = []
    if (server !== undefined) {
      const url = yield* server.freshDatabase
      const polled = yield* server.freshDatabase
      const bare = yield* server.freshDatabase
      candidates.push(
        { name: "PostgreSQL, the floor: pg with LISTEN and NOTIFY", way: { kind: "pg", url: bare } },
        { name: "PostgreSQL, with notifications (default)", way: { kind: "postgres", url, notify: true } },
        { name: "PostgreSQL, polling alone", way: { kind: "postgres", url: polled, notify: false } }
      )
      // The floor sets up nothing.
      yield* Effect.promise(() => execute(bare, PostgresStorage.ddl({ table: subjects.table })))
    }
    if (options.storages.includes("sqlite")) {
      const filename = join(yield* subjects.folder, "hand-off.db")
      candidates.push({ name: "SQLite, full", way: { kind: "sqlite", filename } })
    }
    const handOffs = candidates.length === 0
      ? []
      : yield* Effect.scoped(handOff.measure(candidates, options.handOffs, progress))
    for (const one of handOffs) finished(report.handOffLine(one))

    const results: report.Results = {
      date: new Date().toISOString().slice(0, 10),
      ...before,
      plan: options.plan,
      poolSize: options.poolSize,
      settings,
      comparisons,
      roundTrips: counted,
      handOffs
    }
    if (!options.quick && options.storages.length === 3) {
      const file = (name: string) => fileURLToPath(new URL(name, import.meta.url))
      writeFileSync(file("./results.json"), `${JSON.stringify(results, null, 1)}\n`)
      writeFileSync(file("./RESULTS.md"), report.markdown(results))
    }
    return results
  })
