/** A dialect of SQL that is made by hand: its statements are functions over records in memory, by a clock that the test moves. For what all SQL backends have in common, without a server. */
import * as Result from "#effect/Result"
import type { Executor } from "../../src/backends/sql/executor.js"
import { type Row, textOf } from "../../src/backends/sql/record.js"
import type { Dialect } from "../../src/backends/sql/storage.js"
import * as LockRecord from "../../src/LockRecord.js"

/** Gives its rows at a time in microseconds. */
export type Statement = (now: number) => ReadonlyArray<Row>

/** As a driver gives it: whole numbers of 64 bits come as texts. */
export const rowOf = (record: LockRecord.LockRecord, now: number): Row => ({
  lock_id: record.lockId,
  kind: record.kind,
  format: record.format,
  owner_id: record.ownerId,
  holds: textOf(record.holds),
  token: `${record.token}`,
  version: `${record.version}`,
  began: `${record.lockBeginTime}`,
  expires: `${record.leaseExpireTime}`,
  data: record.data,
  owner_label: record.ownerLabel ?? "",
  t: `${now}`
})

const nobody: Row = { lock_id: null }

export const make = (records = new Map<string, LockRecord.LockRecord>()) => {
  const isNewer = (lockId: string): boolean => (records.get(lockId)?.format ?? 0) > LockRecord.format

  const step = <R extends LockRecord.Request>(request: R, now: number): LockRecord.OutcomeOf<R["_tag"]> => {
    const next = LockRecord.step(records.get(request.lockId), request, now)
    if (next.record !== undefined) records.set(request.lockId, next.record)
    return next.outcome
  }

  const page = (after: string, limit: number, keeps: (record: LockRecord.LockRecord) => boolean) =>
    Array.from(records.values())
      .filter((record) => Buffer.compare(Buffer.from(record.lockId), Buffer.from(after)) > 0 && keeps(record))
      .sort((a, b) => Buffer.compare(Buffer.from(a.lockId), Buffer.from(b.lockId)))
      .slice(0, limit)

  const claim = (request: LockRecord.Claim, now: number): Row => {
    if (!isNewer(request.lockId)) step({ _tag: "Claim", ...request }, now)
    return rowOf(records.get(request.lockId)!, now)
  }

  const renew = (request: LockRecord.Renew, now: number): Row => {
    const outcome: LockRecord.RenewOutcome = isNewer(request.lockId)
      ? { _tag: "NotHeld", current: records.get(request.lockId) }
      : step({ _tag: "Renew", ...request }, now)
    if (outcome._tag === "Renewed") return { t: `${now}`, renewed: `${outcome.leaseExpireTime}` }
    return outcome.current === undefined
      ? { ...nobody, t: `${now}`, renewed: null }
      : { ...rowOf(outcome.current, now), renewed: null }
  }

  /** The holds that a write left, or that the record is not ours to touch, or nothing. */
  const left = (lockId: string, isDone: () => boolean): ReadonlyArray<Row> =>
    isNewer(lockId)
      ? [{ holds: null, info: `${records.get(lockId)!.format}` }]
      : isDone()
        ? [{ lock_id: lockId, holds: textOf(records.get(lockId)!.holds), info: null }]
        : []

  const release = (request: LockRecord.Release, now: number) =>
    left(request.lockId, () => step({ _tag: "Release", ...request }, now)._tag === "Released")

  const written = (isDone: boolean, write: () => void): ReadonlyArray<Row> => {
    if (isDone) write()
    return isDone ? [{ done: 1 }] : []
  }

  const query = (statement: Statement, ...values: ReadonlyArray<unknown>) => ({ statement, values })

  const dialect: Dialect<Statement> = {
    claim: (request) => query((now) => [claim(request, now)], "one"),
    renew: (requests) => query((now) => requests.map((request) => renew(request, now))),
    release: (request) => query((now) => release(request, now), "one"),
    revoke: (lockId, token, holds) =>
      query((now) =>
        left(
          lockId,
          () => step({ _tag: "Revoke", lockId, token, when: holds === "" ? "now" : "leaseEnd" }, now)._tag === "Revoked"
        )
      ),
    get: (lockId) =>
      query((now) => {
        const record = records.get(lockId)
        return record === undefined ? [] : [rowOf(record, now)]
      }),
    list: (after, free, limit) =>
      query((now) =>
        page(after, limit, (record) => free || LockRecord.isLive(record, now)).map((record) => rowOf(record, now))
      ),
    purge: (after, micros, limit) =>
      query((now) => {
        const seen = page(after, limit, () => true)
        const old = seen.filter((record) => record.leaseExpireTime < now - micros)
        for (const { lockId } of old) records.delete(lockId)
        return [{ dropped: `${old.length}`, seen: seen.length, last: seen[seen.length - 1]?.lockId ?? "" }]
      }),
    time: query((now) => [{ t: `${now}` }]),
    create: (record) => query(() => written(!records.has(record.lockId), () => records.set(record.lockId, record))),
    update: (record, expected) =>
      query(() => written(records.get(record.lockId)?.version === expected, () => records.set(record.lockId, record))),
    drop: (lockId, expected) =>
      query(() => written(records.get(lockId)?.version === expected, () => records.delete(lockId))),
    claimMany: (requests) => query((now) => requests.map((request) => claim(request, now)), "many"),
    releaseMany: (requests) => query((now) => requests.flatMap((request) => release(request, now)), "many"),
    guarantees: {
      name: "HandStorage",
      clock: "storage",
      time: "real",
      leaseGranularity: 1,
      shortestLease: 1_000,
      longestId: 255 * 4
    }
  }
  return { records, dialect }
}

export interface Sent {
  readonly operation: string
  readonly values: ReadonlyArray<unknown>
  readonly millis: number
}

/** Answers each query a little later, as a server does. */
export const executor = (time: () => number, width = 2) => {
  const sent: Array<Sent> = []
  const made: Executor<Statement> = {
    width,
    run: (operation, { statement, values }, millis, done) => {
      sent.push({ operation, values, millis })
      setImmediate(() => done(Result.succeed(statement(time()))))
    }
  }
  return { sent, executor: made }
}
