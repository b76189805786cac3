/** Packets on a pool that the program has already. */
import type * as Mysql from "mysql2"
import type * as MysqlPromise from "mysql2/promise"
import { invalid } from "../../common/input.js"
import { InvalidOptions } from "../../LockError.js"
import type { Executor } from "../sql/executor.js"
import type { Packet } from "./packet.js"
import * as poolExecutor from "./poolExecutor.js"
import { hangUp } from "./socket.js"

/** What the driver keeps of a pool's settings, as far as it matters. */
interface Settings {
  readonly _closed?: boolean
  readonly config?: {
    readonly connectionLimit?: number
    readonly connectionConfig?: { readonly multipleStatements?: unknown }
  }
}

export const make = (pool: Mysql.Pool | MysqlPromise.Pool | undefined): Executor<Packet> | InvalidOptions => {
  // The pool of promises is made around one of callbacks.
  const inner = (pool as { readonly pool?: Mysql.Pool } | undefined)?.pool
  const core = (typeof inner?.getConnection === "function" ? inner : pool) as Mysql.Pool | undefined
  const settings = core as Settings | undefined
  const connectionConfig = settings?.config?.connectionConfig
  if (typeof core?.getConnection !== "function" || connectionConfig === undefined)
    return invalid("pool", pool, "a pool of mysql2")
  if (connectionConfig.multipleStatements !== true) {
    return new InvalidOptions({
      field: "pool",
      kind: "one without it",
      rule: "made with `multipleStatements: true`: an operation is several statements in one packet"
    })
  }
  return poolExecutor.make(
    {
      take: (_, done) =>
        core.getConnection((error, connection) => (error === null ? done(undefined, connection) : done(error))),
      give: (connection) => (connection as Mysql.PoolConnection).release(),
      drop: hangUp,
      forget: (connection) => connection.destroy(),
      isClosed: () => settings?._closed === true
    },
    { width: settings?.config?.connectionLimit ?? 10, own: undefined, isAsked: false }
  )
}
