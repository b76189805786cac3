/**
 * What operators use: revoke, get, list.
 */
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Stream from "#effect/Stream"
import { revokedHold } from "../LockRecord.js"
import * as Case from "./Case.js"
import * as Steps from "./steps.js"

const listed = (env: Case.Env, prefix = env.prefix) =>
  env.storage.list.pipe(
    Stream.filter(({ record }) => record.lockId.startsWith(prefix)),
    Stream.runCollect
  )

export const cases: ReadonlyArray<Case.Case> = [
  {
    name: "a lock revoked for its lease end blocks everybody until then, and nobody renews or deepens it",
    rule: "revoke-lease-end-blocks",
    run: (env) =>
      Effect.gen(function* () {
        const lockId = env.lockId()
        const taken = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada" })
        const revoked = yield* env.storage.revoke({ lockId, token: taken.token, when: "leaseEnd" })
        yield* Case.that(revoked._tag === "Revoked", "a live hold is revoked by its token", revoked)
        for (const ownerId of ["bob", "ada"]) {
          const held = yield* Case.held(
            yield* env.storage.claim({ lockId, ownerId, holdId: env.holdId(), lease: 2 * env.long }),
            `a revoked lock blocks ${ownerId === "ada" ? "its former owner" : "others"} until the lease ends`
          )
          yield* Case.that(
            held.holder.ownerId === "" && held.holder.token === taken.token,
            "a revoked lock has no owner, and its token",
            held
          )
        }
        yield* Case.held(
          yield* env.storage.claim({ lockId, ownerId: "ada", holdId: taken.holdId, lease: env.long }),
          "a revoked hold is not had back by its hold id"
        )
        const renewal = yield* Steps.renewOne(env.storage, { lockId, holdId: taken.holdId, lease: 2 * env.long })
        yield* Case.that(renewal._tag === "NotHeld", "a revoked hold is not renewed", renewal)
        yield* Case.that(
          renewal._tag === "NotHeld" &&
            renewal.current?.token === taken.token &&
            (renewal.because === "revoked" || renewal.current.holds[0] === revokedHold),
          "NotHeld tells the record of a revoked lock: its holder learns by it that an operator took it away",
          renewal
        )
        const release = yield* env.storage.release({ lockId, holdId: taken.holdId })
        yield* Case.that(release._tag === "NotHeld", "a revoked hold is not released", release)
        const still = yield* Steps.record(
          env.storage,
          lockId,
          "a revoked lock blocks until its lease ends, though its holder released it"
        )
        yield* Case.that(
          still.validFor <= Steps.longest(env, env.long),
          "revocation does not lengthen the lease",
          still
        )
        const again = yield* env.storage.revoke({ lockId, token: taken.token, when: "leaseEnd" })
        yield* Case.that(again._tag === "Revoked", "a revocation that is repeated has the effect of one", again)
        const now = yield* env.storage.revoke({ lockId, token: taken.token, when: "now" })
        yield* Case.that(now._tag === "Revoked", "what blocks until the lease end can still be freed at once", now)
        yield* Steps.take(env, env.storage, { lockId, ownerId: "bob" }, "a lock revoked at once is free")
      })
  },
  {
    name: "a lock revoked for its lease end is free after it",
    rule: "revoke-lease-end-ends",
    run: (env) =>
      Effect.gen(function* () {
        const lockId = env.lockId()
        const before = yield* env.mark
        const taken = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada", lease: env.short })
        const revoked = yield* env.storage.revoke({ lockId, token: taken.token, when: "leaseEnd" })
        const outcome = yield* env.storage.claim({ lockId, ownerId: "bob", holdId: env.holdId(), lease: env.long })
        const { most } = yield* env.since(before)
        if (outcome._tag === "Claimed") {
          yield* Case.that(
            most >= env.short,
            `a revoked lock blocks until its lease ends: it was free within ${most} µs`
          )
          return yield* Steps.tookOver(env, taken, outcome.record)
        }
        yield* Case.that(
          revoked._tag === "Revoked" || most >= env.short,
          "a live hold is revoked by its token",
          revoked
        )
        const held = yield* Case.held(outcome, "a revoked lock blocks until its lease ends")
        yield* Case.that(
          held.retryAfter <= Steps.longest(env, env.short),
          "revocation does not lengthen the lease",
          held.retryAfter
        )
        const next = yield* Steps.takeOver(env, env.storage, {
          lockId,
          ownerId: "bob",
          holdId: env.holdId(),
          lease: env.long
        })
        yield* Case.that(next.record.token > taken.token, "the next holder has a higher token", next.record)
        yield* Steps.tookOver(env, taken, next.record)
      })
  },
  {
    name: "a lock revoked at once is free at once, and its hold is over",
    rule: "revoke-now-frees",
    run: (env) =>
      Effect.gen(function* () {
        const lockId = env.lockId()
        const outer = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada" })
        const inner = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada" })
        const revoked = yield* env.storage.revoke({ lockId, token: outer.token, when: "now" })
        yield* Case.that(revoked._tag === "Revoked", "a live hold is revoked by its token", revoked)
        yield* Steps.isFree(env.storage, lockId, "a lock revoked at once is free at once")
        for (const { holdId } of [outer, inner]) {
          const renewal = yield* Steps.renewOne(env.storage, { lockId, holdId, lease: env.long })
          yield* Case.that(renewal._tag === "NotHeld", "a revoked hold is not renewed", renewal)
          const release = yield* env.storage.release({ lockId, holdId })
          yield* Case.that(release._tag === "NotHeld", "a revoked hold is not released", release)
        }
        const next = yield* Steps.take(
          env,
          env.storage,
          { lockId, ownerId: "bob" },
          "a lock revoked at once is free at once"
        )
        yield* Case.that(next.token > outer.token, "the next holder has a higher token", next.record)
      })
  },
  {
    name: "a revocation by a token that is not the present one does nothing",
    rule: "revoke-by-token",
    run: (env) =>
      Effect.gen(function* () {
        const lockId = env.lockId()
        const former = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada" })
        yield* env.storage.release(former)
        const idle = yield* env.storage.revoke({ lockId, token: former.token, when: "now" })
        yield* Case.that(idle._tag === "NotHeld", "a free lock is not revoked", idle)
        const present = yield* Steps.take(env, env.storage, { lockId, ownerId: "bob" })
        for (const when of ["leaseEnd", "now"] as const) {
          for (const token of [former.token, present.token + 1]) {
            const outcome = yield* env.storage.revoke({ lockId, token, when })
            yield* Case.that(outcome._tag === "NotHeld", "a revocation by a former token is NotHeld", outcome)
          }
        }
        const still = yield* Steps.record(
          env.storage,
          lockId,
          "a revocation by a former token does not harm the present holder"
        )
        yield* Case.that(
          still.record.version === present.record.version,
          "a revocation by a former token changes nothing",
          still.record
        )
        const never = yield* env.storage.revoke({ lockId: env.lockId("never"), token: 1, when: "now" })
        yield* Case.that(never._tag === "NotHeld", "a lock that was never claimed is not revoked", never)
      })
  },
  {
    name: "get tells who holds a lock, and nothing of a free one",
    rule: "get",
    run: (env) =>
      Effect.gen(function* () {
        const lockId = env.lockId()
        yield* Steps.isFree(env.storage, lockId, "nobody holds a lock that was never claimed")
        const taken = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada" })
        const seen = yield* Steps.record(env.storage, lockId, "a lock that was claimed is held")
        const { record } = seen
        yield* Case.that(
          record.lockId === lockId &&
            record.ownerId === "ada" &&
            record.token === taken.token &&
            record.version === taken.record.version &&
            record.holds.length === 1 &&
            record.holds[0] === taken.holdId &&
            record.kind === env.kind,
          "get tells the record as the claim told it",
          { claimed: taken.record, got: record }
        )
        yield* Case.that(
          env.guarantees.clock === "observed" ||
            (record.leaseExpireTime === taken.record.leaseExpireTime &&
              record.lockBeginTime === taken.record.lockBeginTime),
          "get tells begin and lease end as the claim told them",
          { claimed: taken.record, got: record }
        )
        yield* env.storage.release({ lockId, holdId: taken.holdId })
        yield* Steps.isFree(env.storage, lockId, "nobody holds a released lock")
        const expired = yield* Steps.take(env, env.storage, { lockId: env.lockId(), ownerId: "ada", lease: env.short })
        yield* Steps.untilFree(env, env.storage, expired.lockId)
      })
  },
  {
    name: "list shows every held lock once, page after page, and no free one",
    rule: "list",
    run: (env) =>
      Effect.gen(function* () {
        const strange = ["a%b", "it's", "\u3042", "Foo", "foo", "foo ", "back\\slash"].map((text) => env.lockId(text))
        const ids = [...Array.from({ length: env.times(250) }, (_, i) => env.lockId(`${i}`)), ...strange]
        const taken = yield* Effect.forEach(
          ids,
          (lockId, i) => Steps.take(env, env.storage, { lockId, ownerId: `owner-${i}` }),
          { concurrency: 8 }
        )
        const freed = taken.filter((_, i) => i % 10 === 3)
        yield* Effect.forEach(freed, (hold) => env.storage.release(hold), { concurrency: 8, discard: true })
        const expired = yield* Steps.take(env, env.storage, {
          lockId: env.lockId("expired"),
          ownerId: "ada",
          lease: env.short
        })
        yield* Steps.untilFree(env, env.storage, expired.lockId)
        const free = new Set([...freed.map(({ lockId }) => lockId), expired.lockId])
        const found = yield* listed(env)
        const seen = new Map(found.map((snapshot) => [snapshot.record.lockId, snapshot]))
        yield* Case.that(seen.size === found.length, "list shows no lock twice", found.length - seen.size)
        for (const { lockId, ownerId, token } of taken) {
          const snapshot = seen.get(lockId)
          if (free.has(lockId)) {
            yield* Case.that(snapshot === undefined, "list shows no free lock", snapshot)
          } else {
            yield* Case.that(
              snapshot !== undefined,
              `list shows every held lock: ${JSON.stringify(lockId)} is missing among ${found.length}`
            )
            yield* Case.that(
              snapshot!.record.ownerId === ownerId && snapshot!.record.token === token,
              "list tells each record",
              snapshot
            )
            yield* Case.that(
              snapshot!.validFor > 0 && snapshot!.validFor <= Steps.longest(env, env.long),
              "list tells what is left of each lease",
              snapshot
            )
          }
        }
        yield* Case.that(!seen.has(expired.lockId), "list shows no expired lock", seen.get(expired.lockId))
        yield* Case.that(
          found.length === taken.length - freed.length,
          "list shows what is held, and nothing else",
          found.length
        )
        // Read only as far as wanted, then again from the start: a stream that is cut short leaves the storage usable.
        const some = yield* env.storage.list.pipe(Stream.take(3), Stream.runCount)
        yield* Case.that(some === 3, "list can be read in part", some)
        const again = yield* listed(env)
        yield* Case.that(again.length === found.length, "list can be read again", again.length)
        yield* Case.that(Option.isSome(yield* env.storage.get(ids[0]!)), "and changes nothing")
      })
  }
]
