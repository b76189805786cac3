/** A record as a row of SQLite, and back. */
import { labelled, type LockRecord } from "../../LockRecord.js"
import type { Row } from "./statements.js"

export const toRecord = (row: Omit<Row, "now">): LockRecord => ({
  lockId: row.lock_id,
  kind: row.kind,
  format: row.format,
  ownerId: row.owner_id,
  ...labelled(row.owner_label),
  holds: row.holds === "" ? [] : row.holds.slice(1).split(","),
  token: row.token,
  version: row.version,
  lockBeginTime: row.lock_begin_time,
  leaseExpireTime: row.lease_expire_time,
  data: row.data
})

/** By the names of the parameters. */
export const toParams = (record: LockRecord): Record<string, unknown> => ({
  ...record,
  ownerLabel: record.ownerLabel ?? "",
  holds: record.holds.map((hold) => `,${hold}`).join("")
})
