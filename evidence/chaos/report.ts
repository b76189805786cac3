/** The result, for programs and for people. */
import * as Os from "node:os"
import { propertiesFor } from "./judge.js"
import type { Tally } from "./tally.js"

const record = (map: ReadonlyMap<string, number>) => Object.fromEntries([...map].sort(([a], [b]) => a.localeCompare(b)))

export const toJson = (tally: Tally) => ({
  ok: tally.ok,
  storage: tally.options.storage,
  kind: tally.options.kind,
  title: tally.title,
  date: new Date().toISOString(),
  seconds: Math.round(tally.millis / 1000),
  seed: tally.options.seed,
  workers: tally.options.workers,
  fibers: tally.options.fibers,
  locks: tally.options.locks,
  leaseMillis: tally.options.lease,
  marginMillis: tally.options.margin,
  windows: tally.windows,
  events: tally.events,
  attempts: tally.attempts,
  acquisitions: tally.acquisitions,
  as: record(tally.as),
  mostTogether: tally.mostTogether,
  reentries: tally.reentries,
  writesAccepted: tally.accepted,
  writesRejected: tally.rejected,
  restarts: tally.restarts,
  longestQuietMillis: Math.round(tally.longestQuiet),
  pauses: tally.pauses,
  longestPauseMillis: Math.round(tally.longestPause),
  lost: record(tally.lost),
  exits: record(tally.exits),
  faults: Object.fromEntries(
    [...tally.faults].map(([kind, { beyond, count, longest }]) => [
      kind,
      { count, longestMillis: Math.round(longest), beyondMillis: Math.round(beyond) }
    ])
  ),
  notDone: tally.notDone,
  missing: tally.options.millis < 60_000 ? [] : tally.missing,
  violations: tally.violations,
  findings: tally.findings
})

const time = (seconds: number): string =>
  seconds < 120 ? `${seconds} s` : `${Math.floor(seconds / 60)} min${seconds % 60 === 0 ? "" : ` ${seconds % 60} s`}`
const thousands = (value: number): string => String(value).replace(/\B(?=(\d{3})+$)/g, " ")
const list = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([name, count]) => `${name} ${thousands(count)}`)
    .join(", ") || "none"

const titles = { readWrite: "read-write locks", semaphore: "semaphores", leader: "leader election" }

export const toMarkdown = (tally: Tally): string => {
  const result = toJson(tally)
  const { options } = tally
  const lines = [
    `# Chaos over ${options.storage}${options.kind === "exclusive" ? "" : `: ${titles[options.kind]}`}`,
    "",
    `${result.violations === 0 ? "No violation" : `**${result.violations} violations**`} in ${time(result.seconds)}: ${thousands(result.acquisitions)} acquisitions, ${thousands(
      result.writesAccepted + result.writesRejected
    )} fenced writes, ${thousands(tally.injected)} faults. What is done and what is checked: [chaos.md](../chaos.md).`,
    "",
    "```",
    `npm run chaos -- --storage ${options.storage}${options.kind === "exclusive" ? "" : ` --kind ${options.kind}`} --minutes ${Number((options.millis / 60_000).toFixed(2))} --seed ${options.seed}`,
    "```",
    "",
    "| | |",
    "|---|---|",
    `| storage | ${result.title} |`,
    `| machine | Node.js ${process.versions.node}, ${Os.type()} ${Os.release().split("-")[0]}, ${Os.cpus().length} CPUs |`,
    `| date | ${result.date.slice(0, 16).replace("T", " ")} UTC |`,
    `| workers | ${result.workers} processes with ${result.fibers} fibers each, ${result.restarts} restarts |`,
    `| locks | ${result.locks}, lease ${result.leaseMillis} ms, clockMargin ${result.marginMillis} ms |`,
    `| events checked | ${thousands(result.events)}, in ${result.windows} windows |`,
    `| attempts | ${thousands(result.attempts)}, of these ${thousands(result.reentries)} reentries |`,
    `| acquisitions | ${thousands(result.acquisitions)}${tally.as.size === 0 ? "" : `: ${list(result.as)}`} |`,
    `| attempts ended | ${list(result.exits)} |`,
    ...(tally.as.size > 0 ? [`| holds of different owners at once | up to ${result.mostTogether} |`] : []),
    `| writes | ${thousands(result.writesAccepted)} accepted, ${thousands(result.writesRejected)} rejected by the fence |`,
    `| losses told | ${list(result.lost)} |`,
    `| after the last fault of a window | everybody had every lock again, and all were free, within ${thousands(result.longestQuietMillis)} ms |`,
    `| pauses of workers | ${thousands(result.pauses)} beyond 20 ms, the longest ${thousands(result.longestPauseMillis)} ms |`,
    "",
    "| fault | injected | longest until the next acquisition | of it beyond the lease, or the fault's end |",
    "|---|---:|---:|---:|",
    ...Object.entries(result.faults).map(
      ([kind, { beyondMillis, count, longestMillis }]) =>
        `| ${kind} | ${count} | ${thousands(longestMillis)} ms | ${thousands(beyondMillis)} ms |`
    ),
    "",
    `Checked: ${Object.keys(propertiesFor(new Map())).join(", ")}.`,
    ...result.notDone.map((text) => `\nNot done: ${text}.`),
    ...(result.missing.length === 0 ? [] : ["", `Never injected: ${result.missing.join(", ")}.`]),
    ...result.findings.flatMap(({ around, message, property }) => [
      "",
      `## ${property}: ${message}`,
      "",
      "```",
      ...around,
      "```"
    ])
  ]
  return lines.join("\n") + "\n"
}

/** One line, while it runs. */
export const status = (tally: Tally, state: string): string =>
  `${tally.options.storage}: ${state}; ${tally.windows} windows judged, ${tally.violations} violations`
