import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { type StorageError } from "../../LockError.js"
import * as LockRecord from "../../LockRecord.js"
import * as Storage from "../../Storage.js"
import * as VersionedStore from "../../VersionedStore.js"
import * as errors from "./errors.js"
import type { Executor, Row } from "./executor.js"
import * as statements from "./statements.js"

export interface Settings {
  /** Quoted. */
  readonly table: string
  readonly channel: string
  readonly notify: boolean
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

const guarantees = {
  name: "PostgresStorage",
  clock: "storage",
  leaseGranularity: 1,
  shortestLease: 1_000,
  longestId: 4 * 255
} as const satisfies Storage.Guarantees

const holdsOf = (holds: string): ReadonlyArray<string> => holds === "" ? [] : holds.slice(1).split(",")
const textOf = (holds: ReadonlyArray<string>): string => holds.map((hold) => "," + hold).join("")

/** Numbers come as strings, or as whatever the program's own type parsers make of a bigint; all are below 2^53. */
const recordOf = (row: Row): LockRecord.LockRecord => ({
  lockId: row.lock_id as string,
  kind: row.kind as string,
  format: Number(row.format),
  ownerId: row.owner_id as string,
  holds: holdsOf(row.holds as string),
  token: Number(row.token),
  version: Number(row.version),
  lockBeginTime: Number(row.began),
  leaseExpireTime: Number(row.expires),
  data: row.data as string
})

const valuesOf = (record: LockRecord.LockRecord): ReadonlyArray<unknown> => [
  record.lockId,
  record.kind,
  record.format,
  record.ownerId,
  textOf(record.holds),
  record.token,
  record.version,
  record.lockBeginTime,
  record.leaseExpireTime,
  record.data
]

const newer = (operation: string, lockId: string, format: number): StorageError =>
  errors.schema(
    operation,
    `the record of ${JSON.stringify(lockId)} has format ${format}, newer than ${LockRecord.format}: update effect-storage-lock`
  )

const claimed = (request: LockRecord.Claim, row: Row): LockRecord.ClaimOutcome | StorageError => {
  const record = recordOf(row)
  if (record.format > LockRecord.format) return newer("claim", request.lockId, record.format)
  const left = record.leaseExpireTime - Number(row.t)
  return record.ownerId === request.ownerId && record.kind === LockRecord.exclusive && record.holds.includes(request.holdId)
    ? { _tag: "Claimed", record, validFor: left }
    : { _tag: "Held", holder: record, retryAfter: left }
}

/** A hold in a row of a newer format is not ours to renew, but must not cost the others theirs: only if nothing else was asked is it an error. */
const renewed = (
  requests: ReadonlyArray<LockRecord.Renew>,
  rows: ReadonlyArray<Row>
): ReadonlyArray<LockRecord.RenewOutcome> | StorageError => {
  let unreadable = 0
  const outcomes = rows.map((row, i): LockRecord.RenewOutcome => {
    const now = Number(row.t)
    if (row.renewed !== null) {
      const leaseExpireTime = Number(row.renewed)
      return { _tag: "Renewed", leaseExpireTime, validFor: leaseExpireTime - now }
    }
    if (row.lock_id === null) return { _tag: "NotHeld" }
    const current = recordOf(row)
    if (current.format > LockRecord.format) {
      unreadable++
      return { _tag: "NotHeld" }
    }
    // The snapshot may still show what was before the takeover.
    return LockRecord.isLive(current, now) && !current.holds.includes(requests[i]!.holdId)
      ? { _tag: "NotHeld", current }
      : { _tag: "NotHeld" }
  })
  return unreadable > 0 && unreadable === rows.length
    ? newer("renew", requests[0]!.lockId, Number(rows[0]!.format))
    : outcomes
}

/** Both ports over one table. Every storage call of the library to PostgreSQL is one statement, and one round trip. */
export const make = (executor: Executor, settings: Settings): Ports => {
  const sql = statements.make(settings.table, settings.notify)
  const channel = settings.notify ? [settings.channel] : []

  /** Beaten by somebody at the same time (which needs a stricter isolation than the default): quickly again, within the time there is. */
  const again = (operation: string, statement: statements.Statement, values: ReadonlyArray<unknown>, first: StorageError, until: number) => {
    let known: StorageError | undefined = first
    return Effect.suspend(() => {
      const failed = known
      known = undefined
      return failed ?? executor.run(operation, statement, values, Math.max(0, until - performance.now()))
    }).pipe(
      Effect.retry({
        schedule: settings.versionMissRetry,
        while: (error) => error.reason === "Conflict" && performance.now() < until
      }),
      // No time was left for another try: then the conflict is what happened.
      Effect.mapError((error) => error.reason === "Timeout" && error.applied === "no" && performance.now() >= until ? first : error)
    )
  }

  const run = (operation: string, statement: statements.Statement, values: ReadonlyArray<unknown>) =>
    Effect.flatMap(Storage.TimeLimit, (limit) => {
      const millis = Math.min(settings.operationTimeout, Duration.toMillis(limit))
      const until = performance.now() + millis
      return Effect.catchAll(executor.run(operation, statement, values, millis), (error) =>
        error.reason === "Conflict" ? again(operation, statement, values, error, until) : error)
    })

  const done = <A>(result: A | StorageError): Effect.Effect<A, StorageError> =>
    typeof result === "object" && result !== null && "_tag" in result && result._tag === "StorageError"
      ? Effect.fail(result)
      : Effect.succeed(result as A)

  /** The state of holds after a write, or none where there was nothing to write to. */
  const written = (operation: string, lockId: string, values: ReadonlyArray<unknown>, statement: statements.Statement) =>
    Effect.flatMap(run(operation, statement, values), (rows) => {
      const row = rows[0]
      if (row === undefined) return Effect.succeed(undefined)
      return row.holds === null
        ? Effect.fail(newer(operation, lockId, Number(row.info)))
        : Effect.succeed(holdsOf(row.holds as string))
    })

  const pages = (operation: string, free: boolean) =>
    Stream.paginateChunkEffect("", (after) =>
      Effect.map(run(operation, sql.list, [after, free, pageSize]), (rows) => [
        Chunk.unsafeFromArray(rows as Array<Row>),
        rows.length < pageSize ? Option.none<string>() : Option.some(rows[rows.length - 1]!.lock_id as string)
      ]))

  const purge = (micros: number, after: string, total: number): Effect.Effect<number, StorageError> =>
    Effect.flatMap(run("purge", sql.purge, [after, micros, pageSize]), (rows) => {
      const row = rows[0]!
      const sum = total + Number(row.dropped)
      return Number(row.seen) < pageSize ? Effect.succeed(sum) : Effect.suspend(() => purge(micros, row.last as string, sum))
    })

  const storage = Storage.Storage.of({
    claim: (request) =>
      Effect.flatMap(
        run("claim", sql.claim, [request.lockId, request.ownerId, request.holdId, request.lease]),
        (rows) => done(claimed(request, rows[0]!))
      ),
    renew: (requests) =>
      requests.length === 0 ? Effect.succeed([]) : Effect.flatMap(
        run("renew", sql.renew, [
          requests.map((request) => request.lockId),
          requests.map((request) => request.holdId),
          requests.map((request) => request.lease)
        ]),
        (rows) => done(renewed(requests, rows))
      ),
    release: ({ holdId, lockId }) =>
      Effect.map(
        written("release", lockId, [lockId, holdId, ...channel], sql.release),
        (holds): LockRecord.ReleaseOutcome => holds === undefined ? { _tag: "NotHeld" } : { _tag: "Released", remaining: holds.length }
      ),
    revoke: ({ lockId, token, when }) =>
      Effect.map(
        written("revoke", lockId, [lockId, token, when === "now" ? "" : textOf([LockRecord.revokedHold]), ...channel], sql.revoke),
        (holds): LockRecord.RevokeOutcome => ({ _tag: holds === undefined ? "NotHeld" : "Revoked" })
      ),
    get: (lockId) =>
      Effect.flatMap(run("get", sql.get, [lockId]), (rows) => {
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
        const millis = Duration.toMillis(Duration.max(olderThan, Storage.shortestMemory))
        return Number.isSafeInteger(Math.ceil(millis * 1000)) ? purge(Math.ceil(millis * 1000), "", 0) : Effect.succeed(0)
      }),
    wakeUps: settings.wakeUps ?? Stream.empty,
    guarantees
  })

  const compareAndSet = (lockId: string, statement: statements.Statement, operation: string, values: ReadonlyArray<unknown>) =>
    Effect.flatMap(
      run(operation, statement, values),
      (rows) => rows.length > 0 ? Effect.void : new VersionedStore.VersionMiss({ lockId })
    )

  const { clock: _, ...unclocked } = guarantees

  const versioned = VersionedStore.VersionedStore.of({
    create: (lockId, version, record) =>
      compareAndSet(lockId, sql.create, "create", valuesOf({ ...record, lockId, version })),
    update: (lockId, expected, record) =>
      compareAndSet(lockId, sql.update, "update", [...valuesOf({ ...record, lockId }), expected, ...channel]),
    delete: (lockId, expected) => compareAndSet(lockId, sql.drop, "delete", [lockId, expected]),
    get: (lockId) => Effect.map(run("get", sql.get, [lockId]), (rows) => Option.map(Option.fromNullable(rows[0]), recordOf)),
    list: Stream.map(pages("list", true), recordOf),
    time: Effect.map(run("time", sql.time, []), (rows) => Number(rows[0]!.t)),
    wakeUps: settings.wakeUps,
    guarantees: { ...unclocked, name: "PostgresStorage.versioned" }
  })

  return { storage, versioned }
}
