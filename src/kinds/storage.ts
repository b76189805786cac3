/** A lock storage for a kind that several may hold at once, over compare-and-set. */
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Stream from "#effect/Stream"
import * as promised from "../common/promised.js"
import * as renewals from "../common/renewals.js"
import { StorageError } from "../LockError.js"
import { at as atTime, type LockKind, type Moment } from "../LockKind.js"
import type * as LockRecord from "../LockRecord.js"
import type * as Storage from "../Storage.js"
import { make as gatherer, type Timeless, type Urgency } from "./gather.js"
import * as observations from "./observed.js"
import { always, never } from "./reads.js"

export type { Timeless } from "./gather.js"

export type { Urgency }

/** A record that was read, and the times that judge it. */
export interface Read {
  readonly found: LockRecord.LockRecord | undefined
  /** The storage's clock; of a store without one, and where the time makes no difference, 0. */
  readonly now: number
  /** By how much that clock may be ahead. */
  readonly ahead: number
  /** This process's clocks, when the reply had come. */
  readonly at: number
  readonly wall: number
}

/** What the store can do, as it does it for every kind. */
export interface Records {
  readonly read: (lockId: string) => Effect.Effect<Read, StorageError>
  /** One compare-and-set, tried again for as long as others are faster. */
  readonly change: <O>(
    lockId: string,
    urgency: Urgency,
    transition: (read: Read) => LockRecord.Step<O>,
    timeless: Timeless
  ) => Effect.Effect<O, StorageError>
  /** Every record. */
  readonly list: Stream.Stream<Read, StorageError>
  readonly isObserved: boolean
}

/** The rest is for what renewals, releases and revocations add to a record. */
const filled = 0.9

/** Why there is no room in a record for what claims have added to it. */
const tooLarge = (operation: string, record: LockRecord.LockRecord, largest: number): StorageError | undefined => {
  const bytes = Buffer.byteLength(JSON.stringify(record))
  if (bytes <= filled * largest) return undefined
  const { holds, lockId } = record
  return new StorageError({
    reason: "TooLarge",
    operation,
    isRetryable: false,
    applied: "no",
    message:
      `the record of ${JSON.stringify(lockId)} has no room for more: with this claim it would have ${bytes} bytes for ${holds.length} holds, and the storage takes ${largest}. ` +
      "Give each part of what the lock guards an id of its own, take one hold in a process for all its work, or use shorter owner ids and labels"
  })
}

export const make = (
  records: Records,
  kind: LockKind,
  rest: Pick<Storage.Service, "purge" | "wakeUps" | "guarantees">
): Storage.Service => {
  const seen = records.isObserved ? observations.make() : undefined

  const momentOf = ({ at, found, now, wall }: Read): Moment => {
    if (seen === undefined) return atTime(now)
    const left = seen.look(found === undefined ? [] : kind.leases(found), at, found?.lockId)
    return {
      now,
      left,
      isObserved: true,
      times: (lease) => ({
        lockBeginTime: wall - (at - (seen.first(found?.lockId, lease.id) ?? at)),
        leaseExpireTime: wall + left(lease)
      })
    }
  }

  const { largestRecord, name } = rest.guarantees
  const { change } = gatherer(
    (lockId, urgency, transition, timeless) =>
      records.change(lockId, urgency, (read) => transition(read.found, momentOf(read), read.ahead), timeless),
    largestRecord === undefined ? undefined : (record) => tooLarge(`${name}.claim`, record, largestRecord)
  )

  const snapshot = (read: Read): Option.Option<Storage.Snapshot> => {
    const { found } = read
    if (found === undefined || found.kind !== kind.name) return Option.none()
    const moment = momentOf(read)
    const record = kind.view(found, moment)
    if (record === undefined) return Option.none()
    return Option.some({ record, validFor: Math.max(...kind.leases(found).map(moment.left)) })
  }

  /** A hold that is not there is not held at any time. */
  const renewAll = (lockId: string, requests: ReadonlyArray<LockRecord.Renew>) =>
    change(
      lockId,
      "urgent",
      (found, moment, ahead) => {
        const { outcome, record } = renewals.fold(found, requests, (record, request) =>
          kind.renew(record, promised.longer(request, ahead), moment)
        )
        return { record, outcome: outcome.map((one) => promised.less(one, ahead)) }
      },
      (record) => !requests.some(({ holdId }) => record?.holds.includes(holdId))
    )

  return {
    claim: (request) =>
      change(
        request.lockId,
        "claim",
        (record, moment, ahead) => {
          const step = kind.claim(record, promised.longer(request, ahead), moment)
          return { ...step, outcome: promised.less(step.outcome, ahead) }
        },
        never
      ),
    renew: (requests) =>
      renewals.byLock(requests, (groups) =>
        Effect.forEach(groups, ([lockId, group]) => Effect.catch(renewAll(lockId, group), Effect.succeed), {
          concurrency: 16
        })
      ),
    release: (request) => change(request.lockId, "urgent", (record) => kind.release(record, request), always),
    revoke: (request) =>
      change(
        request.lockId,
        "urgent",
        (record, moment) =>
          record !== undefined && record.kind !== kind.name
            ? { record, outcome: { _tag: "NotHeld" } }
            : kind.revoke(record, request, moment),
        never
      ),
    get: (lockId) => Effect.map(records.read(lockId), snapshot),
    list: records.list.pipe(
      Stream.map(snapshot),
      Stream.filter(Option.isSome),
      Stream.map(({ value }) => value)
    ),
    ...rest
  }
}
