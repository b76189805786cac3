/** Statements straight on a `pg.Pool`. */
import type * as Pg from "pg"
import type { Executor } from "../sql/executor.js"
import * as shared from "../sql/poolExecutor.js"
import type { Row } from "../sql/record.js"
import * as errors from "./errors.js"
import * as sessions from "./sessions.js"
import type { Statement } from "./statements.js"

export interface PoolOptions {
  /** Behind a transaction pooler a named statement may meet a server that never saw it; else it is parsed once per connection. */
  readonly pooler: boolean
  /** Milliseconds. After them the server, too, has ended a statement. */
  readonly operationTimeout: number
  /** The settings of the connections are ours: then what they are refused for has to do with `pooler`. */
  readonly own: boolean
  /** Whether a connection is known to have a session of the server to itself, though `pooler` is set. */
  readonly isDirect?: ((client: Pg.PoolClient) => boolean) | undefined
  /** When the opening of a connection began, by `performance.now()`, where that is known. */
  readonly openedAt?: ((client: Pg.PoolClient) => number | undefined) | undefined
  readonly isClosed: () => boolean
  /** Told when an operation had no connection within its limit. */
  readonly onNoConnection?: ((millis: number) => void) | undefined
}

/** What a statement gives: rows, or an array of results where it was a text of several, of which one at most has rows that matter. */
const rowsOf = (result: unknown): ReadonlyArray<Row> => {
  if (Array.isArray(result)) return result.flatMap(rowsOf)
  const rows = (result as Partial<Pg.QueryResult<Row>> | null | undefined)?.rows
  if (Array.isArray(rows) && rows.every((row) => typeof row === "object" && row !== null)) return rows
  throw new Error("no rows")
}

export const make = (pool: Pg.Pool, options: PoolOptions): Executor<Statement> => {
  const width = pool.options?.max ?? 10
  const facts = options.own ? options.pooler : options.pooler || undefined
  const give = (client: Pg.PoolClient) => client.release()
  return shared.make<Statement, Pg.PoolClient>(
    {
      take: (_, done) =>
        pool.connect((error, client) =>
          client === undefined ? done(error) : done(undefined, client, options.openedAt?.(client))
        ),
      give,
      drop: (client) => client.release(true),
      isClosed: options.isClosed,
      onNoConnection: options.onNoConnection
    },
    {
      width,
      // All that the program's pool has may be from before a failover, whoever has used it last.
      mostTries: options.own ? 1 : width,
      execute: (client, { statement, values }, _millis, _left, done) =>
        client.query(
          options.pooler || statement.isHalf === true
            ? { text: statement.text, values: values as Array<unknown> }
            : { name: statement.name, text: statement.text, values: values as Array<unknown> },
          (error: Error | null | undefined, result: unknown) => done(error, () => rowsOf(result))
        ),
      giveUp: sessions.make({
        spare: width,
        longest: options.operationTimeout,
        canStop: (client) => !options.pooler || options.isDirect?.(client) === true
      }).giveUp,
      recover: give,
      keepsConnection: errors.keepsConnection,
      isWrongServer: (error, isOld) => (isOld || !options.own) && errors.isWrongServer(error),
      errors: { ...errors, fromDriver: (operation, error, phase) => errors.fromDriver(operation, error, phase, facts) }
    }
  )
}
