/** What locks say to SQL Server, in T-SQL. */
import type * as Storage from "../../Storage.js"
import { valuesOf } from "../sql/record.js"
import type { Dialect } from "../sql/storage.js"
import * as statements from "./statements.js"

const guarantees = {
  name: "MssqlStorage",
  clock: "storage",
  time: "real",
  leaseGranularity: 1,
  // A tick of the coarsest clock of Windows, and a little.
  shortestLease: 20_000,
  longestId: statements.longestId
} as const satisfies Storage.Guarantees

/** What each operation asks of the server, over one table. */
export const make = (
  table: string,
  lockTimeout: number,
  database?: string | undefined
): Dialect<statements.Statement> => {
  const sql = statements.make(table, lockTimeout, database)
  return {
    claim: ({ holdId, lease, lockId, ownerId, ownerLabel }) => ({
      statement: sql.claim,
      values: [lockId, ownerId, holdId, lease, ownerLabel ?? ""]
    }),
    renew: sql.renew,
    release: ({ holdId, lockId }) => ({ statement: sql.release, values: [lockId, holdId] }),
    revoke: (lockId, token, holds) => ({ statement: sql.revoke, values: [lockId, token, holds] }),
    get: (lockId) => ({ statement: sql.get, values: [lockId] }),
    list: (after, free, limit) => ({ statement: sql.list, values: [after, free ? 1 : 0, limit] }),
    purge: (after, micros, limit) => ({ statement: sql.purge, values: [after, micros, limit] }),
    time: { statement: sql.time, values: [] },
    create: (record) => ({ statement: sql.create, values: valuesOf(record) }),
    update: (record, expected) => ({ statement: sql.update, values: [...valuesOf(record), expected] }),
    drop: (lockId, expected) => ({ statement: sql.drop, values: [lockId, expected] }),
    guarantees
  }
}
