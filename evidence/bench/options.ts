import { parseArgs } from "node:util"
import { number } from "../arguments.js"
import type { Plan as ProfilePlan } from "./profiles.js"
import type { Plan } from "./rounds.js"

export const storages = [
  "memory",
  "sqlite",
  "postgres",
  "redis",
  "mysql",
  "etcd",
  "mongo",
  "opensearch",
  "dynamodb",
  "consul",
  "zookeeper",
  "cassandra"
] as const
export type StorageName = (typeof storages)[number]

export const scenarios = [
  "cycle",
  "round-trips",
  "hand-off",
  "contention",
  "refresh",
  "memory",
  "stall",
  "profile"
] as const
export type ScenarioName = (typeof scenarios)[number]

export interface Options {
  readonly storages: ReadonlyArray<StorageName>
  readonly scenarios: ReadonlyArray<ScenarioName>
  /** Whether other libraries are measured, too. */
  readonly peers: boolean
  readonly quick: boolean
  readonly json: boolean
  /** Whether the ratios are compared with those that are kept, or take their place. */
  readonly ratios: "compare" | "keep" | undefined
  /** A folder for the report, whatever was measured. */
  readonly out: string | undefined
  readonly merge: boolean
  readonly poolSize: number
  /** Of what is compared statement by statement. */
  readonly plan: Plan
  /** Of what is compared with other libraries. */
  readonly peersPlan: Plan
  readonly profilePlan: ProfilePlan
  /** How often a scenario of several processes is run. */
  readonly runs: number
  readonly contentionMillis: number
  /** How often the lock goes from one process to the other. */
  readonly handOffs: number
}

export const help = `Measures the locks against the bare driver and against other libraries, in short interleaved blocks, and counts round trips at the server.

  npm run bench -- [options]

  --storage NAME    only this one (may be repeated): ${storages.join(", ")}
                    Servers are private ones of the benchmark's own; one that cannot be had is named as such.
  --scenario NAME   only this one (may be repeated): ${scenarios.join(", ")}
  --no-peers        without other libraries; else they are installed into bench/peers at the first run (npm ci)
  --pool N          connections, of ours and of the floor, where they are compared statement by statement, 1 to 64 (default: 4, the library's own)
  --rounds N        rounds that count, 2 to 1000 (default: 40; against other libraries, 20)
  --runs N          runs of what takes several processes, 1 to 50 (default: 5)
  --quick           few and short rounds: to see that it works, not to quote
  --compare         only cycles, without other libraries: fail where one's ratio to the bare driver is more than 1.3 times the one in ratios.json; what seems worse is measured
                    twice more first. Not judged where the bare driver itself takes more than 1.5 times as long, or as short, as it did: that is another machine. A change is judged in some minutes: npm run bench -- --compare
  --keep            measure twice more, and write the ratios in the middle into ratios.json
  --merge           put what is measured into RESULTS.md, results.json and charts, in place of the same from earlier runs; with --out, into those there
  --out FOLDER      write RESULTS.md, results.json and charts there, whatever was measured
  --json            one JSON document on stdout, progress on stderr
  --help            this text

A run of everything that is not quick writes them into evidence/bench. It takes more than an hour. With --merge it can be done a storage at a time.
`

/** In the order of `all`, those that are asked for. */
const some = <A extends string>(
  option: string,
  all: ReadonlyArray<A>,
  asked: ReadonlyArray<string> | undefined
): ReadonlyArray<A> => {
  const unknown = asked?.find((name) => !(all as ReadonlyArray<string>).includes(name))
  if (unknown !== undefined) throw new Error(`--${option} must be ${all.join(", ")}, but is ${JSON.stringify(unknown)}`)
  return asked === undefined ? all : all.filter((name) => asked.includes(name))
}

/** Throws an `Error` with a message for the user. `"help"`: only that was asked. */
export const parse = (args: ReadonlyArray<string>): Options | "help" => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      storage: { type: "string", multiple: true },
      scenario: { type: "string", multiple: true },
      "no-peers": { type: "boolean", default: false },
      pool: { type: "string", default: "4" },
      rounds: { type: "string" },
      runs: { type: "string" },
      quick: { type: "boolean", default: false },
      compare: { type: "boolean", default: false },
      keep: { type: "boolean", default: false },
      merge: { type: "boolean", default: false },
      out: { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false }
    }
  })
  if (values.help) return "help"
  const { quick } = values
  if (values.compare && values.keep) throw new Error("--compare and --keep: one of them")
  if (values.merge && quick) throw new Error("--merge and --quick: one of them")
  const ratios = values.compare ? "compare" : values.keep ? "keep" : undefined
  // Only what is compared.
  const only = ratios !== undefined && values.scenario === undefined ? ["cycle"] : values.scenario
  const rounds = values.rounds === undefined ? undefined : number("rounds", values.rounds, 2, 1000)
  const runs = values.runs === undefined ? (quick ? 1 : 5) : number("runs", values.runs, 1, 50)
  return {
    storages: some("storage", storages, values.storage),
    scenarios: some("scenario", scenarios, only),
    peers: !values["no-peers"] && ratios === undefined,
    ratios,
    quick,
    json: values.json,
    out: values.out,
    merge: values.merge,
    poolSize: number("pool", values.pool, 1, 64),
    plan: {
      settle: quick ? 500 : 20_000,
      rounds: rounds ?? (quick ? 6 : 40),
      warmUp: quick ? 3 : 8,
      blockMillis: quick ? 20 : 60
    },
    peersPlan: {
      settle: 0,
      rounds: rounds ?? (ratios !== undefined ? 16 : quick ? 4 : 20),
      warmUp: quick ? 2 : 5,
      blockMillis: quick ? 20 : 60
    },
    profilePlan: { warmUpMillis: quick ? 100 : 2_000, rounds: quick ? 1 : 5, millis: quick ? 200 : 1_000 },
    runs,
    contentionMillis: quick ? 500 : 2_000,
    handOffs: quick ? 4 : 4 * runs
  }
}

/** Whether nothing was left out. */
export const isWhole = (options: Options): boolean =>
  !options.quick &&
  options.peers &&
  options.storages.length === storages.length &&
  options.scenarios.length === scenarios.length
