/** What a schedule promises, judged by what its runs have written down: in virtual time and of real processes. */

export interface Run {
  readonly schedule: string
  readonly tick: number
  readonly token: number
  readonly isAgain: boolean
  /** Which process, and when by the one true clock, in milliseconds. */
  readonly p: string
  readonly began: number
  /** Absent: it was never told. */
  ended: number | undefined
  how: "done" | "interrupted" | undefined
}

/** Something that was done to a process: what it was in the midst of may not have ended. */
export interface Trouble {
  readonly p: string
  readonly from: number
  readonly until: number
}

export interface Judgement {
  ticks: number
  runs: number
  /** Not run, or not to their end: each because of what was done to its process. */
  left: number
  /** Run again, because the process before had died. */
  again: number
  readonly violations: Array<string>
}

export const nothing = (): Judgement => ({ ticks: 0, runs: 0, left: 0, again: 0, violations: [] })

export interface Promise {
  readonly schedule: string
  readonly runs: "atMostOnce" | "atLeastOnce"
  /** How long after its tick whatever was done to a process may have been the reason that it was not run. */
  readonly reach: number
}

/** Trouble of the network, whoever it was that lost something. */
export const anybody = "anybody"

const isHurt = (troubles: ReadonlyArray<Trouble>, p: string | undefined, from: number, until: number): boolean =>
  troubles.some(
    (trouble) =>
      (p === undefined || trouble.p === p || trouble.p === anybody) && trouble.from <= until && trouble.until >= from
  )

/** One tick with all its runs, in their order. `time`: of the tick, by the true clock. `between`: when the ticks before and after it were begun, if that is what tells when it would have been. */
export const judge = (
  promise: Promise,
  time: number,
  runs: ReadonlyArray<Run>,
  troubles: ReadonlyArray<Trouble>,
  into: Judgement,
  between: readonly [from: number, until: number] = [time, time]
): void => {
  const { reach, runs: mode, schedule } = promise
  const wrong = (text: string) => into.violations.push(`${schedule}, tick at ${time.toFixed(0)}: ${text}`)
  const tell = (all: ReadonlyArray<Run>) =>
    all
      .map(
        ({ began, ended, how, isAgain, p }) =>
          `${p} ${began.toFixed(0)}–${ended?.toFixed(0) ?? "?"} ${how ?? "?"}${isAgain ? " (again)" : ""}`
      )
      .join("; ")
  into.ticks++
  into.runs += runs.length
  into.again += runs.filter(({ isAgain }) => isAgain).length
  const [first, ...more] = runs
  if (first === undefined) {
    // It was begun in the storage, and its process died before it was begun here.
    into.left++
    if (!isHurt(troubles, undefined, between[0] - reach, between[1] + reach))
      wrong("nobody ran it, and nothing was done to anybody")
    return
  }
  if (mode === "atMostOnce" && more.length > 0) wrong(`it was run ${runs.length} times: ${tell(runs)}`)
  const isDone = runs.some(({ how }) => how === "done")
  if (!isDone) {
    into.left++
    const last = runs.at(-1)!
    if (!isHurt(troubles, last.p, last.began - reach, last.ended ?? last.began + reach))
      wrong(`it did not end, and nothing was done to its process: ${tell(runs)}`)
    else if (mode === "atLeastOnce") wrong(`nobody ran it to its end: ${tell(runs)}`)
  }
  for (const [index, run] of more.entries()) {
    const before = runs[index]!
    if (!run.isAgain) wrong(`it was begun again by who was not told that it had been: ${tell(runs)}`)
    if (run.token <= before.token) wrong(`the second run has the token ${run.token}, after ${before.token}`)
    if (!isHurt(troubles, before.p, before.began - reach, run.began))
      wrong(`it was run again, and nothing was done to its process: ${tell(runs)}`)
  }
}
