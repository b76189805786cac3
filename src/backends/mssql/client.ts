import type * as MssqlClient from "@effect/sql-mssql/MssqlClient"
import * as Effect from "#effect/Effect"
import * as clientExecutor from "../sql/clientExecutor.js"
import type { Executor } from "../sql/executor.js"
import type { Row } from "../sql/record.js"
import * as errors from "./errors.js"
import { decodedRow, parameter } from "./parameters.js"
import { type Statement, textWithin } from "./statements.js"

/** Batches on the program's own `MssqlClient`, each on a connection that it reserves for itself. */
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
      ),
    width: client.config.maxConnections ?? 10
  })
