/** What the processes of a fleet are told, and what they write down: one JSON object a line, with the one clock of the machine. */
import * as Fs from "node:fs"

export interface Config {
  readonly p: string
  readonly storage: string
  readonly url: string
  readonly log: string
  readonly base: string
  /** Milliseconds. */
  readonly lease: number
  readonly every: number
  readonly startsAfter: number
  readonly schedules: ReadonlyArray<{ readonly name: string; readonly runs: "atMostOnce" | "atLeastOnce" }>
}

interface OfRun {
  readonly t: number
  readonly p: string
  readonly schedule: string
  readonly tick: number
  readonly token: number
}

export type Line =
  | (OfRun & { readonly type: "begin"; readonly isAgain: boolean })
  | (OfRun & { readonly type: "end"; readonly how: "done" | "interrupted" })
  | { readonly type: "failed"; readonly t: number; readonly p: string; readonly text: string }

/** Each line is one system call: whoever is killed afterwards has said it. */
export const appendTo = (file: string): ((line: Line) => void) => {
  const handle = Fs.openSync(file, "a")
  return (line) => void Fs.writeSync(handle, JSON.stringify(line) + "\n")
}
