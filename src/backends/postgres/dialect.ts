/** What the shared SQL storage asks of PostgreSQL: its statements with their values bound. */
import type * as Storage from "../../Storage.js"
import type { Dialect } from "../sql/storage.js"
import { valuesOf } from "../sql/record.js"
import * as locked from "./locked.js"
import * as statements from "./statements.js"

export interface Settings {
  /** Quoted. */
  readonly table: string
  readonly channel: string
  readonly notify: boolean
}

const guarantees = {
  name: "PostgresStorage",
  clock: "storage",
  time: "real",
  leaseGranularity: 1,
  shortestLease: 1_000,
  longestId: 4 * 255
} as const satisfies Storage.Guarantees

/** What each operation asks of the server, over one table. */
export const make = (settings: Settings): Dialect<statements.Statement> => {
  const sql = statements.make(settings.table, settings.notify)
  const channel = settings.notify ? [settings.channel] : []
  return {
    claim: ({ holdId, lease, lockId, ownerId, ownerLabel }) => ({
      statement: sql.claim,
      values: [lockId, ownerId, holdId, lease, ownerLabel ?? ""]
    }),
    claimMany: (requests) => ({
      statement: sql.claimMany,
      values: [
        requests.map((request) => request.lockId),
        requests.map((request) => request.ownerId),
        requests.map((request) => request.holdId),
        requests.map((request) => request.lease),
        requests.map((request) => request.ownerLabel ?? "")
      ]
    }),
    renew: (requests) => ({
      statement: sql.renew,
      values: [
        requests.map((request) => request.lockId),
        requests.map((request) => request.holdId),
        requests.map((request) => request.lease)
      ]
    }),
    release: ({ holdId, lockId }) => ({ statement: sql.release, values: [lockId, holdId, ...channel] }),
    releaseMany: (requests) => ({
      statement: sql.releaseMany,
      values: [requests.map((request) => request.lockId), requests.map((request) => request.holdId), ...channel]
    }),
    revoke: (lockId, token, holds) => ({ statement: sql.revoke, values: [lockId, token, holds, ...channel] }),
    get: (lockId) => ({ statement: sql.get, values: [lockId] }),
    list: (after, free, limit) => ({ statement: sql.list, values: [after, free, limit] }),
    purge: (after, micros, limit) => ({ statement: sql.purge, values: [after, micros, limit] }),
    time: { statement: sql.time, values: [] },
    create: (record) => ({ statement: sql.create, values: valuesOf(record) }),
    update: (record, expected) => ({ statement: sql.update, values: [...valuesOf(record), expected, ...channel] }),
    drop: (lockId, expected) => ({ statement: sql.drop, values: [lockId, expected] }),
    hides: { statement: sql.hides, values: [] },
    locked: locked.make(settings.table, settings.notify ? settings.channel : undefined),
    guarantees
  }
}
