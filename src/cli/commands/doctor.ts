/** Looks at a storage, and at how it is set; tries what programs do with it; and says what is wrong, and how to fix it. */
import * as Effect from "#effect/Effect"
import { sentence } from "../../common/checkup.js"
import { examine, type Seen } from "../../connect/checkup.js"
import { connect } from "../../promise/index.js"
import type { Locks } from "../../promise/types.js"
import { codes } from "../codes.js"
import { count, sorted, table, type Told, verdict } from "../doctor/told.js"
import { Ended, stepper, trial } from "../doctor/trial.js"
import type { Io } from "../io.js"
import type { Asked } from "../parse.js"
import { none, where } from "../storage.js"

/** Of a storage whose settings nobody has written down, that it is known is what can be told. */
const ofSeen = (seen: Seen | undefined): ReadonlyArray<Told> => {
  if (seen === undefined)
    return [{ check: "settings", severity: "unchecked", why: "of this storage only locks are tried" }]
  const isFound = (check: string) => seen.found.some((each) => each.check === check)
  const well = (check: string, millis?: number): ReadonlyArray<Told> =>
    isFound(check) ? [] : [{ check, severity: "ok", ...(millis === undefined ? {} : { millis }) }]
  return [
    ...seen.found,
    ...seen.well.flatMap((check) => well(check)),
    ...(seen.hasClock ? well("clock") : []),
    ...(seen.latency === undefined ? [] : well("latency", seen.latency))
  ]
}

export const doctor = async (asked: Asked, io: Io): Promise<number> => {
  const at = where(asked, io.env)
  none(at, asked)
  const told: Array<Told> = []
  const step = stepper((each) => told.push(each))
  const warnings: Array<string> = []
  let locks: Locks | undefined
  try {
    locks = await step("connects", () =>
      connect(at.url, {
        purgeAfter: false,
        ...at.options,
        log: ({ level, message }) => {
          if (level === "warn" || level === "error") warnings.push(message)
        }
      })
    )
    await trial(locks, step)
  } catch (error) {
    if (!(error instanceof Ended)) throw error
  } finally {
    await locks?.close()
  }

  try {
    const seen = await Effect.runPromise(examine(at.url, { ...at.options.storage }, io.now ?? Date.now))
    if (seen !== undefined || locks !== undefined) told.push(...ofSeen(seen))
  } catch (error) {
    // Where the trial could not connect either, that was told.
    if (locks !== undefined) told.push({ check: "settings", severity: "unchecked", why: (error as Error).message })
  }

  // What was found with its cure need not be told twice.
  const sentences = told.flatMap((each) => ("wrong" in each ? [sentence(each)] : []))
  for (const message of warnings)
    if (!sentences.some((said) => message.endsWith(said)))
      told.push({ check: "warns", severity: "warning", wrong: message, leads: "", cure: "" })

  const counts = count(told)
  if (asked.flags["json"] === true) {
    for (const each of sorted(told)) io.out(JSON.stringify(each))
    io.out(JSON.stringify({ verdict: verdict(counts), ...counts }))
  } else {
    for (const line of table(told)) io.out(line)
    io.out(verdict(counts))
  }
  return counts.error + counts.warning === 0 ? codes.ok : codes.no
}
