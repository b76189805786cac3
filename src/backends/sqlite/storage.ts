/** The native storage over SQLite: one statement for each operation. */
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Stream from "#effect/Stream"
import * as direct from "../../common/direct.js"
import { freeFor } from "../../common/freeFor.js"
import { StorageError } from "../../LockError.js"
import * as LockRecord from "../../LockRecord.js"
import * as Storage from "../../Storage.js"
import type { Handle } from "./handle.js"
import { toRecord } from "./record.js"
import type { Row } from "./statements.js"
import * as statements from "./statements.js"
import { Waited } from "./waited.js"

export const guarantees: Storage.Guarantees = {
  name: "SqliteStorage",
  clock: "storage",
  time: "real",
  leaseGranularity: 1_000,
  shortestLease: 10_000,
  longestId: 4 * 255
}

export const pageSize = 256

/** Rows of a statement, a page at a time by the key, so that no read stays open between pages (an open one keeps the log from being checkpointed). */
export const pages = <R extends { readonly lock_id: string }>(
  page: (after: string) => Effect.Effect<ReadonlyArray<R>, StorageError>
): Stream.Stream<R, StorageError> =>
  Stream.paginate("", (after) =>
    Effect.map(page(after), (rows) => [
      rows,
      rows.length < pageSize ? Option.none() : Option.some(rows[rows.length - 1]!.lock_id)
    ])
  )

const readable = (operation: string, row: Row | undefined): Effect.Effect<void, StorageError> =>
  row === undefined || row.format <= LockRecord.format
    ? Effect.void
    : new StorageError({
        reason: "Schema",
        operation,
        isRetryable: false,
        applied: "no",
        message: `the record of ${JSON.stringify(row.lock_id)} has format ${row.format}, newer than ${LockRecord.format}: update effect-storage-lock`
      })

export const make = (
  handle: Handle,
  table: string,
  changes: Stream.Stream<void>,
  audit?: Storage.Service["audit"]
): Storage.Service => {
  const sql = statements.make(table)
  const waited = new Waited()
  const name = (operation: string) => `${guarantees.name}.${operation}`

  const read = (operation: string, lockId: string) =>
    Effect.map(handle.run<Row>(operation, sql.read, { lockId }), (rows) => rows[0])

  const claimed = (request: LockRecord.Claim) => ({ ...request, ownerLabel: request.ownerLabel ?? "" })
  const outcomeOf = (written: Row): LockRecord.ClaimOutcome => ({
    _tag: "Claimed",
    record: toRecord(written),
    validFor: written.lease_expire_time - written.now
  })

  /**
   * Reads first. In SQLite even an upsert that changes nothing waits for, and takes, the one write lock of the file, so a contended claim would stand
   * in line behind every writer and be in their way. Reading needs no lock in WAL mode and no round trip: microseconds beside the sync of a commit.
   * The upsert judges again, so what was read is only ever an answer, never a ground to write. If somebody came between, read again: he made progress.
   */
  const slowClaim = (request: LockRecord.Claim): Effect.Effect<LockRecord.ClaimOutcome, StorageError> => {
    const operation = name("claim")
    return Effect.flatMap(read(operation, request.lockId), (row) =>
      Effect.andThen(
        readable(operation, row),
        Effect.suspend(() => {
          if (row !== undefined) {
            const record = toRecord(row)
            const step = LockRecord.claim(record, request, row.now)
            if (step.record === record) return Effect.succeed(step.outcome)
          }
          return Effect.flatMap(
            handle.write<Row>(operation, sql.claim, claimed(request)),
            ([written]): Effect.Effect<LockRecord.ClaimOutcome, StorageError> =>
              written === undefined ? slowClaim(request) : Effect.succeed(outcomeOf(written))
          )
        })
      )
    )
  }

  /** The same at once, without an effect, as far as nothing is in the way. */
  const claim: direct.Ask<LockRecord.Claim, LockRecord.ClaimOutcome> = (request, _, done) => {
    const told = (outcome: LockRecord.ClaimOutcome) => {
      waited.heard(request.lockId, outcome)
      return Effect.succeed(outcome)
    }
    const slowly = () => done(Effect.flatMap(slowClaim(request), told))
    let row: Row | undefined
    try {
      row = handle.atOnce.read(sql.read, { lockId: request.lockId })[0] as Row | undefined
    } catch {
      return slowly()
    }
    if (row !== undefined) {
      if (row.format > LockRecord.format) return slowly()
      const record = toRecord(row)
      const step = LockRecord.claim(record, request, row.now)
      if (step.record === record) return handle.atOnce.isCurrent() ? done(told(step.outcome)) : slowly()
    }
    handle.atOnce.write(
      sql.claim,
      claimed(request),
      ([written]) => (written === undefined ? slowly() : done(told(outcomeOf(written as Row)))),
      slowly
    )
  }

  /** Why not, for those that were not renewed. */
  const notHeld = (operation: string, lockIds: ReadonlySet<string>) =>
    lockIds.size === 0
      ? Effect.succeed(new Map<string, Row>())
      : handle.run<Row>(operation, sql.readMany, { lockIds: JSON.stringify([...lockIds]) }).pipe(
          Effect.tap((rows) => Effect.forEach(rows, (row) => readable(operation, row), { discard: true })),
          Effect.map((rows) => new Map(rows.map((row) => [row.lock_id, row] as const)))
        )

  const renew: Storage.Service["renew"] = (requests) =>
    Effect.gen(function* () {
      if (requests.length === 0) return []
      const operation = name("renew")
      const rows = yield* handle.write<Row>(operation, sql.renew, {
        requests: JSON.stringify(requests.map((request) => [request.lockId, request.holdId, request.lease]))
      })
      const renewed = new Map(rows.map((row) => [row.lock_id, { row, record: toRecord(row) }] as const))
      const held = (request: LockRecord.Renew) => {
        const found = renewed.get(request.lockId)
        return found !== undefined && found.record.holds.includes(request.holdId) ? found.row : undefined
      }
      const missed = requests.filter((request) => held(request) === undefined)
      const current = yield* notHeld(operation, new Set(missed.map((request) => request.lockId)))
      return requests.map((request): LockRecord.RenewOutcome => {
        const row = held(request)
        if (row !== undefined) {
          return { _tag: "Renewed", leaseExpireTime: row.lease_expire_time, validFor: row.lease_expire_time - row.now }
        }
        const other = current.get(request.lockId)
        const record = other === undefined ? undefined : toRecord(other)
        return record === undefined ? { _tag: "NotHeld" } : { _tag: "NotHeld", current: record }
      })
    })

  /** Nothing matched. That is the answer, unless the record is one that this version cannot judge. */
  const none = (operation: string, lockId: string) =>
    Effect.as(
      Effect.flatMap(read(operation, lockId), (row) => readable(operation, row)),
      { _tag: "NotHeld" } as const
    )

  type Left = Pick<Row, "holds">

  const released = (
    request: LockRecord.Release,
    row: Left | undefined
  ): Effect.Effect<LockRecord.ReleaseOutcome, StorageError> =>
    row === undefined
      ? none(name("release"), request.lockId)
      : Effect.succeed({ _tag: "Released", remaining: row.holds.split(",").length - 1 })

  const release: direct.Ask<LockRecord.Release, LockRecord.ReleaseOutcome> = (request, _, done) => {
    const params = { ...request }
    handle.atOnce.write(
      sql.release,
      params,
      ([row]) => done(released(request, row as Left | undefined)),
      () =>
        done(
          Effect.flatMap(handle.write<Left>(name("release"), sql.release, params), ([row]) => released(request, row))
        )
    )
  }

  /** Whoever listens without having claimed is told that it may be any. */
  const any: ReadonlyArray<string> = ["all"]
  const freed: Effect.Effect<ReadonlyArray<string>> = Effect.suspend(() => {
    const lockIds = waited.ids()
    return lockIds.length === 0
      ? Effect.succeed(any)
      : handle.run<Row>(name("wakeUps"), sql.readMany, { lockIds: JSON.stringify(lockIds) }).pipe(
          Effect.map((rows) =>
            waited.freed(new Map(rows.map((row) => [row.lock_id, toRecord(row)])), rows[0]?.now ?? 0)
          ),
          Effect.catch(() => Effect.succeed(any))
        )
  })
  const wakeUps = Stream.flatMap(changes, () => Stream.fromIterableEffect(freed))
  direct.offerHints(wakeUps, {
    listen: direct.listenTo(wakeUps),
    expects: (lockId) => waited.expects(lockId),
    tells: "others"
  })

  const storage = Storage.Storage.of({
    claim: direct.effectOf(claim),
    renew,
    release: direct.effectOf(release),
    revoke: (request) =>
      Effect.flatMap(
        handle.write<unknown>(name("revoke"), sql.revoke, { ...request }),
        (rows): Effect.Effect<LockRecord.RevokeOutcome, StorageError> =>
          rows.length === 0 ? none(name("revoke"), request.lockId) : Effect.succeed({ _tag: "Revoked" })
      ),
    get: (lockId) =>
      Effect.map(read(name("get"), lockId), (row) => {
        const record = row === undefined ? undefined : toRecord(row)
        return record !== undefined && LockRecord.isLive(record, row!.now)
          ? Option.some({ record, validFor: record.leaseExpireTime - row!.now })
          : Option.none()
      }),
    list: Stream.map(
      pages((after) => handle.run<Row>(name("list"), sql.list, { after, limit: pageSize })),
      (row) => ({ record: toRecord(row), validFor: row.lease_expire_time - row.now })
    ),
    purge: (olderThan) => {
      const micros = freeFor(olderThan)
      // Beyond the epoch nothing is that old; and infinity is no integer.
      const span = Math.min(micros, Number.MAX_SAFE_INTEGER)
      const more = (sum: number): Effect.Effect<number, StorageError> =>
        Effect.flatMap(handle.run<unknown>(name("purge"), sql.purge, { span, limit: pageSize }), (rows) =>
          rows.length < pageSize ? Effect.succeed(sum + rows.length) : more(sum + rows.length)
        )
      return more(0)
    },
    wakeUps,
    guarantees,
    audit
  })
  return direct.offer(storage, { claim, release })
}
