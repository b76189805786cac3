/** What several properties want to know of a history. */
import type { Event, History } from "./history.js"

export type Of<T extends Event["type"]> = Extract<Event, { readonly type: T }>

type Stop = Pick<Of<"stop">, "t" | "until" | "suspended">

export interface HoldFacts {
  readonly got: Of<"got">
  readonly index: number
  /** When it ended, was told of its loss, or its process crashed. */
  over: number
  /** When its body had ended, and when it was told that its time was over. */
  ended: number
  expired: number
}

/** A process that was suspended may look at its clocks up to this much later: nothing sleeps longer. */
const longestSleep = 1000

export class Facts {
  readonly holds = new Map<string, HoldFacts>()
  /** Tokens that an operator took away, by lock; and those of which others may be let in at once. */
  private readonly forced = new Set<string>()
  private readonly freedAtOnce = new Set<string>()
  /** Of holds that were given newer tokens than those that they began with, all of them. */
  private readonly renumbered = new Map<string, Set<number>>()
  /** Processes whose time was not even. */
  readonly jumped = new Set<string>()
  readonly done = new Map<number, Of<"done">>()
  readonly gotOf = new Map<number, Of<"got">>()
  /** A wall clock that is set ahead is one that takes no time. */
  private readonly stops = new Map<string, Array<Stop>>()

  constructor(history: History) {
    history.forEach((event, index) => {
      switch (event.type) {
        case "got":
          this.holds.set(event.hold, {
            got: event,
            index,
            over: Number.POSITIVE_INFINITY,
            ended: Number.POSITIVE_INFINITY,
            expired: Number.POSITIVE_INFINITY
          })
          this.gotOf.set(event.n, event)
          return
        case "end":
          this.end(event.hold, event.t)
          return this.mark(event.hold, "ended", event.t)
        case "lost":
          this.end(event.hold, event.t)
          return event.reason === "Expired" ? this.mark(event.hold, "expired", event.t) : undefined
        case "jump":
          this.jumped.add(event.p)
          return this.stop(event.p, { t: event.t, until: event.t, suspended: false })
        case "done":
          this.done.set(event.n, event)
          return
        case "crash":
          for (const [hold, { got }] of this.holds) {
            if (got.p !== event.p) continue
            this.end(hold, event.t)
            this.mark(hold, "ended", event.t)
          }
          return
        case "force":
          this.forced.add(`${event.lock} ${event.token}`)
          if (event.when === "now") this.freedAtOnce.add(`${event.lock} ${event.token}`)
          return
        case "stop":
          if (event.suspended) this.jumped.add(event.p)
          return this.stop(event.p, event)
        case "state":
          for (const { hold, token } of event.each ?? []) {
            const tokens = this.renumbered.get(hold)
            if (tokens === undefined) this.renumbered.set(hold, new Set([token]))
            else tokens.add(token)
          }
          return
        case "want":
        case "look":
        case "asks":
        case "knows":
        case "gives":
        case "closing":
        case "interrupt":
        case "write":
        case "fault":
        case "heal":
        case "leak":
        case "stuck":
        case "log":
        case "message":
          return
      }
    })
  }

  private stop(p: string, stop: Stop): void {
    const stops = this.stops.get(p)
    if (stops === undefined) this.stops.set(p, [stop])
    else stops.push(stop)
  }

  private end(hold: string, t: number): void {
    const facts = this.holds.get(hold)
    if (facts !== undefined) facts.over = Math.min(facts.over, t)
  }

  private mark(hold: string, what: "ended" | "expired", t: number): void {
    const facts = this.holds.get(hold)
    if (facts !== undefined) facts[what] = Math.min(facts[what], t)
  }

  wasForced(lock: string, token: number): boolean {
    return this.forced.has(`${lock} ${token}`)
  }

  wasFreedAtOnce(lock: string, token: number): boolean {
    return this.freedAtOnce.has(`${lock} ${token}`)
  }

  private tokensOf(got: Of<"got">): ReadonlyArray<number> {
    const tokens = this.renumbered.get(got.hold)
    return tokens === undefined ? [got.token] : [got.token, ...tokens]
  }

  holdWasForced(got: Of<"got">): boolean {
    return this.tokensOf(got).some((token) => this.wasForced(got.lock, token))
  }

  holdWasFreedAtOnce(got: Of<"got">): boolean {
    return this.tokensOf(got).some((token) => this.wasFreedAtOnce(got.lock, token))
  }

  /** Whether a process stood still, or its wall clock was set ahead, at some time between these. */
  isUneven(p: string, since: number, until: number): boolean {
    return (this.stops.get(p) ?? []).some((stop) => stop.t < until && stop.until > since)
  }

  /**
   * By when a process surely does what it should do at `t`, which began at `since`: later by as long as it stood still. `slack`: it may take so long, of the time in which it runs. A process that
   * is given the processor for moments between pauses has not had that before some of them.
   */
  excuse(p: string, since: number, t: number, slack = 0): number {
    let until = t
    let left = slack
    for (const stop of this.stops.get(p) ?? []) {
      if (stop.until < since || stop.t > until + left) continue
      left -= Math.max(0, stop.t - until)
      until = stop.suspended
        ? Math.max(until, stop.t) + (stop.until - stop.t) + longestSleep
        : Math.max(until, stop.until)
    }
    return until + left
  }
}
