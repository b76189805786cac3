/** Packets on the program's own `MysqlClient`. */
import type * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import type * as Mysql from "mysql2"
import * as errors from "../../../backends/mysql/errors.js"
import * as limits from "../../../backends/mysql/limits.js"
import { type Packet, rollback, rowsOf, textOf } from "../../../backends/mysql/packet.js"
import * as clientExecutor from "../../../backends/sql/clientExecutor.js"
import type { Executor } from "../../../backends/sql/executor.js"
import * as Effect from "../Effect.js"
import * as Result from "../Result.js"

/** What the program's sessions have of limits is given back, however a packet ends. */
const end = `${rollback};\n${limits.giveBack}`

/** A connection to a server that cannot write is no use to the program either; and of one that is left within a transaction its end is what surely ends that. */
const hangUp = (connection: unknown): void => {
  const { conn } = connection as { readonly conn?: Partial<Mysql.PoolConnection> | undefined }
  if (typeof conn?.release === "function" && typeof conn.destroy === "function") conn.destroy()
}

export const make = (client: MysqlClient.MysqlClient): Executor<Packet> => {
  const once = clientExecutor.make<Packet>(client, {
    ...errors,
    undo: (connection) => Effect.sync(() => hangUp(connection)),
    execute: (connection, { statement: packet }, millis) => {
      const text = textOf(packet, {
        before: limits.borrow(limits.secondsOf(millis)),
        after: limits.giveBack,
        mayHoldBack: true
      })
      return connection.executeUnprepared(text.sql, [], undefined).pipe(
        Effect.flatMap((results) =>
          Effect.try({ try: () => rowsOf(packet, text, results), catch: (cause) => errors.odd("execute", cause) })
        ),
        Effect.catch((error) => {
          const isAnswer = packet.miss !== undefined && errors.numberOf(errors.rootOf(error)) === packet.miss
          if (errors.isWrongServer(error))
            return Effect.andThen(
              Effect.sync(() => hangUp(connection)),
              Effect.fail(error)
            )
          // A packet that failed may have left its transaction open, and the connection goes back to the program.
          return Effect.andThen(
            Effect.ignore(connection.executeUnprepared(end, [], undefined)),
            isAnswer ? Effect.succeed([]) : Effect.fail(error)
          )
        })
      )
    }
  })
  return {
    width: once.width,
    // Nothing was done there. All that the program's pool has may be from before a failover; what it opens after them leads to the server that can write.
    run: (operation, query, millis, done) => {
      const until = performance.now() + millis
      let tries = 0
      const attempt = (): void =>
        once.run(operation, query, Math.max(1, until - performance.now()), (result) =>
          Result.isFailure(result) && errors.isWrongServer(result.failure.cause) && tries++ < once.width
            ? attempt()
            : done(result)
        )
      attempt()
    }
  }
}
