/** Leader election in virtual time: candidates that crash, stand still, are cut off, stand down and end in order. One leads at a time, and soon another. */
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as LeaderElection from "../../src/LeaderElection.js"
import * as Storage from "../../src/Storage.js"
import * as StorageLock from "../../src/StorageLock.js"
import { check } from "../simulate/checker.js"
import type { Event } from "../simulate/history.js"
import { healthy } from "../simulate/plan.js"
import { Rng } from "../simulate/random.js"
import { Fleet, type Member, rough } from "./simulated.js"

export interface Options {
  readonly seed: number
  readonly terms: number
  /** Everything goes wrong; else candidates only crash, stand down and end, and how long nobody leads is judged. */
  readonly rough: boolean
}

export interface Result {
  readonly terms: number
  readonly writes: number
  /** From the end of a term until the next one begins, at most, in milliseconds. */
  readonly afterCrash: number
  readonly afterEnd: number
  readonly violations: ReadonlyArray<string>
}

const lease = 3000
const margin = lease / 10
/** The longest between two looks of who waits, in milliseconds: half a second, and half of it more by chance. */
const poll = 750
/** A few round trips. */
const trips = 100
/** What clocks round. */
const instant = 5

export const simulate = ({ rough: isRough, seed, terms }: Options): Result => {
  const rng = new Rng(`${seed} election`)
  const events: Array<Event> = []
  const violations: Array<string> = []
  const record = (event: Event) => {
    // Where the network fails, it is said.
    if (isRough && event.type === "log" && event.text.startsWith("effect-storage-lock: ")) return
    events.push(event)
  }
  let written = 0
  let begun = 0
  let writes = 0
  let attempts = 0
  let leader: Member | undefined
  /** How the last term has ended, and when. */
  let ended: { readonly t: number; readonly how: "crash" | "end" } | undefined
  const longest = { crash: 0, end: 0 }
  /** From when each campaigns again, after it has stood down. */
  const restsUntil = new Map<Member, number>()
  /** Whether somebody else waits. */
  const hasOther = (member: Member) =>
    fleet.members.some(
      (other) =>
        other !== member &&
        other.isUp &&
        Math.max(other.startedAt + lease / 2, restsUntil.get(other) ?? 0) < fleet.world.now
    )
  let fleet: Fleet

  const program = (member: Member, { storage }: { readonly storage: Storage.Service }) =>
    Effect.gen(function* () {
      const { machine } = member
      const p = member.name
      const context = yield* Effect.orDie(
        Layer.build(
          StorageLock.layer({
            leaseExpireAfter: lease,
            clockMargin: margin,
            purgeAfter: "infinity",
            ownerLabel: p
          }).pipe(Layer.provide(Layer.succeed(Storage.Storage, storage)))
        )
      )
      const locks = Context.get(context, StorageLock.StorageLock)
      const term = ({ lock, resign, token }: LeaderElection.Term) =>
        Effect.gen(function* () {
          const { world } = fleet
          const hold = lock.holdId
          const until = () => machine.trueTimeIn(Math.max(0, lock.unsafeRemainingMillis()))
          begun++
          leader = member
          if (ended !== undefined) longest[ended.how] = Math.max(longest[ended.how], world.now - ended.t)
          ended = undefined
          record({
            type: "got",
            t: world.now,
            p,
            n: ++attempts,
            lock: "leader",
            owner: lock.ownerId,
            hold,
            token,
            until: until()
          })
          yield* Effect.forkChild(
            Effect.catch(lock.lost, ({ reason }) =>
              Effect.sync(() => record({ type: "lost", t: world.now, p, hold, reason }))
            )
          )
          const standsDown = rng.chance(0.3) ? world.now + rng.between(0, 4 * lease) : Number.POSITIVE_INFINITY
          for (;;) {
            record({ type: "look", t: world.now, p, hold, until: until(), body: true })
            const sent = world.now
            world.after(rng.chance(0.1) ? rng.between(0, lease) : rng.between(0, 5), () => {
              const accepted = token >= written
              if (accepted) written = token
              writes++
              record({ type: "write", t: world.now, p, lock: "leader", hold, token, sent, accepted })
            })
            yield* Effect.sleep(rng.between(0, lease / 3))
            if (world.now > standsDown) {
              // About so long.
              restsUntil.set(member, world.now + 1.6 * lease)
              yield* resign
              yield* Effect.never
            }
          }
        }).pipe(
          Effect.onExit(() =>
            Effect.sync(() => {
              record({ type: "end", t: fleet.world.now, p, hold: lock.holdId })
              if (leader === member && hasOther(member)) ended = { t: fleet.world.now, how: "end" }
            })
          )
        )
      yield* Effect.orDie(
        LeaderElection.run("leader", term, { again: "always", afterResign: lease }).pipe(
          Effect.provideService(StorageLock.StorageLock, locks)
        )
      )
    })

  const result = Fleet.run(
    {
      seed: `${seed} election`,
      storage: "native",
      lease,
      length: terms * 4 * lease,
      network: isRough ? rough : healthy,
      record
    },
    [0, 2000, -2000],
    program,
    (made) => {
      fleet = made
      const { members, world } = fleet
      const others = () => members.filter(({ isUp }) => isUp).length > 1
      const next = () => {
        world.after(rng.between(0.5, 5) * lease, next)
        const member = rng.chance(0.7) && leader !== undefined ? leader : rng.pick(members)
        if (!member.isUp || !others()) return
        const millis = rng.between(0, 2 * lease)
        const kind = rng.pick(isRough ? ["crash", "end", "stop", "suspend", "cut"] : ["crash", "end"])
        // Whoever waits is left alone until it leads, or nothing is said of how long that takes.
        const leads = leader === member && ended === undefined
        ended = undefined
        if (kind === "crash" && leads && hasOther(member)) ended = { t: world.now, how: "crash" }
        if (kind === "crash") member.crash(millis)
        else if (kind === "end") member.end(millis)
        else if (kind === "cut") member.cut(millis)
        else member.stop(millis, kind === "suspend")
      }
      world.after(lease, next)
    },
    () => {
      const rules = {
        margin,
        clockBound: instant,
        longestEnd: lease,
        calm: false,
        hiccups: true,
        swift: undefined,
        atomic: true,
        lostWrites: false
      }
      for (const { index, message, property } of check(events, rules))
        violations.push(`${property}: ${message} (at ${events[index]!.t.toFixed(0)})`)
      return { terms: begun, writes, afterCrash: longest.crash, afterEnd: longest.end, violations }
    }
  )
  if (!isRough && result.afterCrash > lease + poll + trips)
    violations.push(`nobody led for ${result.afterCrash.toFixed(0)} ms after a crash: more than the lease and a poll`)
  if (!isRough && result.afterEnd > trips)
    violations.push(`nobody led for ${result.afterEnd.toFixed(0)} ms after an orderly end`)
  return result
}
