/**
 * Many claims, or releases, of different locks in one transaction, where the server can leave out a row that somebody has locked (MySQL 8.0, MariaDB 10.6). What it leaves out, and whatever it cannot answer, is
 * asked for alone. The requests are told as JSON, in the order of ids; a set of them is a number with a bit for each. Their order, and that nobody waits for a row that is there, keep two groups from waiting
 * for each other in a circle; where two make the same row at once the server ends one, of which nothing was done.
 */
import * as LockRecord from "../../LockRecord.js"
import { columnNames, type Row, text } from "../sql/record.js"
import * as sleepers from "./sleepers.js"
import * as judge from "./judge.js"
import { commit, decoded, type Fixed, id, int, type Packet } from "./packet.js"

/** So many bits has a number. */
export const most = 64

/** A text that is hex already. */
interface Digits {
  readonly digits: string
}

const value = (one: string | number | Digits): string =>
  typeof one === "number" ? int(one) : `"${typeof one === "string" ? id(one).slice(2, -1) : one.digits}"`

/** Digits and quotes alone, so nothing is to be escaped, and the character set makes no difference. */
const json = (rows: ReadonlyArray<ReadonlyArray<string | number | Digits>>): string =>
  `_utf8mb4 '[${rows.map((row) => `[${row.map(value).join(",")}]`).join(",")}]'`

/** Longer than an id in hex. */
const column = (name: string, place: number): string => `${name} VARCHAR(2100) PATH '$[${place}]'`

/** Bytes of a column that is told in hex. */
const bytes = (name: string): string => `UNHEX(CONVERT(j.${name} USING latin1))`

const bit = "(1 << (j.n - 1))"
const isIn = (set: string): string => `(${set} & ${bit}) <> 0`

/** Others read what is committed, and no lock reaches beyond its row. */
export const begin = ["SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "START TRANSACTION"]

/** `skipping`: the clause that locks rows of `r`, and leaves out those that are locked. `nameOf`: see `sleepers.ts`. */
export const make = (table: string, sample: string, skipping: string, nameOf: sleepers.NameOf | undefined) => {
  const asked = `JSON_TABLE(@esl_j, '$[*]' COLUMNS (n FOR ORDINALITY, ${column("i", 0)}, ${column("h", 1)}, ${column("o", 2)}, l BIGINT PATH '$[3]', ${column("b", 4)})) AS j`
  /** By the ids that are asked for: no other row is touched. */
  const rows = `${asked} STRAIGHT_JOIN ${table} AS r ON r.lock_id = ${bytes("i")}`
  const hold = `CONCAT(${judge.comma}, ${bytes("h")})`
  const owner = bytes("o")
  const answered = judge.answers({ owner, hold })

  /** A contended lock, and a repetition, are seen here, and neither locked nor written. */
  const look: Fixed = {
    name: "esl_many_look",
    text: `SELECT BIT_OR(IF(r.lock_id IS NULL, ${bit}, 0)), BIT_OR(IF(r.lock_id IS NULL OR ${answered}, 0, ${bit})) INTO @esl_m, @esl_c
FROM ${asked} LEFT JOIN ${table} AS r ON r.lock_id = ${bytes("i")} LIMIT 1`
  }
  const lock: Fixed = {
    name: "esl_many_lock",
    text: `SELECT BIT_OR(${bit}) INTO @esl_k FROM ${rows} WHERE ${isIn("@esl_c")} LIMIT 1 ${skipping}`
  }
  const take: Fixed = {
    name: "esl_many_take",
    text: judge.take(
      table,
      `SELECT ${bytes("i")}, ${judge.exclusive}, ${LockRecord.format}, ${owner}, ${hold}, ${judge.t}, ${judge.t}, ${judge.t}, ${judge.t} + j.l, x'', ${bytes("b")}
FROM ${asked} WHERE ${isIn("(@esl_k | @esl_m)")}`,
      { owner: "VALUES(owner_id)", hold: "VALUES(holds)", until: "VALUES(expires)", label: "VALUES(owner_label)" }
    )
  }
  /** Of the rows that are ours until the COMMIT what they are now, and of others what was committed last. */
  const taken: Fixed = {
    name: "esl_many_taken",
    text: `SELECT ${columnNames.map((name) => `r.${name}`).join(", ")}, ${judge.t} AS t FROM ${rows} WHERE ${answered} LIMIT ${most}`
  }

  const claim = (requests: ReadonlyArray<LockRecord.Claim>): Packet => ({
    statements: [
      `${sample}, @esl_s = 0, @esl_m = 0, @esl_c = 0, @esl_k = 0, @esl_j = ${json(
        requests.map(({ holdId, lease, lockId, ownerId, ownerLabel }) => [
          lockId,
          holdId,
          ownerId,
          lease,
          ownerLabel ?? ""
        ])
      )}`,
      ...begin,
      look,
      lock,
      take,
      taken,
      commit
    ],
    read: (results) => decoded(results[6])
  })

  const found: Fixed = {
    name: "esl_many_found",
    text: `SELECT BIT_OR(${bit}) INTO @esl_k FROM ${rows} WHERE ${judge.ours} AND ${judge.holds(hold)} LIMIT 1 ${skipping}`
  }
  const give: Fixed = {
    name: "esl_many_give",
    text: `UPDATE ${rows} SET r.holds = ${judge.without(hold)}, r.version = r.version + 1 WHERE ${isIn("@esl_k")}`
  }
  const given: Fixed = {
    name: "esl_many_given",
    text: `SELECT r.lock_id, r.holds, NULL AS info${
      nameOf === undefined
        ? ""
        : `, IF(LENGTH(r.holds) > 0, 0, ${sleepers.taken(sleepers.ofDigits("j.o"))}) AS sleepers`
    } FROM ${rows} WHERE ${isIn("@esl_k")} LIMIT ${most}`
  }

  const release = (requests: ReadonlyArray<LockRecord.Release>): Packet => {
    const packet: Packet = {
      statements: [
        `SET @esl_k = 0, @esl_j = ${json(
          requests.map(({ holdId, lockId }) =>
            nameOf === undefined ? [lockId, holdId] : [lockId, holdId, { digits: sleepers.digitsOf(nameOf(lockId)) }]
          )
        )}`,
        ...begin,
        found,
        give,
        given,
        commit
      ],
      read: (results): ReadonlyArray<Row> => decoded(results[5])
    }
    return nameOf === undefined ? packet : sleepers.naming(packet, ({ lock_id }) => nameOf(text(lock_id)))
  }

  /** In the order of their bytes. */
  const sorted =
    <R extends { readonly lockId: string }>(packet: (requests: ReadonlyArray<R>) => Packet) =>
    (requests: ReadonlyArray<R>): Packet =>
      packet(
        requests
          .map((request) => ({ request, key: Buffer.from(request.lockId, "utf8") }))
          .sort((a, b) => Buffer.compare(a.key, b.key))
          .map(({ request }) => request)
      )

  return { claim: sorted(claim), release: sorted(release) }
}
