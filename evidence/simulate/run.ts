/** One run of a plan, from its first event to its last. */
import { check, type Violation } from "./checker.js"
import type { Event, History, Rules } from "./history.js"
import { withRootsOfItsOwn } from "#harness/machine"
import { clockBound, type Fault, longestFinalizer, type Plan, steadyFor } from "./plan.js"
import { Process } from "./process.js"
import { Rng } from "./random.js"
import { Resource } from "./resource.js"
import { Server } from "./server.js"
import { World } from "./world.js"

export interface Run {
  readonly history: History
  readonly rules: Rules
  readonly violations: ReadonlyArray<Violation>
  /** Virtual milliseconds. */
  readonly millis: number
  readonly acquisitions: number
  /** What went wrong, and how often: of the plan and of the network. */
  readonly faults: Readonly<Record<string, number>>
}

export const rulesOf = (plan: Plan): Rules => ({
  lease: plan.lease,
  margin: plan.margin,
  clockBound: clockBound(plan),
  longestEnd: longestFinalizer + plan.lease / 3 + Math.max(20, plan.lease / 60),
  calm: plan.calm,
  hiccups: plan.faults.some(({ kind }) => kind === "hiccup"),
  swift:
    plan.calm &&
    plan.storage === "native" &&
    plan.kinds !== true &&
    plan.network.lostHint === 0 &&
    plan.faults.length === 0
      ? 60 + 4 * plan.network.slowest
      : undefined,
  atomic: plan.storage === "native" && plan.kinds !== true,
  observed: plan.storage === "observed" || plan.storage === "provided",
  lostWrites: plan.faults.some(({ kind }) => kind === "promote" || kind === "flush"),
  leaps: plan.faults.some(({ kind }) => kind === "leap")
})

/** After the last fault, everybody must have had their locks within this: what may be left of leases, and then one body after another. */
const patience = (plan: Plan): number => {
  let bodies = 0
  for (const { actors } of plan.processes) {
    for (const actions of actors)
      for (const { body, pause } of actions) bodies += 8 * body + pause + plan.lease / 2 + 600
  }
  return 6 * plan.lease + plan.network.rareMillis + 5000 + bodies
}

/** The event loop is the world's for as long as this goes on. */
export const alone = (world: World, go: () => void): void => {
  // Thousands of errors are made on purpose, and nobody reads where.
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  // The event loop of this run is the world's: who lets others have their turn after many calls in a row waits for no real one.
  const { setImmediate } = globalThis
  globalThis.setImmediate = ((go: () => void) => world.after(0, go)) as unknown as typeof setImmediate
  try {
    go()
  } finally {
    Error.stackTraceLimit = stackTraceLimit
    globalThis.setImmediate = setImmediate
  }
}

export const run = (plan: Plan, traced = false): Run => withRootsOfItsOwn(() => runPlan(plan, traced))

const runPlan = (plan: Plan, traced: boolean): Run => {
  const rng = new Rng(`${plan.seed} world`)
  const world = new World(rng.fork("turns"))
  const events: Array<Event> = []
  const record = (event: Event) => {
    events.push(event)
  }
  const server = new Server(world, plan, record)
  const resource = new Resource(rng.fork("resource"))
  let attempts = 0
  const faults: Record<string, number> = {}
  const count = (kind: string) => {
    faults[kind] = (faults[kind] ?? 0) + 1
  }
  const around = { world, plan, server, resource, record, count, traced, next: () => ++attempts }
  const processes = plan.processes.map((_, index) => new Process(around, index))
  const say = (p: string, text: string) => record({ type: "fault", t: world.now, p, text })

  const inject = (fault: Fault): void => {
    count(fault.kind)
    const process = "process" in fault ? processes[fault.process] : undefined
    const name = process?.machine.name ?? "storage"
    switch (fault.kind) {
      case "pause":
      case "suspend":
        return process?.pause(fault.millis, fault.kind === "suspend")
      case "crash":
        return process?.crash(fault.millis)
      case "close":
        return process?.close(fault.millis)
      case "partition":
        say(name, `is cut off for ${fault.millis.toFixed(1)} ms`)
        return process?.link.partition(fault.millis)
      case "refuse":
        say(name, `is refused by the storage for ${fault.millis.toFixed(1)} ms`)
        return process?.link.refuse(fault.millis)
      case "swallow":
        say(name, `gets no answers for ${fault.millis.toFixed(1)} ms`)
        return process?.link.swallow(fault.millis)
      case "wall":
        record({ type: "jump", t: world.now, p: name, by: fault.by })
        return process?.machine.stepWall(fault.by)
      case "falseHint":
        say(name, "gets a hint for nothing")
        return process?.link.falseHint()
      case "hiccup":
        say(name, "the next call fails")
        return process?.link.hiccup()
      case "stall":
        say(name, `does nothing for ${fault.millis.toFixed(1)} ms`)
        return server.stall(fault.millis)
      case "clock":
        say(name, `its clock is off by ${fault.offset.toFixed(1)} ms now`)
        return server.setClock(fault.offset)
      case "leap":
        // Who has not asked before could not know.
        if (!processes.every(({ knowsTime }) => knowsTime)) return
        say(name, `the clock that is provided leaps by ${fault.by.toFixed(1)} ms`)
        return server.leap(fault.by)
      case "flush":
        say(name, "forgets everything")
        return server.flush()
      case "setBack":
        record({ type: "jump", t: world.now, p: name, by: -fault.by })
        return process?.machine.stepWall(-fault.by)
      case "promote":
        say(name, `a replica takes over that lags by ${fault.lag.toFixed(1)} ms, in ${fault.millis.toFixed(1)} ms`)
        return server.promote(fault.lag, fault.millis, fault.offset)
    }
  }
  for (const fault of plan.faults) world.at(fault.at, () => inject(fault))
  world.at(plan.faultsEnd, () => {
    for (const { link } of processes) link.heal()
    record({ type: "heal", t: world.now, p: "world" })
  })

  const lockIds = Array.from({ length: plan.locks }, (_, i) => `lock${i}`)
  const finish = (): void => {
    world.advance(plan.faultsEnd + 3 * plan.lease)
    for (const { link } of processes) link.heal()
    world.advance(world.now + patience(plan), () => processes.every(({ idle }) => idle))
    const stuck = processes.filter(({ idle }) => !idle)
    for (const { machine, unfinished } of stuck)
      record({ type: "stuck", t: world.now, p: machine.name, text: unfinished })
    if (stuck.length > 0) return
    // Whatever was left by those who crashed or were cut off is over by now, and late messages have come.
    world.advance(world.now + 5 * plan.lease + plan.network.rareMillis)
    for (const lockId of lockIds) {
      if (server.live(lockId)) record({ type: "leak", t: world.now, p: "storage", text: `${lockId} is still held` })
    }
    const probe = (process: Process) => {
      // Who comes late to a store without a clock sees nothing but a version, and must watch it for a lease.
      if (plan.storage === "observed") {
        process.glance()
        world.advance(world.now + 2 * plan.lease)
      }
      // Who has not asked since the clock has leapt finds out now, and believes it once it is steady.
      if (plan.storage === "provided") {
        process.glance()
        world.advance(world.now + 2 * steadyFor(plan))
      }
      let probed = false
      process.probe(() => (probed = true))
      world.advance(world.now + 1000 * plan.locks, () => probed)
      if (!probed) record({ type: "stuck", t: world.now, p: process.machine.name, text: "cannot even ask for a lock" })
    }
    // Each in its turn, from run to run: that the storage has nothing left is known by now, this is about what a process may have.
    probe(processes[plan.seed % processes.length]!)
    if (plan.hourLater) {
      world.advance(world.now + 61 * 60_000)
      processes[0]!.purge()
      world.advance(world.now + 1000)
      probe(processes[(plan.seed + 1) % processes.length]!)
    }
    let open = processes.length
    for (const process of processes) {
      const others = open - 1
      process.shut(() => open--)
      world.advance(world.now + 10_000, () => open === others)
    }
    if (open > 0) record({ type: "stuck", t: world.now, p: "world", text: `${open} layers do not close` })
  }
  try {
    alone(world, finish)
  } catch (error) {
    record({ type: "stuck", t: world.now, p: "world", text: String(error) })
  }
  for (const { machine } of processes) machine.kill()
  server.close()
  const rules = rulesOf(plan)
  return {
    history: events,
    rules,
    violations: check(events, rules),
    faults,
    millis: world.now,
    acquisitions: events.reduce((count, { type }) => (type === "got" ? count + 1 : count), 0)
  }
}
