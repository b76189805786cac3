/** All that is measured, one after the other. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { join } from "node:path"
import Pg from "pg"
import * as PostgresStorage from "../src/backends/PostgresStorage.js"
import * as Postgres from "../test/harness/postgres.js"
import * as handOff from "./handOff.js"
import type { Options } from "./options.js"
import * as report from "./report.js"
import * as roundTrips from "./roundTrips.js"
import type { Comparison } from "./rounds.js"
import * as scenarios from "./scenarios.js"
import * as subjects from "./subjects.js"

export interface Measurements {
  readonly settings: ReadonlyArray<{ readonly name: string; readonly setting: string }>
  readonly comparisons: ReadonlyArray<Comparison>
  readonly roundTrips: roundTrips.RoundTripReport | undefined
  readonly handOffs: ReadonlyArray<handOff.HandOff>
}

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
    const comparisons: Array<Comparison> = []
    const settings: Array<{ readonly name: string; readonly setting: string }> = []

    const measure = <E>(subject: Effect.Effect<subjects.Subject, E, Scope.Scope>) =>
      Effect.scoped(Effect.gen(function*() {
        const made = yield* subject
        settings.push({ name: made.name, setting: made.setting })
        const measured = scenarios.run(made, options.plan, progress, (comparison) => finished(report.line(comparison)))
        comparisons.push(...(yield* Effect.promise(() => measured)))
      }))

    yield* Effect.scoped(Effect.flatMap(subjects.memory, (subject) =>
      Effect.promise(() => scenarios.warmUp(subject, options.plan.settle, progress))))

    if (options.storages.includes("memory")) yield* measure(subjects.memory)
    if (options.storages.includes("sqlite")) {
      yield* measure(subjects.sqlite("full"))
      yield* measure(subjects.sqlite("normal"))
    }

    const candidates: Array<handOff.Candidate> = []
    let counted: roundTrips.RoundTripReport | undefined
    if (options.storages.includes("postgres")) {
      const server = yield* Postgres.own
      yield* measure(subjects.postgres(server, options.poolSize))
      counted = yield* Effect.scoped(roundTrips.measure(server, options.quick ? 20 : 100, progress))
      for (const row of counted.operations) finished(report.roundTripLine(row))

      const [bare, notified, polled] = yield* Effect.all([server.freshDatabase, server.freshDatabase, server.freshDatabase])
      // The floor sets up nothing.
      yield* Effect.promise(() => execute(bare, PostgresStorage.ddl({ table: subjects.table })))
      candidates.push(
        { name: "PostgreSQL, the floor: pg with LISTEN and NOTIFY", way: { kind: "pg", url: bare } },
        { name: report.notified, way: { kind: "postgres", url: notified, notify: true } },
        { name: "PostgreSQL, polling alone", way: { kind: "postgres", url: polled, notify: false } }
      )
    }
    if (options.storages.includes("sqlite")) {
      const filename = join(yield* subjects.folder, "hand-off.db")
      candidates.push({ name: "SQLite, full", way: { kind: "sqlite", filename } })
    }
    const handOffs = candidates.length === 0
      ? []
      : yield* Effect.scoped(handOff.measure(candidates, options.handOffs, progress))
    for (const one of handOffs) finished(report.handOffLine(one))

    return { settings, comparisons, roundTrips: counted, handOffs } satisfies Measurements
  })
