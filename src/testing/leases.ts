/**
 * Leases: how long they last, that they only grow, and whose clock ends them.
 */
import * as Effect from "#effect/Effect"
import * as clocks from "#effect/clocks"
import { exclusive } from "../LockRecord.js"
import * as Case from "./Case.js"
import * as Steps from "./steps.js"

const day = 86_400_000

/** The greatest common one. */
const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b))

/**
 * Runs an effect with Effect's wall clock off by this many milliseconds. Its monotonic clock is left alone, as it is when a machine's time is set.
 *
 * @since 0.1.0
 * @category clocks
 */
export const shiftClock = <A, E, R>(self: Effect.Effect<A, E, R>, millis: number): Effect.Effect<A, E, R> =>
  Effect.clockWith((clock) => {
    return clocks.withClock(
      self,
      clocks.make({
        wallMillis: () => clocks.wallMillis(clock) + millis,
        monotonicNanos: () => clocks.monotonicNanos(clock),
        sleep: (duration) => clock.sleep(duration)
      })
    )
  })

/**
 * As `shiftClock`, by way of the global `Date`, so that code that does not ask Effect for the time is shifted too. For storages whose clock is outside of this
 * process; nothing else may run in it meanwhile that minds.
 *
 * @since 0.1.0
 * @category clocks
 */
export const shiftDate = <A, E, R>(self: Effect.Effect<A, E, R>, millis: number): Effect.Effect<A, E, R> =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const Real = globalThis.Date
      globalThis.Date = class extends Real {
        constructor(...args: Array<any>) {
          super(...((args.length === 0 ? [Real.now() + millis] : args) as [number]))
        }
        static override now() {
          return Real.now() + millis
        }
      } as DateConstructor
      return Real
    }),
    () => self,
    (Real) => Effect.sync(() => (globalThis.Date = Real))
  )

export const cases: ReadonlyArray<Case.Case> = [
  {
    name: "an inner hold with a shorter lease does not shorten the outer one",
    rule: "leases-only-grow",
    run: (env) =>
      Effect.gen(function* () {
        if (env.kind !== exclusive) return yield* Case.skip("each of its holds has a lease of its own")
        const lockId = env.lockId()
        const outer = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada", lease: env.long })
        const inner = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada", lease: env.short })
        yield* Case.that(
          inner.validFor > env.long / 2,
          "the answer to a shorter inner claim tells what is left of the lock's lease",
          inner
        )
        yield* Case.that(
          env.guarantees.clock === "observed" || inner.record.leaseExpireTime >= outer.record.leaseExpireTime,
          "a shorter inner claim leaves the lease end",
          [outer.record, inner.record]
        )
        yield* env.pass(env.short * 1.2)
        const still = yield* Steps.record(
          env.storage,
          lockId,
          "an inner hold with a shorter lease does not end the outer one"
        )
        yield* Case.that(still.validFor > env.long / 2, "a shorter inner claim leaves the lease end", still)
        const held = yield* Case.held(
          yield* env.storage.claim({ lockId, ownerId: "bob", holdId: env.holdId(), lease: env.long }),
          "an inner hold with a shorter lease does not end the outer one"
        )
        yield* Case.that(held.retryAfter > env.long / 2, "retryAfter is what is left of the longer lease", held)
      })
  },
  {
    name: "a shorter renewal does not shorten the lease, and a longer one lengthens it",
    rule: "renewal-only-lengthens",
    run: (env) =>
      Effect.gen(function* () {
        const lockId = env.lockId()
        const { holdId } = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada", lease: env.long })
        const shorter = yield* Steps.renewed(
          yield* Steps.renewOne(env.storage, { lockId, holdId, lease: env.short }),
          "a live hold is renewed"
        )
        yield* Case.that(shorter.validFor > env.long / 2, "a renewal tells what is left of the lock's lease", shorter)
        yield* env.pass(env.short * 1.2)
        const still = yield* Steps.record(env.storage, lockId, "a shorter renewal does not end the hold")
        yield* Case.that(still.validFor > env.long / 2, "a shorter renewal leaves the lease end", still)
        const longer = yield* Steps.renewed(
          yield* Steps.renewOne(env.storage, { lockId, holdId, lease: 2 * env.long }),
          "a live hold is renewed"
        )
        yield* Case.that(
          longer.validFor >= 2 * env.long && longer.validFor <= Steps.longest(env, 2 * env.long),
          "a longer renewal makes the hold valid for its whole lease",
          longer
        )
        const after = yield* Steps.record(env.storage, lockId, "a renewed lock is held")
        yield* Case.that(
          after.validFor > 1.5 * env.long &&
            (env.guarantees.clock === "observed" || after.record.leaseExpireTime === longer.leaseExpireTime),
          "the record has the lease end that the renewal told",
          { after, longer }
        )
        yield* Steps.take(env, env.storage, { lockId, ownerId: "ada", lease: 4 * env.long })
        const deeper = yield* Steps.record(env.storage, lockId, "a deepened lock is held")
        yield* Case.that(deeper.validFor > 3 * env.long, "an inner hold with a longer lease lengthens it", deeper)
      })
  },
  {
    name: "a lease of a fraction of a second is neither cut nor rounded to whole seconds",
    rule: "lease-length",
    run: (env) =>
      Effect.gen(function* () {
        // Several, at different fractions of the second: a time cut to seconds is right now and then.
        for (let i = 0; i < 4; i++) {
          const lockId = env.lockId()
          const before = yield* env.mark
          const taken = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada", lease: env.short })
          const after = yield* env.mark
          yield* Case.that(
            taken.validFor >= env.short && taken.validFor <= env.short + env.guarantees.leaseGranularity,
            `a hold is valid for the ${env.short} µs it asked for`,
            taken.validFor
          )
          for (;;) {
            const sent = yield* env.since(after)
            const outcome = yield* env.storage.claim({ lockId, ownerId: "bob", holdId: env.holdId(), lease: env.long })
            const { most } = yield* env.since(before)
            if (outcome._tag === "Claimed") {
              // At most this much has passed; so if it is less than the lease, the lease was cut.
              yield* Case.that(
                most >= env.short,
                `a lease of ${env.short} µs lasts that long: it ended within ${most} µs`
              )
              yield* Steps.tookOver(env, taken, outcome.record)
              break
            }
            const { retryAfter } = yield* Case.held(outcome, "a live lock is held")
            yield* Case.that(
              retryAfter <= Steps.longest(env, env.short),
              `not more than the lease of ${env.short} µs is left of it`,
              retryAfter
            )
            yield* Case.that(
              env.guarantees.clock !== "storage" || sent.least <= env.short + 50_000,
              `a lease of ${env.short} µs ends: it lives after ${sent.least} µs`
            )
            yield* env.pass(env.hooks.advance === undefined ? 20_000 : Math.max(1_000, Math.floor(env.short / 3)))
          }
          yield* env.pass(137_000)
        }
      })
  },
  {
    name: "the grain that is stated is that of the clock: leases of so many grains are kept as they are",
    rule: "grain",
    run: (env) =>
      Effect.gen(function* () {
        const { leaseGranularity } = env.guarantees
        if (env.guarantees.clock !== "storage") return yield* Case.skip("the storage has no clock by which leases end")
        let grain = 0
        // Of so many times of a finer clock some differ by an odd number of its grains.
        for (let i = 0; i < 48; i++) {
          const { record } = yield* Steps.take(env, env.storage, {
            lockId: env.lockId(),
            ownerId: "ada",
            lease: env.long + i * leaseGranularity
          })
          const { leaseExpireTime, lockBeginTime } = record
          yield* Case.that(
            leaseExpireTime - lockBeginTime === env.long + i * leaseGranularity,
            "a lease of so many grains has its whole length",
            record
          )
          grain = divisor(grain, lockBeginTime)
          // Timers end at whole milliseconds, as coarse clocks tick: a little work is no part of either.
          if (env.hooks.advance === undefined) yield* Effect.sleep(`${1 + (i % 3)} millis`)
        }
        // A clock that is moved by hand tells no grain but the hand's.
        yield* Case.that(
          env.hooks.advance !== undefined || grain <= leaseGranularity,
          `the storage's clock moves by ${leaseGranularity} µs, as is stated: all times that it told are whole multiples of ${grain} µs`
        )
      })
  },
  {
    name: "a short lease that is renewed in time goes on",
    rule: "renewal-keeps",
    run: (env) =>
      Effect.gen(function* () {
        const lockId = env.lockId()
        const lease = Math.ceil((env.short * 7) / 3 / env.guarantees.leaseGranularity) * env.guarantees.leaseGranularity
        let mark = yield* env.mark
        const taken = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada", lease })
        for (let i = 0; i < 6; i++) {
          yield* env.pass(lease / 3)
          const now = yield* env.mark
          const outcome = yield* Steps.renewOne(env.storage, { lockId, holdId: taken.holdId, lease })
          const { most } = yield* env.since(mark)
          // A machine that was busy for a whole lease has lost it in order.
          if (outcome._tag === "NotHeld" && most >= lease)
            return yield* Case.skip("this machine is too busy to renew a short lease in time")
          const { validFor } = yield* Steps.renewed(
            outcome,
            `a hold is renewed ${most} µs after its last renewal, with a lease of ${lease} µs`
          )
          yield* Case.that(
            validFor >= lease && validFor <= Steps.longest(env, lease),
            "a renewal makes the hold valid for its whole lease",
            validFor
          )
          mark = now
        }
        const last = yield* Steps.renewOne(env.storage, { lockId, holdId: taken.holdId, lease: env.long })
        if (last._tag === "NotHeld") return yield* Case.skip("this machine is too busy to renew a short lease in time")
        const after = yield* Steps.record(env.storage, lockId, "a renewed hold lives")
        yield* Case.that(
          after.record.token === taken.token && after.record.holds.length === 1,
          "and is the same hold",
          after
        )
      })
  },
  {
    name: "what is left of a lease shrinks as the storage's time passes, and is told from one clock",
    rule: "valid-for",
    run: (env) =>
      Effect.gen(function* () {
        const lockId = env.lockId()
        const before = yield* env.mark
        const taken = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada" })
        const after = yield* env.mark
        yield* env.pass(250_000)
        const { least } = yield* env.since(after)
        const seen = yield* Steps.record(env.storage, lockId, "a live lock is held")
        const held = yield* Case.held(
          yield* env.storage.claim({ lockId, ownerId: "bob", holdId: env.holdId(), lease: env.long }),
          "a live lock is held"
        )
        const { most } = yield* env.since(before)
        for (const [what, left] of [
          ["validFor of get", seen.validFor],
          ["retryAfter of Held", held.retryAfter]
        ] as const) {
          yield* Case.that(
            left <=
              taken.validFor - (env.guarantees.clock === "observed" ? 0 : least) + (env.guarantees.leaseSlack ?? 0) &&
              left >= taken.validFor - most - 50_000,
            `${what} is what is left of the lease: ${taken.validFor} µs less ${least} to ${most}`,
            left
          )
        }
      })
  },
  {
    name: "the storage's clock decides: a client whose clock is a day off gets the same answers",
    rule: "storage-clock",
    run: (env) =>
      Effect.gen(function* () {
        if (env.guarantees.name.startsWith("MemoryStorage") && env.hooks.advance === undefined) {
          return yield* Case.skip("its clock is this process's own, unless it was made with another")
        }
        const shift = env.hooks.shiftClient ?? shiftClock
        for (const millis of [day, -day]) {
          const off = `a client whose clock is ${millis / 3_600_000} h off`
          const lockId = env.lockId()
          const taken = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada" })
          const held = yield* Case.held(
            yield* shift(env.storage.claim({ lockId, ownerId: "bob", holdId: env.holdId(), lease: env.long }), millis),
            `${off} does not get a held lock`
          )
          yield* Case.that(Math.abs(held.retryAfter - env.long) < day * 500, `${off} is told the true retryAfter`, held)
          const renewal = yield* Steps.renewed(
            yield* shift(Steps.renewOne(env.storage, { lockId, holdId: taken.holdId, lease: 2 * env.long }), millis),
            `${off} renews its hold`
          )
          yield* Case.that(
            Math.abs(renewal.validFor - env.long) < day * 500,
            `${off} is told the true validFor`,
            renewal
          )
          const seen = yield* shift(Steps.record(env.storage, lockId, `${off} sees what is held`), millis)
          yield* Case.that(
            seen.validFor > env.long && seen.validFor < 3 * env.long,
            `${off} stores no time of its own`,
            seen
          )

          const mine = env.lockId()
          const own = yield* shift(Steps.take(env, env.storage, { lockId: mine, ownerId: "ada" }), millis)
          yield* Case.held(
            yield* env.storage.claim({ lockId: mine, ownerId: "bob", holdId: env.holdId(), lease: env.long }),
            `what ${off} took is held for the others`
          )
          const left = yield* Steps.record(env.storage, mine, `what ${off} took is held`)
          yield* Case.that(left.validFor <= Steps.longest(env, env.long), `${off} stores no time of its own`, left)
          // An observed storage estimates times for people by the reader's wall clock; nothing is decided by them.
          yield* Case.that(
            env.guarantees.clock === "observed" ||
              Math.abs(own.record.lockBeginTime - taken.record.lockBeginTime) < day * 500,
            `${off} stores no time of its own`,
            [taken.record, own.record]
          )
          const tokenAfter = yield* Effect.andThen(
            env.storage.release({ lockId: mine, holdId: own.holdId }),
            Steps.take(env, env.storage, { lockId: mine, ownerId: "bob" })
          )
          yield* Case.that(
            tokenAfter.token > own.token && Math.abs(tokenAfter.token - own.token) < day * 500,
            `no token comes from ${off}`,
            [own.token, tokenAfter.token]
          )
        }
      })
  }
]
