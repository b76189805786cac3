/**
 * What may come to stand in the data, or be gone from it: a token of the future, after a clock that stepped back; no record at all, after an eviction or a flush;
 * a record of an older state, after a restore or a failover. Written by the smaller port over the same data.
 */
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as LockRecord from "../LockRecord.js"
import type * as VersionedStore from "../VersionedStore.js"
import * as Case from "./Case.js"
import * as Steps from "./steps.js"

const hour = 3_600_000_000

/** Puts a record in place of whatever is there. */
const put = (
  store: VersionedStore.Service,
  lockId: string,
  change: (before: LockRecord.LockRecord) => LockRecord.LockRecord
) =>
  Effect.gen(function* () {
    const before = Option.getOrUndefined(yield* store.get(lockId))
    if (before === undefined)
      return yield* Case.fail('the smaller port shows the record of a held lock: "versioned" is not over the same data')
    const next = change(before)
    yield* store.update(lockId, before.version, next)
    return next
  })

const forget = (store: VersionedStore.Service, lockId: string) =>
  Effect.gen(function* () {
    const found = Option.getOrUndefined(yield* store.get(lockId))
    if (found === undefined)
      return yield* Case.fail('the smaller port shows the record of a held lock: "versioned" is not over the same data')
    yield* store.delete(lockId, found.version)
  })

const isSame = (a: LockRecord.LockRecord, b: LockRecord.LockRecord): boolean =>
  a.kind === b.kind &&
  a.ownerId === b.ownerId &&
  a.ownerLabel === b.ownerLabel &&
  a.holds.join() === b.holds.join() &&
  a.token === b.token &&
  a.version === b.version &&
  a.leaseExpireTime === b.leaseExpireTime &&
  a.data === b.data

/** A lease that is over; where leases are observed, one that is short. */
const over = (env: Case.Env, record: LockRecord.LockRecord) =>
  env.guarantees.clock === "observed"
    ? { lockBeginTime: 0, leaseExpireTime: env.short }
    : { lockBeginTime: record.lockBeginTime - 2 * hour, leaseExpireTime: record.lockBeginTime - hour }

const gone = (renewal: LockRecord.RenewOutcome, when: string) =>
  Case.that(
    renewal._tag === "NotHeld" && renewal.current === undefined,
    `a hold whose record is gone is not held, and there is no record to tell (${when})`,
    renewal
  )

export const cases: ReadonlyArray<Case.Case> = [
  {
    name: "a record with a token of the future, free or expired, is taken over with the next token",
    rule: "future-token",
    needs: "versioned",
    run: (env) =>
      Effect.gen(function* () {
        const store = yield* env.versioned!
        for (const left of ["free", "expired"] as const) {
          const taken = yield* Steps.take(env, env.storage, { lockId: env.lockId(left), ownerId: "ada" })
          const { lockId } = taken
          const future = taken.token + 10 * hour
          const stored = yield* put(store, lockId, (before) => ({
            ...before,
            ...over(env, before),
            token: future,
            version: before.version + 10 * hour,
            ...(left === "free" ? { holds: [], ownerId: "" } : {})
          }))
          const promise = `a lock that is ${left}, with a token of the future`
          const next = yield* Steps.takeOver(env, env.storage, {
            lockId,
            ownerId: "bob",
            holdId: env.holdId(),
            lease: env.long
          })
          yield* Case.that(
            next.record.token === future + 1,
            `${promise}: the next hold has the next token, ${future + 1}`,
            next.record
          )
          yield* Case.that(next.record.version > stored.version, `${promise}: versions grow`, [
            stored.version,
            next.record.version
          ])
          const seen = yield* Steps.record(env.storage, lockId, `${promise}: the next hold has it`)
          yield* Case.that(
            seen.record.token === future + 1 && seen.record.ownerId === "bob",
            `${promise}: the token is kept as it was told`,
            seen.record
          )
          const hold = { lockId, holdId: next.record.holds[0]!, lease: env.long }
          yield* Steps.renewed(yield* Steps.renewOne(env.storage, hold), `${promise}: the next hold is renewed`)
          const release = yield* env.storage.release(hold)
          yield* Case.that(release._tag === "Released", `${promise}: the next hold is released`, release)
          const last = yield* Steps.take(env, env.storage, { lockId, ownerId: "cyd" })
          yield* Case.that(last.token === future + 2, `${promise}: tokens go on from there`, last.record)
          const revoked = yield* env.storage.revoke({ lockId, token: last.token, when: "now" })
          yield* Case.that(revoked._tag === "Revoked", `${promise}: it is revoked by its token`, revoked)
        }
      })
  },
  {
    name: "a hold whose record was forgotten is over, and nothing brings it back",
    rule: "forgotten-record",
    needs: "versioned",
    run: (env) =>
      Effect.gen(function* () {
        const store = yield* env.versioned!
        const { storage } = env
        const lockId = env.lockId("forgotten")
        const outer = yield* Steps.take(env, storage, { lockId, ownerId: "ada" })
        const inner = yield* Steps.take(env, storage, { lockId, ownerId: "ada" })
        const other = yield* Steps.take(env, storage, { lockId: env.lockId("kept"), ownerId: "ada" })
        yield* forget(store, lockId)
        const outcomes = yield* storage.renew(
          [outer, other, inner].map(({ holdId, lockId }) => ({ lockId, holdId, lease: env.long }))
        )
        const [first, kept, second] = outcomes as ReadonlyArray<LockRecord.RenewOutcome>
        yield* gone(first!, "renewed among others")
        yield* gone(second!, "a deeper hold, renewed among others")
        yield* Steps.renewed(kept!, "a hold beside it is renewed")
        yield* gone(yield* Steps.renewOne(storage, { ...outer, lease: env.long }), "renewed alone")
        yield* Steps.isFree(storage, lockId, "a renewal does not write a forgotten record again")
        const release = yield* storage.release(outer)
        yield* Case.that(release._tag === "NotHeld", "a hold whose record is gone is not released", release)
        const revoke = yield* storage.revoke({ lockId, token: outer.token, when: "leaseEnd" })
        yield* Case.that(revoke._tag === "NotHeld", "a hold whose record is gone is not revoked", revoke)
        yield* Steps.isFree(storage, lockId, "neither release nor revocation writes a forgotten record again")

        // So that a clock that is only moved by the kit has gone on, as every other has.
        yield* env.pass(2_000)
        const next = yield* Steps.take(
          env,
          storage,
          { lockId, ownerId: "bob" },
          "a lock whose record was forgotten is free"
        )
        if (env.guarantees.clock === "storage") {
          yield* Case.that(
            next.token > outer.token,
            "the clock keeps tokens growing over a record that was forgotten",
            [outer.token, next.token]
          )
        }
        for (const former of [outer, inner]) {
          const late = yield* Steps.renewOne(storage, { ...former, lease: env.long })
          yield* Case.that(
            late._tag === "NotHeld" && late.current?.ownerId === "bob" && late.current.token === next.token,
            "a former hold is told who has the lock since",
            late
          )
          const released = yield* storage.release(former)
          yield* Case.that(released._tag === "NotHeld", "a former hold releases nothing of the next one", released)
        }
        const still = yield* Steps.record(storage, lockId, "the next hold lives")
        yield* Case.that(still.record.version === next.record.version, "the next hold is untouched", still.record)
      })
  },
  {
    name: "a hold that is not in a record of an older state is told that record",
    rule: "restored-record",
    needs: "versioned",
    run: (env) =>
      Effect.gen(function* () {
        const store = yield* env.versioned!
        const lockId = env.lockId()
        const taken = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada" })
        const former = env.holdId()
        const restored = yield* put(store, lockId, (before) => ({
          ...before,
          ownerId: "eve",
          holds: [former],
          token: before.token - 5,
          version: before.version + 1
        }))
        const renewal = yield* Steps.renewOne(env.storage, { lockId, holdId: taken.holdId, lease: env.long })
        yield* Case.that(
          renewal._tag === "NotHeld" && renewal.current?.ownerId === "eve" && renewal.current.token === restored.token,
          "NotHeld tells the record that there is, though it is older than the hold",
          renewal
        )
        const release = yield* env.storage.release(taken)
        yield* Case.that(release._tag === "NotHeld", "a hold that is not in the record is not released", release)
        yield* Steps.renewed(
          yield* Steps.renewOne(env.storage, { lockId, holdId: former, lease: env.long }),
          "the hold that is in the record is renewed, whenever it was taken"
        )
      })
  },
  {
    name: "a record of another kind is left as it is, by claims, renewals, releases and revocations",
    rule: "other-kinds",
    needs: "versioned",
    run: (env) =>
      Effect.gen(function* () {
        const store = yield* env.versioned!
        const { storage } = env
        // So many at once that a storage which sends requests together does so.
        const together = { concurrency: "unbounded" } as const
        const ids = Array.from({ length: 24 }, (_, i) => env.lockId(`${i}`))
        const kind = env.kind === LockRecord.exclusive ? "permits" : LockRecord.exclusive
        const others = yield* Effect.forEach(ids, (lockId) =>
          Effect.gen(function* () {
            const taken = yield* Steps.take(env, storage, { lockId, ownerId: "ada" })
            const left = yield* put(store, lockId, (before) => ({ ...before, kind, version: before.version + 1 }))
            return { taken, left }
          })
        )
        yield* Effect.addFinalizer(() => Effect.ignore(Effect.forEach(ids, (lockId) => forget(store, lockId))))
        const unchanged = (by: string) =>
          Effect.forEach(
            others,
            ({ left }) =>
              Effect.flatMap(store.get(left.lockId), (found) =>
                Case.that(
                  Option.isSome(found) && isSame(found.value, left),
                  `${by} leaves a record of another kind as it is`,
                  { before: left, after: found }
                )
              ),
            { ...together, discard: true }
          )
        const notHeld = (answers: ReadonlyArray<{ readonly _tag: string }>, by: string): Effect.Effect<void, unknown> =>
          Case.that(
            answers.every(({ _tag }) => _tag === "NotHeld"),
            `${by} of a record of another kind is NotHeld`,
            answers
          ).pipe(Effect.andThen(unchanged(by)))

        for (const again of [true, false]) {
          const outcomes = yield* Effect.forEach(
            others,
            ({ taken: { holdId, lockId } }) =>
              storage.claim({ lockId, ownerId: "ada", holdId: again ? holdId : env.holdId(), lease: 2 * env.long }),
            together
          )
          yield* Case.that(
            outcomes.every(({ _tag }) => _tag === "Held"),
            "a record of another kind is held, whoever claims",
            outcomes
          )
          yield* unchanged("a claim")
        }
        const renewals = others.map(({ taken: { holdId, lockId } }) => ({ lockId, holdId, lease: 2 * env.long }))
        yield* notHeld([yield* Steps.renewOne(storage, renewals[0]!)], "a renewal")
        const beside = yield* Steps.take(env, storage, { lockId: env.lockId("beside"), ownerId: "ada" })
        const [own, ...rest] = yield* storage.renew([{ ...beside, lease: 2 * env.long }, ...renewals])
        yield* Steps.renewed(own as LockRecord.RenewOutcome, "a hold that is renewed beside records of other kinds")
        yield* notHeld(rest, "a renewal of many")
        yield* notHeld([yield* storage.release(others[0]!.taken)], "a release")
        yield* notHeld(
          yield* Effect.forEach(others, ({ taken }) => storage.release(taken), together),
          "a release of many"
        )
        for (const when of ["leaseEnd", "now"] as const)
          yield* notHeld(
            yield* Effect.forEach(
              others,
              ({ left: { lockId, token } }) => storage.revoke({ lockId, token, when }),
              together
            ),
            `a revocation (${when})`
          )
      })
  }
]
