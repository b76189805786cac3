/** Renewals of several holds at once, where a store changes one record at a time. */
import * as Effect from "#effect/Effect"
import type { StorageError } from "../LockError.js"
import * as LockRecord from "../LockRecord.js"
import type { RenewAnswer } from "../Storage.js"

/** One answer each; where none succeeded, the failure of all. */
export const settle = (
  answers: ReadonlyArray<RenewAnswer>
): Effect.Effect<ReadonlyArray<RenewAnswer>, StorageError> => {
  const first = answers[0]
  return first?._tag === "StorageError" && answers.every(({ _tag }) => _tag === "StorageError")
    ? Effect.fail(first)
    : Effect.succeed(answers)
}

/** Renewals of one lock, by several of its holds. */
export type Group = readonly [lockId: string, requests: ReadonlyArray<LockRecord.Renew>]

/** One after the other, each on what the one before left. */
export const fold = <R, O>(
  found: LockRecord.LockRecord | undefined,
  requests: ReadonlyArray<R>,
  step: (record: LockRecord.LockRecord | undefined, request: R) => LockRecord.Step<O>
): LockRecord.Step<ReadonlyArray<O>> => {
  let record = found
  const outcome = requests.map((request) => {
    const next = step(record, request)
    record = next.record
    return next.outcome
  })
  return { record, outcome }
}

export const step = (
  found: LockRecord.LockRecord | undefined,
  requests: ReadonlyArray<LockRecord.Renew>,
  now: number
): LockRecord.Step<ReadonlyArray<LockRecord.RenewOutcome>> =>
  fold(found, requests, (record, request) => LockRecord.renew(record, request, now))

/** In the order in which each lock was first named. */
export const groups = (requests: ReadonlyArray<LockRecord.Renew>): ReadonlyArray<Group> => {
  const byLock = new Map<string, Array<LockRecord.Renew>>()
  for (const request of requests) {
    const group = byLock.get(request.lockId)
    if (group === undefined) byLock.set(request.lockId, [request])
    else group.push(request)
  }
  return [...byLock]
}

/**
 * Renews all, those of one lock together: each alone would miss the version that the other has just written. `renew` answers for each group, with an answer to each of its requests or one failure for
 * all of them. The answers are told in the order of the requests.
 */
export const byLock = <E>(
  requests: ReadonlyArray<LockRecord.Renew>,
  renew: (groups: ReadonlyArray<Group>) => Effect.Effect<ReadonlyArray<ReadonlyArray<RenewAnswer> | StorageError>, E>
): Effect.Effect<ReadonlyArray<RenewAnswer>, E | StorageError> =>
  Effect.suspend(() => {
    const grouped = groups(requests)
    return Effect.flatMap(renew(grouped), (answers) => {
      const placed = new Map<LockRecord.Renew, RenewAnswer>()
      grouped.forEach(([, group], n) => {
        const answer = answers[n]!
        group.forEach((request, m) => placed.set(request, "_tag" in answer ? answer : answer[m]!))
      })
      return settle(requests.map((request) => placed.get(request)!))
    })
  })
