/**
 * The packets of the MySQL family. Its servers differ in whose clock there is: their own, or that of a cluster (TiDB), which is known inside a transaction only. So there a claim and a release are transactions,
 * and elsewhere one statement that commits by itself.
 *
 * A packet of more than one ends with a COMMIT of its own, which does nothing where the session commits by itself.
 *
 * `@esl_t` is the one sample of the clock in a packet. Its type is that of a signed integer, so nothing here is ever unsigned.
 */
import * as renewals from "../../common/renewals.js"
import * as LockRecord from "../../LockRecord.js"
import type { ResultSetHeader } from "mysql2"
import { columnNames, integer, valuesOf, type Row } from "../sql/record.js"
import * as sleepers from "./sleepers.js"
import * as judge from "./judge.js"
import * as grouped from "./grouped.js"
import * as locked from "./locked.js"
import { commit, decoded, type Fixed, hex, id as idOf, int, type Packet } from "./packet.js"

export type Flavour = "MySQL" | "MariaDB" | "TiDB"

const { columns, comma, exclusive, known, live, newer, ours, t } = judge
/** Of whatever gives one row: a limit of its own is not that of the session (`sql_select_limit`). */
const one = "LIMIT 1"

/** The physical part of a timestamp of the cluster's one oracle, in milliseconds. No server's own clock has a part in it. */
export const clusterClock = "CAST((@@tidb_current_ts >> 18) * 1000 AS SIGNED)"

/** Whether the hold id is in. The delimiters keep an id from being found inside another. */
const has = (hold: string): string => `LOCATE(${hex(`,${hold},`)}, CONCAT(holds, ${comma})) > 0`

const without = (hold: string): string =>
  `LEFT(REPLACE(CONCAT(holds, ${comma}), ${hex(`,${hold},`)}, ${comma}), LENGTH(holds) - ${Buffer.byteLength(hold) + 1})`

/** For TiDB: plain reads tell what is, not what was when the transaction began; a read that locks would lock rows that it then leaves out. */
const newest = ["SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "BEGIN PESSIMISTIC"]

const literals = (record: LockRecord.LockRecord): ReadonlyArray<string> =>
  valuesOf(record).map((value, i) => (typeof value === "number" ? int(value) : i === 0 ? idOf(value) : hex(value)))

/** Before the COMMIT. */
const lastButOne = (results: ReadonlyArray<unknown>): ReadonlyArray<Row> => decoded(results[results.length - 2])

/** A row as one text, which a variable can keep. Bytes are told in hex. All of it is of one character set, whatever the session's is; what is not cast may be digits of another. The lock id is known. */
const packed = (of: (name: (typeof columnNames)[number]) => string): string =>
  `CONVERT(CONCAT_WS(',', ${columnNames
    .slice(1)
    .map((name) => (numbers.has(name) ? `CAST(${of(name)} AS SIGNED)` : `HEX(${of(name)})`))
    .join(", ")}) USING latin1)`

const numbers: ReadonlySet<string> = new Set(["format", "token", "version", "began", "expires"])

/** Throws where it is no such text. */
const unpacked = (text: unknown): Row => {
  const parts = String(text).split(",")
  if (parts.length !== columnNames.length - 1) throw new Error(`a record of ${parts.length} columns`)
  return Object.fromEntries(
    columnNames
      .slice(1)
      .map((name, i) => [name, numbers.has(name) ? parts[i] : Buffer.from(parts[i]!, "hex").toString("utf8")])
  )
}

/** The state of a row that is not there. */
const absent = 9

/** Above any number of holds. */
const newerBase = 1_000_000_000_000

/** Above any number of holds, too; with the bits of those who are to be woken it is far below the other. */
const sleepersBase = 2 ** 24

/** `groups`: whether the server can leave out a locked row. `nameOf`: who waits is told of, and what a lock is called for that. */
export const make = (flavour: Flavour, table: string, groups = false, nameOf?: sleepers.NameOf) => {
  const cluster = flavour === "TiDB"
  const sample = cluster ? `SET ${t} = ${clusterClock}` : judge.sample

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

  /** What a claim and a release read are variables of the session, so that their texts are always the same. `@esl_h`: a comma and the hold. */
  const wanted: judge.Wanted = { owner: "@esl_o", hold: "@esl_h", until: `${t} + @esl_l`, label: "@esl_n" }
  const look: Fixed = {
    name: "esl_look",
    text: `SELECT ${packed((name) => name)} INTO @esl_f FROM ${table} WHERE lock_id = @esl_i AND ${judge.answers(wanted)} ${one}`
  }
  const take: Fixed = {
    name: "esl_take",
    text: judge.take(
      table,
      `SELECT @esl_i, ${exclusive}, ${LockRecord.format}, @esl_o, @esl_h, ${t}, ${t}, ${t}, ${wanted.until}, x'', @esl_n FROM DUAL WHERE @esl_f IS NULL`,
      wanted,
      (after) => `LENGTH(@esl_f := ${packed(after)}) > 0`
    )
  }
  const told = `SELECT ${t} AS t, @esl_s AS state, @esl_f AS record ${one}`

  /**
   * The contended case, and a repetition, are answered from what a plain read finds, and write and lock nothing. Everything else goes through the one statement that decides. Where it made the row, nothing is
   * told, for all of it is known.
   */
  const claimByOne = ({ holdId, lease, lockId, ownerId, ownerLabel }: LockRecord.Claim): Packet => ({
    statements: [
      `${sample}, @esl_s = ${absent}, @esl_f = NULL, @esl_i = ${idOf(lockId)}, @esl_o = ${idOf(ownerId)}, @esl_h = ${hex(`,${holdId}`)}, @esl_l = ${int(lease)}, @esl_n = ${idOf(ownerLabel ?? "")}`,
      look,
      take,
      told
    ],
    commits: true,
    read: ([, , taken, answer]) => {
      const { record, state, t } = decoded(answer)[0]!
      if (record !== null) return [{ ...unpacked(record), lock_id: lockId, t }]
      // A row of another kind may be too long for a text. Rows that are counted do not tell: the driver counts those, too, that stay as they are.
      if (Number(state) !== absent || (taken as Partial<ResultSetHeader>).affectedRows !== 1)
        throw new Error("no row was made, and none is told")
      const now = integer(t)
      return [
        {
          lock_id: lockId,
          kind: LockRecord.exclusive,
          format: LockRecord.format,
          owner_id: ownerId,
          holds: `,${holdId}`,
          token: now,
          version: now,
          began: now,
          expires: now + lease,
          data: "",
          owner_label: ownerLabel ?? "",
          t
        }
      ]
    }
  })

  /** For TiDB, whose clock is known inside a transaction only. Until the COMMIT the row is ours: what is read is what the upsert left. `@esl_s`, `@esl_b`: whether the plain read answers. */
  const claimOfCluster = ({ holdId, lease, lockId, ownerId, ownerLabel }: LockRecord.Claim): Packet => {
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
    return {
      statements: [...newest, `${sample}, @esl_b = 0, @esl_s = 0`, look, upsert, now, commit],
      read: (results) => {
        const found = decoded(results[3])
        return Number(found[0]?.settled ?? 0) === 1 ? found : decoded(results[5])
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
          row.kind === LockRecord.exclusive &&
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

  const releaseOfCluster = ({ holdId, lockId }: LockRecord.Release): Packet => {
    const id = hex(lockId)
    return writing(
      `SELECT IF(${newer}, NULL, ${without(holdId)}) AS holds, format AS info FROM ${table} WHERE lock_id = ${id} AND (${newer} OR (${ours} AND ${has(holdId)}))`,
      `UPDATE ${table} SET holds = ${without(holdId)}, version = version + 1 WHERE lock_id = ${id} AND ${ours} AND ${has(holdId)}`
    )
  }

  /** How many holds there were is told beside the acknowledgement, with who waits for the lock, or the format of a row that is not ours to touch. Nothing, where there is no such hold. */
  const giveBack: Fixed = {
    name: "esl_give",
    text: `UPDATE ${table} SET
  version = version + IF(LAST_INSERT_ID(IF(${newer}, ${newerBase} + format, LENGTH(holds) - LENGTH(REPLACE(holds, ${comma}, x''))${
    nameOf === undefined ? "" : ` + ${sleepersBase} * (${sleepers.taken("@esl_b")})`
  })) > ${newerBase}, 0, 1),
  holds = IF(${newer}, holds, ${judge.without("@esl_h")})
WHERE lock_id = @esl_i AND (${newer} OR (${ours} AND ${judge.holds("@esl_h")}))`
  }

  const releaseByOne = ({ holdId, lockId }: LockRecord.Release): Packet => {
    const name = nameOf?.(lockId)
    return {
      statements: [
        `SET @esl_i = ${hex(lockId)}, @esl_h = ${hex(`,${holdId}`)}${name === undefined ? "" : `, @esl_b = ${sleepers.quoted(name)}`}`,
        giveBack
      ],
      commits: true,
      wakes: name !== undefined,
      read: ([, given]) => {
        const told = integer((given as Partial<ResultSetHeader>).insertId)
        if (told === 0) return []
        if (told > newerBase) return [{ holds: null, info: told - newerBase }]
        const left = (told % sleepersBase) - 1
        // Whose they are is not asked for: so many.
        const row = { holds: ",".repeat(left), info: null }
        return [
          name === undefined || left > 0
            ? row
            : { ...row, sleepers: sleepers.namesOf(name, Math.floor(told / sleepersBase)) }
        ]
      }
    }
  }

  const revoke = (lockId: string, token: number, holds: string): Packet => {
    const id = hex(lockId)
    const mark = hex(holds)
    const match = `${ours} AND token = ${int(token)} AND ${live}`
    const name = holds === "" ? nameOf?.(lockId) : undefined
    const told = name === undefined ? "" : `, ${sleepers.taken(sleepers.quoted(name))} AS sleepers`
    const packet = writing(
      `SELECT IF(${newer}, NULL, ${mark}) AS holds, format AS info${told} FROM ${table} WHERE lock_id = ${id} AND (${newer} OR (${match}))`,
      `UPDATE ${table} SET ${holds === "" ? "" : "owner_id = x'', owner_label = x'', "}version = IF(holds = ${mark}, version, version + 1), holds = ${mark}
WHERE lock_id = ${id} AND ${match}`
    )
    return name === undefined ? packet : sleepers.naming(packet, () => name)
  }

  const get = (lockId: string): Packet =>
    reading(`SELECT ${columns}, ${t} AS t FROM ${table} WHERE lock_id = ${hex(lockId)} ${one}`)

  const list = (after: string, free: boolean, limit: number): Packet =>
    reading(
      `SELECT ${columns}, ${t} AS t FROM ${table} WHERE lock_id > ${hex(after)}${free ? "" : ` AND ${live}`} ORDER BY lock_id LIMIT ${int(limit)}`
    )

  /** The plain read finds a piece of the table that has enough of them, so that the locks of the DELETE are few and short. */
  const purge = (after: string, micros: number, limit: number): Packet => {
    const old = `lock_id > ${hex(after)} AND expires < ${t} - ${int(micros)} AND ${known}`
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

  const claim = cluster ? claimOfCluster : claimByOne
  const release = cluster ? releaseOfCluster : releaseByOne

  // MySQL locks no table of JSON, and must be told which one is meant; MariaDB cannot be told.
  const skipping = flavour === "MySQL" ? "FOR UPDATE OF r SKIP LOCKED" : "FOR UPDATE SKIP LOCKED"
  const together = groups ? grouped.make(table, sample, skipping, nameOf) : undefined

  return {
    locked: locked.make({
      table,
      literals,
      ...(cluster
        ? { begin: [...newest, sample], sample: undefined }
        : // So a row that is not there locks no place among others. Where the log is of statements, that is forbidden.
          { begin: groups ? grouped.begin : ["START TRANSACTION"], sample })
    }),
    claim,
    claimMany: together?.claim,
    releaseMany: together?.release,
    renew,
    release,
    revoke,
    get,
    list,
    purge,
    time,
    create,
    update,
    drop
  }
}
