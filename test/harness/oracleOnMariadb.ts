/**
 * The storage's blocks of PL/SQL, run by MariaDB in its Oracle mode: what `oracledb` is for the storage, over `mysql2`. It is no Oracle. It shows what the blocks decide, with the locks and transactions of a real server.
 *
 * A block becomes a stored procedure, whose parameters are the binds. Its text is changed by `rewritings`, and by nothing else.
 */
import { createHash } from "node:crypto"
import * as Effect from "#effect/Effect"
import Mysql from "mysql2"
import oracledb from "oracledb"
import type { Bind, Binds, Connection, Driver, Executed, Pool } from "../../src/backends/oracle/driver.js"
import * as statements from "../../src/backends/oracle/statements.js"
import * as MysqlServer from "./mysql.js"

interface Rewriting {
  /** What MariaDB does not have, and so what was not run. */
  readonly lacks: string
  readonly from: string | RegExp
  readonly to: string
}

export const rewritings: ReadonlyArray<Rewriting> = [
  {
    lacks:
      "a function within a block, SYS_EXTRACT_UTC and intervals: the clock of the blocks is a function of the test's",
    from: statements.clock,
    to: ""
  },
  { lacks: "the same in queries", from: statements.queryClock, to: "esl_now()" },
  { lacks: "COMMIT with WRITE: a plain one", from: statements.commit, to: "COMMIT" },
  {
    lacks: "FOR UPDATE WAIT within a procedure: each session waits for so long by innodb_lock_wait_timeout",
    from: /FOR UPDATE WAIT \d+/g,
    to: "FOR UPDATE"
  },
  { lacks: "ORA-00955: its own number for a table that is there", from: "SQLCODE <> -955", to: "SQLCODE <> 1050" },
  { lacks: "COMMENT ON TABLE", from: /COMMENT ON TABLE (\S+) IS ''(.*?)''/g, to: "ALTER TABLE $1 COMMENT = ''$2''" },
  { lacks: "lengths in bytes: the characters are of one", from: /VARCHAR2\((\d+) BYTE\)/g, to: "VARCHAR2($1)" }
]

export const rewritten = (text: string): string =>
  rewritings.reduce((text, { from, to }) => text.replaceAll(from instanceof RegExp ? from : from, to), text)

/** As near as MariaDB's errors come to Oracle's. */
const numbers = new Map([
  [1044, 1031],
  [1062, 1],
  [1142, 1031],
  [1146, 942],
  [1205, 30006],
  [1213, 60],
  [1317, 1013],
  [1329, 1403],
  [1370, 1031],
  [1406, 12899],
  [1568, 1453],
  [1644, 20000],
  [1969, 30006]
])

const failed = (error: unknown): Error => {
  const { errno, message } = error as { readonly errno?: number; readonly message: string }
  const number = errno === undefined || errno < 1000 ? undefined : numbers.get(errno)
  if (errno !== undefined && errno >= 1000 && errno < 2000) {
    const shown = number ?? 20999
    const code = `ORA-${String(shown).padStart(5, "0")}`
    return Object.assign(new Error(`${code}: ${message}`), { code, errorNum: shown })
  }
  return Object.assign(new Error(`NJS-500: connection to Oracle Database was closed or broken\n${message}`), {
    code: "NJS-500"
  })
}

const sessionMode = "ORACLE,EMPTY_STRING_IS_NULL,STRICT_ALL_TABLES"

/** What the setup asks for, in views of the names that Oracle has for them; and the clock. */
const dictionary = (database: string): string => `
CREATE FUNCTION esl_now() RETURN DECIMAL(19) AS BEGIN RETURN TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', SYSDATE(6)); END;
CREATE FUNCTION SYS_CONTEXT(a VARCHAR2(30), b VARCHAR2(30)) RETURN VARCHAR2(128) AS BEGIN
  RETURN CASE b WHEN 'CURRENT_SCHEMA' THEN '${database}' WHEN 'DATABASE_ROLE' THEN 'PRIMARY' ELSE 'MARIADB' END; END;
CREATE VIEW ALL_TABLES AS SELECT t.TABLE_SCHEMA AS owner, t.TABLE_NAME AS table_name, t.TEMPORARY AS temporary FROM information_schema.TABLES t;
CREATE VIEW ALL_TAB_COMMENTS AS SELECT t.TABLE_SCHEMA AS owner, t.TABLE_NAME AS table_name, t.TABLE_COMMENT AS comments FROM information_schema.TABLES t;
CREATE VIEW ALL_TAB_COLUMNS AS SELECT c.TABLE_SCHEMA AS owner, c.TABLE_NAME AS table_name, UPPER(c.COLUMN_NAME) AS column_name, CASE c.DATA_TYPE WHEN 'varbinary' THEN 'RAW' WHEN 'varchar' THEN 'VARCHAR2' WHEN 'decimal' THEN 'NUMBER' ELSE c.DATA_TYPE END AS data_type,
  c.CHARACTER_MAXIMUM_LENGTH AS data_length, c.NUMERIC_PRECISION AS data_precision FROM information_schema.COLUMNS c;
CREATE VIEW ALL_CONSTRAINTS AS SELECT k.TABLE_SCHEMA AS owner, k.TABLE_NAME AS table_name, k.CONSTRAINT_NAME AS constraint_name, CASE k.CONSTRAINT_TYPE WHEN 'PRIMARY KEY' THEN 'P' ELSE 'U' END AS constraint_type, 'ENABLED' AS status, 'NOT DEFERRABLE' AS deferrable FROM information_schema.TABLE_CONSTRAINTS k;
CREATE VIEW ALL_CONS_COLUMNS AS SELECT k.TABLE_SCHEMA AS owner, k.TABLE_NAME AS table_name, k.CONSTRAINT_NAME AS constraint_name, UPPER(k.COLUMN_NAME) AS column_name FROM information_schema.KEY_COLUMN_USAGE k`

/** Makes a database fit for it. */
export const prepare = (url: string): Effect.Effect<void, Error> => {
  const database = new URL(url).pathname.slice(1)
  const parts = dictionary(database)
    .trim()
    .split(/;\n(?=CREATE)/)
  return Effect.forEach(
    [...parts],
    (part) => MysqlServer.query(url, `SET sql_mode = '${sessionMode}';\nDELIMITED`.replace("DELIMITED", part)),
    { discard: true }
  )
}

const typed = (bind: Bind): string =>
  bind.type === oracledb.DB_TYPE_RAW
    ? "VARBINARY(4000)"
    : bind.type === oracledb.DB_TYPE_NUMBER
      ? "DECIMAL(19)"
      : "VARCHAR(4000)"

const isOut = (bind: Bind): boolean => bind.dir === oracledb.BIND_OUT

const asked = (
  text: string,
  binds: Readonly<Record<string, Bind>>
): { readonly name: string; readonly create: string } => {
  const name = `b_${createHash("sha256").update(text).update(Object.values(binds).map(typed).join()).digest("hex").slice(0, 30)}`
  const parameters = Object.entries(binds).map(([name, bind]) => `${name} ${isOut(bind) ? "OUT" : "IN"} ${typed(bind)}`)
  const body = rewritten(text)
    .replace(/^DECLARE\n/, "")
    .replaceAll(/:([io]_\w+)/g, "$1")
  return {
    name,
    create: `CREATE PROCEDURE IF NOT EXISTS ${name}(${parameters.join(", ")}) SQL SECURITY INVOKER AS\n${body}`
  }
}

export interface Options {
  /** What each session is set to before it serves. */
  readonly session?: ReadonlyArray<string> | undefined
  /** Told of each call: one round trip of the driver's. */
  readonly onCall?: ((text: string) => void) | undefined
}

export interface Fake {
  readonly driver: Driver
  readonly pool: (size?: number) => Pool & { readonly connections: ReadonlySet<unknown>; readonly close: () => void }
}

type Result = ReadonlyArray<ReadonlyArray<Record<string, unknown>>>

/** `url` leads to a database that was prepared; `admin` too, past whatever is between. */
export const make = (url: string, admin: string, { onCall = () => {}, session = [] }: Options = {}): Fake => {
  const known = new Map<string, Promise<unknown>>()
  const live = new Set<Mysql.Connection>()
  /** Those whose session came with a transaction open. */
  const dirty = new Set<Mysql.Connection>()

  const procedure = async (text: string, binds: Readonly<Record<string, Bind>>): Promise<string> => {
    const { create, name } = asked(text, binds)
    let made = known.get(name)
    if (made === undefined) {
      made = Effect.runPromise(MysqlServer.query(admin, `SET sql_mode = '${sessionMode}';\n${create}`))
      known.set(name, made)
      made.catch(() => known.delete(name))
    }
    await made.catch((error: unknown) => {
      throw failed(error)
    })
    return name
  }

  const connect = async (): Promise<Mysql.Connection> => {
    const link = Mysql.createConnection({
      uri: url,
      multipleStatements: true,
      decimalNumbers: true,
      supportBigNumbers: true,
      bigNumberStrings: false
    })
    link.on("error", () => {})
    live.add(link)
    await query(
      link,
      [
        `SET SESSION sql_mode = '${sessionMode}', autocommit = 0, time_zone = '+00:00', innodb_lock_wait_timeout = 4`,
        ...session
      ].join(";\n")
    )
    if (session.length > 0 && (await isOpen(link))) dirty.add(link)
    return link
  }

  const query = (link: Mysql.Connection, sql: string, values: ReadonlyArray<unknown> = []): Promise<Result> =>
    new Promise((resolve, reject) =>
      link.query({ sql, values: [...values] as Array<string> }, (error, rows) =>
        error === null ? resolve(rows as never) : reject(failed(error))
      )
    )

  const isOpen = async (link: Mysql.Connection): Promise<boolean> => {
    const [row] = (await query(link, "SELECT @@in_transaction AS n")) as unknown as ReadonlyArray<{
      readonly n: unknown
    }>
    return Number(row!.n) === 1
  }

  const wrap = (link: Mysql.Connection, release: (drop: boolean) => void): Connection => {
    let open = true
    let inTransaction = dirty.delete(link)
    let work: Promise<unknown> = Promise.resolve()
    const one = <A>(run: () => Promise<A>): Promise<A> => {
      const next = work.then(run)
      work = next.catch(() => {})
      return next
    }
    const call = async (text: string, binds: Readonly<Record<string, Bind>>): Promise<Record<string, unknown>> => {
      const name = await procedure(text, binds)
      const entries = Object.entries(binds)
      const given = entries.filter(([, bind]) => !isOut(bind))
      const told = entries.filter(([, bind]) => isOut(bind)).map(([name]) => name)
      const sql = `CALL ${name}(${entries.map(([name, bind]) => (isOut(bind) ? `@${name}` : "?")).join(", ")});
SELECT ${[...told.map((name) => `@${name} AS ${name}`), "@@in_transaction AS in_transaction"].join(", ")}`
      try {
        const results = await query(
          link,
          sql,
          given.map(([, { val }]) => val ?? null)
        )
        const { in_transaction: still, ...row } = results[results.length - 1]![0]!
        inTransaction = Number(still) === 1
        // What comes of a variable is of a kind of its own.
        return Object.fromEntries(
          Object.entries(row).map(([name, value]) => [
            name,
            value === null
              ? null
              : binds[name]!.type === oracledb.DB_TYPE_NUMBER
                ? Number(value)
                : binds[name]!.type === oracledb.DB_TYPE_RAW
                  ? Buffer.from(value as Buffer)
                  : String(value)
          ])
        )
      } catch (error) {
        if ((error as { code?: string }).code !== "NJS-500") inTransaction = await isOpen(link)
        throw error
      }
    }
    const closed = () => Object.assign(new Error("NJS-003: invalid or closed connection"), { code: "NJS-003" })
    const execute = (text: string, binds: Binds): Promise<Executed> =>
      one(async () => {
        if (!open) throw closed()
        onCall(text)
        const named = binds as Readonly<Record<string, Bind>>
        if (!/^\s*SELECT/.test(text)) return { outBinds: await call(text, named) }
        const values: Array<unknown> = []
        const sql = rewritten(text).replaceAll(/:([io]_\w+)/g, (_, name: string) => {
          values.push(named[name]!.val ?? null)
          return "?"
        })
        // A read begins no transaction in Oracle.
        const results = await query(link, `${sql};\n${inTransaction ? "SELECT 1" : "COMMIT"}`, values)
        return { rows: results[0] }
      })
    return Object.assign(
      {
        execute,
        executeMany: (text, rows, { bindDefs }) =>
          one(async () => {
            if (!open) throw closed()
            onCall(text)
            const outBinds: Array<unknown> = []
            for (const row of rows) {
              outBinds.push(
                await call(
                  text,
                  Object.fromEntries(
                    Object.entries(bindDefs).map(([name, bind]) => [name, { ...bind, val: row[name] }])
                  )
                )
              )
            }
            return { outBinds }
          }),
        rollback: () => one(async () => void (await query(link, "ROLLBACK"))),
        break: async () => {
          await Effect.runPromise(Effect.ignore(MysqlServer.query(admin, `KILL QUERY ${String(link.threadId)}`)))
        },
        close: (options) =>
          one(async () => {
            if (!open) throw closed()
            open = false
            if (options?.drop !== true && inTransaction) await query(link, "ROLLBACK").catch(() => {})
            release(options?.drop === true)
          }),
        on: () => {},
        get transactionInProgress() {
          return inTransaction
        },
        oracleServerVersion: 1900000000
      } satisfies Connection,
      {
        _impl: {
          nscon: {
            disconnect: () => {
              live.delete(link)
              link.destroy()
              ;(link as unknown as { readonly stream: { readonly destroy: () => void } }).stream.destroy()
            }
          }
        }
      }
    )
  }

  const end = (link: Mysql.Connection) => {
    live.delete(link)
    link.destroy()
  }

  return {
    driver: {
      ...(oracledb as Driver),
      BIND_IN: oracledb.BIND_IN,
      BIND_OUT: oracledb.BIND_OUT,
      DB_TYPE_NUMBER: oracledb.DB_TYPE_NUMBER,
      DB_TYPE_RAW: oracledb.DB_TYPE_RAW,
      DB_TYPE_VARCHAR: oracledb.DB_TYPE_VARCHAR,
      OUT_FORMAT_OBJECT: oracledb.OUT_FORMAT_OBJECT,
      POOL_STATUS_CLOSED: oracledb.POOL_STATUS_CLOSED,
      getConnection: async () => {
        const link = await connect()
        return wrap(link, () => end(link))
      }
    },
    pool: (size = 4) => {
      const idle: Array<Mysql.Connection> = []
      const waiting: Array<() => void> = []
      const all = new Set<Mysql.Connection>()
      const state = { status: 6000 }
      let used = 0
      const next = () => {
        used--
        waiting.shift()?.()
      }
      const take = async (): Promise<Connection> => {
        if (used >= size) await new Promise<void>((resolve) => waiting.push(resolve))
        used++
        try {
          let link = idle.pop()
          if (link === undefined) {
            link = await connect()
            all.add(link)
          }
          const taken = link
          return wrap(taken, (drop) => {
            if (drop || !live.has(taken)) {
              all.delete(taken)
              end(taken)
            } else idle.push(taken)
            next()
          })
        } catch (error) {
          next()
          throw error
        }
      }
      return Object.assign(state, {
        getConnection: take,
        poolMax: size,
        connections: all,
        close: () => {
          state.status = oracledb.POOL_STATUS_CLOSED
          for (const link of all) end(link)
        }
      })
    }
  }
}
