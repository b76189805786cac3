/** The statements of PostgreSQL on the table of locks: each judges and changes by the clock of the server. */
import * as LockRecord from "../../LockRecord.js"
import { columnNames } from "../sql/record.js"
import { statementName } from "./names.js"
import * as quote from "./quote.js"

export interface Statement {
  readonly name: string
  readonly text: string
  /** The same without its hint to waiters, and so without the channel, its last value. */
  readonly quiet?: Statement | undefined
  /** What the text consists of, where it is several statements: one transaction. */
  readonly parts?: ReadonlyArray<string> | undefined
  /** Its parts begin or end a transaction themselves. */
  readonly isHalf?: boolean | undefined
}

/** Never `*`: a column that a later version adds must not change what a prepared statement returns. */
const columns = (of: string): string => columnNames.map((name) => `${of}.${name}`).join(", ")

/** One sample of the server's clock for the whole statement, in microseconds. `now()` is the transaction's start, and two `clock_timestamp()` differ. */
const clock = "s AS MATERIALIZED (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS t)"

/** Whether the hold id is in. The delimiters keep an id from being found inside another. */
const has = (holds: string, hold: string): string => `position(',' || ${hold} || ',' IN ${holds} || ',') > 0`

const without = (holds: string, hold: string): string =>
  `left(replace(${holds} || ',', ',' || ${hold} || ',', ','), -1)`

/** Whether a row is of an exclusive lock, and of a format that we know: no other is renewed or freed here. */
const ours = (row: string): string =>
  `${row}.format <= ${LockRecord.format} AND ${row}.kind = '${LockRecord.exclusive}'`

/** Whether a row as it was read answers the claim already: somebody else has the lock, or this hold is in. */
const answered = (cur: string, owner: string, hold: string): string =>
  `(${cur}.format > ${LockRecord.format} OR (${cur}.holds <> '' AND ${cur}.expires > s.t
      AND (${cur}.owner_id <> ${owner} OR ${cur}.kind <> '${LockRecord.exclusive}' OR ${has(`${cur}.holds`, hold)})))`

const fresh = (lock: string, owner: string, hold: string, lease: string, label: string): string =>
  `${lock}, '${LockRecord.exclusive}', ${LockRecord.format}, ${owner}, ',' || ${hold}, s.t, s.t, s.t, s.t + ${lease}, '', ${label}`

/**
 * Judges the *newest* version of the row, under its lock, and always returns it. A fresh row has one hold, so `excluded.holds` is that hold behind a comma.
 * `st`: 0 somebody else's (or not ours to touch), 1 ours and deeper, 2 free, 3 this hold is in.
 */
const orJudge = `ON CONFLICT (lock_id) DO UPDATE SET (kind, format, owner_id, holds, token, version, began, expires, data, owner_label) = (
    SELECT
      CASE st WHEN 2 THEN excluded.kind ELSE l.kind END,
      CASE st WHEN 2 THEN excluded.format ELSE l.format END,
      CASE st WHEN 2 THEN excluded.owner_id ELSE l.owner_id END,
      CASE st WHEN 2 THEN excluded.holds WHEN 1 THEN l.holds || excluded.holds ELSE l.holds END,
      CASE st WHEN 2 THEN greatest(l.token + 1, excluded.token) ELSE l.token END,
      CASE WHEN st IN (1, 2) THEN l.version + 1 ELSE l.version END,
      CASE st WHEN 2 THEN excluded.began ELSE l.began END,
      CASE st WHEN 2 THEN excluded.expires WHEN 1 THEN greatest(l.expires, excluded.expires) ELSE l.expires END,
      CASE st WHEN 2 THEN excluded.data ELSE l.data END,
      CASE st WHEN 2 THEN excluded.owner_label ELSE l.owner_label END
    FROM (SELECT CASE
      WHEN l.format > ${LockRecord.format} THEN 0
      WHEN l.holds = '' OR l.expires <= excluded.began THEN 2
      WHEN l.owner_id <> excluded.owner_id OR l.kind <> '${LockRecord.exclusive}' THEN 0
      WHEN position(excluded.holds || ',' IN l.holds || ',') > 0 THEN 3
      ELSE 1 END AS st) AS q)
  RETURNING ${columns("l")}`

/**
 * The contended case, and a repetition, are answered from the snapshot and write nothing. Everything else goes through the upsert: in a race there is an answer, and it
 * names the present holder.
 */
const claim = (l: string): string => `
WITH ${clock},
cur AS MATERIALIZED (SELECT ${columns("l")} FROM ${l} AS l WHERE l.lock_id = $1::text),
c AS (
  INSERT INTO ${l} AS l (${columnNames.join(", ")})
  SELECT ${fresh("$1::text", "$2::text", "$3::text", "$4::bigint", "$5::text")} FROM s
  WHERE NOT EXISTS (SELECT 1 FROM cur WHERE ${answered("cur", "$2::text", "$3::text")})
  ${orJudge})
SELECT ${columns("c")}, s.t FROM c, s
UNION ALL
SELECT ${columns("cur")}, s.t FROM cur, s WHERE NOT EXISTS (SELECT 1 FROM c)`

/**
 * Many claims of different locks. A row that somebody has locked is left out, so that no member waits for another's; the rest is locked in the order of ids.
 */
const claimMany = (l: string): string => `
WITH ${clock},
r AS MATERIALIZED (
  SELECT q.lock_id, q.owner_id, q.hold_id, q.lease, q.label
  FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[]) AS q(lock_id, owner_id, hold_id, lease, label)),
cur AS MATERIALIZED (
  SELECT ${columns("l")}, r.owner_id AS by_owner, r.hold_id AS by_hold, ${answered("l", "r.owner_id", "r.hold_id")} AS answered
  FROM r JOIN ${l} AS l ON l.lock_id = r.lock_id AND l.lock_id = ANY ($1::text[]) CROSS JOIN s),
k AS MATERIALIZED (
  SELECT l.lock_id FROM ${l} AS l
  WHERE l.lock_id = ANY ($1::text[]) AND EXISTS (SELECT 1 FROM cur WHERE cur.lock_id = l.lock_id AND NOT cur.answered)
  ORDER BY l.lock_id FOR NO KEY UPDATE OF l SKIP LOCKED),
c AS (
  INSERT INTO ${l} AS l (${columnNames.join(", ")})
  SELECT ${fresh("r.lock_id", "r.owner_id", "r.hold_id", "r.lease", "r.label")} FROM r CROSS JOIN s
  WHERE EXISTS (SELECT 1 FROM k WHERE k.lock_id = r.lock_id) OR NOT EXISTS (SELECT 1 FROM cur WHERE cur.lock_id = r.lock_id)
  ORDER BY r.lock_id
  ${orJudge})
SELECT ${columns("c")}, s.t FROM c, s
UNION ALL
SELECT ${columns("cur")}, s.t FROM cur, s WHERE cur.answered`

/**
 * Rows are locked in the order of their ids, so that two renewals of the same locks never wait for each other in a circle. A row is written once, whatever the number of
 * its holds. The rows read beside (`cur`) only tell who has a lock that is not ours any more. Which rows are locked is asked of each row alone: a join would be looked at again, once the lock is
 * had, for the one hold that it had found first, which may have been given back meanwhile.
 */
const renew = (l: string): string => `
WITH ${clock},
r AS MATERIALIZED (
  SELECT q.lock_id, q.hold_id, q.lease, q.i
  FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY AS q(lock_id, hold_id, lease, i)),
k AS MATERIALIZED (
  SELECT l.lock_id, l.holds FROM ${l} AS l, s
  WHERE l.lock_id = ANY ($1::text[]) AND ${ours("l")} AND l.expires > s.t
    AND string_to_array(l.holds, ',') && $2::text[]
  ORDER BY l.lock_id FOR NO KEY UPDATE OF l),
m AS MATERIALIZED (
  SELECT k.lock_id, max(r.lease) AS lease FROM k JOIN r ON r.lock_id = k.lock_id AND ${has("k.holds", "r.hold_id")}
  GROUP BY k.lock_id),
u AS (
  UPDATE ${l} AS l SET expires = greatest(l.expires, s.t + m.lease), version = l.version + 1
  FROM m, s WHERE l.lock_id = m.lock_id
  RETURNING l.lock_id, l.holds, l.expires)
SELECT s.t, u.expires AS renewed, ${columns("cur")}
FROM r CROSS JOIN s
LEFT JOIN u ON u.lock_id = r.lock_id AND ${has("u.holds", "r.hold_id")}
LEFT JOIN ${l} AS cur ON u.lock_id IS NULL AND cur.lock_id = r.lock_id AND cur.lock_id = ANY ($1::text[])
ORDER BY r.i`

/**
 * Whether row-level security is on for us, so that a row which is not seen may be there all the same. The name becomes the table's number when the statement is planned: it costs no
 * look-up at each run.
 */
const guarded = (l: string): string => `row_security_active(${quote.literal(l)}::regclass::oid)`

/** Stands for a row that may be there and is not seen. */
const perhapsHidden = [...columnNames, "t"].map(() => "NULL").join(", ")

/** A row that is not ours to touch, or perhaps hidden from us, is told from one that is not there. */
const untouched = (l: string, done: string): string =>
  `SELECT NULL, l.format::text FROM ${l} AS l
WHERE l.lock_id = $1::text AND l.format > ${LockRecord.format} AND NOT EXISTS (SELECT 1 FROM ${done})
UNION ALL
SELECT NULL, NULL WHERE NOT EXISTS (SELECT 1 FROM ${done}) AND ${guarded(l)}`

const release = (l: string, notify: boolean): string => `
WITH u AS (
  UPDATE ${l} AS l SET holds = ${without("l.holds", "$2::text")}, version = l.version + 1
  WHERE l.lock_id = $1::text AND ${ours("l")} AND ${has("l.holds", "$2::text")}
  RETURNING l.lock_id, l.holds)
SELECT u.holds, ${notify ? "CASE WHEN u.holds = '' THEN pg_notify($3::text, u.lock_id)::text END" : "NULL"} AS info FROM u
UNION ALL
${untouched(l, "u")}`

/** Many releases of different locks. A row that somebody has locked is left out. */
const releaseMany = (l: string, notify: boolean): string => `
WITH r AS MATERIALIZED (
  SELECT q.lock_id, q.hold_id FROM unnest($1::text[], $2::text[]) AS q(lock_id, hold_id)),
k AS MATERIALIZED (
  SELECT l.lock_id FROM ${l} AS l
  WHERE l.lock_id = ANY ($1::text[]) AND ${ours("l")}
    AND EXISTS (SELECT 1 FROM r WHERE r.lock_id = l.lock_id AND ${has("l.holds", "r.hold_id")})
  ORDER BY l.lock_id FOR NO KEY UPDATE OF l SKIP LOCKED),
u AS (
  UPDATE ${l} AS l SET holds = ${without("l.holds", "r.hold_id")}, version = l.version + 1
  FROM k JOIN r ON r.lock_id = k.lock_id
  WHERE l.lock_id = k.lock_id AND ${has("l.holds", "r.hold_id")}
  RETURNING l.lock_id, l.holds)
SELECT u.lock_id, u.holds, ${notify ? "CASE WHEN u.holds = '' THEN pg_notify($3::text, u.lock_id)::text END" : "NULL"} AS info FROM u`

/** `$3` is what takes the place of the holds: nothing, which frees the lock, or the mark of a revoked one. */
const revoke = (l: string, notify: boolean): string => `
WITH ${clock},
u AS (
  UPDATE ${l} AS l SET
    holds = $3::text,
    owner_id = CASE WHEN $3::text = '' THEN l.owner_id ELSE '' END,
    owner_label = CASE WHEN $3::text = '' THEN l.owner_label ELSE '' END,
    version = CASE WHEN l.holds = $3::text THEN l.version ELSE l.version + 1 END
  FROM s
  WHERE l.lock_id = $1::text AND l.token = $2::bigint AND ${ours("l")} AND l.holds <> '' AND l.expires > s.t
  RETURNING l.lock_id, l.holds)
SELECT u.holds, ${notify ? "CASE WHEN u.holds = '' THEN pg_notify($4::text, u.lock_id)::text END" : "NULL"} AS info FROM u
UNION ALL
${untouched(l, "u")}`

const get = (l: string): string => `
WITH ${clock},
cur AS MATERIALIZED (SELECT ${columns("l")}, s.t FROM ${l} AS l, s WHERE l.lock_id = $1::text)
SELECT ${columns("cur")}, cur.t FROM cur
UNION ALL
SELECT ${perhapsHidden} WHERE NOT EXISTS (SELECT 1 FROM cur) AND ${guarded(l)}`

/** `$2`: whether free ones too. */
const list = (l: string): string => `
WITH ${clock},
page AS MATERIALIZED (
  SELECT ${columns("l")}, s.t FROM ${l} AS l, s
  WHERE l.lock_id > $1::text COLLATE "C" AND ($2::boolean OR (l.holds <> '' AND l.expires > s.t))
  ORDER BY l.lock_id LIMIT $3::int)
SELECT ${columns("page")}, page.t FROM page
UNION ALL
SELECT ${perhapsHidden} WHERE ${guarded(l)}`

/** A row that somebody is taking just now is locked, and passed over. */
const purge = (l: string): string => `
WITH ${clock},
old AS MATERIALIZED (
  SELECT l.lock_id FROM ${l} AS l, s
  WHERE l.lock_id > $1::text COLLATE "C" AND l.expires < s.t - $2::bigint AND l.format <= ${LockRecord.format}
  ORDER BY l.lock_id LIMIT $3::int FOR UPDATE OF l SKIP LOCKED),
d AS (
  DELETE FROM ${l} AS l USING old, s
  WHERE l.lock_id = old.lock_id AND l.expires < s.t - $2::bigint
  RETURNING l.lock_id)
SELECT (SELECT count(*) FROM d) AS dropped, count(*) AS seen, max(old.lock_id) AS last FROM old`

const time = `WITH ${clock} SELECT s.t FROM s`

/** How a value stands in a statement: as a parameter, or as a literal. */
type Value = (place: number) => string

const parameter: Value = (place) => `$${place}`

const types = ["text", "text", "int", "text", "text", "bigint", "bigint", "bigint", "bigint", "text", "text"]
const recordValues = (value: Value): string => types.map((type, i) => `${value(i + 1)}::${type}`).join(", ")

export const create = (l: string, value = parameter): string => `
INSERT INTO ${l} AS l (${columnNames.join(", ")}) VALUES (${recordValues(value)})
ON CONFLICT (lock_id) DO NOTHING RETURNING 1 AS done`

/** Wakes waiters when a hold went out. Where the snapshot does not show what was before, it wakes them all the same. */
export const update = (l: string, notify: boolean, value = parameter): string => `
WITH before AS MATERIALIZED (SELECT l.holds FROM ${l} AS l WHERE l.lock_id = ${value(1)}::text AND l.version = ${value(12)}::bigint),
u AS (
  UPDATE ${l} AS l SET (${columnNames.join(", ")}) = ROW (${recordValues(value)})
  WHERE l.lock_id = ${value(1)}::text AND l.version = ${value(12)}::bigint
  RETURNING l.lock_id, l.holds)
SELECT 1 AS done, ${
  notify
    ? `CASE WHEN length(u.holds) < coalesce(length(before.holds), length(u.holds) + 1) THEN pg_notify(${value(13)}::text, u.lock_id)::text END`
    : "NULL"
} AS info FROM u LEFT JOIN before ON true`

/** The newest version of the row, locked, and the clock when it was. */
export const begun = (l: string, lockId: string): string => `
WITH cur AS MATERIALIZED (SELECT ${columns("l")} FROM ${l} AS l WHERE l.lock_id = ${lockId}::text FOR NO KEY UPDATE OF l),
locked AS MATERIALIZED (SELECT count(*) AS n FROM cur),
s AS MATERIALIZED (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS t FROM locked WHERE locked.n >= 0)
SELECT ${columns("cur")}, s.t FROM s LEFT JOIN cur ON true`

const drop = (l: string): string => `
DELETE FROM ${l} AS l WHERE l.lock_id = $1::text AND l.version = $2::bigint RETURNING 1 AS done`

export interface Statements {
  readonly claim: Statement
  readonly renew: Statement
  readonly release: Statement
  readonly claimMany: Statement
  readonly releaseMany: Statement
  readonly revoke: Statement
  readonly get: Statement
  readonly list: Statement
  readonly purge: Statement
  readonly time: Statement
  readonly create: Statement
  readonly update: Statement
  readonly drop: Statement
  readonly hides: Statement
}

/** Whether a policy may hide rows of the table from us: row-level security is on for us, and none lets us see every row, or one of those that restrict takes some away. */
export const hides = (table: string): Statement => {
  const mine = `c.oid = ${quote.literal(table)}::regclass AND p.polrelid = c.oid AND p.polcmd IN ('*', 'r')
      AND (p.polroles = '{0}' OR EXISTS (SELECT 1 FROM unnest(p.polroles) AS r(oid) WHERE r.oid <> 0 AND pg_has_role(current_user, r.oid, 'USAGE')))`
  const all = "coalesce(pg_get_expr(p.polqual, p.polrelid), 'true') = 'true'"
  const text = `
SELECT CASE WHEN row_security_active(${quote.literal(table)}::regclass::oid) AND (
  NOT EXISTS (SELECT 1 FROM pg_catalog.pg_policy p, pg_catalog.pg_class c WHERE ${mine} AND p.polpermissive AND ${all})
  OR EXISTS (SELECT 1 FROM pg_catalog.pg_policy p, pg_catalog.pg_class c WHERE ${mine} AND NOT p.polpermissive AND NOT ${all})
) THEN 'yes' ELSE 'no' END AS hides`
  return { name: statementName("hides", text), text }
}

/** The texts for one table, made once. `table` is quoted already. */
export const make = (table: string, notify: boolean): Statements => {
  const named = (operation: string, text: string): Statement => ({ name: statementName(operation, text), text })
  const notifying = (operation: string, text: (l: string, notify: boolean) => string): Statement => {
    const quiet = named(operation, text(table, false))
    return notify ? { ...named(operation, text(table, true)), quiet } : quiet
  }
  return {
    claim: named("claim", claim(table)),
    renew: named("renew", renew(table)),
    release: notifying("release", release),
    claimMany: named("claims", claimMany(table)),
    releaseMany: notifying("releases", releaseMany),
    revoke: notifying("revoke", revoke),
    get: named("get", get(table)),
    list: named("list", list(table)),
    purge: named("purge", purge(table)),
    time: named("time", time),
    create: named("create", create(table)),
    update: notifying("update", update),
    drop: named("drop", drop(table)),
    hides: hides(table)
  }
}
