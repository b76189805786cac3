/** What happens in one run, decided before it begins: plain data, so that a failing run can be made smaller by leaving things out. */
import type { Part } from "./history.js"
import { Rng } from "./random.js"

/** `provided`: without a clock, which comes from somebody else. */
export type StorageKind = "native" | "versioned" | "observed" | "provided"

export interface Action {
  readonly kind: "withLock" | "acquire" | "try" | "tryWith" | "force" | "purge" | "get"
  readonly lock: number
  /** `undefined`: an owner of its own for each acquire. */
  readonly owner: string | undefined
  /** Milliseconds before it, and for which its body runs. */
  readonly pause: number
  readonly body: number
  readonly looks: number
  /** How long its body takes to clean up, however it ends. */
  readonly finalizer: number
  readonly fails: boolean
  readonly timeout: number | undefined
  readonly interruptAfter: number | undefined
  /** The owner enters once more, in the middle of the body. */
  readonly nested: boolean
  /** In place of the plan's, in milliseconds. */
  readonly lease?: number | undefined
  readonly renews: boolean
  readonly releasesEarly: boolean
  readonly when: "now" | "leaseEnd"
  /** Its body writes without looking whether it still has the lock. */
  readonly careless?: boolean | undefined
  /** As what it takes the lock. None: exclusively. What enters once more where this may be upgraded does that. */
  readonly part?: Part | undefined
}

export interface ProcessPlan {
  readonly rate: number
  readonly startOfClock: number
  readonly actors: ReadonlyArray<ReadonlyArray<Action>>
}

export type Fault =
  | {
      readonly kind: "pause" | "suspend" | "partition" | "refuse" | "swallow"
      readonly process: number
      readonly at: number
      readonly millis: number
    }
  | { readonly kind: "crash" | "close"; readonly process: number; readonly at: number; readonly millis: number }
  | { readonly kind: "wall"; readonly process: number; readonly at: number; readonly by: number }
  /** A wall clock that is set back; what comes after it is a fault of its own. */
  | { readonly kind: "setBack"; readonly process: number; readonly at: number; readonly by: number }
  /** The storage forgets all that it has, under live holds. */
  | { readonly kind: "flush"; readonly at: number }
  | { readonly kind: "stall"; readonly at: number; readonly millis: number }
  | { readonly kind: "clock"; readonly at: number; readonly offset: number }
  /** The clock that is provided goes ahead or back for good, further than is allowed. */
  | { readonly kind: "leap"; readonly at: number; readonly by: number }
  | {
      readonly kind: "promote"
      readonly at: number
      readonly lag: number
      readonly millis: number
      readonly offset: number
    }
  | { readonly kind: "falseHint" | "hiccup"; readonly process: number; readonly at: number }

export interface Network {
  readonly fastest: number
  readonly slowest: number
  /** Once in a while a message takes this long. */
  readonly rare: number
  readonly rareMillis: number
  readonly lostRequest: number
  readonly lostReply: number
  readonly unknown: number
  readonly error: number
  readonly duplicate: number
  readonly lostHint: number
  readonly lateHint: number
  /** The storage's driver throws, where it is called or later. */
  readonly throws: number
  /** Requests take up to this much longer than answers. */
  readonly longThere: number
}

/** One that loses nothing: it only takes a while. */
export const healthy: Network = {
  fastest: 0.5,
  slowest: 5,
  rare: 0,
  rareMillis: 0,
  lostRequest: 0,
  lostReply: 0,
  unknown: 0,
  error: 0,
  duplicate: 0,
  lostHint: 0,
  lateHint: 0,
  throws: 0,
  longThere: 0
}

export interface Plan {
  readonly seed: number
  readonly storage: StorageKind
  readonly lease: number
  readonly margin: number
  readonly refresh: number
  readonly locks: number
  /** No fault, but that a single call fails at times: then nothing may be lost. */
  readonly calm: boolean
  readonly storageRate: number
  /** The storage's clock stays within this of its course. */
  readonly wander: number
  readonly faultsEnd: number
  readonly hourLater: boolean
  /** Some locks are not exclusive. */
  readonly kinds?: boolean | undefined
  readonly network: Network
  readonly processes: ReadonlyArray<ProcessPlan>
  readonly faults: ReadonlyArray<Fault>
}

/** Milliseconds. Within the margin, so that it ends before a lost lease does. */
export const longestFinalizer = 20

/** Clocks run at most this wrong. */
const drift = 3e-4

/** What the storage's clock may wander, so that the margin covers it: there and back, with what clocks drift in a lease, and what is rounded. */
const wanderOf = (lease: number, margin: number): number => Math.max(0, (margin - 4 * drift * lease - 6) / 2)

const lockAction = (rng: Rng, lease: number, locks: number, owners: ReadonlyArray<string | undefined>): Action => {
  const kind = rng.pick([
    "withLock",
    "withLock",
    "withLock",
    "acquire",
    "acquire",
    "try",
    "tryWith",
    "force",
    "get",
    "purge"
  ] as const)
  const owner = rng.pick(owners)
  return {
    kind: kind === "force" && rng.chance(0.5) ? "withLock" : kind,
    lock: rng.int(0, locks - 1),
    owner,
    pause: rng.chance(0.3) ? 0 : rng.between(0, lease / 2),
    body: rng.chance(0.2) ? 0 : rng.chance(0.25) ? rng.between(lease, 2.5 * lease) : rng.between(0, lease * 0.7),
    looks: rng.int(1, 4),
    finalizer: rng.chance(0.4) ? rng.between(1, longestFinalizer) : 0,
    fails: rng.chance(0.15),
    // Some leave while their first claim is on its way.
    timeout: rng.chance(0.2) ? (rng.chance(0.3) ? rng.between(1, 10) : rng.between(5, 2 * lease)) : undefined,
    interruptAfter: rng.chance(0.2) ? (rng.chance(0.3) ? rng.between(0, 10) : rng.between(0, 1.5 * lease)) : undefined,
    nested: owner !== undefined && rng.chance(0.4),
    renews: rng.chance(0.1),
    releasesEarly: rng.chance(0.1),
    when: rng.chance(0.5) ? "now" : "leaseEnd"
  }
}

const faultOf = (
  rng: Rng,
  plan: Pick<Plan, "lease" | "wander" | "faultsEnd" | "storage">,
  processes: number
): Fault => {
  const { faultsEnd, lease, wander } = plan
  const process = rng.int(0, processes - 1)
  const at = rng.between(0, faultsEnd)
  const millis = rng.chance(0.5) ? rng.between(1, lease / 2) : rng.between(lease / 2, 2.5 * lease)
  const kind = rng.pick([
    "pause",
    "pause",
    "suspend",
    "partition",
    "partition",
    "refuse",
    "swallow",
    "swallow",
    "crash",
    "close",
    "wall",
    "stall",
    "stall",
    "clock",
    "clock",
    "falseHint",
    "falseHint"
  ] as const)
  switch (kind) {
    case "pause":
    case "suspend":
    case "partition":
    case "refuse":
    case "swallow":
    case "crash":
    case "close":
      return { kind, process, at, millis }
    case "wall":
      // Ahead only: set back while the machine sleeps, a wall clock can hide that it slept.
      return { kind, process, at, by: rng.between(0, lease) }
    case "stall":
      return { kind, at, millis }
    case "clock":
      return { kind, at, offset: rng.chance(0.5) ? rng.pick([-1, 1]) * wander : rng.between(-wander, wander) }
    case "falseHint":
      return { kind, process, at }
  }
}

/** Most bugs need two that want one lock, and one or two things that go wrong: small plans find these soonest. A part is larger, for what needs a crowd. */
interface Size {
  readonly processes: ReadonlyArray<number>
  readonly actors: ReadonlyArray<number>
  readonly actions: ReadonlyArray<number>
  readonly mostFaults: number
  /** In leases. */
  readonly longest: number
}

const small: Size = {
  processes: [1, 1, 2, 2, 2, 2, 3],
  actors: [1, 1, 1, 2],
  actions: [1, 1, 2],
  mostFaults: 3,
  longest: 3
}
/** One process whose own programs stand in line. */
const crowd: Size = { processes: [1], actors: [2, 3], actions: [1, 2, 2], mostFaults: 1, longest: 3 }
const middle: Size = { processes: [1, 2, 2, 3], actors: [1, 2, 2], actions: [1, 2, 3], mostFaults: 5, longest: 5 }
const large: Size = {
  processes: [1, 2, 2, 2, 3, 3, 4],
  actors: [1, 2, 3],
  actions: [1, 2, 3, 4],
  mostFaults: 7,
  longest: 7
}

/** One process that holds hundreds of locks of several leases at once: more than one statement renews, and more than any of them alone would need. */
const many = (plan: Plan, rng: Rng): Plan => {
  const locks = rng.pick([101, 130, 250])
  const network = { ...plan.network, slowest: Math.min(plan.network.slowest, 4) }
  const actors = Array.from({ length: locks }, (_, lock): ReadonlyArray<Action> => [
    {
      kind: "acquire",
      lock,
      owner: undefined,
      pause: rng.chance(0.6) ? 0 : rng.between(0, plan.refresh),
      body: rng.between(1, 2.5) * plan.lease,
      looks: 1,
      finalizer: 0,
      fails: false,
      timeout: undefined,
      interruptAfter: undefined,
      nested: false,
      lease: plan.lease * rng.pick([1, 1, 1, 3]),
      renews: false,
      releasesEarly: false,
      when: "now"
    }
  ])
  return {
    ...plan,
    storage: "native",
    calm: true,
    locks,
    network,
    faults: [],
    hourLater: false,
    processes: [{ rate: 1, startOfClock: 0, actors }]
  }
}

export const generate = (seed: number): Plan => {
  const plan = usual(seed)
  const rng = new Rng(`${seed} many`)
  return plan.calm && rng.chance(0.02)
    ? many(plan, rng)
    : kinds(provided(plan, new Rng(`${seed} provided`)), new Rng(`${seed} kinds`))
}

/** As what a lock is taken, and what is done inside. */
const partly = (action: Action, rng: Rng, kind: "exclusive" | "readWrite" | "semaphore", limit: number): Action => {
  switch (kind) {
    case "exclusive":
      return action
    case "readWrite": {
      const mode = rng.pick(["read", "read", "read", "upgradable", "upgradable", "write"] as const)
      return { ...action, part: { mode }, nested: mode === "upgradable" ? rng.chance(0.7) : action.nested }
    }
    case "semaphore": {
      // A fleet may be in the midst of a change of its limit. There is no reentry.
      const mine = rng.chance(0.2) ? limit + 1 : limit
      return { ...action, nested: false, part: { permits: rng.int(1, rng.chance(0.3) ? mine : 1), limit: mine } }
    }
  }
}

/** Some stores have locks of several kinds: each its own, or any on any id. Beside native exclusive locks there are others, too. */
const kinds = (plan: Plan, rng: Rng): Plan => {
  if (!rng.chance(plan.storage === "native" ? 0.06 : 0.25)) return plan
  if (plan.faults.some(({ kind }) => kind === "promote" || kind === "flush")) return plan
  const all = ["readWrite", "semaphore", "exclusive"] as const
  const first = rng.int(0, 1)
  const ofLock = Array.from({ length: plan.locks }, (_, lock) => all[(first + lock) % all.length]!)
  const mixed = rng.chance(0.4)
  const limit = rng.int(2, 3)
  const change = (action: Action): Action =>
    partly(
      action,
      rng,
      mixed ? rng.pick(["exclusive", "readWrite", "readWrite", "semaphore"]) : ofLock[action.lock]!,
      limit
    )
  return {
    ...plan,
    kinds: true,
    processes: plan.processes.map((process) => ({
      ...process,
      // Twice as many: most of them do not keep each other out.
      actors: [...process.actors, ...process.actors].map((actions) => actions.map(change))
    }))
  }
}

/** By how much a clock that is provided may stray, and for how long it must be steady before it is believed again: longer than any lease. */
export const toleranceOf = ({ lease }: Plan): number => lease / 10
export const steadyFor = ({ lease }: Plan): number => 1.5 * lease

/** Some of the stores with a clock have it from somebody else. It leaps only where nobody starts over, who could not know. */
const provided = (plan: Plan, rng: Rng): Plan => {
  if (plan.storage !== "versioned" || !rng.chance(0.5)) return plan
  const leaps = plan.calm || rng.chance(0.3) ? 0 : rng.int(1, 2)
  const { faultsEnd, lease } = plan
  // The second one leads further, or back: one that led near to where it was would be believed by some readings, and not by others.
  const first = (rng.chance(0.8) ? 1 : -1) * rng.between(0.3, 2) * lease
  const by = [first, rng.chance(0.3) ? -first : Math.sign(first) * rng.between(0.3, 2) * lease]
  const at = [rng.between(0.1, 0.9) * faultsEnd, rng.between(0.1, 0.9) * faultsEnd].sort((a, b) => a - b)
  return {
    ...plan,
    storage: "provided",
    faults: [
      ...plan.faults.filter(({ kind }) => kind !== "flush" && (leaps === 0 || (kind !== "crash" && kind !== "close"))),
      ...Array.from({ length: leaps }, (_, n) => ({ kind: "leap" as const, at: at[n]!, by: by[n]! }))
    ].sort((a, b) => a.at - b.at)
  }
}

const usual = (seed: number): Plan => {
  const rng = new Rng(seed)
  const size = rng.chance(0.72) ? small : rng.chance(0.3) ? crowd : rng.chance(0.65) ? middle : large
  const storage = rng.pick(["native", "native", "versioned", "observed"] as const)
  const lease = rng.pick([300, 600, 1000, 2000])
  const margin = rng.chance(0.2) ? lease / 4 : Math.max(60, lease / 10)
  const refresh = lease / 3
  const calm = rng.chance(0.15)
  const wander = storage === "observed" || calm ? 0 : wanderOf(lease, margin)
  const locks = size === crowd || rng.chance(0.7) ? 1 : rng.int(2, 3)
  const processes = rng.pick(size.processes)
  const shared = rng.chance(0.25)
  const owners = (process: number): ReadonlyArray<string | undefined> => [
    undefined,
    ...(size === crowd ? [] : [undefined]),
    `o${process}`,
    ...(shared ? ["both"] : [])
  ]
  const faultsEnd = rng.between(2, size.longest) * lease
  const network = calm
    ? { ...healthy, fastest: 0, slowest: rng.pick([1, 4]), lostHint: rng.chance(0.3) ? 1 : 0 }
    : {
        fastest: rng.pick([0, 0.5, 5]),
        slowest: rng.pick([1, 10, 50, lease / 6]),
        rare: rng.pick([0, 0.02, 0.1]),
        rareMillis: rng.between(lease / 6, 1.5 * lease),
        lostRequest: rng.pick([0, 0.02, 0.1]),
        lostReply: rng.pick([0, 0.02, 0.1, 0.25]),
        unknown: rng.pick([0, 0.02, 0.1]),
        error: rng.pick([0, 0.02, 0.1]),
        duplicate: rng.pick([0, 0.05, 0.2]),
        lostHint: rng.pick([0, 0.2, 1]),
        lateHint: rng.pick([0, 0.3]),
        throws: rng.pick([0, 0, 0, 0.05]),
        longThere: 0
      }
  const faults: Array<Fault> = []
  if (calm) {
    const count = rng.int(0, 3)
    for (let i = 0; i < count; i++)
      faults.push({ kind: "hiccup", process: rng.int(0, processes - 1), at: rng.between(0, faultsEnd) })
  } else {
    const count = rng.int(0, size.mostFaults)
    for (let i = 0; i < count; i++) faults.push(faultOf(rng, { lease, wander, faultsEnd, storage }, processes))
    // Promotion takes longer than the two storages' clocks differ: or even a storage's own restart would repeat times.
    if (storage === "native" && rng.chance(0.12)) {
      faults.push({
        kind: "promote",
        at: rng.between(0, faultsEnd),
        lag: rng.between(1, lease),
        millis: 2 * wander + rng.between(5, lease / 2),
        offset: rng.between(-wander, wander)
      })
    }
  }
  // Draws of their own, so that what was there before stays as it was.
  const more = rng.fork("more")
  // A copy of an old write that comes after it would bring back what was forgotten.
  if (!calm && (storage === "native" || (storage === "versioned" && network.duplicate === 0)) && more.chance(0.05))
    faults.push({ kind: "flush", at: more.between(0, faultsEnd) })
  if (!calm && more.chance(0.05)) {
    // The clock is looked at at least every second while anything is held: only then can a shorter sleep be told.
    const process = more.int(0, processes - 1)
    const at = more.between(0, faultsEnd / 2)
    const millis = more.between(lease / 2, 2 * lease)
    const others = faults.filter(
      (fault) =>
        !("process" in fault && fault.process === process && (fault.kind === "pause" || fault.kind === "suspend"))
    )
    faults.splice(
      0,
      faults.length,
      ...others,
      { kind: "setBack", process, at, by: more.between(1, 2) * millis },
      { kind: "suspend", process, at: at + 1100, millis }
    )
  }
  faults.sort((a, b) => a.at - b.at)
  return {
    seed,
    storage,
    lease,
    margin,
    refresh,
    locks,
    calm,
    storageRate: calm ? 1 : 1 + rng.between(-drift, drift),
    wander,
    faultsEnd,
    hourLater: rng.chance(0.1),
    network:
      storage === "observed" && !calm && more.chance(0.25)
        ? { ...network, fastest: 0, slowest: 1, rare: 0, lostRequest: 0, lostReply: 0, longThere: 0.3 * lease }
        : network,
    processes: Array.from({ length: processes }, (_, process) => ({
      rate: calm ? 1 : 1 + rng.between(-drift, drift),
      startOfClock: rng.between(0, 1000),
      actors: Array.from({ length: Math.max(rng.pick(size.actors), processes === 1 ? 2 : 1) }, () =>
        Array.from({ length: rng.pick(size.actions) }, () => {
          const action = lockAction(rng, lease, locks, owners(process))
          return calm && action.kind === "force" ? { ...action, kind: "withLock" as const } : action
        })
      )
    })),
    faults
  }
}

/** By how much the storage's idea of a lease may differ from anybody else's: its clock's wandering, drift, and what is rounded. In milliseconds. */
export const clockBound = (plan: Plan): number => 2 * plan.wander + 4 * drift * 2 * plan.lease + 4
