/** What goes on, as the one process sees it that starts the others. Plain state; the views draw it, the checks judge it. */
import type { ChildProcess } from "node:child_process"
import type { Write } from "./protocol.js"

export interface Member {
  readonly name: string
  readonly process: ChildProcess
  state: "starting" | "waiting" | "holding" | "resting" | "frozen" | "killed" | "done" | "failed"
  since: number
  turnsDone: number
  accepted: number
  refused: number
  acknowledged: ReadonlyArray<string>
}

/** Times are milliseconds since the epoch, by the storage's clock. */
export interface Hold {
  readonly worker: string
  readonly turn: number
  readonly token: number
  readonly begin: number
  readonly until: number
  released: boolean
}

/** A holder that was killed or frozen, and who came after it. */
export interface Fault {
  readonly worker: string
  readonly token: number
  /** When its lease ends, as the storage said after the fact. */
  until: number
  successor?: Hold
  lateWrite?: Write
  lateWriteAccepted?: boolean
}

export interface Show {
  readonly title: string
  readonly startedAt: number
  readonly workers: number
  readonly turns: number
  readonly appends: number
  readonly leaseMillis: number
  readonly members: ReadonlyArray<Member>
  readonly holds: Array<Hold>
  /** What the storage last said of the lock. */
  holder: { readonly worker: string; readonly token: number; readonly until: number } | undefined
  killed?: Fault
  frozen?: Fault
}

export type Event =
  | {
      readonly event: "started"
      readonly title: string
      readonly workers: number
      readonly turns: number
      readonly leaseMillis: number
    }
  | { readonly event: "waiting"; readonly worker: string; readonly turn: number }
  | {
      readonly event: "acquired"
      readonly worker: string
      readonly turn: number
      readonly token: number
      readonly begin: number
      readonly until: number
    }
  | {
      readonly event: "write"
      readonly id: string
      readonly worker: string
      readonly kind: Write["kind"]
      readonly token: number
      readonly accepted: boolean
      readonly highest: number
    }
  | { readonly event: "released"; readonly worker: string; readonly turn: number; readonly token: number }
  | { readonly event: "killed"; readonly worker: string; readonly token: number; readonly until: number }
  | { readonly event: "frozen"; readonly worker: string; readonly token: number; readonly until: number }
  | {
      readonly event: "takeover"
      readonly worker: string
      readonly token: number
      readonly from: string
      readonly afterLeaseEndMillis: number
    }
  | { readonly event: "thawed"; readonly worker: string; readonly token: number }
  | { readonly event: "lost"; readonly worker: string; readonly token: number; readonly reason: string }
  | { readonly event: "done"; readonly worker: string }
  | { readonly event: "failed"; readonly worker: string; readonly message: string }

export interface Check {
  readonly name: string
  readonly ok: boolean
  readonly detail: string
}

const clock = (millis: number): string => new Date(millis).toISOString().slice(11, 23)

/** One line for a person; nothing for what is too frequent to read. */
export const describe = (event: Event): string | undefined => {
  switch (event.event) {
    case "started":
      return `${event.workers} processes, ${event.turns} turns each, lease ${event.leaseMillis} ms, lock in ${event.title}`
    case "waiting":
      return undefined
    case "acquired":
      return `${event.worker} holds the lock: turn ${event.turn}, token ${event.token}, lease until ${clock(event.until)}`
    case "write":
      return event.accepted
        ? undefined
        : `the resource REFUSES the late ${event.kind} of ${event.worker}: token ${event.token} is below ${event.highest}`
    case "released":
      return `${event.worker} gives it back`
    case "killed":
      return `${event.worker} is KILLED in the middle of its hold; its lease ends at ${clock(event.until)}`
    case "frozen":
      return `${event.worker} is FROZEN in the middle of its hold; its lease ends at ${clock(event.until)}`
    case "takeover":
      return `${event.worker} takes over from ${event.from}, ${event.afterLeaseEndMillis} ms after its lease ended`
    case "thawed":
      return `${event.worker} is woken and believes it still holds token ${event.token}`
    case "lost":
      return `${event.worker} is told that its hold with token ${event.token} is lost: ${event.reason}`
    case "done":
      return `${event.worker} has had all its turns`
    case "failed":
      return `${event.worker} FAILED: ${event.message}`
  }
}
