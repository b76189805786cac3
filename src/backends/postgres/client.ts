/** Statements on the program's own `PgClient`, each on a connection that it reserves for itself. */
import * as Effect from "#effect/Effect"
import type * as SqlClient from "#effect/sql/SqlClient"
import type * as SqlConnection from "#effect/sql/SqlConnection"
import type { SqlError } from "#effect/sql/SqlError"
import * as clientExecutor from "../sql/clientExecutor.js"
import type { Executor } from "../sql/executor.js"
import * as errors from "./errors.js"
import type { Statement } from "./statements.js"

/** As text, whose type the statement states: a client may make a small number one type and a great one another, and refuse an array of both. */
const plain = (value: unknown): unknown =>
  typeof value === "number" ? String(value) : Array.isArray(value) ? value.map(plain) : value

/** One statement after the other, for a client may take no text of several. */
const transaction = (
  connection: SqlConnection.Connection,
  parts: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<unknown>, SqlError> => {
  const say = (text: string) => connection.executeUnprepared(text, [], undefined)
  return Effect.forEach(["BEGIN", ...parts, "COMMIT"], say, { discard: true }).pipe(
    // The connection goes back to the program.
    Effect.catch((error) => Effect.andThen(Effect.ignore(say("ROLLBACK")), Effect.fail(error))),
    Effect.as([])
  )
}

/** The same, of a transaction that another request ends, or has begun. One statement of it has rows. */
const half = (
  connection: SqlConnection.Connection,
  parts: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<unknown>, SqlError> =>
  Effect.map(
    Effect.forEach(parts, (text) => connection.executeUnprepared(text, [], undefined)),
    (results) => results.flat()
  )

export const make = (client: SqlClient.SqlClient & { readonly config: object }): Executor<Statement> =>
  clientExecutor.make<Statement>(client, {
    ...errors,
    execute: (connection, { statement, values }) =>
      statement.parts === undefined
        ? connection.execute(statement.text, values.map(plain), undefined)
        : (statement.isHalf === true ? half : transaction)(connection, statement.parts),
    undo: (connection) => connection.executeUnprepared("ROLLBACK", [], undefined)
  })
