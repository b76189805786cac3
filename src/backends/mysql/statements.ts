/**
 * The packets of the MySQL family. Three kinds of servers differ in two points: whether an upsert tells the row that it left (MariaDB), and whose clock there is (TiDB: the cluster's,
 * which is known inside a transaction only).
 *
 * Each ends with a COMMIT of its own, which does nothing where the session commits by itself.
 *
 * `@esl_t` is the one sample of the clock in a packet. Its type is that of a signed integer, so nothing here is ever unsigned.
 */
import * as renewals from "../../common/renewals.js"
import * as LockRecord from "../../LockRecord.js"
import { columnNames, valuesOf, type Row } from "../sql/record.js"
import { commit, decoded, hex, id as idOf, int, type Packet } from "./packet.js"

export type Flavour = "MySQL" | "MariaDB" | "TiDB"

const columns = columnNames.join(", ")
const t = "@esl_t"
/** Of whatever gives one row: a limit of its own is not that of the session (`sql_select_limit`). */
const one = "LIMIT 1"

/** `UTC_TIMESTAMP` is frozen for a statement, and knows no time zone. */
const serverClock = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"
/** The physical part of a timestamp of the cluster's one oracle, in milliseconds. No server's own clock has a part in it. */
const clusterClock = "CAST((@@tidb_current_ts >> 18) * 1000 AS SIGNED)"

/** Every text is bytes: a literal in quotes is of the character set of the session, where a comma may have two or four. */
const comma = hex(",")
const exclusive = hex(LockRecord.exclusive)

/** Whether the hold id is in. The delimiters keep an id from being found inside another. */
const has = (hold: string): string => `LOCATE(${hex(`,${hold},`)}, CONCAT(holds, ${comma})) > 0`

const without = (hold: string): string =>
  `LEFT(REPLACE(CONCAT(holds, ${comma}), ${hex(`,${hold},`)}, ${comma}), LENGTH(holds) - ${Buffer.byteLength(hold) + 1})`

const live = `LENGTH(holds) > 0 AND expires > ${t}`
const newer = `format > ${LockRecord.format}`
const ours = `format <= ${LockRecord.format}`

/** For TiDB: plain reads tell what is, not what was when the transaction began; a read that locks would lock rows that it then leaves out. */
const newest = ["SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "BEGIN PESSIMISTIC"]

const literals = (record: LockRecord.LockRecord): ReadonlyArray<string> =>
  valuesOf(record).map((value, i) => (typeof value === "number" ? int(value) : i === 0 ? idOf(value) : hex(value)))

/** Before the COMMIT. */
const lastButOne = (results: ReadonlyArray<unknown>): ReadonlyArray<Row> => decoded(results[results.length - 2])

export const make = (flavour: Flavour, table: string) => {
  const cluster = flavour === "TiDB"
  const sample = `SET ${t} = ${cluster ? clusterClock : serverClock}`

  /** What only reads, with a sample of the clock. */
  const reading = (statement: string): Packet =>
    cluster
      ? { statements: ["BEGIN", sample, statement, commit], read: lastButOne }
      : { statements: [sample, statement, commit], read: lastButOne }

  /** The row that `select` finds is locked, which makes what it says true when `write` comes. */
  const writing = (select: string, write: string): Packet => ({
    statements: cluster
      ? ["BEGIN PESSIMISTIC", sample, `${select} ${one} FOR UPDATE`, write, commit]
      : [sample, "START TRANSACTION", `${select} ${one} FOR UPDATE`, write, commit],
    read: (results) => decoded(results[2])
  })

  /**
   * The contended case, and a repetition, are answered from what a plain read finds, and write and lock nothing. Everything else goes through the upsert, which always judges the *newest*
   * version of the row, under its lock. `@esl_s`: 0 somebody else's (or not ours to touch), 1 ours and deeper, 2 free, 3 this hold is in. It is assigned first, and no column looks at
   * another that was assigned before it.
   */
  const claim = ({ holdId, lease, lockId, ownerId, ownerLabel }: LockRecord.Claim): Packet => {
    const id = idOf(lockId)
    const owner = idOf(ownerId)
    const label = idOf(ownerLabel ?? "")
    const hold = hex(`,${holdId}`)
    const until = `${t} + ${int(lease)}`
    const foreign = `owner_id <> ${owner} OR kind <> ${exclusive}`
    const look = `SELECT ${columns}, ${t} AS t, @esl_b := (${newer} OR (${live} AND (${foreign} OR ${has(holdId)}))) AS settled
FROM ${table} WHERE lock_id = ${id} ${one}`
    const state = `CASE WHEN ${newer} THEN 0 WHEN LENGTH(holds) = 0 OR expires <= ${t} THEN 2 WHEN ${foreign} THEN 0 WHEN ${has(holdId)} THEN 3 ELSE 1 END`
    const upsert = `INSERT INTO ${table} (${columns})
SELECT ${id}, ${exclusive}, ${LockRecord.format}, ${owner}, ${hold}, ${t}, ${t}, ${t}, ${until}, x'', ${label} FROM DUAL WHERE @esl_b = 0
ON DUPLICATE KEY UPDATE
  kind = IF((@esl_s := ${state}) = 2, ${exclusive}, kind),
  format = IF(@esl_s = 2, ${LockRecord.format}, format),
  owner_id = IF(@esl_s = 2, ${owner}, owner_id),
  holds = CASE @esl_s WHEN 2 THEN ${hold} WHEN 1 THEN CONCAT(holds, ${hold}) ELSE holds END,
  token = IF(@esl_s = 2, GREATEST(token + 1, ${t}), token),
  version = IF(@esl_s IN (1, 2), version + 1, version),
  began = IF(@esl_s = 2, ${t}, began),
  expires = CASE @esl_s WHEN 2 THEN ${until} WHEN 1 THEN GREATEST(expires, ${until}) ELSE expires END,
  data = IF(@esl_s = 2, x'', data),
  owner_label = IF(@esl_s = 2, ${label}, owner_label)`
    const now = `SELECT ${columns}, ${t} AS t FROM ${table} WHERE lock_id = ${id} AND @esl_b = 0 ${one}`
    const start = `${sample}, @esl_b = 0, @esl_s = 0`
    const answer = (first: unknown, then: unknown): ReadonlyArray<Row> => {
      const found = decoded(first)
      return Number(found[0]?.settled ?? 0) === 1 ? found : decoded(then)
    }
    switch (flavour) {
      case "MariaDB":
        return {
          statements: [start, look, `${upsert}\nRETURNING ${columns}, ${t} AS t`, commit],
          read: (results) => answer(results[1], results[2])
        }
      // Until the COMMIT the row is ours: what is read is what the upsert left.
      case "MySQL":
        return {
          statements: [start, look, "START TRANSACTION", upsert, now, commit],
          read: (results) => answer(results[1], results[4])
        }
      case "TiDB":
        return {
          statements: [...newest, start, look, upsert, now, commit],
          read: (results) => answer(results[3], results[5])
        }
    }
  }

  /**
   * Rows are locked in the order of their ids, so that two renewals of the same locks never wait for each other in a circle. A row is written once, whatever the number of its
   * holds. What is read afterwards needs no lock: a hold that is in, before the lease end that is told, is renewed until then; leases only grow.
   */
  const renew = (requests: ReadonlyArray<LockRecord.Renew>): Packet => {
    const locks = renewals
      .groups(requests)
      .map(([lockId, holds]) => ({ id: hex(lockId), holds }))
      .sort((a, b) => (a.id < b.id ? -1 : 1))
    const ids = locks.map(({ id }) => id).join(", ")
    const choose = (of: (hold: LockRecord.Renew) => string, join: (parts: ReadonlyArray<string>) => string): string =>
      `CASE lock_id ${locks.map(({ holds, id }) => `WHEN ${id} THEN ${join(holds.map(of))}`).join(" ")} ELSE 0 END`
    const longest = choose(
      ({ holdId, lease }) => `IF(${has(holdId)}, ${int(lease)}, 0)`,
      (parts) => (parts.length === 1 ? parts[0]! : `GREATEST(${parts.join(", ")})`)
    )
    const update = `UPDATE ${table} SET version = version + 1, expires = GREATEST(expires, ${t} + ${longest})
WHERE lock_id IN (${ids}) AND ${ours} AND expires > ${t} AND ${choose(
      ({ holdId }) => has(holdId),
      (parts) => parts.join(" OR ")
    )}
ORDER BY lock_id`
    const now = `SELECT ${columns}, ${t} AS t FROM ${table} WHERE lock_id IN (${ids}) LIMIT ${int(locks.length)}`
    const clock = `SELECT ${t} AS t ${one}`
    const answers = (time: unknown, found: unknown): ReadonlyArray<Row> => {
      const rows = new Map(decoded(found).map((row) => [row.lock_id, row]))
      const at = decoded(time)[0]!.t
      return requests.map(({ holdId, lockId }) => {
        const row = rows.get(lockId)
        if (row === undefined) return { t: at, renewed: null, lock_id: null }
        const renewed =
          Number(row.format) <= LockRecord.format &&
          Number(row.expires) > Number(at) &&
          `${String(row.holds)},`.includes(`,${holdId},`)
        return { ...row, renewed: renewed ? row.expires : null }
      })
    }
    return cluster
      ? {
          statements: [...newest, sample, clock, update, now, commit],
          read: (results) => answers(results[3], results[5])
        }
      : { statements: [sample, clock, update, now, commit], read: (results) => answers(results[1], results[3]) }
  }

  const release = ({ holdId, lockId }: LockRecord.Release): Packet => {
    const id = hex(lockId)
    return writing(
      `SELECT IF(${newer}, NULL, ${without(holdId)}) AS holds, format AS info FROM ${table} WHERE lock_id = ${id} AND (${newer} OR ${has(holdId)})`,
      `UPDATE ${table} SET holds = ${without(holdId)}, version = version + 1 WHERE lock_id = ${id} AND ${ours} AND ${has(holdId)}`
    )
  }

  const revoke = (lockId: string, token: number, holds: string): Packet => {
    const id = hex(lockId)
    const mark = hex(holds)
    const match = `${ours} AND token = ${int(token)} AND ${live}`
    return writing(
      `SELECT IF(${newer}, NULL, ${mark}) AS holds, format AS info FROM ${table} WHERE lock_id = ${id} AND (${newer} OR (${match}))`,
      `UPDATE ${table} SET ${holds === "" ? "" : "owner_id = x'', owner_label = x'', "}version = IF(holds = ${mark}, version, version + 1), holds = ${mark}
WHERE lock_id = ${id} AND ${match}`
    )
  }

  const get = (lockId: string): Packet =>
    reading(`SELECT ${columns}, ${t} AS t FROM ${table} WHERE lock_id = ${hex(lockId)} ${one}`)

  const list = (after: string, free: boolean, limit: number): Packet =>
    reading(
      `SELECT ${columns}, ${t} AS t FROM ${table} WHERE lock_id > ${hex(after)}${free ? "" : ` AND ${live}`} ORDER BY lock_id LIMIT ${int(limit)}`
    )

  /** The plain read finds a piece of the table that has enough of them, so that the locks of the DELETE are few and short. */
  const purge = (after: string, micros: number, limit: number): Packet => {
    const old = `lock_id > ${hex(after)} AND expires < ${t} - ${int(micros)} AND ${ours}`
    const look = `SELECT @esl_n := COUNT(*) AS seen, @esl_l := MAX(lock_id) AS last
FROM (SELECT lock_id FROM ${table} WHERE ${old} ORDER BY lock_id LIMIT ${int(limit)}) AS q ${one}`
    const drop = `DELETE FROM ${table} WHERE ${old} AND lock_id <= @esl_l`
    const told = "SELECT ROW_COUNT() AS dropped, @esl_n AS seen, @esl_l AS last LIMIT 1"
    return cluster
      ? { statements: ["BEGIN PESSIMISTIC", sample, look, drop, told, commit], read: lastButOne }
      : { statements: [sample, look, drop, told, commit], read: lastButOne }
  }

  const time = reading(`SELECT ${t} AS t ${one}`)

  const create = (record: LockRecord.LockRecord): Packet => ({
    statements: [`INSERT INTO ${table} (${columns}) VALUES (${literals(record).join(", ")})`, commit],
    read: () => [{ done: 1 }],
    miss: 1062
  })

  const at = (lockId: string, version: number) => `lock_id = ${hex(lockId)} AND version = ${int(version)}`

  const update = (record: LockRecord.LockRecord, expected: number): Packet => {
    const values = literals(record)
    return writing(
      `SELECT 1 AS done FROM ${table} WHERE ${at(record.lockId, expected)}`,
      `UPDATE ${table} SET ${columnNames
        .map((name, i) => `${name} = ${values[i]}`)
        .slice(1)
        .join(", ")} WHERE ${at(record.lockId, expected)}`
    )
  }

  const drop = (lockId: string, expected: number): Packet =>
    writing(
      `SELECT 1 AS done FROM ${table} WHERE ${at(lockId, expected)}`,
      `DELETE FROM ${table} WHERE ${at(lockId, expected)}`
    )

  return { claim, renew, release, revoke, get, list, purge, time, create, update, drop }
}
