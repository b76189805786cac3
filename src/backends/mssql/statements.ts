/**
 * Every storage call as one batch. Parameters are `@1`, `@2`, …
 *
 * Ids are UTF-8 in `varbinary`: no collation folds or pads them, and without NUL (which no id has) no two are taken for equal. Texts are compared in a binary
 * collation that each expression names, for the database's own may not tell case.
 */
import * as LockRecord from "../../LockRecord.js"
import { columnNames } from "../sql/record.js"
import { literal } from "./names.js"

/** How a parameter is declared; always the same for one statement, so that the server has one plan of it. */
export type Kind = "id" | "name" | "text" | "bigint" | "int"

export interface Statement {
  readonly text: string
  readonly kinds: ReadonlyArray<Kind>
  /** How long it waits for a lock, in milliseconds, as its text says. */
  readonly lockTimeout: number
}

export const binary = "COLLATE Latin1_General_BIN2"

/** Bytes of 255 UTF-16 units: three each at most, for a pair of them has four. */
export const longestId = 3 * 255

/** The number of the error that says that the connection has a transaction open which is not ours. */
export const openTransaction = 50711
/** Of a set-up that did not get its turn. */
export const notNow = 50712
/** Of a connection that is in another database than the storage was opened in. */
export const otherDatabase = 50713

/** The server gives up before the caller does, so that the caller mostly gets a definite answer. */
export const lockTimeoutOf = (millis: number): number => Math.max(1, Math.floor(millis * 0.9))

/** Few, so that the server has few plans of one batch. */
const steps = [1, 2, 5]
  .flatMap((step) => [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000].map((power) => step * power))
  .sort((a, b) => b - a)

const setLockTimeout = (millis: number): string => `SET LOCK_TIMEOUT ${millis};`

/** The text for a call that has so long: as it stands if that is long enough, else with a shorter time-out. */
export const textWithin = ({ lockTimeout, text }: Statement, millis: number): string => {
  if (millis >= lockTimeout * 1.05) return text
  const shorter = steps.find((step) => step <= lockTimeoutOf(millis)) ?? 1
  // The first that it sets, before any name of ours.
  return text.replace(setLockTimeout(lockTimeout), setLockTimeout(Math.min(shorter, lockTimeout)))
}

/**
 * What the connection was set to must not matter. All of it is the batch's own: the server takes it back when `sp_executesql`, by which it is sent, returns. With
 * XACT_ABORT every error, and a client that leaves, rolls the whole batch back; with ANSI_WARNINGS a text that is too long is an error, and not cut. Triggers and indexed views on the table want the rest.
 *
 * `database`: where the storage was opened. A connection that somebody has moved elsewhere since would find other locks.
 */
export const prologue = (lockTimeout: number, database?: string | undefined): string =>
  `SET NOCOUNT ON;
IF @@TRANCOUNT > 0 THROW ${openTransaction}, N'effect-storage-lock: the connection has an open transaction', 1;
SET XACT_ABORT ON;
SET IMPLICIT_TRANSACTIONS OFF;
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
${setLockTimeout(lockTimeout)}
SET ROWCOUNT 0;
SET TEXTSIZE 2147483647;
SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL ON;
SET NUMERIC_ROUNDABORT OFF;${
    database === undefined
      ? ""
      : `
IF DB_NAME() <> ${literal(database)} ${binary} THROW ${otherDatabase}, N'effect-storage-lock: the connection is in another database than the storage was opened in', 1;`
  }`

/** Caught, because not every error ends a batch by itself: what it left would go on, on the strength of nothing. */
const begin = "BEGIN TRY\nBEGIN TRANSACTION;"
const commit = "COMMIT TRANSACTION;\nEND TRY\nBEGIN CATCH\nIF @@TRANCOUNT > 0 ROLLBACK TRANSACTION;\nTHROW;\nEND CATCH;"

/** One sample of the server's clock for the whole batch, in microseconds. */
export const clock =
  "DECLARE @t bigint = DATEDIFF_BIG(MICROSECOND, CONVERT(datetime2(7), '1970-01-01T00:00:00', 126), SYSUTCDATETIME());"

const columns = (of: string): string => columnNames.map((name) => `${of}.${name}`).join(", ")

/** Where the hold id stands, or 0. The delimiters keep an id from being found inside another. */
const place = (holds: string, hold: string): string =>
  `CHARINDEX((N',' + ${hold} + N',') ${binary}, (${holds} + N',') ${binary})`
const has = (holds: string, hold: string): string => `${place(holds, hold)} > 0`

const later = (a: string, b: string): string => `CASE WHEN ${a} >= ${b} THEN ${a} ELSE ${b} END`

const live = (of: string): string => `(${of}.holds <> N'' AND ${of}.expires > @t)`
const exclusive = `N'${LockRecord.exclusive}'`
/** No other row is renewed or freed: it is of another kind, or of a format that a later version knows. */
const ours = (of: string): string => `${of}.format <= ${LockRecord.format} AND ${of}.kind = ${exclusive} ${binary}`
const theirs = (owner: string) => `(l.owner_id <> ${owner} OR l.kind <> ${exclusive} ${binary})`

/**
 * The contended case, and a repetition, are answered by reading alone. Everything else is decided and written by one UPDATE, which judges the newest version of the row. HOLDLOCK
 * keeps a lock on the place where there is no row: of two that come first, one makes it and the other sees it. The answer is read before the commit, so it is
 * exactly what was decided on.
 */
const claim = (table: string): string => `
SELECT ${columns("l")}, @t AS t FROM ${table} AS l
WHERE l.lock_id = @1 AND (l.format > ${LockRecord.format} OR (${live("l")} AND (${theirs("@2")} OR ${has("l.holds", "@3")})));
IF @@ROWCOUNT > 0 RETURN;
${begin}
IF EXISTS (SELECT 1 FROM ${table} AS l WITH (UPDLOCK, HOLDLOCK, ROWLOCK) WHERE l.lock_id = @1)
  UPDATE l SET kind = ${exclusive}, format = ${LockRecord.format}, owner_id = @2,
    holds = CASE WHEN ${live("l")} THEN l.holds ELSE N'' END + N',' + @3,
    token = CASE WHEN ${live("l")} THEN l.token WHEN l.token >= @t THEN l.token + 1 ELSE @t END,
    version = l.version + 1,
    began = CASE WHEN ${live("l")} THEN l.began ELSE @t END,
    expires = CASE WHEN ${live("l")} AND l.expires >= @t + @4 THEN l.expires ELSE @t + @4 END,
    data = CASE WHEN ${live("l")} THEN l.data ELSE N'' END,
    owner_label = CASE WHEN ${live("l")} THEN l.owner_label ELSE @5 END
  FROM ${table} AS l WITH (ROWLOCK)
  WHERE l.lock_id = @1 AND l.format <= ${LockRecord.format} AND NOT (${live("l")} AND (${theirs("@2")} OR ${has("l.holds", "@3")}));
ELSE
  INSERT INTO ${table} (${columnNames.join(", ")})
  VALUES (@1, ${exclusive}, ${LockRecord.format}, @2, N',' + @3, @t, @t, @t, @t + @4, N'', @5);
SELECT ${columns("l")}, @t AS t FROM ${table} AS l WHERE l.lock_id = @1;
${commit}`

/**
 * Rows are locked in the order of their ids, those that are not ours too, so that two renewals of the same locks do not wait for each other in a circle: a nested loop over the sorted
 * ids, each of them a seek. A row is written once, whatever the number of its holds. The answer is what stands in the table then, read before the commit.
 */
const renew = (table: string, rows: string): string => `
DECLARE @r TABLE (i int NOT NULL PRIMARY KEY, lock_id varbinary(${longestId}) NOT NULL, hold nvarchar(4000) ${binary} NOT NULL, lease bigint NOT NULL);
DECLARE @ids TABLE (lock_id varbinary(${longestId}) NOT NULL PRIMARY KEY);
INSERT INTO @r (i, lock_id, hold, lease)
SELECT v.i, v.lock_id, v.hold, v.lease FROM (VALUES
${rows}) AS v (i, lock_id, hold, lease) WHERE v.lock_id IS NOT NULL;
INSERT INTO @ids (lock_id) SELECT DISTINCT lock_id FROM @r;
${begin}
UPDATE l SET expires = ${later("l.expires", "@t + k.lease")}, version = l.version + 1
FROM @ids AS q INNER LOOP JOIN ${table} AS l WITH (UPDLOCK, ROWLOCK, FORCESEEK) ON l.lock_id = q.lock_id
CROSS APPLY (SELECT MAX(h.lease) AS lease FROM @r AS h WHERE h.lock_id = l.lock_id AND ${has("l.holds", "h.hold")}) AS k
WHERE ${ours("l")} AND l.expires > @t AND k.lease IS NOT NULL OPTION (FORCE ORDER, MAXDOP 1);
SELECT @t AS t, CASE WHEN ${ours("l")} AND l.expires > @t AND ${has("l.holds", "r.hold")} THEN l.expires END AS renewed, ${columns("l")}
FROM @r AS r LEFT JOIN ${table} AS l WITH (ROWLOCK, FORCESEEK) ON l.lock_id = r.lock_id ORDER BY r.i OPTION (FORCE ORDER, MAXDOP 1);
${commit}`

/** What is left of the holds, read before the commit. A row that is not ours to touch is told from one that is not there. */
const written = (table: string, update: string): string => `
${begin}
${update}
IF @@ROWCOUNT > 0 SELECT l.holds, NULL AS info FROM ${table} AS l WHERE l.lock_id = @1;
ELSE SELECT NULL AS holds, l.format AS info FROM ${table} AS l WHERE l.lock_id = @1 AND l.format > ${LockRecord.format};
${commit}`

const release = (table: string): string =>
  written(
    table,
    `UPDATE l SET holds = STUFF(l.holds, ${place("l.holds", "@2")}, LEN(@2) + 1, N''), version = l.version + 1
FROM ${table} AS l WHERE l.lock_id = @1 AND ${ours("l")} AND ${has("l.holds", "@2")};`
  )

/** `@3` is what takes the place of the holds: nothing, which frees the lock, or the mark of a revoked one. */
const revoke = (table: string): string =>
  written(
    table,
    `UPDATE l SET holds = @3, owner_id = CASE WHEN @3 = N'' THEN l.owner_id ELSE 0x END,
  owner_label = CASE WHEN @3 = N'' THEN l.owner_label ELSE N'' END,
  version = CASE WHEN l.holds = @3 ${binary} THEN l.version ELSE l.version + 1 END
FROM ${table} AS l WHERE l.lock_id = @1 AND l.token = @2 AND ${ours("l")} AND ${live("l")};`
  )

const get = (table: string): string => `
SELECT ${columns("l")}, @t AS t FROM ${table} AS l WHERE l.lock_id = @1;`

/** `@2`: whether free ones too. */
const list = (table: string): string => `
SELECT TOP (@3) ${columns("l")}, @t AS t FROM ${table} AS l
WHERE l.lock_id > @1 AND (@2 = 1 OR (l.holds <> N'' AND l.expires > @t)) ORDER BY l.lock_id;`

const dead = `l.expires < @t - @2 AND l.format <= ${LockRecord.format}`

/** A row that somebody is taking just now is locked, and passed over; one that was taken since it was seen stays. */
const purge = (table: string): string => `
DECLARE @old TABLE (lock_id varbinary(${longestId}) NOT NULL PRIMARY KEY);
DECLARE @dropped int;
INSERT INTO @old (lock_id)
SELECT TOP (@3) l.lock_id FROM ${table} AS l WITH (READCOMMITTEDLOCK, READPAST)
WHERE l.lock_id > @1 AND ${dead} ORDER BY l.lock_id;
DELETE l FROM @old AS o INNER LOOP JOIN ${table} AS l WITH (UPDLOCK, READPAST, ROWLOCK, FORCESEEK) ON l.lock_id = o.lock_id WHERE ${dead} OPTION (FORCE ORDER, MAXDOP 1);
SET @dropped = @@ROWCOUNT;
SELECT @dropped AS dropped, COUNT(*) AS seen, (SELECT TOP (1) o.lock_id FROM @old AS o ORDER BY o.lock_id DESC) AS [last] FROM @old;`

const time = "\nSELECT @t AS t;"

const recordKinds: ReadonlyArray<Kind> = [
  "id",
  "name",
  "int",
  "id",
  "text",
  "bigint",
  "bigint",
  "bigint",
  "bigint",
  "text",
  "name"
]

const create = (table: string): string => `
${begin}
IF NOT EXISTS (SELECT 1 FROM ${table} AS l WITH (UPDLOCK, HOLDLOCK, ROWLOCK) WHERE l.lock_id = @1) BEGIN
  INSERT INTO ${table} (${columnNames.join(", ")}) VALUES (${columnNames.map((_, i) => `@${i + 1}`).join(", ")});
  SELECT 1 AS done;
END;
${commit}`

const update = (table: string): string => `
UPDATE ${table} SET ${columnNames
  .map((name, i) => `${name} = @${i + 1}`)
  .slice(1)
  .join(", ")}
WHERE lock_id = @1 AND version = @12;
IF @@ROWCOUNT > 0 SELECT 1 AS done;`

const drop = (table: string): string => `
DELETE FROM ${table} WHERE lock_id = @1 AND version = @2;
IF @@ROWCOUNT > 0 SELECT 1 AS done;`

/** One text for all numbers of requests up to each of these: the rest is null. */
const sizes = [1, 4, 16, 64, 256]

/** A row of as many parameters as a request has; beyond what a batch may have of them (2100), as literals. */
const rowsOf = (size: number): string =>
  Array.from({ length: size }, (_, i) => `(${i}, @${3 * i + 1}, @${3 * i + 2}, @${3 * i + 3})`).join(",\n")

const literalRows = (requests: ReadonlyArray<LockRecord.Renew>): string =>
  requests
    .map(
      ({ holdId, lease, lockId }, i) =>
        `(${i}, 0x${Buffer.from(lockId).toString("hex")}, ${literal(holdId)}, CONVERT(bigint, ${BigInt(lease)}))`
    )
    .join(",\n")

export interface Statements {
  readonly claim: Statement
  readonly release: Statement
  readonly revoke: Statement
  readonly get: Statement
  readonly list: Statement
  readonly purge: Statement
  readonly time: Statement
  readonly create: Statement
  readonly update: Statement
  readonly drop: Statement
  readonly renew: (requests: ReadonlyArray<LockRecord.Renew>) => {
    readonly statement: Statement
    readonly values: ReadonlyArray<unknown>
  }
}

/** The texts for one table, made once. `table` is quoted already; `lockTimeout` in milliseconds. */
export const make = (table: string, lockTimeout: number, database?: string | undefined): Statements => {
  const head = `${prologue(lockTimeout, database)}\n${clock}`
  const of = (text: string, ...kinds: ReadonlyArray<Kind>): Statement => ({ text: head + text, kinds, lockTimeout })
  const renewals = new Map(
    sizes.map((size) => [
      size,
      of(renew(table, rowsOf(size)), ...Array.from({ length: size }, () => ["id", "name", "bigint"] as const).flat())
    ])
  )
  return {
    claim: of(claim(table), "id", "id", "name", "bigint", "name"),
    release: of(release(table), "id", "name"),
    revoke: of(revoke(table), "id", "bigint", "name"),
    get: of(get(table), "id"),
    list: of(list(table), "id", "int", "int"),
    purge: of(purge(table), "id", "bigint", "int"),
    time: of(time),
    create: of(create(table), ...recordKinds),
    update: of(update(table), ...recordKinds, "bigint"),
    drop: of(drop(table), "id", "bigint"),
    renew: (requests) => {
      const size = sizes.find((size) => size >= requests.length)
      if (size === undefined) return { statement: of(renew(table, literalRows(requests))), values: [] }
      const given = requests.flatMap(({ holdId, lease, lockId }): Array<unknown> => [lockId, holdId, lease])
      return {
        statement: renewals.get(size)!,
        values: [...given, ...new Array<null>(3 * size - given.length).fill(null)]
      }
    }
  }
}
