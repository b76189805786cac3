/** Both ports over the engine. */
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Stream from "#effect/Stream"
import { StorageError } from "../../../LockError.js"
import * as LockRecord from "../../../LockRecord.js"
import * as Storage from "../../../Storage.js"
import * as VersionedStore from "../../../VersionedStore.js"
import * as renewals from "../../../common/renewals.js"
import { wallMicros } from "../../../common/time.js"
import type { Engine } from "./engine.js"
import type { Seen } from "./store.js"

export interface Options {
  readonly guarantees: Storage.Guarantees
  readonly wakeUps: Stream.Stream<string>
  /** Is told what each claim was answered, and which change of the record it has seen: for a store that has to be asked for the wake-ups of each lock. */
  readonly heard?: (outcome: LockRecord.ClaimOutcome, lockId: string, revision: number) => Effect.Effect<void>
  /** Whether an error says that this is another store than the one the layer began with. No hold of ours is there, whatever becomes of the other one: others may lock here already. */
  readonly isForeign?: (error: StorageError) => boolean
}

const everything = <State, Cursor>(
  engine: Engine<State, Cursor>,
  anyFormat: boolean
): Stream.Stream<Seen<State> & { readonly record: LockRecord.LockRecord }, StorageError> =>
  Stream.paginate(undefined as Cursor | undefined, (from) =>
    Effect.map(engine.page("list", from, anyFormat), ({ all, next }) => [all, Option.fromNullishOr(next)])
  )

export const storage = <State, Cursor>(
  engine: Engine<State, Cursor>,
  { guarantees, heard, isForeign, wakeUps }: Options
): Storage.Service => {
  const claimStep = (
    record: LockRecord.LockRecord | undefined,
    request: LockRecord.Claim
  ): LockRecord.Step<LockRecord.ClaimOutcome> => {
    const step = LockRecord.claim(record, request, 0)
    if (step.outcome._tag !== "Claimed") return step
    const claimed = step.outcome.record
    // A repeat writes, too: waiters may have watched this version since the first application, and must see a new one before its lease is promised again.
    const next =
      claimed === record
        ? { ...claimed, version: claimed.version + 1 }
        : claimed.token === record?.token
          ? claimed
          : {
              ...claimed,
              // Above all changes of the store that this process knows of: so tokens grow over records that were deleted by hand.
              token: Math.max(claimed.token, engine.index() + 1),
              version: record === undefined ? Math.max(claimed.version, engine.index() + 1) : claimed.version
            }
    return { record: next, outcome: { ...step.outcome, record: next } }
  }

  const claim: Storage.Service["claim"] = (request) =>
    Effect.flatMap(
      engine.one("claim", {
        lockId: request.lockId,
        unseen: "absent",
        unsure: "again",
        decide: (record) => claimStep(record, request),
        take: {
          claim: request,
          taken: (record): LockRecord.ClaimOutcome => ({ _tag: "Claimed", record, validFor: request.lease })
        }
      }),
      ({ outcome, seen }) =>
        engine.estimate({ ...seen, record: seen.record! }).pipe(
          Effect.map(({ record, validFor }): LockRecord.ClaimOutcome =>
            outcome._tag === "Claimed"
              ? { ...outcome, record }
              : { _tag: "Held", holder: record, retryAfter: Math.max(validFor, 1) }
          ),
          Effect.tap((answer) => heard?.(answer, request.lockId, seen.revision) ?? Effect.void)
        )
    )

  const renewGroups = (groups: ReadonlyArray<renewals.Group>) =>
    Effect.gen(function* () {
      const done = yield* engine.run(
        "renew",
        groups.map(([lockId, group]) => ({
          lockId,
          unseen: "read" as const,
          unsure: "again" as const,
          decide: (record: LockRecord.LockRecord | undefined) => renewals.step(record, group, 0)
        }))
      )
      const wall = yield* wallMicros
      const answerOf = (outcome: LockRecord.RenewOutcome, seen: Seen<State>): Effect.Effect<LockRecord.RenewOutcome> =>
        outcome._tag === "Renewed"
          ? Effect.succeed({ ...outcome, leaseExpireTime: wall + outcome.validFor })
          : outcome.current === undefined
            ? Effect.succeed(outcome)
            : Effect.map(engine.estimate({ ...seen, record: outcome.current }), ({ record }) => ({
                _tag: "NotHeld",
                current: record
              }))
      return yield* Effect.forEach(done, (one): Effect.Effect<StorageError | ReadonlyArray<LockRecord.RenewOutcome>> =>
        one instanceof StorageError
          ? Effect.succeed(one)
          : Effect.forEach(one.outcome, (outcome) => answerOf(outcome, one.seen))
      )
    })

  const renew: Storage.Service["renew"] = (requests) => {
    const all = renewals.byLock(requests, renewGroups)
    return isForeign === undefined
      ? all
      : Effect.catchIf(all, isForeign, () =>
          Effect.succeed(requests.map((): Storage.RenewAnswer => ({ _tag: "NotHeld" })))
        )
  }

  const transact = <O>(
    operation: string,
    lockId: string,
    decide: (record: LockRecord.LockRecord | undefined) => LockRecord.Step<O>
  ) => Effect.map(engine.one(operation, { lockId, unseen: "read", unsure: "alike", decide }), ({ outcome }) => outcome)

  const snapshot = (seen: Seen<State>) =>
    seen.record === undefined || seen.record.holds.length === 0
      ? Effect.succeedNone
      : Effect.map(engine.estimate({ ...seen, record: seen.record }), (found) =>
          found.validFor > 0 ? Option.some(found) : Option.none()
        )

  return Storage.Storage.of({
    claim,
    renew,
    release: (request) => transact("release", request.lockId, (record) => LockRecord.release(record, request)),
    revoke: (request) => transact("revoke", request.lockId, (record) => LockRecord.revoke(record, request, 0)),
    get: (lockId) =>
      Effect.flatMap(engine.one("get", { lockId, unseen: "read", unsure: "again", decide: looked }), ({ seen }) =>
        snapshot(seen)
      ),
    list: everything(engine, false).pipe(
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

/** Nothing but a look. */
const looked = (record: LockRecord.LockRecord | undefined) => ({ record, outcome: undefined })

export const versioned = <State, Cursor>(
  engine: Engine<State, Cursor>,
  { guarantees: { clock: _, ...guarantees }, wakeUps }: Options
): VersionedStore.Service => {
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
        unsure: "fail",
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
        engine.one("get", { lockId, anyFormat: true, unseen: "read", unsure: "again", decide: looked }),
        ({ seen }) => Option.fromNullishOr(seen.record)
      ),
    list: Stream.map(everything(engine, true), ({ record }) => record),
    wakeUps,
    guarantees: { ...guarantees, name: `${guarantees.name}.versioned` }
  })
}
