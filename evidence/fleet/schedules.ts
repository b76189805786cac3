/** Schedules in virtual time: for thousands of hours, in processes that crash, stand still and are cut off, with clocks that differ by seconds. */
import * as Cause from "#effect/Cause"
import * as Context from "#effect/Context"
import * as DateTime from "#effect/DateTime"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as FleetSchedule from "../../src/FleetSchedule.js"
import { type InvalidLockId, type InvalidOptions, StorageError } from "../../src/LockError.js"
import * as VersionedStore from "../../src/VersionedStore.js"
import { epoch } from "../simulate/machine.js"
import { Rng } from "../simulate/random.js"
import { Fleet, type Member, rough } from "./simulated.js"
import { anybody, judge, type Judgement, nothing, type Promise, type Run, type Trouble } from "./ticks.js"

const second = 1000
const minute = 60 * second
const hour = 60 * minute

export interface Options {
  readonly seed: number
  readonly hours: number
  /** Without a clock of the storage each process goes by its own. */
  readonly storage: "versioned" | "observed"
}

export interface Result extends Judgement {
  readonly hours: number
  readonly troubles: number
  /** The latest begin after its tick where nothing was done to anybody for a while, in milliseconds. */
  latest: number
}

const lease = 30 * second
const every = 20 * minute
/** As the storages of this library do it, which answer within a time or fail. */
const longestCall = 5 * second
/** What a fault may be the reason for: its own length is counted apart. */
const reach = 5 * minute

const promises: ReadonlyArray<Promise> = [
  { schedule: "once", runs: "atMostOnce", reach },
  { schedule: "again", runs: "atLeastOnce", reach }
]

const bounded = (store: VersionedStore.Service): VersionedStore.Service => {
  const within = <A, E>(self: Effect.Effect<A, E>): Effect.Effect<A, E | StorageError> =>
    Effect.timeoutOrElse(self, {
      duration: longestCall,
      orElse: () =>
        Effect.fail(
          new StorageError({
            reason: "Timeout",
            operation: "Simulated.call",
            isRetryable: true,
            applied: "unknown",
            message: "simulated: no answer"
          })
        )
    })
  return {
    ...store,
    create: (...args) => within(store.create(...args)),
    update: (...args) => within(store.update(...args)),
    get: (lockId) => within(store.get(lockId)),
    ...(store.time === undefined ? {} : { time: within(store.time) })
  }
}

/** By how much the wall clocks are ahead. */
const skews = [0, -5 * second, 5 * second]

export const simulate = ({ hours, seed, storage }: Options): Result => {
  const result: Result = { ...nothing(), hours, troubles: 0, latest: 0 }
  const rng = new Rng(`${seed} schedules`)
  const troubles: Array<Trouble> = []
  const open = new Map<string, Map<number, Array<Run>>>(promises.map(({ schedule }) => [schedule, new Map()]))
  /** Who is in the midst of a run, as far as they know. */
  const busy = new Map<
    string,
    Set<{ readonly run: Run; readonly member: Member; readonly machine: Member["machine"] }>
  >(promises.map(({ schedule }) => [schedule, new Set()]))
  const trouble = (member: Member, millis: number, now: number) => {
    ;(result as { troubles: number }).troubles++
    troubles.push({ p: member.name, from: now, until: now + millis })
  }
  let fleet: Fleet
  /** A schedule ends by an error that no retry cures. Then its process does, and whoever watches over it starts it again. */
  const failed = (member: Member, cause: Cause.Cause<StorageError | InvalidLockId | InvalidOptions>) => {
    if (Cause.hasInterruptsOnly(cause)) return
    const error = Option.getOrUndefined(Cause.findErrorOption(cause))
    if (error?._tag !== "StorageError" || error.isRetryable)
      result.violations.push(`${member.name} has failed: ${Cause.pretty(cause)}`)
    const { machine } = member
    const { world } = fleet
    world.after(0, () => {
      if (member.machine !== machine || member.ending) return
      const millis = rng.between(0, 10 * second)
      trouble(member, millis, world.now)
      member.crash(millis)
    })
  }
  const program = (member: Member, { versioned }: { readonly versioned: VersionedStore.Service }) =>
    Effect.gen(function* () {
      const { machine } = member
      const context = yield* Effect.orDie(
        Layer.build(
          FleetSchedule.layer({ leaseExpireAfter: lease, purgeAfter: "infinity" }).pipe(
            Layer.provide(Layer.succeed(VersionedStore.VersionedStore, bounded(versioned)))
          )
        )
      )
      const service = Context.get(context, FleetSchedule.FleetSchedule)
      yield* Effect.forEach(
        promises,
        ({ runs, schedule }) =>
          service.run(
            schedule,
            { every },
            ({ isAgain, time, token }) =>
              Effect.suspend(() => {
                const { world } = fleet
                const tick = DateTime.toEpochMillis(time)
                const run: Run = {
                  schedule,
                  tick,
                  token,
                  isAgain,
                  p: member.name,
                  began: world.now,
                  ended: undefined,
                  how: undefined
                }
                const own = { run, member, machine }
                for (const other of busy.get(schedule)!)
                  if (!other.machine.dead && !other.machine.stopped)
                    result.violations.push(
                      `${schedule}: ${run.p} begins while ${other.run.p} is in the midst of a run, at ${world.now.toFixed(0)}`
                    )
                busy.get(schedule)!.add(own)
                const ofTick = open.get(schedule)!
                const before = ofTick.get(tick)
                if (before === undefined) ofTick.set(tick, [run])
                else before.push(run)
                const early = storage === "versioned" ? 0 : 6 * second
                const due = tick - epoch
                if (run.began < due - early)
                  result.violations.push(
                    `${schedule}: ${run.p} begins at ${run.began.toFixed(0)}, before its tick at ${due}`
                  )
                if (!troubles.some(({ until }) => until > due - 2 * minute))
                  result.latest = Math.max(result.latest, run.began - due)
                if (rng.chance(0.02)) {
                  const millis = rng.between(0, 5 * minute)
                  world.after(rng.between(0, 2 * second), () => {
                    if (member.machine !== machine || member.ending) return
                    trouble(member, millis, world.now)
                    member.crash(millis)
                  })
                }
                return Effect.onExit(Effect.sleep(rng.between(0, rng.chance(0.05) ? minute : 2 * second)), (exit) =>
                  Effect.sync(() => {
                    busy.get(schedule)!.delete(own)
                    run.ended = world.now
                    run.how = Exit.isSuccess(exit) ? "done" : "interrupted"
                  })
                )
              }),
            { runs, overlap: "queue", missed: "all" }
          ),
        { concurrency: "unbounded", discard: true }
      )
    }).pipe(Effect.catchCause((cause) => Effect.sync(() => failed(member, cause))))

  const settle = (until: number) => {
    for (const promise of promises) {
      const ofTick = open.get(promise.schedule)!
      for (let tick = settled.get(promise.schedule)! + every; tick - epoch + hour <= until; tick += every) {
        settled.set(promise.schedule, tick)
        judge(promise, tick - epoch, ofTick.get(tick) ?? [], troubles, result)
        ofTick.delete(tick)
      }
      for (const own of busy.get(promise.schedule)!) if (own.machine.dead) busy.get(promise.schedule)!.delete(own)
    }
    while (troubles.length > 0 && troubles[0]!.until < until - 3 * hour) troubles.shift()
  }
  /** A new schedule begins with its next tick; the first of them are not judged. */
  const settled = new Map<string, number>(
    promises.map(({ schedule }) => [schedule, (Math.floor((epoch + every) / every) + 1) * every])
  )

  return Fleet.run(
    {
      seed: `${seed} schedules`,
      storage,
      lease,
      length: hours * hour,
      network: rough,
      // It may be what a run was told by.
      onLoss: () => void troubles.push({ p: anybody, from: fleet.world.now, until: fleet.world.now + longestCall }),
      record: (event) => {
        if (event.type === "log" && !event.text.includes("waits for its storage"))
          result.violations.push(`logged: ${event.text}`)
      }
    },
    skews,
    program,
    (made) => {
      fleet = made
      const { members, world } = fleet
      const later = (mean: number, act: () => void): void =>
        void world.after(mean * -Math.log(1 - rng.next()), () => {
          act()
          later(mean, act)
        })
      for (const member of members) {
        const hurt = (most: number, act: (millis: number) => void) => () => {
          if (!member.isUp) return
          const millis = rng.between(0, most)
          trouble(member, millis, world.now)
          act(millis)
        }
        later(
          6 * hour,
          hurt(10 * minute, (millis) => member.crash(millis))
        )
        later(
          6 * hour,
          hurt(5 * minute, (millis) => member.end(millis))
        )
        later(
          4 * hour,
          hurt(3 * minute, (millis) => member.stop(millis, rng.chance(0.3)))
        )
        later(
          4 * hour,
          hurt(3 * minute, (millis) => member.cut(millis))
        )
      }
      const look = () => {
        settle(world.now)
        world.after(hour, look)
      }
      world.after(hour, look)
    },
    () => result
  )
}
