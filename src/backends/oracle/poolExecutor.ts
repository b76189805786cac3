/** Blocks and queries straight on connections of `oracledb`. */
import { type Executor, type Query } from "../sql/executor.js"
import * as shared from "../sql/poolExecutor.js"
import type { Row } from "../sql/record.js"
import * as sessions from "../sql/sessions.js"
import * as binds from "./binds.js"
import type { Connection, Driver, Executed } from "./driver.js"
import * as errors from "./errors.js"
import type { Statement } from "./statements.js"

export interface Options {
  readonly driver: Driver
  readonly width: number
  /** Of the program's pool, all connections may be from before a failover, whoever has used them last. */
  readonly mostTries: number
}

/** After so many milliseconds the session of a connection that was hung up on has found that, or has ended what it did. */
const longestSession = 60_000

const isRow = (row: Row | undefined): row is Row => row !== undefined

const rowsOf = ({ form, order, read }: Statement, { outBinds, rows }: Executed): ReadonlyArray<Row> => {
  if (form === "query") return (rows as ReadonlyArray<Row>).map(read).filter(isRow)
  if (form === "block") return [read(binds.toldBy(outBinds), 0)].filter(isRow)
  const told = (outBinds as ReadonlyArray<unknown>).map((one, i) => read(binds.toldBy(one), i))
  if (told.length !== order!.length) throw new Error(`${told.length} answers to ${order!.length} requests`)
  const sorted = new Array<Row>(told.length)
  order!.forEach((at, i) => (sorted[at] = told[i]!))
  return sorted
}

/** Nothing of what the program has set for all its statements. The block commits by itself: the driver never does. */
const execute = (driver: Driver, on: Connection, { statement, values }: Query<Statement>): Promise<Executed> => {
  const options = { autoCommit: false, outFormat: driver.OUT_FORMAT_OBJECT }
  if (statement.form === "many") {
    const { bindDefs, rows } = binds.many(driver, statement, values as ReadonlyArray<ReadonlyArray<unknown>>)
    return on.executeMany(statement.text, rows, { ...options, bindDefs })
  }
  const given = binds.once(driver, statement, values)
  return on.execute(
    statement.text,
    given,
    // All rows of a page in the first answer.
    statement.form === "query"
      ? {
          ...options,
          maxRows: 0,
          resultSet: false,
          prefetchRows: 501,
          fetchArraySize: 500,
          fetchTypeHandler: undefined
        }
      : options
  )
}

export const make = (
  connections: shared.Connections<Connection>,
  { driver, mostTries, width }: Options
): Executor<Statement> =>
  shared.make<Statement, Connection>(connections, {
    width,
    mostTries,
    execute: (on, query, _millis, _left, done) => {
      execute(driver, on, query).then(
        (result) => done(undefined, () => rowsOf(query.statement, result)),
        (error: unknown) => done(error ?? new Error("the driver failed, and said nothing"), () => [])
      )
    },
    giveUp: sessions.make<Connection>({
      spare: width,
      // The server is asked to stop, and ends the call by ORA-01013.
      stop: (on, millis) => {
        on.break().catch(() => {})
        return sessions.patience(millis)
      },
      leave: (on, _, gone) => {
        connections.drop(on)
        setTimeout(gone, longestSession).unref()
      },
      drop: connections.drop
    }).giveUp,
    recover: connections.give,
    keepsConnection: errors.keepsConnection,
    // A transaction that was left open goes with its connection.
    isFit: (on) => on.transactionInProgress !== true,
    isWrongServer: (error) => errors.isWrongServer(error),
    errors
  })
