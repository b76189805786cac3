/** Both ports over one table of any SQL dialect: every storage call is one query, and one round trip. */
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { StorageError } from "../../LockError.js"
import * as LockRecord from "../../LockRecord.js"
import * as Storage from "../../Storage.js"
import * as VersionedStore from "../../VersionedStore.js"
import * as renewals from "../renewals.js"
import type { Executor, Query, Result } from "./executor.js"
import * as grouping from "./grouping.js"
import { holdsOf, recordOf, type Row } from "./record.js"

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
  readonly guarantees: Storage.Guarantees
}

export interface Settings {
  /** Milliseconds. */
  readonly operationTimeout: number
  readonly versionMissRetry: Schedule.Schedule<unknown>
  readonly wakeUps: Stream.Stream<string> | undefined
}

export interface Ports {
  readonly storage: Storage.Service
  readonly versioned: VersionedStore.Service
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
      message:
        `the record of ${JSON.stringify(lockId)} has format ${format}, newer than ${LockRecord.format}: update effect-storage-lock`
    })

  type Execute = (millis: number, done: (result: Result) => void) => void

  const attempt = (execute: Execute, millis: number) => Effect.async<ReadonlyArray<Row>, StorageError>((resume) => execute(millis, resume))

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
      Effect.mapError((error) => error.reason === "Timeout" && error.applied === "no" && performance.now() >= until ? first : error)
    )
  }

  const executed = (execute: Execute) =>
    Effect.flatMap(Storage.TimeLimit, (limit) => {
      const millis = Math.min(settings.operationTimeout, Duration.toMillis(limit))
      const until = performance.now() + millis
      return Effect.catchAll(attempt(execute, millis), (error) =>
        error.reason === "Conflict" ? again(execute, error, until) : error)
    })

  const run = (operation: string, query: Query<S>) => executed((millis, done) => executor.run(operation, query, millis, done))

  const claims = grouping.make("claim", executor, guarantees.name, dialect.claim, dialect.claimMany)
  const releases = grouping.make("release", executor, guarantees.name, dialect.release, dialect.releaseMany)

  const claimed = (request: LockRecord.Claim, row: Row | undefined): Effect.Effect<LockRecord.ClaimOutcome, StorageError> => {
    if (row === undefined) {
      return new StorageError({
        reason: "Unknown",
        operation: `${guarantees.name}.claim`,
        isRetryable: false,
        applied: "unknown",
        message: "the server answered a claim without a row: it is not one that this storage knows, or something between changes statements"
      })
    }
    const record = recordOf(row)
    if (record.format > LockRecord.format) return newer("claim", request.lockId, record.format)
    const left = record.leaseExpireTime - Number(row.t)
    return Effect.succeed(
      record.ownerId === request.ownerId && record.kind === LockRecord.exclusive && record.holds.includes(request.holdId)
        ? { _tag: "Claimed", record, validFor: left }
        : { _tag: "Held", holder: record, retryAfter: left }
    )
  }

  const renewed = (requests: ReadonlyArray<LockRecord.Renew>, rows: ReadonlyArray<Row>) =>
    renewals.settle(rows.map((row, i): Storage.RenewAnswer => {
      const now = Number(row.t)
      if (row.renewed !== null) {
        const leaseExpireTime = Number(row.renewed)
        return { _tag: "Renewed", leaseExpireTime, validFor: leaseExpireTime - now }
      }
      if (row.lock_id === null) return { _tag: "NotHeld" }
      const current = recordOf(row)
      if (current.format > LockRecord.format) return newer("renew", current.lockId, current.format)
      // What was read may still be what was before the takeover.
      return LockRecord.isLive(current, now) && current.holds.includes(requests[i]!.holdId)
        ? { _tag: "NotHeld", current: undefined }
        : { _tag: "NotHeld", current }
    }))

  /** The state of holds after a write, or none where there was nothing to write to. */
  const written = (operation: string, lockId: string, rows: ReadonlyArray<Row>) => {
    const row = rows[0]
    if (row === undefined) return Effect.succeed(undefined)
    return row.holds === null
      ? newer(operation, lockId, Number(row.info))
      : Effect.succeed(holdsOf(row.holds as string))
  }

  const pages = (operation: string, free: boolean) =>
    Stream.paginateChunkEffect("", (after) =>
      Effect.map(run(operation, dialect.list(after, free, pageSize)), (rows) => [
        Chunk.unsafeFromArray(rows as Array<Row>),
        rows.length < pageSize ? Option.none<string>() : Option.some(rows[rows.length - 1]!.lock_id as string)
      ]))

  const purge = (micros: number, after: string, total: number): Effect.Effect<number, StorageError> =>
    Effect.flatMap(run("purge", dialect.purge(after, micros, pageSize)), (rows) => {
      const row = rows[0]!
      const sum = total + Number(row.dropped)
      return Number(row.seen) < pageSize ? Effect.succeed(sum) : Effect.suspend(() => purge(micros, row.last as string, sum))
    })

  const storage = Storage.Storage.of({
    claim: (request) =>
      Effect.flatMap(
        executed((millis, done) => claims(request, millis, done)),
        (rows) => claimed(request, rows[0])
      ),
    renew: (requests) =>
      requests.length === 0
        ? Effect.succeed([])
        : Effect.flatMap(run("renew", dialect.renew(requests)), (rows) => renewed(requests, rows)),
    release: (request) =>
      executed((millis, done) => releases(request, millis, done)).pipe(
        Effect.flatMap((rows) => written("release", request.lockId, rows)),
        Effect.map((holds): LockRecord.ReleaseOutcome =>
          holds === undefined ? { _tag: "NotHeld" } : { _tag: "Released", remaining: holds.length }
        )
      ),
    revoke: ({ lockId, token, when }) =>
      run("revoke", dialect.revoke(lockId, token, when === "now" ? "" : `,${LockRecord.revokedHold}`)).pipe(
        Effect.flatMap((rows) => written("revoke", lockId, rows)),
        Effect.map((holds): LockRecord.RevokeOutcome => ({ _tag: holds === undefined ? "NotHeld" : "Revoked" }))
      ),
    get: (lockId) =>
      Effect.flatMap(run("get", dialect.get(lockId)), (rows) => {
        const row = rows[0]
        if (row === undefined) return Effect.succeedNone
        const record = recordOf(row)
        if (record.format > LockRecord.format) return newer("get", lockId, record.format)
        const now = Number(row.t)
        return Effect.succeed(
          LockRecord.isLive(record, now) ? Option.some({ record, validFor: record.leaseExpireTime - now }) : Option.none()
        )
      }),
    list: Stream.map(pages("list", false), (row) => {
      const record = recordOf(row)
      return { record, validFor: record.leaseExpireTime - Number(row.t) }
    }),
    purge: (olderThan) =>
      Effect.suspend(() => {
        const micros = Math.ceil(Duration.toMillis(Duration.max(olderThan, Storage.shortestMemory)) * 1000)
        return Number.isSafeInteger(micros) ? purge(micros, "", 0) : Effect.succeed(0)
      }),
    wakeUps: settings.wakeUps ?? Stream.empty,
    guarantees
  })

  const compareAndSet = (lockId: string, operation: string, query: Query<S>) =>
    Effect.flatMap(
      run(operation, query),
      (rows) => rows.length > 0 ? Effect.void : new VersionedStore.VersionMiss({ lockId })
    )

  const { clock: _, ...unclocked } = guarantees

  const versioned = VersionedStore.VersionedStore.of({
    create: (lockId, version, record) => compareAndSet(lockId, "create", dialect.create({ ...record, lockId, version })),
    update: (lockId, expected, record) => compareAndSet(lockId, "update", dialect.update({ ...record, lockId }, expected)),
    delete: (lockId, expected) => compareAndSet(lockId, "delete", dialect.drop(lockId, expected)),
    get: (lockId) =>
      Effect.map(run("get", dialect.get(lockId)), (rows) => Option.map(Option.fromNullable(rows[0]), recordOf)),
    list: Stream.map(pages("list", true), recordOf),
    time: Effect.map(run("time", dialect.time), (rows) => Number(rows[0]!.t)),
    wakeUps: settings.wakeUps,
    guarantees: { ...unclocked, name: `${guarantees.name}.versioned` }
  })

  return { storage, versioned }
}
