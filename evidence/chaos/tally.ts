/** What a run comes to, window by window; nothing of it grows with the length of the run. */
import type { Violation } from "../simulate/checker.js"
import { Facts } from "../simulate/facts.js"
import { type History, line } from "../simulate/history.js"
import type { Injected } from "./faults.js"
import type { Options } from "./options.js"

export interface OfKind {
  count: number
  /** The longest from a fault's begin until the next acquisition; and what of it was beyond the lease, or the fault's own length. In milliseconds. */
  longest: number
  beyond: number
}

export interface Finding {
  readonly property: string
  readonly message: string
  readonly around: ReadonlyArray<string>
}

/** More of them say nothing new. */
const mostFindings = 50

const bump = (map: Map<string, number>, key: string): void => void map.set(key, (map.get(key) ?? 0) + 1)

export class Tally {
  events = 0
  windows = 0
  attempts = 0
  acquisitions = 0
  reentries = 0
  accepted = 0
  rejected = 0
  restarts = 0
  millis = 0
  violations = 0
  /** From when nothing went wrong any more until everybody had had every lock, and all were free. */
  longestQuiet = 0
  /** Of one process, noticed by itself; the longest pause in milliseconds. */
  pauses = 0
  longestPause = 0
  /** Of locks that several may have: how often as what, and how many owners had one at once. */
  readonly as = new Map<string, number>()
  mostTogether = 0
  readonly lost = new Map<string, number>()
  readonly exits = new Map<string, number>()
  readonly faults = new Map<string, OfKind>()
  readonly findings: Array<Finding> = []
  /** What could not be done, and why. */
  readonly notDone: Array<string> = []

  constructor(
    readonly options: Options,
    readonly title: string
  ) {}

  get injected(): number {
    return [...this.faults.values()].reduce((sum, { count }) => sum + count, 0)
  }

  get missing(): ReadonlyArray<string> {
    return [...this.faults].filter(([, { count }]) => count === 0).map(([kind]) => kind)
  }

  /** Short runs cannot have everything. */
  get ok(): boolean {
    return (
      this.violations === 0 &&
      this.acquisitions > 0 &&
      this.accepted > 0 &&
      (this.options.millis < 60_000 || this.missing.length === 0)
    )
  }

  add(history: History, injected: ReadonlyArray<Injected>, violations: ReadonlyArray<Violation>): void {
    this.windows++
    this.events += history.length
    for (const event of history) {
      if (event.type === "want") {
        this.attempts++
        if (event.within !== undefined) this.reentries++
      }
      if (event.type === "got") {
        this.acquisitions++
        if (event.part !== undefined)
          bump(this.as, "mode" in event.part ? event.part.mode : `${event.part.permits} of ${event.part.limit}`)
      }
      if (event.type === "write") {
        if (event.accepted) this.accepted++
        else this.rejected++
      }
      if (event.type === "lost") bump(this.lost, event.reason)
      if (event.type === "done") bump(this.exits, event.exit)
      if (event.type === "stop") {
        this.pauses++
        this.longestPause = Math.max(this.longestPause, event.until - event.t)
      }
    }
    this.measure(history, injected)
    this.gather(history)
    this.violations += violations.length
    for (const { index, message, property } of violations) {
      if (this.findings.length === mostFindings) break
      const lock = lockOf(history, index)
      const around = history
        .slice(Math.max(0, index - 400), index + 100)
        .filter((event) => lock === undefined || !("lock" in event) || event.lock === lock)
      const place = around.indexOf(history[index]!)
      this.findings.push({
        property,
        message,
        around: around
          .slice(Math.max(0, place - 40), place + 15)
          .map((event) => (event === history[index] ? "> " : "  ") + line(event))
      })
    }
  }

  private gather(history: History): void {
    const { holds } = new Facts(history)
    const open = new Map<string, Set<string>>()
    for (const event of history) {
      if (event.type !== "got") continue
      let ofLock = open.get(event.lock)
      if (ofLock === undefined) open.set(event.lock, (ofLock = new Set()))
      for (const id of ofLock) if (holds.get(id)!.over <= event.t) ofLock.delete(id)
      ofLock.add(event.hold)
      const owners = new Set(Array.from(ofLock, (id) => holds.get(id)!.got.owner))
      this.mostTogether = Math.max(this.mostTogether, owners.size)
    }
  }

  /** For a fault of a process, the locks that it had; for one of network or storage, any lock. */
  private measure(history: History, injected: ReadonlyArray<Injected>): void {
    const facts = new Facts(history)
    for (const { from, kind, p, until } of injected) {
      const ofKind = this.faults.get(kind)
      if (ofKind === undefined) continue
      ofKind.count++
      const gots = (fits: (lock: string, p: string) => boolean, since: number) => {
        for (const event of history)
          if (event.type === "got" && event.t > since && fits(event.lock, event.p)) return event.t
        return undefined
      }
      const note = (at: number | undefined, free: number) => {
        if (at === undefined) return
        ofKind.longest = Math.max(ofKind.longest, at - from)
        ofKind.beyond = Math.max(ofKind.beyond, at - free)
      }
      if (p === undefined) {
        note(
          gots(() => true, until),
          until
        )
        continue
      }
      const held = new Set<string>()
      for (const { got, over } of facts.holds.values())
        if (got.p === p && got.t <= from && over > from) held.add(got.lock)
      for (const lock of held)
        note(
          gots((other) => other === lock, from),
          from + this.options.lease
        )
    }
  }
}

const lockOf = (history: History, index: number): string | undefined => {
  const event = history[index]
  if (event === undefined) return undefined
  if ("lock" in event) return event.lock
  const hold = "hold" in event ? event.hold : undefined
  const n = "n" in event ? event.n : undefined
  for (const other of history) {
    if (other.type === "got" && (other.hold === hold || other.n === n)) return other.lock
    if (other.type === "want" && other.n === n) return other.lock
  }
  return undefined
}
