/**
 * Renew and release: they act on one hold, and a late or repeated one harms nobody.
 */
import * as Effect from "#effect/Effect"
import * as Case from "./Case.js"
import * as Steps from "./steps.js"

export const cases: ReadonlyArray<Case.Case> = [
  {
    name: "a release that is repeated while a sibling lives frees nothing of the sibling",
    rule: "release-frees-one-hold",
    run: (env) =>
      Effect.gen(function* () {
        const lockId = env.lockId()
        const outer = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada" })
        const inner = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada" })
        const first = yield* env.storage.release({ lockId, holdId: inner.holdId })
        yield* Case.that(
          first._tag === "Released" && first.remaining === 1,
          "the inner release leaves the outer hold",
          first
        )
        for (let i = 0; i < 3; i++) {
          const again = yield* env.storage.release({ lockId, holdId: inner.holdId })
          yield* Case.that(again._tag === "NotHeld", "a hold is released once", again)
        }
        const still = yield* Steps.record(env.storage, lockId, "a repeated release frees nothing of a sibling")
        yield* Case.that(
          still.record.holds.length === 1 && still.record.holds[0] === outer.holdId,
          "the outer hold lives",
          still
        )
      })
  },
  {
    name: "a hold of an owner is not released by another hold id, though the owner is the same",
    rule: "release-by-hold-id",
    run: (env) =>
      Effect.gen(function* () {
        const lockId = env.lockId()
        const mine = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada" })
        const swapped = mine.holdId.replace(/[a-z]/gi, (letter) =>
          letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase()
        )
        for (const holdId of [env.holdId(), swapped, Array.from(mine.holdId).reverse().join("")]) {
          const renewal = yield* Steps.renewOne(env.storage, { lockId, holdId, lease: 2 * env.long })
          yield* Case.that(renewal._tag === "NotHeld", "a foreign hold id renews nothing", { holdId, renewal })
          const outcome = yield* env.storage.release({ lockId, holdId })
          yield* Case.that(outcome._tag === "NotHeld", "a foreign hold id releases nothing", { holdId, outcome })
        }
        yield* Steps.record(env.storage, lockId, "a foreign hold id releases nothing")
      })
  },
  {
    name: "a release by a former hold never frees the owner's new hold",
    rule: "former-hold-of-same-owner",
    run: (env) =>
      Effect.gen(function* () {
        const lockId = env.lockId()
        const former = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada", lease: env.short })
        yield* Steps.untilFree(env, env.storage, lockId)
        const next = yield* Steps.takeOver(env, env.storage, {
          lockId,
          ownerId: "ada",
          holdId: env.holdId(),
          lease: env.long
        })
        yield* Case.that(
          next.record.token > former.token,
          "a hold after the end of a lease is a new hold with a new token",
          next.record
        )
        yield* Case.that(next.record.holds.length === 1, "the expired hold is not in the new record", next.record)
        const late = yield* env.storage.release({ lockId, holdId: former.holdId })
        yield* Case.that(late._tag === "NotHeld", "a late release of a former hold is NotHeld", late)
        const still = yield* Steps.record(env.storage, lockId, "a late release never frees the owner's new hold")
        yield* Case.that(
          still.record.holds[0] === next.record.holds[0] && still.record.holds.length === 1,
          "the new hold lives",
          still
        )
        const renewal = yield* Steps.renewOne(env.storage, { lockId, holdId: former.holdId, lease: env.long })
        yield* Case.that(
          renewal._tag === "NotHeld",
          "a former hold is not renewed, though its owner holds the lock again",
          renewal
        )
      })
  },
  {
    name: "a late release or renew never touches a successor",
    rule: "late-never-touches-successor",
    run: (env) =>
      Effect.gen(function* () {
        const lockId = env.lockId()
        const other = yield* env.connect
        const former = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada", lease: env.short })
        const next = yield* Steps.takeOver(env, other, {
          lockId,
          ownerId: "bob",
          holdId: env.holdId(),
          lease: env.long
        })
        for (const storage of [env.storage, other]) {
          const renewal = yield* Steps.renewOne(storage, { lockId, holdId: former.holdId, lease: 3 * env.long })
          yield* Case.that(renewal._tag === "NotHeld", "the renewal of a hold that was taken over is NotHeld", renewal)
          yield* Case.that(
            renewal._tag === "NotHeld" &&
              renewal.current?.ownerId === "bob" &&
              renewal.current.token === next.record.token,
            "NotHeld names who has the lock now",
            renewal
          )
          const release = yield* storage.release({ lockId, holdId: former.holdId })
          yield* Case.that(release._tag === "NotHeld", "the release of a hold that was taken over is NotHeld", release)
        }
        const still = yield* Steps.record(other, lockId, "a late release never frees the next holder")
        yield* Case.that(
          still.record.version === next.record.version &&
            still.record.token === next.record.token &&
            still.record.ownerId === "bob" &&
            still.validFor <= Steps.longest(env, env.long),
          "the successor's record is untouched",
          { before: next.record, after: still }
        )
      })
  },
  {
    name: "an expired hold is not renewed",
    rule: "no-renewal-after-expiry",
    run: (env) =>
      Effect.gen(function* () {
        const lockId = env.lockId()
        const former = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada", lease: env.short })
        yield* Steps.untilFree(env, env.storage, lockId)
        const renewal = yield* Steps.renewOne(env.storage, { lockId, holdId: former.holdId, lease: env.long })
        yield* Case.that(renewal._tag === "NotHeld", "the renewal of an expired hold is NotHeld", renewal)
        yield* Case.that(
          renewal._tag === "NotHeld" && renewal.current?.token === former.token,
          "NotHeld tells the record of an expired hold: its holder learns by it that its time was over, and that nothing was taken away",
          renewal
        )
        yield* Steps.isFree(env.storage, lockId, "a refused renewal brings no hold back")
      })
  },
  {
    name: "a released hold is not renewed",
    rule: "no-renewal-after-release",
    run: (env) =>
      Effect.gen(function* () {
        const lockId = env.lockId()
        const former = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada" })
        yield* env.storage.release({ lockId, holdId: former.holdId })
        const first = yield* Steps.renewOne(env.storage, { lockId, holdId: former.holdId, lease: env.long })
        yield* Case.that(first._tag === "NotHeld", "the renewal of a released hold is NotHeld", first)
        yield* Case.that(
          first._tag === "NotHeld" && first.current?.token === former.token && first.current.holds.length === 0,
          "NotHeld tells the record of a free lock: its holder learns by it that the lock was freed, not forgotten",
          first
        )
        yield* Steps.isFree(env.storage, lockId, "a refused renewal brings no hold back")
        const next = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada" })
        const second = yield* Steps.renewOne(env.storage, { lockId, holdId: former.holdId, lease: env.long })
        yield* Case.that(
          second._tag === "NotHeld" && second.current?.token === next.token,
          "a released hold is not renewed by its owner's next one, and NotHeld tells the present record",
          second
        )
        const never = yield* Steps.renewOne(env.storage, {
          lockId: env.lockId("never"),
          holdId: env.holdId(),
          lease: env.long
        })
        yield* Case.that(
          never._tag === "NotHeld" && never.current === undefined,
          "a lock that was never claimed has no record",
          never
        )
        const gone = yield* env.storage.release({ lockId: env.lockId("never"), holdId: env.holdId() })
        yield* Case.that(gone._tag === "NotHeld", "a lock that was never claimed is not released", gone)
      })
  },
  {
    name: "renew of many answers each, in order, held or not, one lock twice",
    rule: "renew-many-in-order",
    run: (env) =>
      Effect.gen(function* () {
        const [a, b, c] = [env.lockId("a"), env.lockId("b"), env.lockId("c")] as const
        const a1 = yield* Steps.take(env, env.storage, { lockId: a, ownerId: "ada" })
        const a2 = yield* Steps.take(env, env.storage, { lockId: a, ownerId: "ada" })
        const b1 = yield* Steps.take(env, env.storage, { lockId: b, ownerId: "bob" })
        const lease = 2 * env.long
        const outcomes = yield* env.storage.renew([
          { lockId: b, holdId: env.holdId(), lease },
          { lockId: a, holdId: a2.holdId, lease },
          { lockId: c, holdId: env.holdId(), lease },
          { lockId: b, holdId: b1.holdId, lease },
          { lockId: b, holdId: a1.holdId, lease },
          { lockId: a, holdId: a1.holdId, lease: 3 * env.long }
        ])
        const tags = outcomes.map(({ _tag }) => _tag).join(" ")
        yield* Case.that(
          tags === "NotHeld Renewed NotHeld Renewed NotHeld Renewed",
          "one outcome each, in the order of the requests",
          outcomes
        )
        const first = outcomes[0]!
        yield* Case.that(
          first._tag === "NotHeld" && first.current?.ownerId === "bob",
          "NotHeld names the present holder",
          first
        )
        for (const outcome of outcomes) {
          if (outcome._tag !== "Renewed") continue
          yield* Case.that(
            outcome.validFor > lease - Steps.clockSlack - env.long / 2 &&
              outcome.validFor <= Steps.longest(env, 3 * env.long),
            "a renewal tells how long the hold is valid",
            outcome
          )
        }
        const after = yield* Steps.record(env.storage, a, "a renewed lock is held")
        yield* Case.that(
          after.record.version > a2.record.version,
          "a renewal is a change: the version grows",
          after.record
        )
        yield* Case.that(
          after.record.holds.length === 2 && after.record.token === a1.token,
          "a renewal changes neither holds nor token",
          after.record
        )
        yield* Case.that(
          after.validFor > 2 * env.long + env.long / 2,
          "the longer of two leases counts",
          after.validFor
        )
        yield* Steps.isFree(env.storage, c, "a renewal never makes a hold")
      })
  },
  {
    name: "renew of none answers nothing, and of many each",
    rule: "renew-many-in-order",
    run: (env) =>
      Effect.gen(function* () {
        const none = yield* env.storage.renew([])
        yield* Case.that(none.length === 0, "no request, no outcome", none)
        const count = env.times(250)
        const held = yield* Effect.forEach(
          Array.from({ length: count }, (_, i) => i),
          (i) =>
            i % 5 === 4
              ? Effect.succeed({ lockId: env.lockId(`free-${i}`), holdId: env.holdId() })
              : Steps.take(env, env.storage, { lockId: env.lockId(`held-${i}`), ownerId: `owner-${i}` }),
          { concurrency: 8 }
        )
        const lease = 2 * env.long
        const outcomes = yield* env.storage.renew(held.map(({ holdId, lockId }) => ({ lockId, holdId, lease })))
        yield* Case.that(outcomes.length === count, "one outcome each", outcomes.length)
        for (let i = 0; i < count; i++) {
          const outcome = outcomes[i]!
          yield* Case.that(
            outcome._tag === (i % 5 === 4 ? "NotHeld" : "Renewed"),
            `the outcome at ${i} is the one of the request at ${i}`,
            outcome
          )
        }
        const last = yield* Steps.record(
          env.storage,
          held.filter((_, i) => i % 5 !== 4).at(-1)!.lockId,
          "a renewed lock is held"
        )
        yield* Case.that(last.validFor > env.long * 1.5, "each of many is renewed", last)
      })
  }
]
