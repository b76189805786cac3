/** Packets on what the program has already: its `MysqlClient`, or its pool. */
import type * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import * as Effect from "#effect/Effect"
import * as Result from "#effect/Result"
import type * as Mysql from "mysql2"
import type * as MysqlPromise from "mysql2/promise"
import { InvalidOptions } from "../../LockError.js"
import { invalid } from "../../common/input.js"
import * as clientExecutor from "../sql/clientExecutor.js"
import type { Executor } from "../sql/executor.js"
import * as errors from "./errors.js"
import * as limits from "./limits.js"
import { type Packet, rollback, rowsOf, sqlOf } from "./packet.js"
import * as poolExecutor from "./poolExecutor.js"

/** What the program's sessions have of limits is given back, however a packet ends. */
const end = `${rollback};\n${limits.giveBack}`

/** A connection to a server that cannot write is no use to the program either. */
const hangUp = (connection: unknown): void => {
  const { conn } = connection as { readonly conn?: Partial<Mysql.PoolConnection> | undefined }
  if (typeof conn?.release === "function" && typeof conn.destroy === "function") conn.destroy()
}

export const ofClient = (client: MysqlClient.MysqlClient): Executor<Packet> => {
  const once = clientExecutor.make<Packet>(client, {
    ...errors,
    width: client.config.maxConnections ?? 10,
    execute: (connection, { statement: packet }, millis) => {
      const wrap = { before: limits.borrow(limits.secondsOf(millis)), after: limits.giveBack }
      return connection.executeUnprepared(sqlOf(packet, wrap), [], undefined).pipe(
        Effect.flatMap((results) => Effect.try({ try: () => rowsOf(packet, results, wrap), catch: (cause) => errors.odd("execute", cause) })),
        Effect.catch((error) => {
          const isAnswer = packet.miss !== undefined && errors.numberOf(errors.rootOf(error)) === packet.miss
          if (errors.isWrongServer(error)) return Effect.andThen(Effect.sync(() => hangUp(connection)), Effect.fail(error))
          // A packet that failed may have left its transaction open, and the connection goes back to the program.
          return Effect.andThen(Effect.ignore(connection.executeUnprepared(end, [], undefined)), isAnswer ? Effect.succeed([]) : Effect.fail(error))
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
          Result.isFailure(result) && errors.isWrongServer(result.failure.cause) && tries++ < once.width ? attempt() : done(result))
      attempt()
    }
  }
}

/** What the driver keeps of a pool's settings, as far as it matters. */
interface Settings {
  readonly _closed?: boolean
  readonly config?: {
    readonly connectionLimit?: number
    readonly connectionConfig?: { readonly multipleStatements?: unknown }
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
  return poolExecutor.make({
    take: (_, done) => core.getConnection((error, connection) => error === null ? done(undefined, connection) : done(error)),
    give: (connection) => (connection as Mysql.PoolConnection).release(),
    drop: (connection) => connection.destroy()
  }, {
    width: settings?.config?.connectionLimit ?? 10,
    own: undefined,
    isAsked: false,
    isClosed: () => settings?._closed === true
  })
}
