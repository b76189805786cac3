/** What the goals are about. */
export const width = 64
export const cycleAlone = "acquire + release, one client alone"
export const cycleWide = `acquire + release, ${width}-way on distinct locks`
/** What no lock as a scoped resource can be below. */
export const effectAlone = "Effect alone, a scope with a finalizer"

export const renewing = "renewal of a hold, 10000 at a time"
export const holding = "memory of a hold"

/** The same in a run of its own, as programs begin one by a Promise, whose two parts wait for an answer. */
export const effectByPromise = "Effect alone, by a Promise, both parts wait"

/** What could not be measured, and why. */
export interface Failure {
  readonly storage: string
  readonly scenario: string
  readonly subject: string
  readonly reason: string
}

export const reasonOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error))
    .split("\n")[0]!
    .replace(/ imported from .*/, "")
    .replaceAll("|", "/")
    .slice(0, 200)
