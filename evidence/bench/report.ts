/** What was measured, in words and tables. */
import { figures } from "./figures.js"
import { goals } from "./goals.js"
import * as lines from "./lines.js"
import { howMeasured, scenarioTexts } from "./prose.js"
import { owners, sum } from "./parts.js"
import { holding } from "./names.js"
import type { Profile } from "./profiles.js"
import type { Comparison, Plan } from "./rounds.js"
import type { Measurements } from "./run.js"
import { table as subjects } from "./subjects/table.js"

export interface Results extends Measurements {
  readonly date: string
  readonly machine: string
  /** Of the minute before: what else the machine had to do. */
  readonly loadAverage: number
  readonly versions: Readonly<Record<string, string>>
  readonly plan: Plan
  readonly peersPlan: Plan
  readonly runs: number
  readonly poolSize: number
}

type Rows = ReadonlyArray<ReadonlyArray<string>>

const cells = (comparisons: ReadonlyArray<Comparison>): Rows =>
  comparisons.flatMap(({ contenders, scenario, storage }) => {
    const [floor, ...others] = contenders
    return others.map((measured, i) => [
      i === 0 ? storage : "",
      i === 0 ? scenario : "",
      i === 0 ? lines.short(floor!.micros.median) : "",
      measured.name,
      lines.short(measured.micros.median),
      lines.ratio(measured)
    ])
  })

const heads = ["storage", "operation", "floor µs", "", "µs", "ratio (p25–p75)"]

const aligned = (rows: Rows): ReadonlyArray<string> => {
  const widths = heads.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join("  ")
      .trimEnd()
  )
}

/** For the terminal. */
export const table = (results: Results): string => {
  const rows = [...cells(results.comparisons), ...cells(results.cycles)]
  return [
    ...(rows.length > 0 ? [...aligned([heads, ...rows]), ""] : []),
    ...(results.roundTrips?.operations.map(lines.roundTripLine) ?? []),
    ...results.requests.map(lines.requestsLine),
    ...results.handOffs.map(lines.handOffLine),
    ...results.contentions.map(lines.contentionLine),
    ...results.refreshes.map(lines.refreshLine),
    ...results.memories.map(lines.memoryLine),
    ...results.stalls.map(lines.stallLine),
    ...results.profiles.map(lines.profileLine),
    "",
    ...results.failures.map(lines.failureLine),
    ...goals(results).map(({ figure, goal, met }) => `${met ? "met    " : "NOT MET"} ${goal}: ${figure}`)
  ].join("\n")
}

const markdownTable = (head: ReadonlyArray<string>, rows: Rows): string =>
  rows.length === 0
    ? "Not measured."
    : [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n")

const count = (value: number | undefined): string =>
  value === undefined ? "not counted" : String(Math.round(value * 100) / 100)

const operations = ({ roundTrips: found }: Results): string => {
  if (found === undefined) return ""
  const rows = found.operations.map((_) => [_.operation, count(_.statements), count(_.roundTrips), String(_.expected)])
  const { renewals } = found
  const sum =
    renewals &&
    `\nThe refresher of one layer with ${renewals.holds} holds made ${renewals.renewed} renewals in ${renewals.statements} statements and ` +
      `${renewals.roundTrips} round trips: ${(renewals.renewed / renewals.statements).toFixed(0)} holds in one statement, of at most 100.\n`
  return (
    `\nOurs on PostgreSQL, over ${found.operations[0]?.times ?? 0} of each, with what is expected:\n\n` +
    `${markdownTable(["operation", "statements", "round trips", "expected"], rows)}\n${sum ?? ""}`
  )
}

const notes = (): Rows =>
  subjects.flatMap(({ title, ways }) =>
    ways.filter(({ note }) => note !== undefined).map(({ name, note }) => [title, name, note!])
  )

const profiles = ({ profiles: found }: Results): string => {
  const rows = (of: (scenario: string) => boolean) => found.filter(({ scenario }) => of(scenario))
  const cells = ({ name, parts, scenario, storage }: Profile) => [
    storage,
    scenario,
    name,
    lines.short(sum(parts)),
    ...owners.map((owner) => lines.short(parts[owner]))
  ]
  const head = (unit: string) => ["storage", "operation", "", unit, ...owners.map((owner) => lines.ownerNames[owner])]
  const bytes = rows((scenario) => scenario === holding)
  return (
    markdownTable(head("µs"), rows((scenario) => scenario !== holding).map(cells)) +
    (bytes.length === 0 ? "" : `\n\n${markdownTable(head("bytes"), bytes.map(cells))}`)
  )
}

/** Each scenario's table. */
const tables = (results: Results): Readonly<Record<keyof typeof scenarioTexts, string>> => ({
  cycle: markdownTable(heads, cells(results.cycles)),
  statements: markdownTable(heads, cells(results.comparisons)),
  roundTrips:
    markdownTable(
      ["storage", "", "statements", "round trips"],
      results.requests.map((_) => [_.storage, _.name, count(_.statements), count(_.roundTrips)])
    ) +
    "\n" +
    operations(results),
  handOff: markdownTable(
    ["storage", "", "median", "p25–p75", "p95", "hand-offs"],
    results.handOffs.map(({ millis, name, storage }) => [
      storage,
      name,
      lines.millis(millis.median),
      lines.within(millis),
      lines.millis(millis.p95),
      String(millis.count)
    ])
  ),
  contention: markdownTable(
    [
      "storage",
      "",
      "acquisitions a second",
      "fewest of a process",
      "most",
      "longest wait, ms",
      "requests each",
      "overlaps"
    ],
    results.contentions.map((_) => [
      _.storage,
      _.name,
      lines.figure(_.perSecond),
      lines.figure(_.fewest),
      lines.figure(_.most),
      lines.figure(_.longestWaitMillis),
      lines.figure(_.requestsPerAcquisition),
      _.overlaps === 0 ? "0" : `**${_.overlaps}**`
    ])
  ),
  refresh: markdownTable(
    ["storage", "holds", "statements", "CPU ms of our process", "ms of the server"],
    results.refreshes.map((_) => [
      _.storage,
      String(_.holds),
      lines.figure(_.statements),
      lines.figure(_.cpuMillis),
      lines.figure(_.serverMillis)
    ])
  ),
  memory: markdownTable(
    ["storage", "", "bytes per hold", "bytes per waiter"],
    results.memories.map((_) => [_.storage, _.name, _.bytesPerHold.toFixed(0), _.bytesPerWaiter?.toFixed(0) ?? ""])
  ),
  stall: markdownTable(
    ["storage", "", "told after"],
    results.stalls.map((_) => [_.storage, _.name, lines.stallTold(_)])
  ),
  profile: profiles(results)
})

export const markdown = (results: Results): string => {
  const drawn = figures(results)
  const images = (names: ReadonlyArray<string>): string =>
    drawn
      .filter(({ name }) => names.includes(name))
      .map(({ chart, name }) => `![${chart.title}](charts/${name}.svg)\n\n`)
      .join("")
  const found = tables(results)
  const sections = Object.entries(scenarioTexts).map(
    ([key, { charts, text, title }]) =>
      `## ${title}\n\n${images(charts)}${text}\n\n${found[key as keyof typeof scenarioTexts].trim()}\n`
  )
  return `# What a lock costs

Written by \`npm run bench\`. Quote the ratios, not the microseconds: those change with the machine, and from day to day. Scenarios of a storage may be of earlier runs than its last.

- ${results.date}, ${results.machine}; load average of the minute before: ${results.loadAverage.toFixed(1)} (other programs ran beside it)
- ${Object.entries(results.versions)
    .map(([name, version]) => `${name} ${version}`)
    .join(", ")}
${results.settings.map(({ date, name, setting }) => `- ${name}${date === undefined ? "" : `, last measured on ${date}`}: ${setting}`).join("\n")}

## Goals

${markdownTable(
  ["goal", "figure", "met"],
  goals(results).map(({ figure, goal, met, why }) => [
    goal,
    figure,
    met ? "yes" : `**no**${why === undefined ? "" : `: ${why}`}`
  ])
)}

## Not measured

${
  results.failures.length === 0
    ? "Nothing was left out."
    : markdownTable(
        ["storage", "scenario", "", "reason"],
        results.failures.map(({ reason, scenario, storage, subject }) => [storage, scenario, subject, reason])
      )
}

${sections.join("\n")}
## How it was measured

${howMeasured(results)}

What differs from a leased lock with an owner, a token, a renewal and a signal of its loss:

${markdownTable(["storage", "", "differs"], notes())}
`
}
