/** Packets on what the program has already: its `MysqlClient`, or its pool. */
import type * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import * as Effect from "effect/Effect"
import type * as Mysql from "mysql2"
import type * as MysqlPromise from "mysql2/promise"
import { InvalidOptions } from "../../LockError.js"
import { invalid } from "../input.js"
import * as clientExecutor from "../sql/clientExecutor.js"
import type { Executor } from "../sql/executor.js"
import * as errors from "./errors.js"
import { type Packet, rollback, rowsOf, sqlOf } from "./packet.js"
import * as poolExecutor from "./poolExecutor.js"

export const ofClient = (client: MysqlClient.MysqlClient): Executor<Packet> =>
  clientExecutor.make<Packet>(client, {
    ...errors,
    width: client.config.maxConnections ?? 10,
    execute: (connection, { statement: packet }) =>
      connection.executeUnprepared(sqlOf(packet), [], undefined).pipe(
        Effect.map((results) => rowsOf(packet, results)),
        Effect.catchAll((error) =>
          packet.miss !== undefined && errors.numberOf(errors.rootOf(error)) === packet.miss
            ? Effect.succeed([])
            // A packet that failed may have left its transaction open, and the connection goes back to the program.
            : Effect.zipRight(Effect.ignore(connection.executeUnprepared(rollback, [], undefined)), error)
        )
      )
  })

/** What the driver keeps of a pool's settings, as far as it matters. */
interface Settings {
  readonly _closed?: boolean
  readonly config?: {
    readonly connectionLimit?: number
    readonly connectionConfig?: { readonly password?: unknown; readonly multipleStatements?: unknown }
  }
}

export const ofPool = (pool: Mysql.Pool | MysqlPromise.Pool | undefined): Executor<Packet> | InvalidOptions => {
  // The pool of promises is made around one of callbacks.
  const inner = (pool as { readonly pool?: Mysql.Pool } | undefined)?.pool
  const core = (typeof inner?.getConnection === "function" ? inner : pool) as Mysql.Pool | undefined
  const settings = core as Settings | undefined
  const connectionConfig = settings?.config?.connectionConfig
  if (typeof core?.getConnection !== "function" || connectionConfig === undefined) return invalid("pool", pool, "a pool of mysql2")
  if (connectionConfig.multipleStatements !== true) {
    return new InvalidOptions({ field: "pool", kind: "one without it", rule: "made with `multipleStatements: true`: an operation is several statements in one packet" })
  }
  const { password } = connectionConfig
  return poolExecutor.make(core, {
    width: settings?.config?.connectionLimit ?? 10,
    secret: typeof password === "string" ? password : undefined,
    isClosed: () => settings?._closed === true
  })
}
