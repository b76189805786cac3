/**
 * A fence for a resource in a SQL database: a transaction is refused if its fencing token is lower than one that has already written.
 *
 * A lock alone cannot stop a holder that was paused beyond its lease and does not know it. The resource can, if it remembers the greatest token that has written.
 * See M. Kleppmann, "How to do distributed locking" (2016), for why.
 *
 * It uses the program's `SqlClient` on PostgreSQL, SQLite, MySQL, MariaDB, TiDB and SQL Server. Any other dialect is refused. The database is the program's
 * own and need not be where the locks are. On SQL Server it has not been run yet: the tests only check the text of its statements.
 *
 * @since 0.1.0
 */
import "#effect/major"
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import * as Schema from "#effect/Schema"
import type * as SqlClient from "#effect/sql/SqlClient"
import type { SqlError } from "#effect/sql/SqlError"
import * as keys from "#effect/sql/keys"
import { flagFault, invalid, textFault } from "../../common/input.js"
import { unknownName } from "../../common/optionNames.js"
import * as fence from "./fence.js"
import { InvalidOptions } from "../../LockError.js"

/**
 * A holder with a newer token has already written, so this one has lost its lock, whether it knows it or not. The transaction must be rolled back.
 *
 * @since 0.1.0
 * @category errors
 */
export class StaleToken extends Schema.TaggedError<StaleToken>("effect-storage-lock/SqlFence/StaleToken")(
  "StaleToken",
  {
    resource: Schema.String,
    token: Schema.Number
  }
) {
  override get message(): string {
    return `token ${this.token} is stale: ${JSON.stringify(this.resource)} was used under a newer one`
  }
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** In the default schema. Default `"storage_lock_fence"`. For resources under a read-write lock, `"storage_lock_fence_readers"`. */
  readonly table?: string | undefined
}

/**
 * @since 0.5.0
 * @category models
 */
export interface CheckOptions extends Options {
  /**
   * The resource is under a read-write lock, and this is a read or a write of it. A write needs a token that is at least those of all who have written and of all who have read. A read needs at least
   * that of all who have written. Give it for every use of such a resource: its tokens are kept in a table of their own, made by `setup({ readers: true })`.
   *
   * Permits of a semaphore cannot be fenced: a holder that is late is one too many, and no token tells which.
   *
   * @since 0.5.0
   */
  readonly mode?: "read" | "write" | undefined
}

/**
 * @since 0.5.0
 * @category models
 */
export interface SetupOptions extends Options {
  /** The table for resources under read-write locks. Default `false`: the one for resources under exclusive locks. */
  readonly readers?: boolean | undefined
}

/** By key, as the storages find their clients: nothing of sql is loaded from here. */
const ClientTag = Context.Service<SqlClient.SqlClient>(keys.client)

const tableOf = (options: Options, withReaders: boolean): string | InvalidOptions => {
  const table = options.table ?? (withReaders ? "storage_lock_fence_readers" : "storage_lock_fence")
  const kind = textFault(table)
  return kind === undefined && table.length <= 63
    ? table
    : new InvalidOptions({
        field: "table",
        kind: kind ?? `a string of ${table.length} UTF-16 units`,
        rule: "a name of 1 to 63 UTF-16 units without NUL"
      })
}

const modes: ReadonlyArray<unknown> = ["read", "write", undefined]

/** That of the client, or the refusal of another. */
const dialectOf = (sql: SqlClient.SqlClient): fence.Dialect | InvalidOptions => {
  const other = (name: string) => () =>
    new InvalidOptions({
      field: "SqlClient",
      kind: `one of ${name}`,
      rule: "one of PostgreSQL, SQLite, MySQL, MariaDB, TiDB or SQL Server: for other dialects there is no fence"
    })
  return sql.onDialectOrElse({
    pg: () => "pg" as const,
    sqlite: () => "sqlite" as const,
    mysql: () => "mysql" as const,
    mssql: () => "mssql" as const,
    clickhouse: other("ClickHouse"),
    orElse: other("another dialect")
  })
}

/**
 * The DDL of the table, which has one row per resource, for your own migrations. Throws `InvalidOptions` for an impossible name. `dialect`: as `SqlClient`
 * names it; `mysql` is MariaDB and TiDB, too. Default
 * `"pg"`, whose text SQLite takes as well.
 *
 * @since 0.1.0
 * @category setup
 */
export const ddl = (
  options: SetupOptions & { readonly dialect?: "pg" | "sqlite" | "mysql" | "mssql" | undefined } = {}
): string => {
  const readers = options.readers ?? false
  const table =
    unknownName<typeof options>(options, { table: true, readers: true, dialect: true }) ??
    flagFault("readers", readers) ??
    tableOf(options, readers)
  if (table instanceof InvalidOptions) throw table
  const dialect = options.dialect ?? "pg"
  if (!Object.hasOwn(fence.of, dialect)) throw invalid("dialect", dialect, "pg, sqlite, mysql or mssql")
  const words = fence.of[dialect]
  return words.ddl(words.table(table), readers)
}

/**
 * Creates the table if it does not exist.
 *
 * @since 0.1.0
 * @category setup
 */
export const setup = (
  options: SetupOptions = {}
): Effect.Effect<void, SqlError | InvalidOptions, SqlClient.SqlClient> =>
  Effect.flatMap(ClientTag, (sql): Effect.Effect<void, SqlError | InvalidOptions> => {
    const { readers = false } = options
    const table =
      unknownName<SetupOptions>(options, { table: true, readers: true }) ??
      flagFault("readers", readers) ??
      tableOf(options, readers)
    if (table instanceof InvalidOptions) return Effect.fail(table)
    const dialect = dialectOf(sql)
    return dialect instanceof InvalidOptions
      ? Effect.fail(dialect)
      : Effect.asVoid(sql.unsafe(ddl({ table, readers, dialect })))
  })

/**
 * Runs an effect in a transaction. It commits only if no newer token has written to the resource. After that no older token can write.
 *
 * The check comes first and locks the resource's row. So writers of one resource run one after another, and nothing that was written under a stale token is
 * ever committed.
 *
 * @example
 * ```ts
 * import { StorageLock } from "effect-storage-lock"
 * import * as SqlFence from "effect-storage-lock/SqlFence"
 * import { PgClient } from "@effect/sql-pg"
 * import { Effect } from "effect"
 *
 * const withdraw = Effect.gen(function*() {
 *   const sql = yield* PgClient.PgClient
 *   yield* sql`UPDATE accounts SET balance = balance - 10 WHERE id = 1`
 * })
 *
 * const program = StorageLock.withLock((lock) => SqlFence.transaction(withdraw, "account 1", lock.token), "account 1")
 * ```
 *
 * Under a read-write lock, say what it is. What reads follows one another, too, for as long as its transaction: keep it short.
 *
 * @example
 * ```ts
 * import { StorageReadWriteLock } from "effect-storage-lock"
 * import * as SqlFence from "effect-storage-lock/SqlFence"
 * import { PgClient } from "@effect/sql-pg"
 * import { Effect } from "effect"
 *
 * const count = Effect.flatMap(PgClient.PgClient, (sql) => sql`SELECT count(*) FROM stock`)
 *
 * const program = StorageReadWriteLock.withReadLock(
 *   (lock) => SqlFence.transaction(count, "stock", lock.token, { mode: "read" }),
 *   "stock"
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const transaction = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  resource: string,
  token: number,
  options?: CheckOptions
): Effect.Effect<A, E | StaleToken | SqlError | InvalidOptions, R | SqlClient.SqlClient> =>
  Effect.flatMap(ClientTag, (sql) => sql.withTransaction(Effect.andThen(check(resource, token, options), self)))

/**
 * The check alone, for a transaction of your own. It must be in the same transaction as the write and before it, and its failure must roll that transaction
 * back.
 *
 * @since 0.1.0
 * @category combinators
 */
export const check = (
  resource: string,
  token: number,
  options: CheckOptions = {}
): Effect.Effect<void, StaleToken | SqlError | InvalidOptions, SqlClient.SqlClient> =>
  Effect.suspend((): Effect.Effect<void, StaleToken | SqlError | InvalidOptions, SqlClient.SqlClient> => {
    const { mode } = options
    const table =
      unknownName<CheckOptions>(options, { table: true, mode: true }) ??
      (modes.includes(mode)
        ? tableOf(options, mode !== undefined)
        : invalid("mode", mode, '"read" or "write", under a read-write lock'))
    if (table instanceof InvalidOptions) return Effect.fail(table)
    const kind = textFault(resource)
    if (kind !== undefined) {
      return Effect.fail(
        new InvalidOptions({
          field: "resource",
          kind,
          rule: "a string that is not empty, without NUL and lone surrogates"
        })
      )
    }
    if (!Number.isSafeInteger(token) || token <= 0) {
      return Effect.fail(invalid("token", token, "the fencing token of a hold, a positive integer"))
    }
    return Effect.flatMap(ClientTag, (sql): Effect.Effect<void, StaleToken | SqlError | InvalidOptions> => {
      const dialect = dialectOf(sql)
      if (dialect instanceof InvalidOptions) return Effect.fail(dialect)
      const words = fence.of[dialect]
      const bytes = Buffer.byteLength(resource)
      if (bytes > words.longest) {
        return Effect.fail(
          new InvalidOptions({
            field: "resource",
            kind: `a string of ${bytes} bytes`,
            rule: `a string of at most ${words.longest} bytes of UTF-8 in this database`
          })
        )
      }
      const run = words[mode ?? "check"](words.table(table), resource, token).map(({ text, values }) =>
        sql.unsafe(text, values)
      )
      return Effect.flatMap(
        run.reduce<Effect.Effect<ReadonlyArray<unknown>, SqlError>>(
          (before, next) => Effect.andThen(before, next),
          Effect.succeed([])
        ),
        (rows) => (rows.length > 0 ? Effect.void : Effect.fail(new StaleToken({ resource, token })))
      )
    })
  })
