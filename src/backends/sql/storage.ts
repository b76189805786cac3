/** Both ports over one table of any SQL dialect: every storage call is one query, and one round trip. */
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Result from "#effect/Result"
import type * as Schedule from "#effect/Schedule"
import * as Stream from "#effect/Stream"
import * as direct from "../../common/direct.js"
import { freeFor } from "../../common/freeFor.js"
import { StorageError } from "../../LockError.js"
import * as LockRecord from "../../LockRecord.js"
import * as Storage from "../../Storage.js"
import * as VersionedStore from "../../VersionedStore.js"
import * as renewals from "../../common/renewals.js"
import { claimed as outcomeOf } from "../shared/outcomes.js"
import type { Ports } from "../shared/layers.js"
import type { Executor, Query, Answer } from "./executor.js"
import * as grouping from "./grouping.js"
import * as locked from "./locked.js"
import { holdsOf, integer, recordOf, type Row, text } from "./record.js"

/** What a dialect must be able to say. Times and spans in microseconds, by the server's clock; `t` in a row is the one sample of it. */
export interface Dialect<S> {
  /** One row: the record as it is now, claimed or not, and `t`. */
  readonly claim: (request: LockRecord.Claim) => Query<S>
  /** A row for each request, in their order: `t`, `renewed` (the new lease end, or null), and the record there is if it was not renewed (else `lock_id` is null). */
  readonly renew: (requests: ReadonlyArray<LockRecord.Renew>) => Query<S>
  /** `holds` that are left, or no row if the hold was not there, or null and the format as `info` if that is newer than ours. */
  readonly release: (request: LockRecord.Release) => Query<S>
  /** As `release`, with what takes the place of the holds: nothing, which frees the lock, or the mark of a revoked one. */
  readonly revoke: (lockId: string, token: number, holds: string) => Query<S>
  /** The record, if any, and `t`. */
  readonly get: (lockId: string) => Query<S>
  /** Records beyond a lock id, in the order of ids, and `t`. */
  readonly list: (after: string, free: boolean, limit: number) => Query<S>
  /** One row: how many were `dropped`, of how many `seen`, of which the `last` had this id. */
  readonly purge: (after: string, micros: number, limit: number) => Query<S>
  /** One row: `t`. */
  readonly time: Query<S>
  /** A row if it was done. */
  readonly create: (record: LockRecord.LockRecord) => Query<S>
  readonly update: (record: LockRecord.LockRecord, expectedVersion: number) => Query<S>
  readonly drop: (lockId: string, expectedVersion: number) => Query<S>
  /**
   * Many of different locks at once: the rows of those that were done, as `claim` and `release` give them, with `lock_id`. What it leaves out is asked for alone; so it
   * leaves out what it would have to wait for.
   */
  readonly claimMany?: ((requests: ReadonlyArray<LockRecord.Claim>) => Query<S>) | undefined
  readonly releaseMany?: ((requests: ReadonlyArray<LockRecord.Release>) => Query<S>) | undefined
  /**
   * One row, whose `hides` is "yes" where this server may hide rows of the table from us. Asked where a row stands for one that may be there and is not seen: with null for its `lock_id` (`get`, `list`), or
   * for both `holds` and `info` (`release`, `revoke`).
   */
  readonly hides?: Query<S> | undefined
  /** For `modify`. */
  readonly locked?: locked.Locked<S> | undefined
  readonly guarantees: Storage.Guarantees
}

export interface Settings {
  /** Milliseconds. */
  readonly operationTimeout: number
  readonly versionMissRetry: Schedule.Schedule<unknown>
  readonly wakeUps: Stream.Stream<string> | undefined
  readonly audit?: Storage.Service["audit"]
  /** Is told what claims were answered. */
  readonly onClaim?: ((lockId: string, outcome: LockRecord.ClaimOutcome) => void) | undefined
}

const pageSize = 500

export const make = <S>(executor: Executor<S>, dialect: Dialect<S>, settings: Settings): Ports => {
  const { guarantees } = dialect

  const newer = (operation: string, lockId: string, format: number): StorageError =>
    new StorageError({
      reason: "Schema",
      operation: `${guarantees.name}.${operation}`,
      isRetryable: false,
      applied: "no",
      message: `the record of ${JSON.stringify(lockId)} has format ${format}, newer than ${LockRecord.format}: update effect-storage-lock`
    })

  /** An answer of a shape that this storage does not know fails that call, and does no more. */
  const odd = (operation: string, cause: unknown): StorageError =>
    new StorageError({
      reason: "Unknown",
      operation: `${guarantees.name}.${operation}`,
      isRetryable: false,
      applied: "unknown",
      message: `the server's answer cannot be read (${cause instanceof Error ? cause.message : String(cause)}): something between changes statements or answers`,
      cause
    })

  type Read<A> = (rows: ReadonlyArray<Row>) => Effect.Effect<A, StorageError>

  const understood = <A>(
    operation: string,
    rows: ReadonlyArray<Row>,
    read: Read<A>
  ): Effect.Effect<A, StorageError> => {
    try {
      return read(rows)
    } catch (cause) {
      return odd(operation, cause)
    }
  }

  const readBy = <A>(operation: string, rows: Effect.Effect<ReadonlyArray<Row>, StorageError>, read: Read<A>) =>
    Effect.flatMap(rows, (rows) => understood(operation, rows, read))

  type Execute = (millis: number, done: (result: Answer) => void) => void

  const attempt = (execute: Execute, millis: number) =>
    Effect.callback<ReadonlyArray<Row>, StorageError>((resume) =>
      execute(millis, (answer) => resume(Effect.fromResult(answer)))
    )

  /** Beaten by somebody at the same time: quickly again, within the time there is. */
  const again = (execute: Execute, first: StorageError, until: number) => {
    let known: StorageError | undefined = first
    return Effect.suspend(() => {
      const failed = known
      known = undefined
      return failed ?? attempt(execute, Math.max(0, until - performance.now()))
    }).pipe(
      Effect.retry({
        schedule: settings.versionMissRetry,
        while: (error) => error.reason === "Conflict" && performance.now() < until
      }),
      // No time was left for another try: then the conflict is what happened.
      Effect.mapError((error) =>
        error.reason === "Timeout" && error.applied === "no" && performance.now() >= until ? first : error
      )
    )
  }

  /** Once, and again where it was beaten. What is read at once is answered at once. */
  const send = <A>(
    operation: string,
    execute: Execute,
    limit: number,
    read: Read<A>,
    done: (answer: Effect.Effect<A, StorageError>) => void
  ): void => {
    const millis = Math.min(settings.operationTimeout, limit)
    const until = performance.now() + millis
    execute(millis, (answer) =>
      done(
        Result.isSuccess(answer)
          ? understood(operation, answer.success, read)
          : answer.failure.reason === "Conflict"
            ? readBy(operation, again(execute, answer.failure, until), read)
            : Effect.fail(answer.failure)
      )
    )
  }

  const asking =
    <Request, A>(
      operation: string,
      ask: (request: Request, millis: number, done: (answer: Answer) => void) => void,
      read: (request: Request, rows: ReadonlyArray<Row>) => Effect.Effect<A, StorageError>
    ): direct.Ask<Request, A> =>
    (request, limit, done) =>
      send(
        operation,
        (millis, done) => ask(request, millis, done),
        limit,
        (rows) => read(request, rows),
        done
      )

  const runWithin = (operation: string, query: (millis: number) => Query<S>) =>
    direct.effectOf<typeof query, ReadonlyArray<Row>>((query, limit, done) =>
      send(
        operation,
        (millis, done) => executor.run(operation, query(millis), millis, done),
        limit,
        Effect.succeed,
        done
      )
    )(query)

  const run = (operation: string, query: Query<S>) => runWithin(operation, () => query)

  /** A row was not seen that may be there: nothing, if all rows can be seen. */
  const unlessHidden = (operation: string): Effect.Effect<void, StorageError> =>
    dialect.hides === undefined
      ? Effect.void
      : readBy(operation, run(operation, dialect.hides), (rows) =>
          rows[0]?.hides !== "yes"
            ? Effect.void
            : new StorageError({
                reason: "Permission",
                operation: `${guarantees.name}.${operation}`,
                isRetryable: false,
                applied: "no",
                message:
                  "row-level security hides rows of the table from this role, so a lock that somebody has may look free: " +
                  "switch it off for this table, or let the role see and change every row (its owner, BYPASSRLS, or a policy for all rows)"
              })
        )

  const claims = grouping.make("claim", executor, guarantees.name, dialect.claim, dialect.claimMany)
  const releases = grouping.make("release", executor, guarantees.name, dialect.release, dialect.releaseMany)

  const claimed = (
    request: LockRecord.Claim,
    row: Row | undefined
  ): Effect.Effect<LockRecord.ClaimOutcome, StorageError> => {
    if (row === undefined) {
      return new StorageError({
        reason: "Unknown",
        operation: `${guarantees.name}.claim`,
        isRetryable: false,
        applied: "unknown",
        message:
          "the server answered a claim without a row: it is not one that this storage knows, or something between changes statements"
      })
    }
    const record = recordOf(row)
    if (record.format > LockRecord.format) return newer("claim", request.lockId, record.format)
    const outcome = outcomeOf(request, record, record.leaseExpireTime - integer(row.t))
    settings.onClaim?.(request.lockId, outcome)
    return Effect.succeed(outcome)
  }

  const renewed = (requests: ReadonlyArray<LockRecord.Renew>, rows: ReadonlyArray<Row>) => {
    if (rows.length !== requests.length) throw new Error(`${rows.length} rows for ${requests.length} renewals`)
    return renewals.settle(
      rows.map((row, i): Storage.RenewAnswer => {
        const now = integer(row.t)
        if (row.renewed !== null) {
          const leaseExpireTime = integer(row.renewed)
          return { _tag: "Renewed", leaseExpireTime, validFor: leaseExpireTime - now }
        }
        if (row.lock_id === null) return { _tag: "NotHeld" }
        const current = recordOf(row)
        if (current.format > LockRecord.format) return newer("renew", current.lockId, current.format)
        // What was read may still be what was before the takeover.
        return LockRecord.isLive(current, now) && current.holds.includes(requests[i]!.holdId)
          ? { _tag: "NotHeld", current: undefined }
          : { _tag: "NotHeld", current }
      })
    )
  }

  /** What a write comes to: by the holds that are left, or none where there was nothing to write to. */
  const written = <A>(
    operation: string,
    lockId: string,
    rows: ReadonlyArray<Row>,
    outcome: (holds: ReadonlyArray<string> | undefined) => A
  ): Effect.Effect<A, StorageError> => {
    const row = rows[0]
    if (row === undefined) return Effect.succeed(outcome(undefined))
    if (row.holds !== null) return Effect.succeed(outcome(holdsOf(text(row.holds))))
    return row.info === null
      ? Effect.as(unlessHidden(operation), outcome(undefined))
      : newer(operation, lockId, Number(row.info))
  }

  const pages = (operation: string, free: boolean) =>
    Stream.paginate("", (after) =>
      readBy(operation, run(operation, dialect.list(after, free, pageSize)), (all) => {
        const rows = all.filter((row) => row.lock_id !== null)
        const page = [
          rows.map((row) => ({ record: recordOf(row), now: integer(row.t) })),
          rows.length < pageSize ? Option.none<string>() : Option.some(text(rows[rows.length - 1]!.lock_id))
        ] as const
        return rows.length === all.length ? Effect.succeed(page) : Effect.as(unlessHidden(operation), page)
      })
    )

  const purge = (micros: number, after: string, total: number): Effect.Effect<number, StorageError> =>
    readBy("purge", run("purge", dialect.purge(after, micros, pageSize)), (rows) => {
      const row = rows[0]!
      const sum = total + integer(row.dropped)
      return integer(row.seen) < pageSize ? Effect.succeed(sum) : purge(micros, text(row.last), sum)
    })

  const claim = asking("claim", claims, (request, rows) => claimed(request, rows[0]))

  const release = asking("release", releases, ({ lockId }: LockRecord.Release, rows) =>
    written("release", lockId, rows, (holds): LockRecord.ReleaseOutcome =>
      holds === undefined
        ? { _tag: "NotHeld" }
        : rows[0]!.awaited === true
          ? { _tag: "Released", remaining: holds.length, awaited: true }
          : { _tag: "Released", remaining: holds.length }
    )
  )

  const storage = Storage.Storage.of({
    claim: direct.effectOf(claim),
    renew: (requests) =>
      requests.length === 0
        ? Effect.succeed([])
        : readBy("renew", run("renew", dialect.renew(requests)), (rows) => renewed(requests, rows)),
    release: direct.effectOf(release),
    revoke: ({ lockId, token, when }) =>
      readBy(
        "revoke",
        run("revoke", dialect.revoke(lockId, token, when === "now" ? "" : `,${LockRecord.revokedHold}`)),
        (rows) =>
          written("revoke", lockId, rows, (holds): LockRecord.RevokeOutcome => ({
            _tag: holds === undefined ? "NotHeld" : "Revoked"
          }))
      ),
    get: (lockId) =>
      readBy("get", run("get", dialect.get(lockId)), (rows) => {
        const row = rows[0]
        if (row === undefined) return Effect.succeedNone
        if (row.lock_id === null) return Effect.andThen(unlessHidden("get"), Effect.succeedNone)
        const record = recordOf(row)
        if (record.format > LockRecord.format) return newer("get", lockId, record.format)
        const now = integer(row.t)
        return Effect.succeed(
          LockRecord.isLive(record, now)
            ? Option.some({ record, validFor: record.leaseExpireTime - now })
            : Option.none()
        )
      }),
    list: Stream.map(pages("list", false), ({ now, record }) => ({ record, validFor: record.leaseExpireTime - now })),
    purge: (olderThan) =>
      Effect.suspend(() => {
        const micros = freeFor(olderThan)
        return Number.isSafeInteger(micros) ? purge(micros, "", 0) : Effect.succeed(0)
      }),
    wakeUps: settings.wakeUps ?? Stream.empty,
    guarantees,
    audit: settings.audit
  })

  const compareAndSet = (lockId: string, operation: string, query: Query<S>) =>
    Effect.flatMap(run(operation, query), (rows) =>
      rows.length > 0 ? Effect.void : new VersionedStore.VersionMiss({ lockId })
    )

  const { clock: _, ...unclocked } = guarantees

  const versioned = VersionedStore.VersionedStore.of({
    create: (lockId, version, record) =>
      compareAndSet(lockId, "create", dialect.create({ ...record, lockId, version })),
    update: (lockId, expected, record) =>
      compareAndSet(lockId, "update", dialect.update({ ...record, lockId }, expected)),
    delete: (lockId, expected) => compareAndSet(lockId, "delete", dialect.drop(lockId, expected)),
    modify: dialect.locked && locked.make(dialect.locked, (query) => runWithin("modify", query)),
    get: (lockId) =>
      readBy("get", run("get", dialect.get(lockId)), ([row]) =>
        row === undefined
          ? Effect.succeedNone
          : row.lock_id === null
            ? Effect.andThen(unlessHidden("get"), Effect.succeedNone)
            : Effect.succeed(Option.some(recordOf(row)))
      ),
    list: Stream.map(pages("list", true), ({ record }) => record),
    time: readBy("time", run("time", dialect.time), (rows) => Effect.succeed(integer(rows[0]!.t))),
    wakeUps: settings.wakeUps,
    guarantees: { ...unclocked, name: `${guarantees.name}.versioned` }
  })

  return { storage: direct.offer(storage, { claim, release }), versioned }
}
