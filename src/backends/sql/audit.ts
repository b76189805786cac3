/** The table of an audit beside that of the locks, by what a dialect asks of its server. */
import * as Effect from "#effect/Effect"
import type * as Schedule from "#effect/Schedule"
import type { PageQuery, Place, Row } from "../../AuditStore.js"
import { valid } from "../../common/input.js"
import type { InvalidOptions, StorageError } from "../../LockError.js"
import * as shared from "../shared/audit.js"
import { type Executor, type Query, runQuery } from "./executor.js"

/** Over one table. */
export interface Dialect<S> {
  /** Makes the table, if it is not there. */
  readonly create: S
  /** Fails with `Schema` where the table is missing, or another one. */
  readonly check: S
  /** Passes over those that are there. */
  readonly insert: (rows: ReadonlyArray<Row>) => Query<S>
  /** In the order of the time of writing, and of the ids: those behind the given one. */
  readonly page: (writtenAt: number, id: string, query: PageQuery) => Query<S>
  /** Deletes up to so many that were written longer ago than so many milliseconds, and says how many in `dropped`. */
  readonly drop: (olderThan: number, limit: number) => Query<S>
}

export interface Settings<S> {
  readonly storage: string
  readonly executor: Executor<S>
  /** Of the locks. */
  readonly table: string
  /** The name of the table as it stands in statements, or what is wrong with it. */
  readonly qualified: (field: string, name: string) => string | InvalidOptions
  readonly dialect: (table: string) => Dialect<S>
  readonly operationTimeout: number
  readonly versionMissRetry: Schedule.Schedule<unknown>
}

const dropLimit = 1_000

export const make =
  <S>({
    dialect: dialectOf,
    executor,
    operationTimeout,
    qualified,
    storage,
    table: locks,
    versionMissRetry
  }: Settings<S>): Place =>
  (options) =>
    Effect.gen(function* () {
      const table = yield* valid(
        shared.uncounted(options, storage) ?? qualified("name", options.name ?? shared.besides(locks))
      )
      const dialect = dialectOf(table)
      const run = (operation: string, query: Query<S>) =>
        Effect.retry(runQuery(executor, `audit.${operation}`, query, operationTimeout), {
          schedule: versionMissRetry,
          while: (error: StorageError) => error.reason === "Conflict"
        })
      const bare = (statement: S): Query<S> => ({ statement, values: [] })
      const check = Effect.mapError(run("setup", bare(dialect.check)), shared.unlessMissing(storage, table))
      // Whatever failed in the making, another process may have made it meanwhile: the table itself decides.
      const create = Effect.catch(run("setup", bare(dialect.create)), (error) => Effect.catch(check, () => error))
      // Where it is there, no right beyond using it is needed.
      yield* Effect.catchIf(
        check,
        (error) => options.setup && error.reason === "Schema",
        () => Effect.andThen(create, check)
      )
      return {
        append: shared.remaking(
          (rows) => (rows.length === 0 ? Effect.void : Effect.asVoid(run("append", dialect.insert(rows)))),
          create,
          options
        ),
        page: (query) =>
          Effect.flatMap(
            Effect.suspend(() => run("page", dialect.page(...shared.startOf(query), query))),
            (rows) => shared.read(`${storage}.audit.page`, rows, query.limit)
          ),
        drop: (olderThan) =>
          shared.dropAll(
            Effect.map(run("drop", dialect.drop(Math.floor(olderThan), dropLimit)), ([row]) => Number(row?.dropped)),
            dropLimit
          )
      }
    })
