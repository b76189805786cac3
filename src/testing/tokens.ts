/**
 * Tokens and versions: they only grow, whatever happens to the lock.
 */
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Case from "./Case.js"
import * as Steps from "./steps.js"

const below = 2 ** 53

/** Claims, and checks the new record against the last one of this lock. */
const next = (env: Case.Env, last: Steps.Taken, how: string, ownerId = "bob") =>
  Effect.gen(function* () {
    const record = (yield* Steps.takeOver(env, env.storage, {
      lockId: last.lockId,
      ownerId,
      holdId: env.holdId(),
      lease: env.short
    })).record
    yield* Case.that(record.token > last.token, `tokens grow over ${how}`, [last.token, record.token])
    yield* Case.that(record.version > last.record.version, `versions grow over ${how}`, [
      last.record.version,
      record.version
    ])
    yield* Case.that(
      record.token < below && Number.isSafeInteger(record.token),
      "a token is an integer below 2^53",
      record.token
    )
    return { ...last, ownerId, holdId: record.holds[0]!, record, token: record.token }
  })

export const cases: ReadonlyArray<Case.Case> = [
  {
    name: "tokens and versions grow over release, takeover and revocation",
    rule: "tokens-grow",
    run: (env) =>
      Effect.gen(function* () {
        let last = yield* Steps.take(env, env.storage, { lockId: env.lockId(), ownerId: "ada", lease: env.short })
        for (let i = 0; i < 5; i++) {
          yield* env.storage.release(last)
          last = yield* next(env, last, "a release", i % 2 === 0 ? "bob" : "ada")
        }
        last = yield* next(env, last, "a takeover", "cyd")
        yield* Steps.untilFree(env, env.storage, last.lockId)
        last = yield* next(env, last, "the owner's own return", "cyd")
        yield* env.storage.revoke({ lockId: last.lockId, token: last.token, when: "now" })
        last = yield* next(env, last, "a revocation", "ada")
        yield* env.storage.revoke({ lockId: last.lockId, token: last.token, when: "leaseEnd" })
        yield* next(env, last, "a revocation at the lease end", "bob")
      })
  },
  {
    name: "tokens and versions grow over purge",
    rule: "tokens-grow-over-purge",
    run: (env) =>
      Effect.gen(function* () {
        const released = yield* Steps.take(env, env.storage, {
          lockId: env.lockId("released"),
          ownerId: "ada",
          lease: env.short
        })
        const expired = yield* Steps.take(env, env.storage, {
          lockId: env.lockId("expired"),
          ownerId: "ada",
          lease: env.short
        })
        yield* env.storage.release(released)
        if (env.hooks.advance !== undefined) {
          yield* env.storage.get(expired.lockId)
          yield* env.pass(3 * 3_600_000_000)
        }
        const dropped = yield* env.storage.purge(env.hooks.advance === undefined ? 0 : Duration.hours(1))
        if (env.guarantees.clock === "observed") {
          yield* Case.that(dropped === 0, "a storage without a clock drops nothing", dropped)
        } else if (env.hooks.advance !== undefined) {
          yield* Case.that(dropped >= 2, "purge drops what has been free for longer, and says how many", dropped)
        }
        yield* next(env, released, "purge")
        yield* next(env, expired, "purge")
      })
  },
  {
    name: "purge never drops a lock that is held",
    rule: "purge-spares-live",
    run: (env) =>
      Effect.gen(function* () {
        const lease =
          Math.ceil((10 * 3_600_000_000) / env.guarantees.leaseGranularity) * env.guarantees.leaseGranularity
        const taken = yield* Steps.take(env, env.storage, { lockId: env.lockId(), ownerId: "ada", lease })
        yield* env.storage.purge(0)
        yield* Steps.record(env.storage, taken.lockId, "purge never drops a lock that is held")
        if (env.hooks.advance !== undefined) {
          yield* env.pass(5 * 3_600_000_000)
          yield* env.storage.purge(Duration.hours(1))
        }
        const still = yield* Steps.record(env.storage, taken.lockId, "purge never drops a lock that is held")
        yield* Case.that(still.record.version === taken.record.version, "purge leaves a held lock as it is", still)
        const renewal = yield* Steps.renewOne(env.storage, { lockId: taken.lockId, holdId: taken.holdId, lease })
        yield* Steps.renewed(renewal, "a hold survives purge")
      })
  },
  {
    name: "purge keeps a freed record for at least an hour, whatever it is asked",
    rule: "purge-keeps-an-hour",
    needs: "advance",
    run: (env) =>
      Effect.gen(function* () {
        if (env.guarantees.clock === "observed") return yield* Case.skip("a storage without a clock drops nothing")
        // First out with what other cases have left, so that the counts below are of this lock.
        yield* env.pass(3 * 3_600_000_000)
        yield* env.storage.purge(0)
        const taken = yield* Steps.take(env, env.storage, { lockId: env.lockId(), ownerId: "ada", lease: env.short })
        yield* env.storage.release(taken)
        yield* env.pass(env.short + 50 * 60_000_000)
        const early = yield* env.storage.purge(0)
        yield* Case.that(early === 0, "nothing is dropped within the hour", early)
        yield* env.pass(15 * 60_000_000)
        const late = yield* env.storage.purge(0)
        yield* Case.that(late >= 1, "it is dropped after the hour", late)
      })
  },
  {
    name: "every change of a record gives it a higher version, and reading gives none",
    rule: "versions-grow",
    run: (env) =>
      Effect.gen(function* () {
        const lockId = env.lockId()
        const outer = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada" })
        let version = outer.record.version
        const grew = (what: string) =>
          Effect.gen(function* () {
            const { record } = yield* Steps.record(env.storage, lockId, `${what}: the lock is held`)
            yield* Case.that(record.version > version, `${what} is a change: the version grows`, [
              version,
              record.version
            ])
            version = record.version
            yield* Effect.scoped(Effect.flatMap(env.connect, (other) => other.get(lockId)))
            const again = yield* Steps.record(env.storage, lockId, `${what}: the lock is held`)
            yield* Case.that(again.record.version === version, "reading changes nothing", again.record)
          })
        const inner = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada" })
        yield* grew("a deeper hold")
        yield* Steps.renewOne(env.storage, { lockId, holdId: outer.holdId, lease: env.long })
        yield* grew("a renewal")
        yield* env.storage.release({ lockId, holdId: inner.holdId })
        yield* grew("a release of one of two holds")
        yield* env.storage.revoke({ lockId, token: outer.token, when: "leaseEnd" })
        yield* grew("a revocation")
      })
  }
]
