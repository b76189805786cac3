/**
 * Every storage call as one block of PL/SQL, or one query: one round trip.
 *
 * Nothing that a session may be set to has a part in it. The isolation level is the block's own. What goes in and out is numbers, bytes, and holds in hexadecimal: no time zone, no language, no
 * collation and no character set of the database reads them in another way. A block waits for a row no longer than its call has time, and commits or rolls back before it ends.
 *
 * `''` is NULL here: an empty owner, label, data or set of holds is NULL in the table.
 */
import * as LockRecord from "../../LockRecord.js"
import { columnNames, holdsOf, type Row, text as textIn } from "../sql/record.js"

/** How a value goes in or comes out. */
export type Kind = "bytes" | "number" | "hex"

export interface Variable {
  readonly name: string
  readonly kind: Kind
}

export interface Statement {
  /** A block that is run once, a block that is run for each row of values, or a query. */
  readonly form: "block" | "many" | "query"
  readonly text: string
  readonly given: ReadonlyArray<Variable>
  readonly told: ReadonlyArray<Variable>
  /** Of one answer of the block, or one row of the query, and the how manieth it is. Nothing, where there is no row to tell of. */
  readonly read: (told: Row, index: number) => Row | undefined
  /** Of `many`: where the answer to each row of values belongs. */
  readonly order?: ReadonlyArray<number> | undefined
}

/** Bytes of 255 UTF-16 units: three each at most, for a pair of them has four. */
export const longestId = 3 * 255

/** The columns that are bytes, and how many they are at most. */
export const longest = {
  lock_id: longestId,
  kind: 384,
  owner_id: longestId,
  data: 2000,
  owner_label: longestId
} as const

/** Of the text of all holds, in bytes. */
export const longestHolds = 4000

/** Each hold id in hexadecimal behind a letter that no digit is, so that no collation takes two for one, and none is found inside another. */
export const holdOf = (holdId: string): string => `x${Buffer.from(holdId).toString("hex")}`

/** From and to what all dialects know: each hold id behind a comma. */
export const encoded = (holds: string): string => holdsOf(holds).map(holdOf).join("")

const decoded = (holds: unknown): string =>
  holds === null || holds === undefined
    ? ""
    : textIn(holds)
        .split("x")
        .slice(1)
        .map((hold) => `,${Buffer.from(hold, "hex").toString()}`)
        .join("")

const utf8 = (value: unknown): string => {
  if (value === null || value === undefined) return ""
  if (!Buffer.isBuffer(value)) throw new Error(`bytes are of type ${typeof value}`)
  return value.toString("utf8")
}

/**
 * Microseconds since the epoch by the server's own clock: SYSTIMESTAMP is told with an offset, and read in UTC, whatever zone the session has. Sampled into one variable, because each mention of it in PL/SQL
 * is another sample.
 */
export const clock = `  FUNCTION esl_now RETURN NUMBER IS
    d INTERVAL DAY(9) TO SECOND(9) := SYS_EXTRACT_UTC(SYSTIMESTAMP) - TIMESTAMP '1970-01-01 00:00:00';
  BEGIN
    RETURN EXTRACT(DAY FROM d) * 86400000000 + EXTRACT(HOUR FROM d) * 3600000000 + EXTRACT(MINUTE FROM d) * 60000000 + TRUNC(EXTRACT(SECOND FROM d) * 1000000);
  END;
`

/** The same in a query, where all mentions of SYSTIMESTAMP are one sample. */
export const queryClock =
  "(SELECT EXTRACT(DAY FROM c.d) * 86400000000 + EXTRACT(HOUR FROM c.d) * 3600000000 + EXTRACT(MINUTE FROM c.d) * 60000000 + TRUNC(EXTRACT(SECOND FROM c.d) * 1000000) " +
  "FROM (SELECT SYS_EXTRACT_UTC(SYSTIMESTAMP) - TIMESTAMP '1970-01-01 00:00:00' AS d FROM DUAL) c)"

/** Whatever `commit_wait` of the session and the server says: an answer is durable. */
export const commit = "COMMIT WRITE IMMEDIATE WAIT"

const declared: Record<Kind, string> = {
  bytes: "RAW(2000)",
  number: "NUMBER(19)",
  hex: `VARCHAR2(${longestHolds})`
}

type Kinds = Readonly<Record<string, Kind>>

type Asked = Pick<Statement, "text" | "given" | "told">

const variablesOf = (kinds: Kinds): ReadonlyArray<Variable> =>
  Object.entries(kinds).map(([name, kind]) => ({ name, kind }))

interface Block {
  readonly table: string
  readonly given: Kinds
  readonly told: Kinds
  readonly body: string
  /** Where one transaction is of many runs of the block: in which it begins, and in which it ends. */
  readonly begins?: string | undefined
  readonly ends?: string | undefined
}

const indented = (text: string, by: string): string =>
  text
    .trim()
    .split("\n")
    .map((line) => by + line)
    .join("\n")

/**
 * Each bind stands in it once. That a transaction is set up first makes a connection on which somebody left one open an error (ORA-01453), and none of that is touched: a lock is never part of it. What is told is told before the
 * commit: nothing is left that could fail after it.
 */
const block = ({ begins, body, ends, given, table, told }: Block): Asked => {
  const when = (condition: string | undefined, statement: string) =>
    condition === undefined ? `${statement};` : `IF ${condition} THEN ${statement}; END IF;`
  const text = `DECLARE
${Object.entries(given)
  .map(([name, kind]) => `  p_${name} ${declared[kind]} := :i_${name};\n`)
  .join("")}  v_row ${table}%ROWTYPE;
  v_now NUMBER(19) := 0;
  v_state NUMBER(1) := 0;
  v_at NUMBER(5) := 0;
  v_tries NUMBER(2) := 0;
  v_seen NUMBER(10) := 0;
  v_dropped NUMBER(10) := 0;
  v_last RAW(${longestId}) := NULL;
${clock}BEGIN
  ${when(begins, "SET TRANSACTION ISOLATION LEVEL READ COMMITTED")}
  BEGIN
${indented(body, "    ")}
${Object.keys(told)
  .map((name) => `    :o_${name} := ${name in variables ? variables[name] : `v_row.${name}`};\n`)
  .join("")}    ${when(ends, commit)}
  EXCEPTION WHEN OTHERS THEN
    ROLLBACK;
    RAISE;
  END;
END;`
  return { text, given: variablesOf(given), told: variablesOf(told) }
}

/** What is told and is no column of the row. */
const variables: Readonly<Record<string, string>> = {
  now: "v_now",
  state: "v_state",
  seen: "v_seen",
  dropped: "v_dropped",
  last: "v_last"
}

const recordTold = {
  kind: "bytes",
  format: "number",
  owner_id: "bytes",
  holds: "hex",
  token: "number",
  version: "number",
  began: "number",
  expires: "number",
  data: "bytes",
  owner_label: "bytes",
  now: "number",
  state: "number"
} as const

/** The record, as all dialects know it. */
const recordOf = (told: Row, lockId: unknown): Row => ({
  ...told,
  lock_id: lockId,
  kind: utf8(told.kind),
  owner_id: utf8(told.owner_id),
  holds: decoded(told.holds),
  data: utf8(told.data),
  owner_label: utf8(told.owner_label),
  t: told.now
})

const { format } = LockRecord

const has = (holds: string, hold: string): string => `NVL(INSTR(${holds} || 'x', ${hold} || 'x'), 0)`

/**
 * The contended case and a repetition are answered by a read. Everything else is judged again under the row's lock. A row that is not there is made; if somebody made it meanwhile, the loop begins again: with a flag, and not by
 * leaving it from a handler, so that the text is one that MariaDB runs, too.
 */
const claim = (table: string, wait: number): Asked =>
  block({
    table,
    given: { id: "bytes", kind: "bytes", owner: "bytes", hold: "hex", lease: "number", label: "bytes" },
    told: recordTold,
    body: `
WHILE v_state = 0 AND v_tries < 5 LOOP
  v_tries := v_tries + 1;
  BEGIN
    SELECT * INTO v_row FROM ${table} WHERE lock_id = p_id;
    v_now := esl_now();
    IF v_row.format <= ${format} AND (v_row.holds IS NULL OR v_row.expires <= v_now OR (v_row.owner_id = p_owner AND v_row.kind = p_kind AND ${has("v_row.holds", "p_hold")} = 0)) THEN
      SELECT * INTO v_row FROM ${table} WHERE lock_id = p_id FOR UPDATE WAIT ${wait};
      v_now := esl_now();
      IF v_row.format <= ${format} AND (v_row.holds IS NULL OR v_row.expires <= v_now) THEN
        v_row.kind := p_kind;
        v_row.format := ${format};
        v_row.owner_id := p_owner;
        v_row.holds := p_hold;
        IF v_row.token >= v_now THEN v_row.token := v_row.token + 1; ELSE v_row.token := v_now; END IF;
        v_row.version := v_row.version + 1;
        v_row.began := v_now;
        v_row.expires := v_now + p_lease;
        v_row.data := NULL;
        v_row.owner_label := p_label;
        UPDATE ${table} SET kind = v_row.kind, format = v_row.format, owner_id = v_row.owner_id, holds = v_row.holds, token = v_row.token, version = v_row.version,
          began = v_row.began, expires = v_row.expires, data = NULL, owner_label = v_row.owner_label WHERE lock_id = p_id;
      ELSIF v_row.format <= ${format} AND v_row.owner_id = p_owner AND v_row.kind = p_kind AND ${has("v_row.holds", "p_hold")} = 0 THEN
        v_row.holds := v_row.holds || p_hold;
        v_row.version := v_row.version + 1;
        v_row.expires := GREATEST(v_row.expires, v_now + p_lease);
        UPDATE ${table} SET holds = v_row.holds, version = v_row.version, expires = v_row.expires WHERE lock_id = p_id;
      END IF;
    END IF;
    v_state := 1;
  EXCEPTION WHEN NO_DATA_FOUND THEN
    BEGIN
      v_now := esl_now();
      INSERT INTO ${table} (${columnNames.join(", ")})
      VALUES (p_id, p_kind, ${format}, p_owner, p_hold, v_now, v_now, v_now, v_now + p_lease, NULL, p_label);
      SELECT * INTO v_row FROM ${table} WHERE lock_id = p_id;
      v_state := 1;
    EXCEPTION WHEN DUP_VAL_ON_INDEX THEN
      v_state := 0;
    END;
  END;
END LOOP;
IF v_state = 0 THEN RAISE NO_DATA_FOUND; END IF;`
  })

/** What happens to a row that is there, under its lock. `v_state`: 0 nothing, 1 done, 2 a format that is newer than ours. */
const locked = (table: string, wait: number, then: string): string => `
BEGIN
  SELECT * INTO v_row FROM ${table} WHERE lock_id = p_id FOR UPDATE WAIT ${wait};
  v_now := esl_now();
${indented(then, "  ")}
EXCEPTION WHEN NO_DATA_FOUND THEN
  v_state := 0;
END;`

const written = { holds: "hex", format: "number", state: "number" } as const

const release = (table: string, wait: number): Asked =>
  block({
    table,
    given: { id: "bytes", kind: "bytes", hold: "hex" },
    told: written,
    body: locked(
      table,
      wait,
      `
v_at := ${has("v_row.holds", "p_hold")};
IF v_row.format > ${format} THEN
  v_state := 2;
ELSIF v_at > 0 AND v_row.kind = p_kind THEN
  v_row.holds := SUBSTR(v_row.holds, 1, v_at - 1) || SUBSTR(v_row.holds, v_at + LENGTH(p_hold));
  IF NVL(LENGTH(v_row.holds), 0) = 0 THEN v_row.holds := NULL; END IF;
  UPDATE ${table} SET holds = v_row.holds, version = version + 1 WHERE lock_id = p_id;
  v_state := 1;
END IF;`
    )
  })

/** `p_hold` is what takes the place of the holds: nothing, which frees the lock, or the mark of a revoked one. */
const revoke = (table: string, wait: number): Asked =>
  block({
    table,
    given: { id: "bytes", kind: "bytes", token: "number", hold: "hex" },
    told: written,
    body: locked(
      table,
      wait,
      `
IF v_row.token = p_token AND v_row.format > ${format} THEN
  v_state := 2;
ELSIF v_row.token = p_token AND v_row.kind = p_kind AND v_row.holds IS NOT NULL AND v_row.expires > v_now THEN
  IF p_hold IS NULL OR v_row.holds <> p_hold THEN v_row.version := v_row.version + 1; END IF;
  v_row.holds := p_hold;
  IF p_hold IS NOT NULL THEN
    v_row.owner_id := NULL;
    v_row.owner_label := NULL;
  END IF;
  UPDATE ${table} SET holds = v_row.holds, owner_id = v_row.owner_id, owner_label = v_row.owner_label, version = v_row.version WHERE lock_id = p_id;
  v_state := 1;
END IF;`
    )
  })

/**
 * Run for each request, in the order of the ids, so that two renewals of the same locks do not wait for each other in a circle: one transaction, begun by the first run and ended by the last. `v_state`: 0 no row, 1 renewed, 2
 * a row that is not ours to renew.
 */
const renew = (table: string, wait: number): Asked =>
  block({
    table,
    given: { id: "bytes", kind: "bytes", hold: "hex", lease: "number", first: "number", last: "number" },
    told: recordTold,
    begins: "p_first = 1",
    ends: "p_last = 1",
    body: `
BEGIN
  v_now := esl_now();
  SELECT * INTO v_row FROM ${table} WHERE lock_id = p_id FOR UPDATE WAIT ${wait};
  v_now := esl_now();
  v_state := 2;
  IF v_row.format <= ${format} AND v_row.kind = p_kind AND v_row.expires > v_now AND ${has("v_row.holds", "p_hold")} > 0 THEN
    v_row.expires := GREATEST(v_row.expires, v_now + p_lease);
    UPDATE ${table} SET expires = v_row.expires, version = version + 1 WHERE lock_id = p_id;
    v_state := 1;
  END IF;
EXCEPTION WHEN NO_DATA_FOUND THEN
  v_state := 0;
END;`
  })

const get = (table: string): Asked =>
  block({
    table,
    given: { id: "bytes" },
    told: recordTold,
    body: `
BEGIN
  SELECT * INTO v_row FROM ${table} WHERE lock_id = p_id;
  v_now := esl_now();
  v_state := 1;
EXCEPTION WHEN NO_DATA_FOUND THEN
  v_state := 0;
END;`
  })

/** A row that somebody is taking just now is locked, and passed over; one that was taken since it was seen stays. */
const purge = (table: string): Asked =>
  block({
    table,
    given: { after: "bytes", micros: "number", most: "number" },
    told: { seen: "number", dropped: "number", last: "bytes" },
    body: `
v_now := esl_now() - p_micros;
FOR r IN (SELECT lock_id FROM ${table} WHERE lock_id > p_after AND expires < v_now AND format <= ${format} ORDER BY lock_id) LOOP
  EXIT WHEN v_seen >= p_most;
  v_seen := v_seen + 1;
  v_last := r.lock_id;
  BEGIN
    SELECT * INTO v_row FROM ${table} WHERE lock_id = v_last FOR UPDATE SKIP LOCKED;
    IF v_row.expires < v_now AND v_row.format <= ${format} THEN
      DELETE FROM ${table} WHERE lock_id = v_last;
      v_dropped := v_dropped + 1;
    END IF;
  EXCEPTION WHEN NO_DATA_FOUND THEN
    v_state := 0;
  END;
END LOOP;`
  })

const recordGiven = {
  id: "bytes",
  kind: "bytes",
  format: "number",
  owner: "bytes",
  hold: "hex",
  token: "number",
  version: "number",
  began: "number",
  expires: "number",
  data: "bytes",
  label: "bytes"
} as const

const create = (table: string): Asked =>
  block({
    table,
    given: recordGiven,
    told: { state: "number" },
    body: `
BEGIN
  INSERT INTO ${table} (${columnNames.join(", ")})
  VALUES (${Object.keys(recordGiven)
    .map((name) => `p_${name}`)
    .join(", ")});
  v_state := 1;
EXCEPTION WHEN DUP_VAL_ON_INDEX THEN
  v_state := 0;
END;`
  })

const update = (table: string, wait: number): Asked =>
  block({
    table,
    given: { ...recordGiven, expected: "number" },
    told: { state: "number" },
    body: locked(
      table,
      wait,
      `
IF v_row.version = p_expected THEN
  UPDATE ${table} SET ${Object.keys(recordGiven)
    .map((name, i) => `${columnNames[i]} = p_${name}`)
    .slice(1)
    .join(", ")} WHERE lock_id = p_id;
  v_state := 1;
END IF;`
    )
  })

const drop = (table: string, wait: number): Asked =>
  block({
    table,
    given: { id: "bytes", expected: "number" },
    told: { state: "number" },
    body: locked(
      table,
      wait,
      `
IF v_row.version = p_expected THEN
  DELETE FROM ${table} WHERE lock_id = p_id;
  v_state := 1;
END IF;`
    )
  })

const list = (table: string): Asked => ({
  given: variablesOf({ after: "bytes", free: "number", most: "number" }),
  told: [],
  text: `SELECT ${columnNames.map((name) => `l.${name} AS "${name}"`).join(", ")}, ${queryClock} AS "now" FROM ${table} l
WHERE l.lock_id > :i_after AND (:i_free = 1 OR (l.holds IS NOT NULL AND l.expires > ${queryClock})) ORDER BY l.lock_id FETCH FIRST :i_most ROWS ONLY`
})

const time: Asked = { given: [], told: [], text: `SELECT ${queryClock} AS "now" FROM DUAL` }

export interface Statements {
  readonly claim: (lockId: string) => Statement
  /** Sorted by their ids; `order` tells where the answer to each belongs. */
  readonly renew: (lockIds: ReadonlyArray<string>, order: ReadonlyArray<number>) => Statement
  readonly release: Statement
  readonly revoke: Statement
  readonly get: (lockId: string) => Statement
  readonly list: Statement
  readonly purge: Statement
  readonly time: Statement
  readonly create: Statement
  readonly update: Statement
  readonly drop: Statement
}

const stateOf = ({ state }: Row): number => Number(state)

const doneIn = (told: Row): Row | undefined => (stateOf(told) === 1 ? told : undefined)

/** The row, if there is one. */
const recordIn =
  (lockId: string) =>
  (told: Row): Row | undefined =>
    stateOf(told) === 1 ? recordOf(told, lockId) : undefined

/** What is left of the holds, or the format that is newer. */
const writtenIn = (told: Row): Row | undefined =>
  stateOf(told) === 0
    ? undefined
    : stateOf(told) === 1
      ? { holds: decoded(told.holds), info: null }
      : { holds: null, info: told.format }

/** One answer for each request, whatever there is. */
const renewedIn =
  (lockIds: ReadonlyArray<string>) =>
  (told: Row, index: number): Row =>
    stateOf(told) === 1
      ? { t: told.now, renewed: told.expires, lock_id: null }
      : { ...recordOf(told, stateOf(told) === 0 ? null : lockIds[index]), renewed: null }

/** The texts for one table, made once. `table` is quoted already; `wait`: for so many seconds a block waits for a row. */
export const make = (table: string, wait: number): Statements => {
  const claims = claim(table, wait)
  const gets = get(table)
  const renewals = renew(table, wait)
  return {
    claim: (lockId) => ({ form: "block", ...claims, read: recordIn(lockId) }),
    renew: (lockIds, order) => ({ form: "many", ...renewals, read: renewedIn(lockIds), order }),
    release: { form: "block", ...release(table, wait), read: writtenIn },
    revoke: { form: "block", ...revoke(table, wait), read: writtenIn },
    get: (lockId) => ({ form: "block", ...gets, read: recordIn(lockId) }),
    list: { form: "query", ...list(table), read: (row) => recordOf(row, utf8(row.lock_id)) },
    purge: { form: "block", ...purge(table), read: (told) => ({ ...told, last: utf8(told.last) }) },
    time: { form: "query", ...time, read: (row) => ({ t: row.now }) },
    create: { form: "block", ...create(table), read: doneIn },
    update: { form: "block", ...update(table, wait), read: doneIn },
    drop: { form: "block", ...drop(table, wait), read: doneIn }
  }
}
