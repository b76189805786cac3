import { parseArgs } from "node:util"
import type { Plan } from "./rounds.js"

export const storages = ["memory", "sqlite", "postgres"] as const
export type StorageName = typeof storages[number]

export interface Options {
  readonly storages: ReadonlyArray<StorageName>
  readonly quick: boolean
  readonly json: boolean
  readonly poolSize: number
  readonly plan: Plan
  /** How often the lock goes from one process to the other. */
  readonly handOffs: number
}

export const help = `Measures the locks against the bare driver with the same statements, in short interleaved blocks, and counts round trips at the server.

  npm run bench -- [options]

  --storage memory|sqlite|postgres   only this one (may be repeated; default: all. PostgreSQL is a private server of the benchmark's own)
  --pool N                           connections, of ours and of the floor, 1 to 64 (default: 4, the library's own)
  --rounds N                         rounds that count, 2 to 1000 (default: 40)
  --quick                            few and short rounds: to see that it works, not to quote
  --json                             one JSON document on stdout, progress on stderr
  --help                             this text

A run of all storages that is not quick writes bench/RESULTS.md and bench/results.json.
`

const integer = (name: string, text: string, least: number, most: number): number => {
  const value = Number(text)
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new Error(`--${name} must be a whole number from ${least} to ${most}, but is ${JSON.stringify(text)}`)
  }
  return value
}

const isStorage = (name: string): name is StorageName => (storages as ReadonlyArray<string>).includes(name)

/** Throws an `Error` with a message for the user. `"help"`: only that was asked. */
export const parse = (args: ReadonlyArray<string>): Options | "help" => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      storage: { type: "string", multiple: true },
      pool: { type: "string", default: "4" },
      rounds: { type: "string" },
      quick: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false }
    }
  })
  if (values.help) return "help"
  for (const name of values.storage ?? []) {
    if (!isStorage(name)) throw new Error(`--storage must be ${storages.join(", ")}, but is ${JSON.stringify(name)}`)
  }
  const quick = values.quick
  return {
    storages: values.storage === undefined ? storages : storages.filter((name) => values.storage!.includes(name)),
    quick,
    json: values.json,
    poolSize: integer("pool", values.pool, 1, 64),
    plan: {
      settle: quick ? 500 : 20_000,
      rounds: values.rounds === undefined ? (quick ? 6 : 40) : integer("rounds", values.rounds, 2, 1000),
      warmUp: quick ? 3 : 8,
      blockMillis: quick ? 20 : 60
    },
    handOffs: quick ? 4 : 40
  }
}
