/** What was measured, in words and tables. */
import type { HandOff } from "./handOff.js"
import type { Comparison, Measured, Plan } from "./rounds.js"
import type { RoundTrips } from "./roundTrips.js"
import type { Measurements } from "./run.js"

/** What the goals are about. */
export const cycleAlone = "acquire + release, one client alone"
export const notified = "PostgreSQL, with notifications (default)"

export interface Results extends Measurements {
  readonly date: string
  readonly machine: string
  /** Of the minute before: what else the machine had to do. */
  readonly loadAverage: number
  readonly versions: Readonly<Record<string, string>>
  readonly plan: Plan
  readonly poolSize: number
}

export interface Goal {
  readonly goal: string
  readonly figure: string
  readonly met: boolean
}

const times = (value: number): string => `${value.toFixed(2)} ×`
const micros = (value: number): string => value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(1) : value.toFixed(2)
const ratio = ({ ratio }: Measured): string => `${times(ratio.median)} (${ratio.p25.toFixed(2)}–${ratio.p75.toFixed(2)})`
const millis = (value: number): string => `${value.toFixed(1)} ms`

const ratioGoals = [
  { storage: "PostgreSQL", limit: 1.1 },
  { storage: "SQLite, full", limit: 1.3 },
  { storage: "SQLite, normal", limit: 1.3 }
]
/** "Within a few milliseconds". */
const handOffLimit = 5
const promptHandOffs = [notified, "SQLite, full"]

/** Only of what was measured. */
export const goals = (results: Results): ReadonlyArray<Goal> => [
  ...ratioGoals.flatMap(({ limit, storage }): ReadonlyArray<Goal> => {
    const found = results.comparisons.find((_) => _.storage === storage && _.scenario === cycleAlone)
    return found === undefined ? [] : found.contenders.slice(1).map((measured): Goal => ({
      goal: `${storage}, ${cycleAlone}, ${measured.name}: at most ${times(limit)} the bare driver with the same statements`,
      figure: ratio(measured),
      met: measured.ratio.median <= limit
    }))
  }),
  ...results.handOffs.filter(({ name }) => promptHandOffs.includes(name)).map(({ millis: { median, p95 }, name }): Goal => ({
    goal: `hand-off between two processes, ${name}: median within ${handOffLimit} ms`,
    figure: `${millis(median)} (p95 ${millis(p95)})`,
    met: median <= handOffLimit
  })),
  ...(results.roundTrips === undefined ? [] : [{
    goal: "PostgreSQL: one statement and one round trip for each claim, renewal and release",
    figure: results.roundTrips.operations.every((_) => _.statements === _.expected && _.roundTrips === _.expected)
      ? "in every operation counted"
      : results.roundTrips.operations.filter((_) => _.statements !== _.expected || _.roundTrips !== _.expected)
        .map(roundTripLine).join("; "),
    met: results.roundTrips.operations.every((_) => _.statements === _.expected && _.roundTrips === _.expected)
  }])
]

export const line = (comparison: Comparison): string => {
  const [floor, ...ours] = comparison.contenders
  return `${comparison.storage.padEnd(15)} ${comparison.scenario.padEnd(48)} ${floor!.name} ${micros(floor!.micros.median)} µs` +
    ours.map((measured) => `, ${measured.name} ${micros(measured.micros.median)} µs = ${ratio(measured)}`).join("")
}

export const roundTripLine = ({ expected, operation, roundTrips, statements }: RoundTrips): string =>
  `${operation}: ${statements ?? "?"} statements, ${roundTrips} round trips (expected ${expected})`

export const handOffLine = ({ millis: spread, name }: HandOff): string =>
  `hand-off, ${name}: median ${millis(spread.median)} (${spread.p25.toFixed(1)}–${spread.p75.toFixed(1)}), p95 ${millis(spread.p95)}`

const cells = (results: Results): ReadonlyArray<ReadonlyArray<string>> =>
  results.comparisons.flatMap(({ contenders, scenario, storage }) => {
    const [floor, ...ours] = contenders
    return ours.map((measured, i) => [
      i === 0 ? storage : "",
      i === 0 ? scenario : "",
      i === 0 ? `${micros(floor!.micros.median)}` : "",
      measured.name,
      micros(measured.micros.median),
      ratio(measured)
    ])
  })

const heads = ["storage", "operation", "floor µs", "ours", "µs", "ratio (p25–p75)"]

/** For the terminal. */
export const table = (results: Results): string => {
  const rows = [heads, ...cells(results)]
  const widths = heads.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  const lines = rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd())
  return [
    ...(results.comparisons.length > 0 ? [...lines, ""] : []),
    ...(results.roundTrips?.operations.map(roundTripLine) ?? []),
    ...results.handOffs.map(handOffLine),
    "",
    ...goals(results).map(({ figure, goal, met }) => `${met ? "met    " : "NOT MET"} ${goal}: ${figure}`)
  ].join("\n")
}

const markdownTable = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n")

const versionsOf = (results: Results): string =>
  Object.entries(results.versions).map(([name, version]) => `${name} ${version}`).join(", ")

const renewals = (results: Results): string => {
  const found = results.roundTrips?.renewals
  return found === undefined
    ? ""
    : `\nThe refresher of one layer with ${found.holds} holds made ${found.renewed} renewals in ${found.statements} statements and ` +
      `${found.roundTrips} round trips: ${(found.renewed / found.statements).toFixed(0)} holds in one statement, of at most 100.\n`
}

export const markdown = (results: Results): string =>
  `# What a lock costs

Written by \`npm run bench\`. The figures are of one machine on one day: quote the ratios, not the microseconds.

- ${results.date}, ${results.machine}; load average of the minute before: ${results.loadAverage.toFixed(1)} (other programs ran beside it)
- ${versionsOf(results)}
${results.settings.map(({ name, setting }) => `- ${name}: ${setting}`).join("\n")}

## Goals

${markdownTable(["goal", "figure", "met"], goals(results).map(({ figure, goal, met }) => [goal, figure, met ? "yes" : "**no**"]))}

## How it was measured

The **floor** is the same work by the bare driver, in the same process: the same statement texts (imported, not copied), prepared once and named, with
the same parameters, rows as the driver gives them, over a warm pool of the same size (${results.poolSize}) with the same settings of the connection, or with \`better-sqlite3\`
on a file of its own with the same pragmas. It has no time limits, no queue, no renewal, no errors that tell what happened, and its ids are the cheapest that there are. For memory it
is the library's own transition on a \`Map\`.

**Storage port** is \`Storage.claim\` and \`Storage.release\`. **StorageLock** is what programs do: \`Effect.scoped(StorageLock.acquire(id, owner))\`, with its
deadline, its renewal and its release. The lease is 10 s for all; durability is the same for both sides, and is named above. Each cycle takes a new lock id.

Library and benchmark are compiled as for the package and run in one process of plain Node. Floor and ours take turns in blocks of about ${results.plan.blockMillis} ms, in an order that changes, for ${results.plan.rounds} rounds after ${results.plan.warmUp} that do not count;
before all of it, the lock's own code ran ${results.plan.settle} times on memory, because the compiler of Node needs thousands of runs to settle. The first locks of a program are slower.
A ratio is the median over the rounds of (ours / floor of the same round), with the quartiles beside it; microseconds are medians. Each operation checks its own answer.
SQLite and memory are synchronous: 64 clients of one process go one after the other there.

One client alone sleeps during each round trip to a server, and wakes to cold caches: the same steps then cost several times what they cost in a process that is busy, which is why the
lock adds more to a cycle alone than to one of 64 at a time.

${markdownTable(heads, cells(results))}

## Round trips

${
    results.roundTrips === undefined ? "Not measured." : `Per operation, over ${results.roundTrips.operations[0]?.times ?? 0} of each: statements by the server's own count (\`pg_stat_statements\`, every statement of the database), and
round trips by a proxy that counts the requests on the wire. Opening of connections is not in it.

${
      markdownTable(
        ["operation", "statements", "round trips", "expected"],
        results.roundTrips.operations.map((_) => [_.operation, String(_.statements ?? "not counted"), String(_.roundTrips), String(_.expected)])
      )
    }
${renewals(results)}`
  }
A SQLite claim is a read and, unless the lock is held, a write; a release is a write.

## Hand-off

One process holds the lock for 200 to 400 ms while the other waits for it; then the roles change. The time is from just before the release is issued, in the one, until the
acquire has returned, in the other, both by \`process.hrtime\`, which reads one monotonic clock for all processes of a machine. It contains the commit of the release.
The two processes are young, and run each step some dozens of times in all: here nothing is warm.

${
    markdownTable(
      ["", "median", "p25–p75", "p95", "hand-offs"],
      results.handOffs.map(({ millis: spread, name }) => [
        name,
        millis(spread.median),
        `${spread.p25.toFixed(1)}–${spread.p75.toFixed(1)}`,
        millis(spread.p95),
        String(spread.count)
      ])
    )
  }
`
