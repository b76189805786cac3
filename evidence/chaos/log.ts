/** What all processes of a run write down as it happens: one JSON object per line, in one file, with one clock. */
import * as Fs from "node:fs"
import type { Access, Event } from "../simulate/history.js"

/** Events of the checker's history as they are; writes as those saw them who asked for them, and as the resource judged them. */
export type Line =
  | Exclude<Event, { readonly type: "write" }>
  | {
      readonly type: "asked"
      readonly t: number
      readonly p: string
      readonly id: number
      readonly lock: string
      readonly hold: string
      readonly token: number
    }
  | {
      readonly type: "answered"
      readonly t: number
      readonly p: string
      readonly id: number
      readonly accepted: boolean
      readonly highest: number
    }
  | {
      readonly type: "judged"
      readonly t: number
      readonly p: string
      readonly id: number
      readonly lock: string
      readonly hold: string
      readonly token: number
      readonly sent: number
      readonly accepted: boolean
      readonly access?: Access | undefined
    }

/** Milliseconds since the run began. `CLOCK_MONOTONIC` is one clock for all processes of a machine, and a set wall clock does not move it. */
export const clockFrom = (base: bigint) => (): number => Number(process.hrtime.bigint() - base) / 1e6

export interface Log {
  readonly write: (line: Line) => void
  readonly close: () => void
}

/** Each line is one system call, done when it returns: whoever is killed afterwards has said it. Lines of several processes do not mix. */
export const append = (file: string): Log => {
  const handle = Fs.openSync(file, "a")
  return {
    write: (line) => void Fs.writeSync(handle, JSON.stringify(line) + "\n"),
    close: () => Fs.closeSync(handle)
  }
}

/** The lines of a file, in the order of their times. Half a line at the end is of one who was killed while writing it. */
export const parse = (text: string): ReadonlyArray<Line> => {
  const lines: Array<Line> = []
  const texts = text.split("\n")
  for (const [index, one] of texts.entries()) {
    if (one === "") continue
    try {
      lines.push(JSON.parse(one) as Line)
    } catch (error) {
      if (index < texts.length - 1)
        throw new Error(`line ${index + 1} of the log is broken: ${one.slice(0, 200)}`, { cause: error })
    }
  }
  return lines.sort((a, b) => a.t - b.t)
}

/** The history of the checker. A write counts when and as the resource judged it; what its writer thought of it is for readers. */
export const toHistory = (lines: ReadonlyArray<Line>): ReadonlyArray<Event> =>
  lines.map((line): Event => {
    switch (line.type) {
      case "asked":
        return {
          type: "message",
          t: line.t,
          p: line.p,
          text: `asks to write to ${line.lock} with ${line.hold}, token ${line.token} (write ${line.id})`
        }
      case "answered":
        return {
          type: "message",
          t: line.t,
          p: line.p,
          text: `is told that write ${line.id} was ${line.accepted ? "accepted" : `rejected: the resource has seen token ${line.highest}`}`
        }
      case "judged": {
        const { accepted, access, hold, lock, p, sent, t, token } = line
        return { type: "write", t, p, lock, hold, token, sent, accepted, access }
      }
      default:
        return line
    }
  })
