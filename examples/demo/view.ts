import type { Resource } from "./resource.js"
import { type Check, describe, type Event, type Show } from "./show.js"

export interface View {
  readonly event: (event: Event) => void
  readonly paint: (show: Show) => void
  readonly finish: (show: Show, resource: Resource, checks: ReadonlyArray<Check>) => void
  /** Leaves the terminal as it was. */
  readonly close: () => void
}

const out = (text: string) => void process.stdout.write(text)
const seconds = (millis: number) => `${(millis / 1000).toFixed(1)} s`
const nothing = () => {}

/** One line per hold: the resource as it is on disk. */
const report = (show: Show, resource: Resource, checks: ReadonlyArray<Check>): string => {
  const holds = new Map<number, Array<string>>()
  const owner = new Map<number, string>()
  for (const write of resource.read()) {
    holds.set(write.token, [...(holds.get(write.token) ?? []), write.kind === "append" ? "+" : write.kind])
    owner.set(write.token, `${write.worker} turn ${write.turn}`)
  }
  const fate = (token: number) =>
    token === show.killed?.token
      ? "  killed here"
      : token === show.frozen?.token
        ? "  frozen here; what it wrote later was refused"
        : ""
  const lines = [...holds].map(
    ([token, kinds]) => `  ${token}  ${owner.get(token)!.padEnd(18)} ${kinds.join(" ")}${fate(token)}`
  )
  const verdicts = checks.map(({ detail, name, ok }) => `  ${ok ? "ok    " : "FAILED"} ${name}\n         ${detail}`)
  return ["", "The resource, one line per hold (token, worker, writes):", ...lines, "", ...verdicts, ""].join("\n")
}

/** Every event as one JSON object on a line; the last object is the summary. */
export const json = (startedAt: number): View => ({
  event: (event) => out(`${JSON.stringify({ at: Date.now() - startedAt, ...event })}\n`),
  paint: nothing,
  finish: (show, resource, checks) =>
    out(
      `${JSON.stringify({
        at: Date.now() - startedAt,
        event: "summary",
        ok: checks.every((check) => check.ok),
        holds: show.holds.length,
        writes: resource.arrivals.filter((arrival) => arrival.accepted).length,
        refused: resource.arrivals.filter((arrival) => !arrival.accepted).length,
        killed: show.killed?.worker,
        frozen: show.frozen?.worker,
        checks
      })}\n`
    ),
  close: nothing
})

/** For files and pipes. */
export const lines = (startedAt: number): View => ({
  event: (event) => {
    const text = describe(event)
    if (text !== undefined) out(`${seconds(Date.now() - startedAt).padStart(7)}  ${text}\n`)
  },
  paint: nothing,
  finish: (show, resource, checks) => out(report(show, resource, checks)),
  close: nothing
})

const color = {
  holding: 32,
  waiting: 33,
  frozen: 36,
  killed: 31,
  failed: 31,
  starting: 90,
  resting: 90,
  done: 90
} as const
const lastEvents = 10

/** A table that is painted over itself, for terminals. */
export const table = (startedAt: number): View => {
  const events: Array<string> = []
  let height = 0
  out("\x1b[?25l")
  const rows = (show: Show): ReadonlyArray<string> => {
    const now = Date.now()
    const left = show.holder === undefined ? 0 : Math.max(0, show.holder.until - now)
    const bar = "█".repeat(Math.min(20, Math.round((left / show.leaseMillis) * 20))).padEnd(20, "░")
    return [
      `\x1b[1meffect-storage-lock\x1b[0m  ${show.title}  lease ${seconds(show.leaseMillis)}  ${seconds(now - startedAt)}`,
      show.holder === undefined
        ? "the lock is free"
        : `held by \x1b[32m${show.holder.worker}\x1b[0m  token ${show.holder.token}  lease ${bar} ${seconds(left)}`,
      "",
      `\x1b[90m${"worker".padEnd(12)}${"pid".padEnd(10)}${"state".padEnd(18)}${"turns".padEnd(8)}${"writes".padEnd(8)}refused\x1b[0m`,
      ...show.members.map((member) => {
        const timed = member.state === "waiting" || member.state === "frozen" || member.state === "holding"
        const state = timed ? `${member.state} ${seconds(now - member.since)}` : member.state
        return (
          member.name.padEnd(12) +
          String(member.process.pid).padEnd(10) +
          `\x1b[${color[member.state]}m${state.padEnd(18)}\x1b[0m` +
          `${member.turnsDone}/${show.turns}`.padEnd(8) +
          String(member.accepted).padEnd(8) +
          (member.refused === 0 ? "" : `\x1b[31m${member.refused}\x1b[0m`)
        )
      }),
      "",
      ...events
    ]
  }
  const paint = (show: Show) => {
    const drawn = rows(show)
    out(`${height === 0 ? "" : `\x1b[${height}A`}\x1b[J${drawn.map((row) => `\x1b[?7l${row}\x1b[?7h\n`).join("")}`)
    height = drawn.length
  }
  return {
    event: (event) => {
      const text = describe(event)
      if (text === undefined) return
      events.push(`${seconds(Date.now() - startedAt).padStart(7)}  ${text}`)
      if (events.length > lastEvents) events.shift()
    },
    paint,
    finish: (show, resource, checks) => {
      paint(show)
      out(report(show, resource, checks))
    },
    close: () => out("\x1b[?25h")
  }
}
