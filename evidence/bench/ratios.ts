/** The ratios to the bare driver that are kept in the repository, and whether what was measured is worse by more than noise. */
import { readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import * as lines from "./lines.js"
import type { Measurements } from "./run.js"

export interface Figure {
  readonly ratio: number
  /** Microseconds of the bare driver. */
  readonly bare: number
}

/** By storage and scenario. */
export type Figures = Readonly<Record<string, Figure>>

/** How much worse it may be: the noise of a machine that does other things is less, and what is worth a look is more. */
export const tolerance = 1.3

/** Where the bare driver takes so many times as long, or as short, as it did, its disk or its processor is another one, and the ratio tells nothing of a change. */
const otherMachine = 1.5

const file = fileURLToPath(new URL("./ratios.json", import.meta.url))

export const figuresOf = ({ cycles }: Pick<Measurements, "cycles">): Figures =>
  Object.fromEntries(
    cycles.flatMap(({ contenders, scenario, storage }) =>
      contenders
        .filter(({ name }) => name === "StorageLock")
        .map(({ ratio }) => [`${storage}: ${scenario}`, { ratio: ratio.median, bare: contenders[0]!.micros.median }])
    )
  )

export interface Judged {
  readonly name: string
  readonly kept: Figure
  /** None: it was not measured. */
  readonly now: Figure | undefined
  readonly verdict: "as kept" | "worse" | "other machine"
}

const verdictOf = (kept: Figure, now: Figure | undefined): Judged["verdict"] => {
  // What was not measured is worse.
  if (now === undefined) return "worse"
  const times = now.bare / kept.bare
  if (times > otherMachine || times < 1 / otherMachine) return "other machine"
  return now.ratio > tolerance * kept.ratio ? "worse" : "as kept"
}

/** Of what is kept, for the storages that were asked for. */
export const judge = (kept: Figures, now: Figures, storages: ReadonlyArray<string>): ReadonlyArray<Judged> =>
  Object.entries(kept)
    .filter(([name]) => storages.includes(name.split(":")[0]!))
    .map(([name, figure]) => ({ name, kept: figure, now: now[name], verdict: verdictOf(figure, now[name]) }))

/** The better one of each: noise only adds. */
export const best = (a: Figures, b: Figures): Figures => ({
  ...a,
  ...Object.fromEntries(
    Object.entries(b).map(([name, figure]) => {
      const before = a[name]
      return [name, before === undefined || figure.ratio < before.ratio ? figure : before]
    })
  )
})

/** Of several runs the one in the middle, for each. */
export const middle = (runs: ReadonlyArray<Figures>): Figures =>
  Object.fromEntries(
    Object.keys(runs[0]!).map((name) => {
      const figures = runs.flatMap((run) => run[name] ?? []).sort((a, b) => a.ratio - b.ratio)
      return [name, figures[Math.floor(figures.length / 2)]!]
    })
  )

const micros = ({ bare }: Figure): string => `${bare.toPrecision(3)} µs`

export const line = ({ kept, name, now, verdict }: Judged): string => {
  const found = now === undefined ? "not measured" : lines.times(now.ratio)
  return verdict === "other machine"
    ? `not judged ${name}: ${found}, but the bare driver takes ${micros(now!)}, and took ${micros(kept)} when ${lines.times(kept.ratio)} was kept`
    : `${verdict === "worse" ? "WORSE  " : "as kept"} ${name}: ${found}, kept ${lines.times(kept.ratio)}, at most ${lines.times(tolerance * kept.ratio)}`
}

export const read = (): Figures => JSON.parse(readFileSync(file, "utf8")) as Figures

const rounded = ({ bare, ratio }: Figure): Figure => ({ ratio: Number(ratio.toFixed(2)), bare: Math.round(bare) })

export const keep = (figures: Figures): void =>
  writeFileSync(
    file,
    `${JSON.stringify(Object.fromEntries(Object.entries(figures).map(([name, figure]) => [name, rounded(figure)])), null, 2)}\n`
  )
