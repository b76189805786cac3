/** What may go wrong, one case each: a plan for the simulation, and which of its events a picture explains. */
import type { Event, History } from "../simulate/history.js"
import { type Action, type Fault, healthy, type Plan, type ProcessPlan } from "../simulate/plan.js"

export interface Case {
  /** The picture's file is called so. */
  readonly name: string
  readonly title: string
  readonly plan: Plan
  /** Milliseconds that the picture shows. */
  readonly until: number
  /** With what the lock protects. */
  readonly showsResource: boolean
  /** What is explained, in words, or `undefined`. */
  readonly tell: (event: Event, history: History) => string | undefined
}

const action: Action = {
  kind: "withLock",
  lock: 0,
  owner: undefined,
  pause: 0,
  body: 300,
  looks: 1,
  finalizer: 0,
  fails: false,
  timeout: undefined,
  interruptAfter: undefined,
  nested: false,
  renews: false,
  releasesEarly: false,
  when: "now"
}

const process = (own: Partial<Action>): ProcessPlan => ({ rate: 1, startOfClock: 0, actors: [[{ ...action, ...own }]] })

/** Every message takes the same time; nothing goes wrong but what a case says. */
const plan = (
  processes: ReadonlyArray<ProcessPlan>,
  faults: ReadonlyArray<Fault>,
  own: Partial<Pick<Plan, "seed" | "faultsEnd">> = {}
): Plan => ({
  seed: 1,
  storage: "native",
  lease: 600,
  margin: 60,
  refresh: 200,
  locks: 1,
  calm: false,
  storageRate: 1,
  wander: 0,
  faultsEnd: 4000,
  hourLater: false,
  network: { ...healthy, fastest: 10, slowest: 10 },
  processes,
  faults,
  ...own
})

export const people: Readonly<Record<string, string>> = { p1: "process 1", p2: "process 2" }
const who = (p: string): string => people[p] ?? p

const ms = (millis: number): string => `${Math.round(millis)} ms`

/** When the storage's lease of a hold ended, as it was known before an event: of any hold, if none is named. */
const leaseEnd = (event: Event, history: History, hold?: string): number | undefined => {
  const before = history.slice(0, history.indexOf(event))
  const state = before
    .reverse()
    .find((other) => other.type === "state" && (hold === undefined || other.holds.includes(hold)))
  return state?.type === "state" ? state.ends : undefined
}

const has = (event: Event): string | undefined =>
  event.type === "got" ? `${who(event.p)} has the lock, with token ${event.token}` : undefined

const leaseOver = (event: Event, history: History): string | undefined => {
  if (event.type !== "state" || event.op !== "time" || event.holds.length > 0) return undefined
  const end = leaseEnd(event, history)
  return end === undefined ? undefined : `the storage finds the lease over: it ended at ${ms(end)}`
}

const lost = (event: Event, history: History): string | undefined => {
  if (event.type !== "lost") return undefined
  const left = (leaseEnd(event, history, event.hold) ?? event.t) - event.t
  return event.reason !== "Expired"
    ? `${who(event.p)} is told that the lock is lost: ${event.reason}`
    : left > 0
      ? `${who(event.p)} is told that the lock is lost, ${ms(left)} before its lease ends`
      : `${who(event.p)} is told that the lock is lost, as soon as it runs again`
}

const rejected = (event: Event, history: History): string | undefined => {
  if (event.type !== "write" || event.accepted) return undefined
  const highest = history.reduce(
    (most, other) =>
      other.type === "write" && other.accepted && other.t < event.t ? Math.max(most, other.token) : most,
    0
  )
  return `a write of ${who(event.p)} is rejected: token ${event.token} is lower than ${highest}`
}

const any =
  (...tells: ReadonlyArray<Case["tell"]>): Case["tell"] =>
  (event, history) =>
    tells.map((tell) => tell(event, history)).find((text) => text !== undefined)

export const cases: ReadonlyArray<Case> = [
  {
    name: "hand-over",
    title: "Nothing goes wrong: a release wakes up the process that waits",
    plan: plan([process({ body: 420 }), process({ pause: 100, body: 180 })], []),
    until: 640,
    showsResource: false,
    tell: any(has, (event) =>
      event.type === "gives" && event.p === "p1"
        ? "process 1 gives the lock back"
        : event.type === "message" && event.p === "p2" && event.text.startsWith("wake-up") && event.t < 600
          ? "the storage's wake-up reaches process 2, which asks at once"
          : undefined
    )
  },
  {
    name: "killed",
    title: "A holder is killed: another has the lock when its lease is over",
    plan: plan(
      [process({ body: 3000 }), process({ pause: 240, body: 250 })],
      [{ kind: "crash", process: 0, at: 330, millis: 3000 }]
    ),
    until: 1080,
    showsResource: false,
    tell: any(has, leaseOver, (event) =>
      event.type === "crash" ? "process 1 is killed, and releases nothing" : undefined
    )
  },
  {
    name: "cut-off",
    title: "A holder is cut off from the storage: it is told before another has the lock",
    plan: plan(
      [process({ body: 3000 }), process({ pause: 240, body: 250 })],
      [{ kind: "partition", process: 0, at: 330, millis: 3000 }]
    ),
    until: 1080,
    showsResource: false,
    tell: any(has, leaseOver, lost, (event) =>
      event.type === "fault" && event.text.startsWith("is cut off")
        ? "process 1 is cut off: its renewals do not arrive, and nobody tells it"
        : undefined
    )
  },
  {
    name: "frozen",
    title: "A holder is frozen for longer than its lease: its late write is rejected",
    plan: plan(
      [
        process({ kind: "acquire", body: 800, looks: 4, careless: true }),
        process({ pause: 240, body: 900, looks: 5, careless: true })
      ],
      [{ kind: "pause", process: 0, at: 330, millis: 820 }]
    ),
    until: 1500,
    showsResource: true,
    tell: any(has, leaseOver, lost, rejected, (event) =>
      event.type === "stop" ? `process 1 is frozen for ${ms(event.until - event.t)}` : undefined
    )
  },
  {
    name: "lost-reply",
    title: "The answer to a claim is lost: the claim is repeated under the same hold id",
    plan: plan([process({ body: 250 })], [{ kind: "swallow", process: 0, at: 0, millis: 25 }], {
      // The process is told soon that its connection is gone.
      seed: 4
    }),
    until: 400,
    showsResource: false,
    tell: any((event, history) => {
      if (event.type === "got") return `${has(event)}: ${ms(event.until - event.t)} of its first lease are sure`
      if (event.type === "message" && event.text.startsWith("the answer to"))
        return "the storage has applied the claim, and its answer is lost"
      if (event.type !== "asks") return undefined
      return history.some((other) => other.type === "asks" && other.hold === event.hold && other.t < event.t)
        ? `process 1 asks again, with the same hold id`
        : undefined
    })
  },
  {
    name: "forgotten",
    title: "The storage forgets the lock: two have it for a while, and the token tells them apart",
    plan: plan(
      [
        process({ body: 1000, looks: 14, careless: true }),
        process({ pause: 240, body: 500, looks: 7, careless: true })
      ],
      [{ kind: "flush", at: 420 }]
    ),
    until: 960,
    showsResource: true,
    tell: any(has, lost, rejected, (event) =>
      event.type === "fault" && event.text.startsWith("forgets") ? "the storage forgets everything" : undefined
    )
  }
]
