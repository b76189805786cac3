/** The SQL of the native storage over SQLite. */
import { exclusive, format, revokedHold } from "../../LockRecord.js"

/** An identifier, by SQLite's rule: nothing in it is ever read as SQL. */
export const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`

/**
 * Microseconds since the epoch. SQLite gives every use of it within one `sqlite3_step` the same value, and makes all changes of a statement in its first
 * step: so it is one sample per writing statement, and per read of one row. Taken after the lock on the file, and of millisecond resolution.
 */
const now = "(CAST(round(unixepoch('subsec') * 1000) AS INTEGER) * 1000)"

const columns =
  "lock_id, kind, format, owner_id, holds, token, version, lock_begin_time, lease_expire_time, data, owner_label"

/** Whether the hold id that `id` stands for is in `holds` (`,` before each). No hold id has a comma. */
const has = (holds: string, id: string): string => `instr(${holds} || ',', ',' || ${id} || ',') > 0`

export interface Row {
  readonly lock_id: string
  readonly kind: string
  readonly format: number
  readonly owner_id: string
  readonly holds: string
  readonly token: number
  readonly version: number
  readonly lock_begin_time: number
  readonly lease_expire_time: number
  readonly data: string
  readonly owner_label: string
  readonly now: number
}

/** Versions before labels had no such column. With a default, so that they can go on beside newer ones. */
const label = "owner_label TEXT NOT NULL DEFAULT ''"

/** STRICT: what is not of the column's type is refused, not stored. WITHOUT ROWID: one tree, and one page to write, per change. */
export const createTable = (name: string): string =>
  `CREATE TABLE IF NOT EXISTS ${quote(name)} (
  lock_id TEXT COLLATE BINARY NOT NULL PRIMARY KEY,
  kind TEXT NOT NULL,
  format INTEGER NOT NULL,
  owner_id TEXT NOT NULL,
  holds TEXT NOT NULL,
  token INTEGER NOT NULL,
  version INTEGER NOT NULL,
  lock_begin_time INTEGER NOT NULL,
  lease_expire_time INTEGER NOT NULL,
  data TEXT NOT NULL,
  ${label}
) STRICT, WITHOUT ROWID`

/** For a table of a version before owner labels. */
export const addLabel = (name: string): string => `ALTER TABLE ${quote(name)} ADD COLUMN ${label}`

/** No row if there is no such table; `labelled` 0 if it is of a version before owner labels. */
export const look = (name: string): string =>
  `SELECT count(*) FILTER (WHERE name = 'owner_label') AS labelled FROM pragma_table_info('${name.replaceAll("'", "''")}') HAVING count(*) FILTER (WHERE name = 'owner_id') > 0`

/** Fails at the first statement, not at the first lock, if the table is missing or somebody else's. */
export const check = (name: string): string =>
  `SELECT ${now} AS now, sqlite_version() AS version, (SELECT count(*) FROM (SELECT ${columns} FROM ${quote(name)} LIMIT 0)) AS rows`

export const time = `SELECT ${now} AS now`

/** The texts, made once per layer, so that the driver prepares each once. Parameters are named. */
export const make = (name: string) => {
  const table = quote(name)
  // In the upsert, `excluded` is the record as it would be if the lock were free, and its begin is the present time.
  const free = "(l.holds = '' OR l.lease_expire_time <= excluded.lock_begin_time)"
  const known = has("l.holds", "$holdId")
  // No other row is renewed or freed: it is of another kind, or of a format that a later version knows.
  const ours = (row: string) => `${row}format <= ${format} AND ${row}kind = '${exclusive}'`
  const live = `holds <> '' AND lease_expire_time > ${now}`
  return {
    read: `SELECT ${columns}, ${now} AS now FROM ${table} WHERE lock_id = $lockId`,

    /** No row: another one holds it. */
    claim: `INSERT INTO ${table} AS l (${columns})
VALUES ($lockId, '${exclusive}', ${format}, $ownerId, ',' || $holdId, ${now}, max(1, ${now}), ${now}, ${now} + CAST($lease AS INTEGER), '', $ownerLabel)
ON CONFLICT (lock_id) DO UPDATE SET
  kind = CASE WHEN ${free} THEN excluded.kind ELSE l.kind END,
  format = CASE WHEN ${free} THEN excluded.format ELSE l.format END,
  owner_id = excluded.owner_id,
  holds = CASE WHEN ${free} THEN excluded.holds WHEN ${known} THEN l.holds ELSE l.holds || excluded.holds END,
  token = CASE WHEN ${free} THEN max(l.token + 1, excluded.token) ELSE l.token END,
  version = CASE WHEN NOT ${free} AND ${known} THEN l.version ELSE l.version + 1 END,
  lock_begin_time = CASE WHEN ${free} THEN excluded.lock_begin_time ELSE l.lock_begin_time END,
  lease_expire_time = CASE WHEN ${free} THEN excluded.lease_expire_time WHEN ${known} THEN l.lease_expire_time
    ELSE max(l.lease_expire_time, excluded.lease_expire_time) END,
  data = CASE WHEN ${free} THEN '' ELSE l.data END,
  owner_label = CASE WHEN ${free} THEN excluded.owner_label ELSE l.owner_label END
WHERE l.format <= ${format} AND (${free} OR (l.owner_id = excluded.owner_id AND l.kind = '${exclusive}'))
RETURNING ${columns}, ${now} AS now`,

    /**
     * `$requests`: JSON, an array of [lock id, hold id, lease]. A lock id may come several times: its live holds are counted and the longest lease taken first,
     * because UPDATE … FROM applies one match per row only.
     */
    renew: `UPDATE ${table} AS l
SET version = l.version + r.renewals, lease_expire_time = max(l.lease_expire_time, ${now} + r.lease)
FROM (SELECT t.lock_id AS lock_id, count(*) AS renewals, max(CAST(j.value ->> 2 AS INTEGER)) AS lease
  FROM json_each($requests) AS j CROSS JOIN ${table} AS t ON t.lock_id = (j.value ->> 0)
  WHERE ${ours("t.")} AND t.${live} AND ${has("t.holds", "(j.value ->> 1)")}
  GROUP BY t.lock_id) AS r
WHERE l.lock_id = r.lock_id
RETURNING ${columns}, ${now} AS now`,

    /** `$lockIds`: a JSON array */
    readMany: `WITH s AS MATERIALIZED (SELECT ${now} AS now)
SELECT ${columns}, s.now FROM s CROSS JOIN json_each($lockIds) AS j CROSS JOIN ${table} AS l ON l.lock_id = j.value`,

    release: `UPDATE ${table} SET holds = rtrim(replace(holds || ',', ',' || $holdId || ',', ','), ','), version = version + 1
WHERE lock_id = $lockId AND ${ours("")} AND ${has("holds", "$holdId")}
RETURNING holds`,

    /** `$when`: `"now"` or `"leaseEnd"` */
    revoke: `UPDATE ${table} SET
  owner_id = CASE $when WHEN 'now' THEN owner_id ELSE '' END,
  owner_label = CASE $when WHEN 'now' THEN owner_label ELSE '' END,
  holds = CASE $when WHEN 'now' THEN '' ELSE ',${revokedHold}' END,
  version = CASE WHEN $when <> 'now' AND holds = ',${revokedHold}' THEN version ELSE version + 1 END
WHERE lock_id = $lockId AND ${ours("")} AND token = $token AND ${live}
RETURNING 1 AS revoked`,

    /** `$after`: the last lock id of the page before. The time is materialized: a read of many rows is many steps. */
    list: `WITH s AS MATERIALIZED (SELECT ${now} AS now)
SELECT ${columns}, s.now FROM s CROSS JOIN ${table} AS l
WHERE lock_id > $after AND holds <> '' AND lease_expire_time > s.now ORDER BY lock_id LIMIT $limit`,

    /** `$span` in microseconds. In parts, so that no claim waits behind a long one. */
    purge: `DELETE FROM ${table} WHERE lock_id IN (
  SELECT lock_id FROM ${table} WHERE format <= ${format} AND lease_expire_time < ${now} - CAST($span AS INTEGER) LIMIT $limit)
RETURNING 1 AS purged`,

    create: `INSERT INTO ${table} (${columns}) VALUES ($lockId, $kind, $format, $ownerId, $holds, $token, $version, $lockBeginTime, $leaseExpireTime, $data, $ownerLabel)
ON CONFLICT (lock_id) DO NOTHING RETURNING 1 AS written`,

    update: `UPDATE ${table} SET kind = $kind, format = $format, owner_id = $ownerId, holds = $holds, token = $token, version = $version,
  lock_begin_time = $lockBeginTime, lease_expire_time = $leaseExpireTime, data = $data, owner_label = $ownerLabel
WHERE lock_id = $lockId AND version = $expected RETURNING 1 AS written`,

    delete: `DELETE FROM ${table} WHERE lock_id = $lockId AND version = $expected RETURNING 1 AS written`,

    listAll: `SELECT ${columns} FROM ${table} WHERE lock_id > $after ORDER BY lock_id LIMIT $limit`
  }
}
