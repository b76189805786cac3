/**
 * A small pool of connections that serve locks alone.
 *
 * A batch that is out of time is stopped: the server is told to cancel it, and its connection is closed when that is confirmed, or when it was waited for in vain.
 */
import * as Effect from "#effect/Effect"
import * as fibers from "#effect/fibers"
import type * as Scope from "#effect/Scope"
import * as Tedious from "tedious"
import { StorageError } from "../../LockError.js"
import type { Executor } from "../sql/executor.js"
import { OwnPool } from "../sql/ownPool.js"
import * as poolExecutor from "../sql/poolExecutor.js"
import type { Row } from "../sql/record.js"
import * as sessions from "../sql/sessions.js"
import * as connection from "./connection.js"
import * as errors from "./errors.js"
import { decoded, parameter } from "./parameters.js"
import type { Source } from "./source.js"
import { lockTimeoutOf, type Statement, textWithin } from "./statements.js"

export interface Options {
  readonly source: Source
  readonly poolSize: number
  /** Milliseconds. */
  readonly operationTimeout: number
}

/** After so many milliseconds the server has found by itself that a client is gone: its keep-alive is of 30 seconds and ten tries. */
const longestSession = 45_000

const rowOf = (
  columns: ReadonlyArray<{ readonly metadata: { readonly colName: string }; readonly value: unknown }>
): Row => {
  const row: Record<string, unknown> = {}
  for (const { metadata, value } of columns) row[metadata.colName] = decoded(value)
  return row
}

/** Closed with its scope in bounded time. */
export const make = ({
  operationTimeout,
  poolSize,
  source
}: Options): Effect.Effect<Executor<Statement>, never, Scope.Scope> =>
  Effect.flatMap(fibers.run, (run) => {
    const settings = { source, run, lockTimeout: lockTimeoutOf(operationTimeout), patience: operationTimeout }
    /** The database in which each connection was found at its start, and when that was, by `performance.now()`. */
    const starts = new WeakMap<connection.Connection, { readonly database: string | undefined; readonly at: number }>()
    return Effect.acquireRelease(
      Effect.sync(
        () =>
          new OwnPool<connection.Connection>(
            {
              open: (done) =>
                connection.connect(settings, (result) => {
                  if ("error" in result) return done(result.error)
                  starts.set(result, { database: result.database, at: performance.now() })
                  done(undefined, result)
                }),
              watch: (one, gone) => one.on("end", gone),
              end: (one, gone) => {
                one.close()
                gone()
              },
              destroy: (one) => one.close()
            },
            poolSize
          )
      ),
      (pool) => pool.close()
    ).pipe(
      Effect.map(({ drop, give, isClosed, take }) =>
        // What was confirmed since others were found silent is as good as what answered since. An attempt to connect goes on to its own limit: to log in may take longer than a short operation.
        poolExecutor.make<Statement, connection.Connection>(
          {
            take: (isWanted, done) =>
              take(isWanted, (error, on) => done(error, on, on === undefined ? undefined : starts.get(on)!.at)),
            give,
            drop,
            isClosed
          },
          {
            width: poolSize,
            mostTries: 1,
            execute: (on, { statement, values }, _, left, done) => {
              const request = new Tedious.Request(textWithin(statement, left), (error, _, rows: unknown) =>
                done(error, () => (rows as ReadonlyArray<never>).map(rowOf))
              )
              statement.kinds.forEach((kind, i) => {
                const { options, type, value } = parameter(kind, values[i])
                request.addParameter(String(i + 1), type, value, options)
              })
              on.execSql(request)
            },
            giveUp: sessions.make<connection.Connection>({
              spare: poolSize,
              stop: (on, millis) => {
                on.cancel()
                return sessions.patience(millis)
              },
              leave: (on, _, gone) => {
                drop(on)
                setTimeout(gone, longestSession).unref()
              },
              drop
            }).giveUp,
            recover: give,
            keepsConnection: errors.keepsConnection,
            // A transaction that was left open goes with its connection, as does a database that is another than before.
            isFit: (on) => !on.inTransaction && on.database === starts.get(on)!.database,
            isWrongServer: errors.isElsewhere,
            errors: {
              ...errors,
              odd: (operation, cause) => errors.fromDriver(operation, cause, "executing"),
              fromDriver: (operation, error, phase) =>
                error instanceof StorageError ? error : errors.fromDriver(operation, error, phase)
            }
          }
        )
      )
    )
  })
