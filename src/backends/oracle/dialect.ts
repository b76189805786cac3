/** What locks say to Oracle. */
import type * as Storage from "../../Storage.js"
import * as LockRecord from "../../LockRecord.js"
import { valuesOf } from "../sql/record.js"
import type { Dialect } from "../sql/storage.js"
import * as statements from "./statements.js"

const guarantees = {
  name: "OracleStorage",
  clock: "storage",
  time: "real",
  leaseGranularity: 1,
  // A tick of the coarsest clock of Windows, and a little.
  shortestLease: 20_000,
  longestId: statements.longestId,
  // `data` may have 2000 bytes, and what a record has besides takes 400 of this at least.
  largestRecord: 2_400
} as const satisfies Storage.Guarantees

/** Below every id, none of which is empty or has a NUL: an empty one is NULL, and nothing is greater than that. */
const lowest = "\0"

const hexed = (values: ReadonlyArray<string | number>): ReadonlyArray<string | number> =>
  values.map((value, i) => (i === 4 ? statements.encoded(String(value)) : value))

/** What each operation asks of the server, over one table. `table` is quoted. */
export const make = (table: string, wait: number): Dialect<statements.Statement> => {
  const sql = statements.make(table, wait)
  return {
    claim: ({ holdId, lease, lockId, ownerId, ownerLabel }) => ({
      statement: sql.claim(lockId),
      values: [lockId, LockRecord.exclusive, ownerId, statements.holdOf(holdId), lease, ownerLabel ?? ""]
    }),
    renew: (requests) => {
      const sorted = requests
        .map((request, at) => ({ request, at, bytes: Buffer.from(request.lockId) }))
        .sort((a, b) => a.bytes.compare(b.bytes))
      const last = sorted.length - 1
      return {
        statement: sql.renew(
          sorted.map(({ request }) => request.lockId),
          sorted.map(({ at }) => at)
        ),
        values: sorted.map(({ request: { holdId, lease, lockId } }, i) => [
          lockId,
          LockRecord.exclusive,
          statements.holdOf(holdId),
          lease,
          i === 0 ? 1 : 0,
          i === last ? 1 : 0
        ])
      }
    },
    release: ({ holdId, lockId }) => ({
      statement: sql.release,
      values: [lockId, LockRecord.exclusive, statements.holdOf(holdId)]
    }),
    revoke: (lockId, token, holds) => ({
      statement: sql.revoke,
      values: [lockId, LockRecord.exclusive, token, statements.encoded(holds)]
    }),
    get: (lockId) => ({ statement: sql.get(lockId), values: [lockId] }),
    list: (after, free, limit) => ({
      statement: sql.list,
      values: [after === "" ? lowest : after, free ? 1 : 0, limit]
    }),
    purge: (after, micros, limit) => ({
      statement: sql.purge,
      values: [after === "" ? lowest : after, micros, limit]
    }),
    time: { statement: sql.time, values: [] },
    create: (record) => ({ statement: sql.create, values: hexed(valuesOf(record)) }),
    update: (record, expected) => ({ statement: sql.update, values: [...hexed(valuesOf(record)), expected] }),
    drop: (lockId, expected) => ({ statement: sql.drop, values: [lockId, expected] }),
    guarantees
  }
}
