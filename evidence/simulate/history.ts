/** What happened, as the checker reads it and as people read it. Of a simulation or of real processes: `t` is true time in milliseconds, or the best that is known of it. */

/** As what somebody has a lock, or wants it. None: exclusively. */
export type Part =
  { readonly mode: "read" | "upgradable" | "write" } | { readonly permits: number; readonly limit: number }

/** What is done to the resource. None: it is written. What permits guard cannot be fenced. */
export type Access = "read" | "write" | "unfenced"

export const accessOf = (part: Part | undefined): Access | undefined =>
  part === undefined ? undefined : "mode" in part ? (part.mode === "write" ? "write" : "read") : "unfenced"

const asWhat = (part: Part | undefined): string =>
  part === undefined ? "" : "mode" in part ? `, ${part.mode}` : `, ${part.permits} of ${part.limit} permits`

/** A hold of a lock that several may have, as the storage keeps it. */
export interface Kept {
  readonly hold: string
  readonly owner: string
  readonly token: number
  readonly ends: number
}

export type Event =
  /** An acquire begins. `n` names the attempt in all that follows; `within`: it is a reentry in the body of another. */
  | {
      readonly type: "want"
      readonly t: number
      readonly p: string
      readonly n: number
      readonly lock: string
      readonly owner: string | undefined
      readonly wait: boolean
      readonly timeout: number | undefined
      readonly within: number | undefined
      /** The loss of the lock stops its body. */
      readonly guarded?: boolean | undefined
      readonly part?: Part | undefined
    }
  /** It has the lock, and is told that it has it until `until`. */
  | {
      readonly type: "got"
      readonly t: number
      readonly p: string
      readonly n: number
      readonly lock: string
      readonly owner: string
      readonly hold: string
      readonly token: number
      readonly until: number
      readonly part?: Part | undefined
    }
  /** It asked how long it surely has the lock. `body`: it was the body itself that asked, in the midst of its work. */
  | {
      readonly type: "look"
      readonly t: number
      readonly p: string
      readonly hold: string
      readonly until: number
      readonly body?: boolean | undefined
    }
  /** Its body is over; the release begins. */
  | { readonly type: "end"; readonly t: number; readonly p: string; readonly hold: string }
  | { readonly type: "lost"; readonly t: number; readonly p: string; readonly hold: string; readonly reason: string }
  /** The attempt is over. `body` is how its body ended, if it did by itself; `applied` is what it was told of the effect of its last call, if that failed. */
  | {
      readonly type: "done"
      readonly t: number
      readonly p: string
      readonly n: number
      readonly body: string | undefined
      readonly exit: string
      readonly applied?: "no" | "unknown" | undefined
    }
  /** Its process asks the storage for it, and knows what came of that; and gives it back, whether or not that arrives. */
  | {
      readonly type: "asks" | "knows" | "gives"
      readonly t: number
      readonly p: string
      readonly lock: string
      readonly hold: string
    }
  /** Its layer closes. */
  | { readonly type: "closing"; readonly t: number; readonly p: string }
  | { readonly type: "interrupt"; readonly t: number; readonly p: string; readonly n: number }
  /** What the storage keeps of a lock now, and what made it so, sent at `sent`. `ends`: when its lease will end, in true time; no holds: it is free. */
  | {
      readonly type: "state"
      readonly t: number
      readonly p: string
      readonly lock: string
      readonly op: string
      readonly by: string
      readonly owner: string
      readonly holds: ReadonlyArray<string>
      readonly token: number
      readonly ends: number
      readonly sent?: number | undefined
      /** Where several may have the lock: each of their holds, and who waits first. */
      readonly each?: ReadonlyArray<Kept> | undefined
      readonly pending?: string | undefined
    }
  /** A write to the resource that the lock protects, sent at `sent` on the strength of a hold. */
  | {
      readonly type: "write"
      readonly t: number
      readonly p: string
      readonly lock: string
      readonly hold: string
      readonly token: number
      readonly sent: number
      readonly accepted: boolean
      readonly access?: Access | undefined
    }
  /** An operator takes the lock away from whoever has it with this token. */
  | {
      readonly type: "force"
      readonly t: number
      readonly p: string
      readonly lock: string
      readonly token: number
      readonly when: "now" | "leaseEnd"
    }
  | {
      readonly type: "stop"
      readonly t: number
      readonly p: string
      readonly until: number
      readonly suspended: boolean
    }
  /** Its wall clock was set ahead. */
  | { readonly type: "jump"; readonly t: number; readonly p: string; readonly by: number }
  | { readonly type: "crash"; readonly t: number; readonly p: string }
  | { readonly type: "fault"; readonly t: number; readonly p: string; readonly text: string }
  | { readonly type: "heal"; readonly t: number; readonly p: string }
  /** Should never be: what was left over, who still waits, what was logged. */
  | { readonly type: "leak" | "stuck" | "log"; readonly t: number; readonly p: string; readonly text: string }
  /** For readers only. */
  | { readonly type: "message"; readonly t: number; readonly p: string; readonly text: string }

export type History = ReadonlyArray<Event>

/** What the checker must know of the world. */
export interface Rules {
  /** The usual one, in milliseconds. Without it, what is left of those who are done is not judged. */
  readonly lease?: number | undefined
  readonly margin: number
  /** By how much the storage's idea of a lease may differ from anybody else's. */
  readonly clockBound: number
  /** How long the end of a body and the call of its release may take together, in milliseconds. */
  readonly longestEnd: number
  /** How late a real process may be with what is due, beyond the pauses that are known of it, in milliseconds. Default: none, as in virtual time. */
  readonly slack?: number | undefined
  /** Nothing goes wrong: then nothing may be lost. */
  readonly calm: boolean
  /** But single calls fail. */
  readonly hiccups: boolean
  /** Within so many milliseconds a lock that was given back is taken by who waits for it. */
  readonly swift: number | undefined
  /** The storage judges and writes in one step: then nothing comes back once its lease is over. Over compare-and-set it may, if nobody has taken it meanwhile. */
  readonly atomic: boolean
  /** Leases end by what each process has seen: what was never given back is there for who comes later, though its time is over. */
  readonly observed?: boolean | undefined
  /** A storage that lost acknowledged writes: exclusion is not claimed, fencing is. */
  readonly lostWrites: boolean
  /** A clock beside the storage leaps, further than is allowed: when a lease ends by it says nothing then, that nobody else gets in does. */
  readonly leaps?: boolean | undefined
}

const number = (value: number): string => value.toFixed(1)

const tell = (event: Event): string => {
  switch (event.type) {
    case "want":
      return `#${event.n} wants ${event.lock}${asWhat(event.part)}${event.owner === undefined ? "" : ` as ${event.owner}`}${event.wait ? "" : ", without waiting"}${
        event.timeout === undefined ? "" : `, for ${number(event.timeout)} ms at most`
      }`
    case "got":
      return `#${event.n} HAS ${event.lock} as ${event.owner}, hold ${event.hold}, token ${event.token}, surely until ${number(event.until)}${asWhat(event.part)}`
    case "look":
      return `${event.hold} is ${event.until > event.t ? `sure until ${number(event.until)}` : "no longer sure"}`
    case "end":
      return `${event.hold} ENDS`
    case "lost":
      return `${event.hold} IS LOST: ${event.reason}`
    case "done":
      return `#${event.n} is done: ${event.exit}${event.body === undefined ? "" : ` (body: ${event.body})`}${event.applied === undefined ? "" : `, applied: ${event.applied}`}`
    case "asks":
      return `asks for ${event.lock} with ${event.hold}`
    case "knows":
      return `knows what came of the claim of ${event.hold}`
    case "gives":
      return `gives ${event.hold} back`
    case "closing":
      return "closes its layer"
    case "interrupt":
      return `#${event.n} is interrupted`
    case "state":
      return `${event.op} by ${event.by} → ${event.lock} ${
        event.holds.length === 0
          ? "is free"
          : event.each !== undefined
            ? `has ${event.each.map(({ ends, hold, owner, token }) => `[${hold} of ${owner}, token ${token}, until ${number(ends)}]`).join(" ")}`
            : `is ${event.owner}'s [${event.holds.join(" ")}] until ${number(event.ends)}`
      }, token ${event.token}${event.pending === undefined ? "" : `, ${event.pending} waits first`}`
    case "write":
      return `the resource of ${event.lock} ${event.accepted ? "accepts" : "rejects"} a ${event.access === "read" ? "read" : "write"} of ${event.hold} with token ${event.token}, sent at ${number(event.sent)}`
    case "force":
      return `takes ${event.lock} away from token ${event.token}, ${event.when}`
    case "stop":
      return `${event.suspended ? "is suspended" : "pauses"} until ${number(event.until)}`
    case "jump":
      return `its wall clock is set ahead by ${number(event.by)} ms`
    case "crash":
      return "CRASHES"
    case "heal":
      return "no more faults from here on"
    case "fault":
    case "message":
      return event.text
    case "leak":
      return `LEFT OVER: ${event.text}`
    case "stuck":
      return `STUCK: ${event.text}`
    case "log":
      return `logged: ${event.text}`
  }
}

export const line = (event: Event): string =>
  `${number(event.t).padStart(10)}  ${event.p.padEnd(8)} ${tell(event).replaceAll(/_+(?=[\s,:\]]|$)/g, "")}`

export const format = (history: History): string => history.map(line).join("\n") + "\n"
