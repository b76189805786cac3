/** Tables for people, and the search for mutants that fills one of them. */
import { type Mutant, mutants } from "./mutants.js"
import type { Bound } from "./model.js"
import { atOnce, type Result, searching } from "./search.js"

export interface Fate {
  readonly mutant: Mutant
  /** In all the worlds that were searched until it was found. */
  readonly states: number
  readonly found: Result | undefined
  /** Found, or every world was searched to its end. */
  readonly complete: boolean
}

/** A little of each world first: which one shows the mutant is not known. */
const limits = [5_000, 50_000, 1_000_000]

/** World by world, until the mutant is found. */
export function* hunting(mutant: Mutant, bounds: ReadonlyArray<Bound>, judgeAnswers = true): Generator<void, Fate> {
  let states = 0
  const open = new Set(bounds)
  for (const mostStates of limits) {
    for (const bound of open) {
      const result = yield* searching(bound, { subject: mutant.subject, judgeAnswers, mostStates })
      states += result.states
      if (result.violation !== undefined) return { mutant, states, found: result, complete: true }
      if (result.complete) open.delete(bound)
    }
  }
  return { mutant, states, found: undefined, complete: open.size === 0 }
}

export const huntAll = (bounds: ReadonlyArray<Bound>): Array<Fate> =>
  mutants.map((mutant) => atOnce(hunting(mutant, bounds)))

const table = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows
    .map((row) =>
      row
        .map((cell, i) => (/^[\d.]+$/.test(cell) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
        .join("  ")
        .trimEnd()
    )
    .join("\n")
}

export const describe = ({ duplicates, late, leases, margin, memory, revokes, skew, ticks }: Bound): string =>
  [
    `leases ${leases.map((own) => own.join("+")).join(" ")}`,
    `ticks ${ticks}`,
    `late ${late}`,
    ...(duplicates > 0 ? [`copies ${duplicates}`] : []),
    ...(margin > 0 ? [`margin ${margin}, clock steps ${skew}`] : []),
    ...(revokes > 0 ? [`revokes ${revokes}`] : []),
    ...(memory === undefined ? [] : [`purge after ${memory}`])
  ].join(", ")

export const tableOfResults = (results: ReadonlyArray<Result>): string =>
  table([
    ["world", "bound", "states", "transitions", "depth", "seconds", "result"],
    ...results.map((result) => [
      result.bound.name,
      describe(result.bound),
      String(result.states),
      String(result.transitions),
      String(result.depth),
      result.seconds.toFixed(1),
      result.violation !== undefined ? "VIOLATION" : result.complete ? "complete" : "INCOMPLETE"
    ])
  ])

export const tableOfMutants = (fates: ReadonlyArray<Fate>): string =>
  table([
    ["mutant", "states", "moves", "broken rule"],
    ...fates.map(({ found, mutant, states }) => [
      mutant.name,
      String(states),
      found === undefined ? "-" : String(found.violation!.path.length),
      found?.violation?.rule ?? (mutant.harmless === undefined ? "NOT FOUND" : `none: harmless. ${mutant.harmless}`)
    ])
  ])

/** The violation, step by step. */
export const story = ({ bound, violation }: Result): string =>
  violation === undefined
    ? ""
    : [
        `${bound.name} (${describe(bound)})`,
        `broken: ${violation.rule}`,
        ...violation.path.map((line) => `  ${line}`)
      ].join("\n")
