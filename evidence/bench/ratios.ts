/** The ratios to the bare driver that are kept in the repository, and whether what was measured is worse by more than noise. */
import { readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import * as lines from "./lines.js"
import type { Measurements } from "./run.js"

/** By storage and scenario. */
export type Ratios = Readonly<Record<string, number>>

/** How much worse it may be: the noise of a machine that does other things is less, and what is worth a look is more. */
export const tolerance = 1.3

const file = fileURLToPath(new URL("./ratios.json", import.meta.url))

export const ratiosOf = ({ cycles }: Pick<Measurements, "cycles">): Ratios =>
  Object.fromEntries(
    cycles.flatMap(({ contenders, scenario, storage }) =>
      contenders
        .filter(({ name }) => name === "StorageLock")
        .map(({ ratio }) => [`${storage}: ${scenario}`, ratio.median] as const)
    )
  )

export interface Judged {
  readonly name: string
  readonly kept: number
  /** None: it was not measured. */
  readonly now: number | undefined
  readonly worse: boolean
}

/** Of what is kept, for the storages that were asked for. What was not measured is worse. */
export const judge = (kept: Ratios, now: Ratios, storages: ReadonlyArray<string>): ReadonlyArray<Judged> =>
  Object.entries(kept)
    .filter(([name]) => storages.includes(name.split(":")[0]!))
    .map(([name, ratio]) => {
      const found = now[name]
      return { name, kept: ratio, now: found, worse: found === undefined || found > tolerance * ratio }
    })

/** The better one of each: noise only adds. */
export const best = (a: Ratios, b: Ratios): Ratios => ({
  ...a,
  ...Object.fromEntries(Object.entries(b).map(([name, ratio]) => [name, Math.min(ratio, a[name] ?? ratio)]))
})

export const line = ({ kept, name, now, worse }: Judged): string =>
  `${worse ? "WORSE  " : "as kept"} ${name}: ${now === undefined ? "not measured" : lines.times(now)}, kept ${lines.times(kept)}, at most ${lines.times(tolerance * kept)}`

export const read = (): Ratios => JSON.parse(readFileSync(file, "utf8")) as Ratios

export const keep = (ratios: Ratios): void =>
  writeFileSync(
    file,
    `${JSON.stringify(Object.fromEntries(Object.entries(ratios).map(([name, ratio]) => [name, Number(ratio.toFixed(2))])), null, 2)}\n`
  )
