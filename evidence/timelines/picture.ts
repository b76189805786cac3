/** A history as an SVG: a lane for each process, for what the storage keeps, and for what the lock protects; what is explained has a number, and a line below. */
import type { Event, History } from "../simulate/history.js"
import { type Case, people } from "./cases.js"

type Of<T extends Event["type"]> = Extract<Event, { readonly type: T }>

const width = 880
const left = 116
const right = 36
const top = 102
const step = 92
const bar = 22

const style = `
  text { font: 14px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328; }
  .title { font-size: 17px; font-weight: 600; } .sub { fill: #59636e; font-size: 13px; }
  .ground { fill: #ffffff; } .lane { stroke: #d1d9e0; } .tick { stroke: #d1d9e0; stroke-dasharray: 2 4; }
  .p1 { fill: #0969da; } .p2 { fill: #9a6700; } .p1.kept, .p2.kept { opacity: .45; }
  .waits { fill: none; stroke: #9a6700; stroke-dasharray: 5 4; stroke-width: 1.5; } .waits.p1 { stroke: #0969da; }
  .call { stroke: #59636e; fill: none; } .answer { stroke: #59636e; fill: none; stroke-dasharray: 3 3; } .wakes { stroke: #1a7f37; stroke-width: 2.5; fill: none; }
  .renewed { stroke: #ffffff; stroke-width: 2; } .gone { stroke: #cf222e; stroke-width: 2; fill: none; } .fault { fill: #cf222e; opacity: .16; }
  .p1.ring { stroke: #0969da; fill: none; } .p2.ring { stroke: #9a6700; fill: none; }
  .note { fill: #1f2328; } text.number { fill: #ffffff; font-size: 12px; font-weight: 600; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .sub { fill: #9198a1; } .ground { fill: #0d1117; } .lane, .tick { stroke: #3d444d; }
    .p1 { fill: #4493f8; } .p2 { fill: #d29922; } .waits { stroke: #d29922; } .waits.p1 { stroke: #4493f8; }
    .call, .answer { stroke: #9198a1; } .wakes { stroke: #3fb950; } .renewed { stroke: #0d1117; } .gone { stroke: #f85149; } .fault { fill: #f85149; opacity: .25; }
    .p1.ring { stroke: #4493f8; } .p2.ring { stroke: #d29922; } .note { fill: #e6edf3; } text.number { fill: #0d1117; }
  }`

const escaped = (text: string): string => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)

const number = (value: number): string => String(Math.round(value * 10) / 10)

const path = (kind: string, ...points: ReadonlyArray<readonly [x: number, y: number]>): string =>
  `<path class="${kind}" d="M${points.map(([x, y]) => `${number(x)} ${number(y)}`).join("L")}"/>`

const rect = (kind: string, from: number, to: number, y: number, height: number): string =>
  `<rect class="${kind}" x="${number(from)}" y="${number(y)}" width="${number(Math.max(1, to - from))}" height="${height}" rx="3"/>`

const text = (kind: string, x: number, y: number, words: string, anchor = "start"): string =>
  `<text class="${kind}" x="${number(x)}" y="${number(y)}" text-anchor="${anchor}">${escaped(words)}</text>`

const cross = (x: number, y: number): string =>
  path("gone", [x - 4, y - 4], [x + 4, y + 4]) + path("gone", [x - 4, y + 4], [x + 4, y - 4])

/** Where things stand. */
interface Places {
  readonly x: (t: number) => number
  readonly y: (lane: string) => number
  readonly end: number
}

/** From when to when a process waits, has the lock, is frozen, is dead. */
const lives = (history: History, p: string, { end, x, y }: Places): ReadonlyArray<string> => {
  const of = history.filter((event) => event.p === p)
  const at = y(p)
  const crash = of.find((event) => event.type === "crash")?.t ?? end
  const parts: Array<string> = []
  for (const event of of) {
    if (event.type === "want") {
      const over = of.find((other) => (other.type === "got" || other.type === "done") && other.n === event.n)?.t ?? end
      parts.push(path(`waits ${p}`, [x(event.t), at], [x(Math.min(over, crash, end)), at]))
    }
    if (event.type === "got") {
      const over = of.find((other) => (other.type === "end" || other.type === "lost") && other.hold === event.hold)?.t
      parts.push(rect(p, x(event.t), x(Math.min(over ?? end, crash, end)), at - bar / 2, bar))
    }
  }
  for (const event of of)
    if (event.type === "stop") parts.push(rect("fault", x(event.t), x(Math.min(event.until, end)), at - 20, 40))
  if (crash < end) parts.push(rect("fault", x(crash), x(end), at - 20, 40), cross(x(crash), at))
  return parts
}

/** Whose the storage says that the lock is, with a line for each renewal. */
const keeps = (history: History, { end, x, y }: Places): ReadonlyArray<string> => {
  const states = history.filter((event): event is Of<"state"> => event.type === "state")
  const at = y("storage")
  return states.flatMap((state, index) => {
    const [hold] = state.holds
    if (hold === undefined || state.t > end) return []
    const p = hold.split("-")[0]!
    const next = states[index + 1]?.t ?? end
    const isRenewed = index > 0 && states[index - 1]!.holds[0] === hold
    return [
      rect(`${p} kept`, x(state.t), x(Math.min(state.ends, next, end)), at - bar / 2, bar),
      ...(isRenewed ? [path("renewed", [x(state.t), at - bar / 2], [x(state.t), at + bar / 2])] : [])
    ]
  })
}

/** Where a process and the storage do not reach each other. */
const gaps = (one: Case, { end, x, y }: Places): ReadonlyArray<string> =>
  one.plan.faults.flatMap((fault) => {
    if (fault.kind !== "partition" && fault.kind !== "swallow") return []
    const edges = [y(`p${fault.process + 1}`), y("storage")].sort((a, b) => a - b)
    const [from = 0, to = 0] = [edges[0]! + bar / 2 + 3, edges[1]! - bar / 2 - 3]
    return [rect("fault", x(fault.at), x(Math.min(fault.at + fault.millis, end)), from, to - from)]
  })

/** What the lines mean, those that are there. */
const legend = (parts: string): string => {
  const meanings = [
    ["call", "request"],
    ["answer", "answer"],
    ["wakes", "wake-up"],
    ["waits", "waits for the lock"]
  ].filter(([kind]) => parts.includes(`class="${kind}`))
  let at = 16
  return meanings
    .map(([kind, words]) => {
      const from = at
      at += 36 + words!.length * 7 + 20
      return path(kind!, [from, 46], [from + 28, 46]) + text("sub", from + 36, 50, words!)
    })
    .join("")
}

/** Calls and their answers; what is lost ends half-way. */
const messages = (history: History, p: string, travel: number, { end, x, y }: Places): ReadonlyArray<string> => {
  const notes = history.filter(
    (event): event is Of<"message"> => event.type === "message" && event.p === p && event.t <= end
  )
  const side = y(p) < y("storage") ? 1 : -1
  const own = y(p) + side * (bar / 2)
  const far = y("storage") - side * (bar / 2)
  const half = (own + far) / 2
  const unanswered = new Set<string>()
  return notes.flatMap(({ t, text }, index) => {
    if (text.startsWith("wake-up")) return [path("wakes", [x(t - travel), far], [x(t), own])]
    if (text.endsWith(" →")) {
      const isLost = notes[index + 1]?.t === t && notes[index + 1]!.text.endsWith(" is lost")
      return isLost
        ? [path("call", [x(t), own], [x(t + travel / 2), half]), cross(x(t + travel / 2), half)]
        : [path("call", [x(t), own], [x(t + travel), far])]
    }
    const lost = /^the answer to (.*) is lost$/.exec(text)?.[1]
    if (lost !== undefined) {
      unanswered.add(lost)
      return [path("answer", [x(t), far], [x(t + travel / 2), half]), cross(x(t + travel / 2), half)]
    }
    const answered = /^(.*) ← /.exec(text)?.[1]
    if (answered === undefined || text.endsWith("← error") || unanswered.has(answered)) {
      unanswered.delete(answered ?? "")
      return []
    }
    return [path("answer", [x(t - travel), far], [x(t), own])]
  })
}

/** Writes, in the colour of who made them. */
const writes = (history: History, { end, x, y }: Places): ReadonlyArray<string> =>
  history.flatMap((event) => {
    if (event.type !== "write" || event.t > end) return []
    const at = y("resource")
    return event.accepted
      ? [`<circle class="${event.p}" cx="${number(x(event.t))}" cy="${at}" r="5"/>`]
      : [`<circle class="${event.p} ring" cx="${number(x(event.t))}" cy="${at}" r="8"/>`, cross(x(event.t), at)]
  })

const laneOf = (event: Event): string => (event.type === "write" ? "resource" : event.p in people ? event.p : "storage")

/** What is explained: a number at its place, so far beside others there that both can be read, and a line below the lanes. */
const notes = (one: Case, history: History, { end, x, y }: Places, below: number) => {
  const told = history
    .filter(({ t }) => t <= end)
    .map((event) => ({ event, words: one.tell(event, history) }))
    .filter(
      (note, index, all) => note.words !== undefined && all.findIndex(({ words }) => words === note.words) === index
    )
  const last = new Map<string, number>()
  return told.map(({ event, words }, index) => {
    const lane = laneOf(event)
    const at = Math.max(x(event.t), (last.get(lane) ?? 0) + 20)
    last.set(lane, at)
    const top = y(lane) - bar / 2 - 12
    const line = below + index * 22
    return [
      `<circle class="note" cx="${number(at)}" cy="${top}" r="9"/>`,
      text("number", at, top + 4, String(index + 1), "middle"),
      `<circle class="note" cx="26" cy="${line - 5}" r="9"/>`,
      text("number", 26, line - 1, String(index + 1), "middle"),
      text("", 42, line, `${Math.round(event.t)} ms: ${words!}`)
    ].join("")
  })
}

export const svg = (one: Case, history: History): string => {
  const hasTwo = one.plan.processes.length > 1
  const lanes = ["p1", "storage", ...(hasTwo ? ["p2"] : []), ...(one.showsResource ? ["resource"] : [])]
  const names: Readonly<Record<string, string>> = { ...people, storage: "storage", resource: "resource" }
  const bottom = top + (lanes.length - 1) * step + 34
  const places: Places = {
    x: (t) => left + (t / one.until) * (width - left - right),
    y: (lane) => top + lanes.indexOf(lane) * step,
    end: one.until
  }
  const { x, y } = places
  const travel = one.plan.network.fastest
  const explained = notes(one, history, places, bottom + 56)
  const height = bottom + 56 + explained.length * 22 - 6
  const processes = hasTwo ? ["p1", "p2"] : ["p1"]
  const parts = [
    ...gaps(one, places),
    ...processes.flatMap((p) => messages(history, p, travel, places)),
    ...keeps(history, places),
    ...processes.flatMap((p) => lives(history, p, places)),
    ...(one.showsResource ? writes(history, places) : []),
    ...explained
  ].join("\n")
  const ticks = Array.from({ length: Math.floor(one.until / 200) + 1 }, (_, index) => index * 200)
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(one.title)}">
<style>${style}
</style>
<rect class="ground" width="${width}" height="${height}" rx="6"/>
${text("title", 16, 26, one.title)}
${legend(parts)}
${ticks.map((t) => path("tick", [x(t), top - 32], [x(t), bottom]) + text("sub", x(t), bottom + 16, `${t} ms`, "middle")).join("\n")}
${lanes.map((lane) => path("lane", [left, y(lane)], [width - right, y(lane)]) + text("", 16, y(lane) + 5, names[lane]!)).join("\n")}
${parts}
</svg>
`
}
