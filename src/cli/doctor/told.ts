/** What the doctor says: what is well, what is wrong, and what could not be looked at, worst first. */
import type { Look } from "../../common/checkup.js"
import { rows, shown } from "../table.js"

export interface Well {
  readonly check: string
  readonly severity: "ok"
  /** Absent where no time was measured. */
  readonly millis?: number
}

export type Told = Look | Well

const order = ["error", "warning", "note", "unchecked", "ok"] as const

export const sorted = (told: ReadonlyArray<Told>): ReadonlyArray<Told> =>
  order.flatMap((severity) => told.filter((each) => each.severity === severity))

export type Count = Readonly<Record<Told["severity"], number>>

export const count = (told: ReadonlyArray<Told>): Count =>
  Object.fromEntries(
    order.map((severity) => [severity, told.filter((each) => each.severity === severity).length])
  ) as Count

const many = (number: number, one: string, more: string): ReadonlyArray<string> =>
  number === 0 ? [] : [`${number} ${number === 1 ? one : more}`]

/** The last line: what to think of it all. */
export const verdict = (counts: Count): string => {
  const said = [
    ...many(counts.error, "error", "errors"),
    ...many(counts.warning, "warning", "warnings"),
    ...many(counts.note, "note", "notes"),
    ...many(counts.unchecked, "not checked", "not checked")
  ].join(", ")
  return counts.error > 0
    ? `${said}: locks can fail, or be held twice`
    : counts.warning > 0
      ? `${said}: locks work, and after a crash, a failover or under load they may not`
      : said === ""
        ? "nothing is wrong"
        : `nothing is wrong (${said})`
}

const lines = (each: Told): ReadonlyArray<readonly [string, string, string]> => {
  switch (each.severity) {
    case "ok":
      return [["ok", each.check, each.millis === undefined ? "" : `${each.millis.toFixed(1)} ms`]]
    case "unchecked":
      return [["not checked", each.check, shown(each.why)]]
    default:
      return [
        [each.severity, each.check, shown(each.wrong)],
        ...(each.leads === "" ? [] : [["", "", `leads to: ${shown(each.leads)}`] as const]),
        ...(each.cure === "" ? [] : [["", "", `cure: ${shown(each.cure)}`] as const])
      ]
  }
}

export const table = (told: ReadonlyArray<Told>): ReadonlyArray<string> => rows(sorted(told).flatMap(lines))
