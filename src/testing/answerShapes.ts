/**
 * The shape of answers. Drivers give numbers as text, big integers, dates or nothing at all, by settings of the server and of the session; none of that may pass the port.
 */
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Stream from "#effect/Stream"
import type * as LockRecord from "../LockRecord.js"
import * as Case from "./Case.js"
import * as Steps from "./steps.js"

const isSpan = (value: unknown): boolean => typeof value === "number" && Number.isFinite(value)
const isWhole = (value: unknown): boolean => Number.isSafeInteger(value)
const isText = (value: unknown): boolean => typeof value === "string"

/** What each field of a record is. Times may be estimates where leases are observed. */
const fields: { readonly [K in keyof LockRecord.LockRecord]-?: (value: unknown) => boolean } = {
  lockId: isText,
  kind: isText,
  format: isWhole,
  ownerId: isText,
  ownerLabel: (value) => value === undefined || isText(value),
  holds: (value) => Array.isArray(value) && value.every((hold) => typeof hold === "string" && hold.length > 0),
  token: isWhole,
  version: isWhole,
  lockBeginTime: isSpan,
  leaseExpireTime: isSpan,
  data: isText
}

const record = (value: LockRecord.LockRecord | undefined, of: string) =>
  Effect.gen(function* () {
    yield* Case.that(typeof value === "object" && value !== null, `${of} is a record`, value)
    for (const [field, fits] of Object.entries(fields)) {
      const part = (value as unknown as Record<string, unknown>)[field]
      yield* Case.that(
        fits(part),
        `${of}: its ${JSON.stringify(field)} is of the type that the port says, not ${typeof part}`,
        value
      )
    }
  })

const span = (value: unknown, of: string) =>
  Case.that(isSpan(value), `${of} is a number of microseconds, not ${typeof value}`, value)

export const cases: ReadonlyArray<Case.Case> = [
  {
    name: "every answer has the shape that the port says, field by field",
    rule: "answer-shape",
    run: (env) =>
      Effect.gen(function* () {
        const { storage } = env
        const lockId = env.lockId()
        const holdId = env.holdId()
        const claim = { lockId, ownerId: "42", holdId, lease: env.long }
        const first = yield* Case.claimed(yield* storage.claim(claim), "a free lock is given to who claims it")
        yield* record(first.record, "the record of Claimed")
        yield* span(first.validFor, "validFor of Claimed")
        const again = yield* Case.claimed(yield* storage.claim(claim), "a repeated claim has its outcome")
        yield* record(again.record, "the record of a repeated claim")
        yield* span(again.validFor, "validFor of a repeated claim")
        const held = yield* Case.held(
          yield* storage.claim({ ...claim, ownerId: "0x2a", holdId: env.holdId() }),
          "a held lock is not given away"
        )
        yield* record(held.holder, "the holder in Held")
        yield* span(held.retryAfter, "retryAfter of Held")

        const renewal = yield* Steps.renewed(
          yield* Steps.renewOne(storage, { lockId, holdId, lease: env.long }),
          "a hold is renewed"
        )
        yield* span(renewal.validFor, "validFor of Renewed")
        yield* span(renewal.leaseExpireTime, "leaseExpireTime of Renewed")
        const found = yield* Steps.record(storage, lockId, "a held lock is shown by get")
        yield* record(found.record, "the record of get")
        yield* span(found.validFor, "validFor of get")
        const listed = yield* storage.list.pipe(
          Stream.filter((each) => each.record.lockId === lockId),
          Stream.runHead
        )
        if (Option.isNone(listed)) return yield* Case.fail("a held lock is listed")
        yield* record(listed.value.record, "a record of list")
        yield* span(listed.value.validFor, "validFor of list")

        const refused = yield* Steps.renewOne(storage, { lockId, holdId: env.holdId(), lease: env.long })
        yield* record(refused._tag === "NotHeld" ? refused.current : undefined, "the record of NotHeld")
        yield* storage.revoke({ lockId, token: first.record.token, when: "leaseEnd" })
        const revoked = yield* Steps.renewOne(storage, { lockId, holdId, lease: env.long })
        yield* record(
          revoked._tag === "NotHeld" ? revoked.current : undefined,
          "the record of NotHeld, of a lock that was revoked"
        )
        yield* storage.revoke({ lockId, token: first.record.token, when: "now" })
        const freed = yield* Steps.renewOne(storage, { lockId, holdId, lease: env.long })
        yield* record(
          freed._tag === "NotHeld" ? freed.current : undefined,
          "the record of NotHeld, of a lock that is free"
        )
        const dropped = yield* storage.purge(0)
        yield* Case.that(isWhole(dropped) && dropped >= 0, "purge tells a count", dropped)
      })
  }
]
