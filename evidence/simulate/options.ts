import { availableParallelism } from "node:os"
import { parseArgs } from "node:util"

export const help = `The real StorageLock in simulated processes over simulated storages, under virtual time.

  npm run simulate                             10 000 schedules on all cores
  npm run simulate -- --schedules 100000       so many
  npm run simulate -- --minutes 60             as many as there is time for; with --schedules, no more than those
  npm run simulate -- --seed 4711              one of them, with its trace; if it fails, made smaller
  npm run simulate -- --seed 4711 --whole      the same, not made smaller
  npm run simulate -- --mutants                every seeded bug, and after how many schedules it is found (--report FILE: as a table)
  npm run simulate -- --mutant NAME            one of them, being caught, with its trace
  npm run simulate -- --list                   the names of the seeded bugs

  --from N      first seed (1)       --workers N     processes (one per core)
  --json        the result as JSON   --report FILE   the result as Markdown, too
  --help        this
`

export interface Options {
  readonly mode: "run" | "seed" | "mutants" | "mutant" | "list" | "share" | "help"
  readonly seed: number
  readonly from: number
  readonly schedules: number
  readonly minutes: number | undefined
  /** A file for the result. */
  readonly report: string | undefined
  readonly workers: number
  readonly json: boolean
  readonly whole: boolean
  readonly mutant: string
  readonly share: string
}

/** More than a year of them. */
const endless = 1e12

const whole = (name: string, text: string | undefined, otherwise: number, least: number): number => {
  if (text === undefined) return otherwise
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < least)
    throw new Error(`--${name} must be an integer from ${least} on, but is ${JSON.stringify(text)}`)
  return value
}

export const parse = (args: ReadonlyArray<string>): Options => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: "string" },
      from: { type: "string" },
      schedules: { type: "string" },
      minutes: { type: "string" },
      report: { type: "string" },
      workers: { type: "string" },
      json: { type: "boolean" },
      whole: { type: "boolean" },
      mutant: { type: "string" },
      mutants: { type: "boolean" },
      list: { type: "boolean" },
      share: { type: "string" },
      help: { type: "boolean" }
    }
  })
  const mode =
    values.help === true
      ? "help"
      : values.share !== undefined
        ? "share"
        : values.list === true
          ? "list"
          : values.mutants === true
            ? "mutants"
            : values.mutant !== undefined
              ? "mutant"
              : values.seed !== undefined
                ? "seed"
                : "run"
  return {
    mode,
    seed: whole("seed", values.seed, 1, 0),
    from: whole("from", values.from, 1, 0),
    schedules: whole(
      "schedules",
      values.schedules,
      values.minutes !== undefined && values.schedules === undefined ? endless : mode === "run" ? 10_000 : 20_000,
      1
    ),
    minutes: values.minutes === undefined ? undefined : whole("minutes", values.minutes, 0, 1),
    report: values.report,
    workers: whole("workers", values.workers, availableParallelism(), 1),
    json: values.json === true,
    whole: values.whole === true,
    mutant: values.mutant ?? "",
    share: values.share ?? ""
  }
}
