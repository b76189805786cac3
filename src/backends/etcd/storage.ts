import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Stream from "#effect/Stream"
import { wallMillis } from "#effect/clocks"
import { StorageError } from "../../LockError.js"
import * as LockRecord from "../../LockRecord.js"
import * as Storage from "../../Storage.js"
import * as VersionedStore from "../../VersionedStore.js"
import * as renewals from "../../common/renewals.js"
import type { Engine } from "./engine.js"
import * as errors from "./errors.js"
import type { Keys } from "./records.js"
import type { Seen } from "./requests.js"

const guarantees = {
  name: "EtcdStorage",
  clock: "observed",
  time: "real",
  leaseGranularity: 1,
  shortestLease: 10_000,
  longestId: 4 * 255
} as const satisfies Storage.Guarantees

const everything = (
  engine: Engine,
  keys: Keys,
  anyFormat: boolean
): Stream.Stream<Seen & { readonly record: LockRecord.LockRecord }, StorageError> =>
  Stream.paginate(keys.first, (from) =>
    Effect.map(engine.page("list", from, anyFormat), ({ all, next }) => [
      all as Array<Seen & { readonly record: LockRecord.LockRecord }>,
      Option.fromNullishOr(next)
    ])
  )

export const storage = (engine: Engine, keys: Keys, wakeUps: Stream.Stream<string>): Storage.Service => {
  const claimStep = (
    record: LockRecord.LockRecord | undefined,
    request: LockRecord.Claim
  ): LockRecord.Step<LockRecord.ClaimOutcome> => {
    const step = LockRecord.claim(record, request, 0)
    if (step.outcome._tag !== "Claimed") return step
    const claimed = step.outcome.record
    // A repeat writes, too: waiters may have watched this version since the first application, and must see a new one before its lease is promised anew.
    const next =
      claimed === record
        ? { ...claimed, version: claimed.version + 1 }
        : claimed.token === record?.token
          ? claimed
          : {
              ...claimed,
              // Above all revisions that this process knows of: so tokens grow over keys that were deleted by hand.
              token: Math.max(claimed.token, engine.revision() + 1),
              version: record === undefined ? Math.max(claimed.version, engine.revision() + 1) : claimed.version
            }
    return { record: next, outcome: { ...step.outcome, record: next } }
  }

  const claim: Storage.Service["claim"] = (request) =>
    Effect.flatMap(
      engine.one("claim", { lockId: request.lockId, unseen: "absent", decide: (record) => claimStep(record, request) }),
      ({ outcome, seen }) =>
        Effect.map(
          engine.estimate({ record: seen.record!, revision: seen.revision }),
          ({ record, validFor }): LockRecord.ClaimOutcome =>
            outcome._tag === "Claimed"
              ? { ...outcome, record }
              : { _tag: "Held", holder: record, retryAfter: Math.max(validFor, 1) }
        )
    )

  /** One after the other, on what the one before left. */
  const renewAll = (requests: ReadonlyArray<LockRecord.Renew>) => (found: LockRecord.LockRecord | undefined) => {
    let record = found
    const outcome = requests.map((request) => {
      const step = LockRecord.renew(record, request, 0)
      record = step.record
      return step.outcome
    })
    return { record, outcome }
  }

  const renewGroups = (groups: ReadonlyArray<renewals.Group>) =>
    Effect.gen(function* () {
      const done = yield* engine.run(
        "renew",
        groups.map(([lockId, group]) => ({ lockId, unseen: "read" as const, decide: renewAll(group) }))
      )
      const wall = yield* Effect.clockWith((clock) => Effect.sync(() => Math.floor(wallMillis(clock) * 1000)))
      const answerOf = (outcome: LockRecord.RenewOutcome, revision: number): Effect.Effect<LockRecord.RenewOutcome> =>
        outcome._tag === "Renewed"
          ? Effect.succeed({ ...outcome, leaseExpireTime: wall + outcome.validFor })
          : outcome.current === undefined
            ? Effect.succeed(outcome)
            : Effect.map(engine.estimate({ record: outcome.current, revision }), ({ record }) => ({
                _tag: "NotHeld",
                current: record
              }))
      return yield* Effect.forEach(done, (one): Effect.Effect<StorageError | ReadonlyArray<LockRecord.RenewOutcome>> =>
        one instanceof StorageError
          ? Effect.succeed(one)
          : Effect.forEach(one.outcome, (outcome) => answerOf(outcome, one.seen.revision))
      )
    })

  const renew: Storage.Service["renew"] = (requests) =>
    renewals.byLock(requests, renewGroups).pipe(
      // The cluster that we can reach has no such hold, whatever becomes of the other one: others may lock there already.
      Effect.catchIf(errors.isForeign, () =>
        Effect.succeed(requests.map((): Storage.RenewAnswer => ({ _tag: "NotHeld" })))
      )
    )

  const transact = <O>(
    operation: string,
    lockId: string,
    decide: (record: LockRecord.LockRecord | undefined) => LockRecord.Step<O>
  ) => Effect.map(engine.one(operation, { lockId, unseen: "read", decide }), ({ outcome }) => outcome)

  const snapshot = ({ record, revision }: Seen) =>
    record === undefined || record.holds.length === 0
      ? Effect.succeedNone
      : Effect.map(engine.estimate({ record, revision }), (found) =>
          found.validFor > 0 ? Option.some(found) : Option.none()
        )

  return Storage.Storage.of({
    claim,
    renew,
    release: (request) => transact("release", request.lockId, (record) => LockRecord.release(record, request)),
    revoke: (request) => transact("revoke", request.lockId, (record) => LockRecord.revoke(record, request, 0)),
    get: (lockId) =>
      Effect.flatMap(
        engine.one("get", { lockId, unseen: "read", decide: (record) => ({ record, outcome: undefined }) }),
        ({ seen }) => snapshot(seen)
      ),
    list: everything(engine, keys, false).pipe(
      Stream.mapEffect(snapshot),
      Stream.filter(Option.isSome),
      Stream.map(({ value }) => value)
    ),
    // Without a clock nobody can tell what is old.
    purge: () => Effect.succeed(0),
    wakeUps,
    guarantees
  })
}

export const versioned = (engine: Engine, keys: Keys, wakeUps: Stream.Stream<string>): VersionedStore.Service => {
  const { clock: _, ...rest } = guarantees

  /** If the record is at this version, or if there is none. */
  const write = (
    operation: string,
    lockId: string,
    expected: number | undefined,
    next: LockRecord.LockRecord | undefined
  ) =>
    Effect.flatMap(
      engine.one(operation, {
        lockId,
        anyFormat: true,
        unseen: expected === undefined ? "absent" : "read",
        decide: (record) =>
          record?.version === expected ? { record: next, outcome: true } : { record, outcome: false }
      }),
      ({ outcome }) => (outcome ? Effect.void : new VersionedStore.VersionMiss({ lockId }))
    )

  return VersionedStore.VersionedStore.of({
    create: (lockId, version, record) => write("create", lockId, undefined, { ...record, lockId, version }),
    update: (lockId, expected, record) => write("update", lockId, expected, { ...record, lockId }),
    delete: (lockId, expected) => write("delete", lockId, expected, undefined),
    get: (lockId) =>
      Effect.map(
        engine.one("get", {
          lockId,
          anyFormat: true,
          unseen: "read",
          decide: (record) => ({ record, outcome: undefined })
        }),
        ({ seen }) => Option.fromNullishOr(seen.record)
      ),
    list: Stream.map(everything(engine, keys, true), ({ record }) => record),
    wakeUps,
    guarantees: { ...rest, name: "EtcdStorage.versioned" }
  })
}
