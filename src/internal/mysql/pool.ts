import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Mysql from "mysql2"
import * as Net from "node:net"
import type { Executor } from "../sql/executor.js"
import type { Packet } from "./packet.js"
import * as poolExecutor from "./poolExecutor.js"

export interface OwnPoolOptions {
  readonly uri: string
  readonly secret: string | undefined
  readonly poolSize: number
  /** Milliseconds. */
  readonly operationTimeout: number
}

/** How long the goodbyes may take, in milliseconds. */
const farewell = 1_000

/** No connection is given up before, in milliseconds, however short the limit of who waits for it: TLS over a long way takes its time. */
const leastToConnect = 500

/** As the driver keeps it, one for each connection. */
interface Target {
  readonly socketPath?: string | undefined
  readonly port: number
  readonly host: string
}

/** As the driver does it. */
const dial = ({ host, port, socketPath }: Target): Net.Socket =>
  socketPath === undefined ? Net.connect({ port, host, noDelay: true, keepAlive: true }) : Net.connect(socketPath)

export const config = (uri: string): Mysql.PoolOptions => ({ uri, multipleStatements: true, supportBigNumbers: true, waitForConnections: true })

/** The server gives up waiting for a row before the caller does, so that the caller mostly gets a definite answer. In whole seconds. */
const settings = (operationTimeout: number): string =>
  `SET SESSION autocommit = 1, sql_mode = 'STRICT_TRANS_TABLES', innodb_lock_wait_timeout = ${Math.max(1, Math.floor(operationTimeout * 0.0006))}`

/** A small pool for locks alone, closed with its scope in bounded time. */
export const make = (options: OwnPoolOptions): Effect.Effect<Executor<Packet>, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        /** Those that are connecting, and since when. */
        const connecting = new Map<unknown, { readonly socket: Net.Socket; readonly since: number }>()
        const pool = Mysql.createPool({
          ...config(options.uri),
          stream: ({ config }: { readonly config: Target }) => {
            const socket = dial(config)
            connecting.set(config, { socket, since: performance.now() })
            socket.once("close", () => connecting.delete(config))
            return socket
          },
          connectionLimit: options.poolSize,
          // As many as the limit: then the driver does not close and open them under a load that comes and goes.
          maxIdle: options.poolSize,
          connectTimeout: Math.ceil(options.operationTimeout)
        })
        const connections = new Set<Mysql.PoolConnection>()
        pool.on("connection", (connection) => {
          connecting.delete(connection.config)
          connections.add(connection)
          connection.on("error", () => {})
          connection.once("end", () => connections.delete(connection))
          // Goes ahead of whatever the connection is wanted for.
          connection.query(settings(options.operationTimeout), () => {})
        })
        return { pool, connections, connecting, closed: false }
      }),
      (own) =>
        Effect.async<void>((resume) => {
          own.closed = true
          const until = performance.now() + farewell
          own.pool.end(() => {})
          const look = () => {
            if (own.connections.size === 0 && own.connecting.size === 0) return resume(Effect.void)
            if (performance.now() < until) return void setTimeout(look, 5)
            for (const connection of own.connections) connection.destroy()
            for (const { socket } of own.connecting.values()) socket.destroy()
            resume(Effect.void)
          }
          look()
        })
    ),
    (own) =>
      poolExecutor.make(own.pool, {
        width: options.poolSize,
        secret: options.secret,
        isClosed: () => own.closed,
        // A place of the pool that waits in vain is worth less than a new attempt: else a few seconds of a network that swallows everything cost as many seconds more.
        onNoConnection: (millis) => {
          const before = performance.now() - Math.max(millis, leastToConnect)
          for (const { since, socket } of own.connecting.values()) if (since <= before) socket.destroy()
        }
      })
  )
