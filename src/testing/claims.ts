/**
 * Claim: who gets the lock, what the others are told, and how an owner holds it several times.
 */
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Stream from "#effect/Stream"
import type * as LockRecord from "../LockRecord.js"
import * as Case from "./Case.js"
import * as Steps from "./steps.js"

export const cases: ReadonlyArray<Case.Case> = [
  {
    name: "a free lock is given to who claims it, and the answer tells owner, holds, lease and token",
    rule: "claim-free",
    run: (env) =>
      Effect.gen(function* () {
        const lockId = env.lockId()
        const { holdId, record, token, validFor } = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada" })
        yield* Case.that(record.lockId === lockId, "the record has the lock's own id", record.lockId)
        yield* Case.that(record.ownerId === "ada", "the record names the owner", record.ownerId)
        yield* Case.that(
          record.holds.length === 1 && record.holds[0] === holdId,
          "the record has this hold alone",
          record.holds
        )
        yield* Case.that(
          Number.isSafeInteger(token) && token > 0 && Number.isSafeInteger(record.version) && record.version > 0,
          "token and version are positive integers below 2^53",
          record
        )
        yield* Case.that(record.kind === env.kind && record.format >= 1, "the record says its kind and format", record)
        yield* Case.that(
          validFor >= env.long && validFor <= env.long + env.guarantees.leaseGranularity,
          `a new hold is valid for its whole lease, ${env.long} µs, and no longer`,
          validFor
        )
        if (env.guarantees.clock === "storage") {
          yield* Case.that(
            record.leaseExpireTime - record.lockBeginTime === validFor,
            "begin, lease end and validFor of a new hold come from one sample of the clock",
            { ...record, validFor }
          )
        }
      })
  },
  {
    name: "the owner's label is kept beside the owner, told to everybody, and decides nothing",
    rule: "owner-label",
    run: (env) =>
      Effect.gen(function* () {
        const lockId = env.lockId()
        const label = "host-7 pid 4711, 'é\" \\ \u{1F512}'"
        const lease = env.long
        const told = (record: LockRecord.LockRecord) =>
          Case.that(record.ownerLabel === label, "the record has the label of who claimed it", record)
        const first = yield* Case.claimed(
          yield* env.storage.claim({ lockId, ownerId: "ada", holdId: env.holdId(), lease, ownerLabel: label }),
          "a free lock is given to who claims it"
        )
        yield* told(first.record)
        const deeper = yield* Case.claimed(
          yield* env.storage.claim({ lockId, ownerId: "ada", holdId: env.holdId(), lease, ownerLabel: "another" }),
          "another label of the same owner keeps nobody out"
        )
        yield* told(deeper.record)
        const held = yield* Case.held(
          yield* env.storage.claim({ lockId, ownerId: "bob", holdId: env.holdId(), lease, ownerLabel: label }),
          "the same label lets nobody in"
        )
        yield* told(held.holder)
        yield* told((yield* Steps.record(env.storage, lockId, "the lock is held")).record)
        const listed = yield* env.storage.list.pipe(
          Stream.filter(({ record }) => record.lockId === lockId),
          Stream.runHead
        )
        if (Option.isNone(listed)) return yield* Case.fail("a held lock is listed")
        yield* told(listed.value.record)
        yield* env.storage.revoke({ lockId, token: first.record.token, when: "now" })
        const plain = { lockId, ownerId: "cyd", holdId: env.holdId(), lease }
        const next = yield* Case.claimed(yield* env.storage.claim(plain), "a freed lock is given to who claims it")
        yield* Case.that(!next.record.ownerLabel, "a label does not outlive its hold", next.record)
        yield* env.storage.release(plain)
        const last = yield* Case.claimed(
          yield* env.storage.claim({ lockId, ownerId: "dan", holdId: env.holdId(), lease, ownerLabel: label }),
          "a freed lock is given to who claims it"
        )
        yield* told(last.record)
        yield* env.storage.revoke({ lockId, token: last.record.token, when: "leaseEnd" })
        const revoked = yield* Steps.record(env.storage, lockId, "a lock that was revoked for its lease end blocks")
        yield* Case.that(!revoked.record.ownerLabel, "what is nobody's any more has nobody's label", revoked.record)
      })
  },
  {
    name: "a claim of a held lock is answered with its holder and the time to come again",
    rule: "held-names-holder",
    run: (env) =>
      Effect.gen(function* () {
        const lockId = env.lockId()
        const holder = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada" })
        const outcome = yield* env.storage.claim({ lockId, ownerId: "bob", holdId: env.holdId(), lease: env.long })
        const held = yield* Case.held(outcome, "a held lock is not given to another owner")
        yield* Case.that(
          held.holder.ownerId === "ada" && held.holder.token === holder.token,
          "Held names the present holder",
          held
        )
        yield* Case.that(held.holder.lockId === lockId, "Held is about this lock", held)
        yield* Case.that(
          held.retryAfter > 0 && held.retryAfter <= Steps.longest(env, env.long) + Steps.clockSlack,
          "retryAfter is what is left of the holder's lease",
          held.retryAfter
        )
      })
  },
  {
    name: "a contended claim changes nothing",
    rule: "contended-claim-only-reads",
    run: (env) =>
      Effect.gen(function* () {
        const lockId = env.lockId()
        const { record } = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada" })
        for (let i = 0; i < 5; i++) {
          const outcome = yield* env.storage.claim({
            lockId,
            ownerId: "bob",
            holdId: env.holdId(),
            lease: 2 * env.long
          })
          yield* Case.held(outcome, "a held lock is not given to another owner")
        }
        const after = yield* Steps.record(env.storage, lockId, "a contended claim changes nothing")
        yield* Case.that(
          after.record.version === record.version &&
            after.record.token === record.token &&
            after.record.ownerId === "ada" &&
            after.record.holds.length === 1,
          "a contended claim changes nothing",
          { before: record, after: after.record }
        )
        yield* Case.that(
          after.validFor <= Steps.longest(env, env.long),
          "a contended claim does not lengthen the lease",
          after
        )
      })
  },
  {
    name: "after a takeover Held names the new holder, not the former",
    rule: "held-names-present-holder",
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
        for (const [storage, ownerId] of [
          [env.storage, "ada"],
          [other, "ada"],
          [env.storage, "cyd"]
        ] as const) {
          const held = yield* Case.held(
            yield* storage.claim({ lockId, ownerId, holdId: env.holdId(), lease: env.long }),
            "a lock that was taken over is held"
          )
          yield* Case.that(
            held.holder.ownerId === "bob" &&
              held.holder.token === next.record.token &&
              held.holder.token > former.token,
            "after a takeover Held names the new holder",
            held
          )
        }
        yield* env.storage.release({ lockId, holdId: next.record.holds[0]! })
        yield* Steps.take(env, env.storage, { lockId, ownerId: "cyd" })
        const held = yield* Case.held(
          yield* other.claim({ lockId, ownerId: "ada", holdId: env.holdId(), lease: env.long }),
          "a lock that was handed on is held"
        )
        yield* Case.that(held.holder.ownerId === "cyd", "after a hand-over Held names the new holder", held)
      })
  },
  {
    name: "the owner that holds the lock claims it deeper, with the same token and begin",
    rule: "reentry",
    run: (env) =>
      Effect.gen(function* () {
        const lockId = env.lockId()
        const outer = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada" })
        // Some clocks tell milliseconds: a begin that restarts must show.
        yield* env.pass(5_000)
        const inner = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada" }, "the holder may claim it again")
        yield* Case.that(
          inner.record.holds.length === 2 && [outer, inner].every(({ holdId }) => inner.record.holds.includes(holdId)),
          "both holds are in the record",
          inner.record.holds
        )
        yield* Case.that(inner.token === outer.token, "a deeper hold keeps the token", [outer.token, inner.token])
        yield* Case.that(
          inner.record.version > outer.record.version,
          "a deeper hold is a change: the version grows",
          inner.record
        )
        yield* Case.that(
          env.guarantees.clock === "observed" || inner.record.lockBeginTime === outer.record.lockBeginTime,
          "a deeper hold keeps the begin",
          [outer.record, inner.record]
        )
        const first = yield* env.storage.release({ lockId, holdId: outer.holdId })
        yield* Case.that(first._tag === "Released" && first.remaining === 1, "one hold remains", first)
        const still = yield* Steps.record(env.storage, lockId, "the inner hold outlives the release of the outer")
        yield* Case.that(
          still.record.holds.length === 1 && still.record.holds[0] === inner.holdId,
          "the inner hold remains",
          still
        )
        yield* Case.held(
          yield* env.storage.claim({ lockId, ownerId: "bob", holdId: env.holdId(), lease: env.long }),
          "a lock with a hold left is held"
        )
        const last = yield* env.storage.release({ lockId, holdId: inner.holdId })
        yield* Case.that(last._tag === "Released" && last.remaining === 0, "the last release frees the lock", last)
        yield* Steps.isFree(env.storage, lockId, "the last release frees the lock")
        yield* Steps.take(env, env.storage, { lockId, ownerId: "bob" }, "a released lock is free")
      })
  },
  {
    name: "a lock is held forty deep, and freed by the last release alone",
    rule: "reentry",
    run: (env) =>
      Effect.gen(function* () {
        const lockId = env.lockId()
        const holds: Array<string> = []
        for (let depth = 1; depth <= 40; depth++) {
          const taken = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada" })
          holds.push(taken.holdId)
          yield* Case.that(taken.record.holds.length === depth, `the lock is ${depth} deep`, taken.record.holds.length)
        }
        for (let left = 39; left >= 0; left--) {
          const outcome = yield* env.storage.release({ lockId, holdId: holds[(left * 7) % (left + 1)]! })
          holds.splice((left * 7) % (left + 1), 1)
          yield* Case.that(outcome._tag === "Released" && outcome.remaining === left, `${left} holds remain`, outcome)
        }
        yield* Steps.isFree(env.storage, lockId, "the last release frees the lock")
      })
  },
  {
    name: "a claim that is repeated has the effect of one",
    rule: "idempotent-by-hold-id",
    run: (env) =>
      Effect.gen(function* () {
        const lockId = env.lockId()
        const request = { lockId, ownerId: "ada", holdId: env.holdId(), lease: env.long }
        const first = yield* Case.claimed(yield* env.storage.claim(request), "a free lock is given to who claims it")
        const again = yield* Case.claimed(
          yield* env.storage.claim(request),
          "a repeated claim has the first one's outcome"
        )
        yield* Case.that(again.record.holds.length === 1, "a repeated claim does not deepen", again.record)
        yield* Case.that(again.record.token === first.record.token, "a repeated claim keeps the token", [first, again])
        // Between: a sibling comes. The repeat of the first must still be the first.
        const sibling = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada" })
        const late = yield* Case.claimed(yield* env.storage.claim(request), "a late repeat of a claim has its outcome")
        yield* Case.that(late.record.holds.length === 2, "a late repeat does not deepen", late.record)
        const one = yield* env.storage.release({ lockId, holdId: request.holdId })
        yield* Case.that(
          one._tag === "Released" && one.remaining === 1,
          "one release undoes a claim however often it was repeated",
          one
        )
        const two = yield* env.storage.release({ lockId, holdId: sibling.holdId })
        yield* Case.that(
          two._tag === "Released" && two.remaining === 0,
          "and the sibling's release frees the lock",
          two
        )
        yield* Steps.isFree(env.storage, lockId, "nothing of a repeated claim remains")
      })
  },
  {
    name: "a repeated claim does not pretend a fresh lease: it tells what is left of the first",
    rule: "repeat-tells-what-is-left",
    run: (env) =>
      Effect.gen(function* () {
        const lockId = env.lockId()
        const request = { lockId, ownerId: "ada", holdId: env.holdId(), lease: env.long }
        if (env.guarantees.clock === "observed")
          return yield* Case.skip("observed leases count from the last write, a repeat included")
        const first = yield* Case.claimed(yield* env.storage.claim(request), "a free lock is given to who claims it")
        const mark = yield* env.mark
        yield* env.pass(200_000)
        const { least } = yield* env.since(mark)
        const again = yield* Case.claimed(
          yield* env.storage.claim({ ...request, lease: 2 * env.long }),
          "a repeated claim has the first one's outcome"
        )
        yield* Case.that(
          again.record.leaseExpireTime === first.record.leaseExpireTime,
          "a repeat leaves the lease end",
          [first, again]
        )
        yield* Case.that(
          again.validFor <= first.validFor - least + (env.guarantees.leaseSlack ?? 0),
          `validFor of a repeat is what is left of the first lease: at least ${least} µs less`,
          { first: first.validFor, again: again.validFor }
        )
      })
  }
]
