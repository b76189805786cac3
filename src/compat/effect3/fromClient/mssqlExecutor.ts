/** Batches on the program's own `MssqlClient`, each on a connection that it reserves for itself. */
import type * as MssqlClient from "@effect/sql-mssql/MssqlClient"
import * as errors from "../../../backends/mssql/errors.js"
import { decodedRow, parameter } from "../../../backends/mssql/parameters.js"
import { type Statement, textWithin } from "../../../backends/mssql/statements.js"
import * as clientExecutor from "../../../backends/sql/clientExecutor.js"
import type { Executor } from "../../../backends/sql/executor.js"
import type { Row } from "../../../backends/sql/record.js"
import * as Effect from "../Effect.js"

export const make = (client: MssqlClient.MssqlClient): Executor<Statement> =>
  clientExecutor.make<Statement>(client, {
    ...errors,
    execute: (connection, { statement, values }, millis) =>
      Effect.map(
        connection.execute(
          textWithin(statement, millis),
          // With types of our own: those of the client make VARCHAR of strings, and INT of numbers.
          statement.kinds.map((kind, i) => {
            const { options, type, value } = parameter(kind, values[i])
            return client.param(type, value, options).segments[0]
          }),
          undefined
        ),
        (rows) => (rows as ReadonlyArray<Row>).map(decodedRow)
      )
  })
