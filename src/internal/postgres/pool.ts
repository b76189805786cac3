import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Pg from "pg"
import type { Executor } from "../sql/executor.js"
import { destroy } from "./listener.js"
import * as poolExecutor from "./poolExecutor.js"
import type { Statement } from "./statements.js"

export interface OwnPoolOptions {
  readonly connection: Pg.ClientConfig
  readonly secret: string | undefined
  readonly poolSize: number
  /** Milliseconds. */
  readonly operationTimeout: number
  /** A transaction pooler stands between: no settings of the connection, no named statements. */
  readonly pooler: boolean
}

/** How long the goodbyes may take, in milliseconds. */
const farewell = 1_000

/** No connection is given up before, in milliseconds, however short the limit of who waits for it: TLS over a long way takes its time. */
const leastToConnect = 500

/** Longer than a refresh interval, so that a renewal finds its connection open. */
const idleTimeout = 60_000

/**
 * The server gives up before the caller does, so that the caller mostly gets a definite answer. By settings of the connection, not by SET: behind a pooler
 * SET would outlive us, on a connection that others use.
 */
const bounds = (operationTimeout: number): Pg.ClientConfig => ({
  statement_timeout: Math.max(1, Math.floor(operationTimeout * 0.8)),
  lock_timeout: Math.max(1, Math.floor(operationTimeout * 0.6)),
  // A renewal of few locks would be planned anew each time, which costs more than running it.
  options: "-c default_transaction_isolation=read\\ committed -c plan_cache_mode=force_generic_plan"
})

/** A small pool for locks alone, closed with its scope in bounded time. */
export const make = (options: OwnPoolOptions): Effect.Effect<Executor<Statement>, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const clients = new Set<Pg.Client>()
        /** Those that are connecting, and since when. */
        const connecting = new Map<Pg.Client, number>()
        class Client extends Pg.Client {
          constructor(config: Pg.ClientConfig) {
            // Here and not in the pool, which would set a timer for each operation; those have one of their own.
            super({ ...config, connectionTimeoutMillis: Math.ceil(options.operationTimeout) })
            clients.add(this)
            connecting.set(this, performance.now())
            // An "error" that nobody hears ends the process, and the pool listens to idle clients only.
            this.on("error", () => {})
            this.once("connect", () => connecting.delete(this))
            this.once("end", () => {
              clients.delete(this)
              connecting.delete(this)
            })
          }
        }
        const config: Pg.PoolConfig = {
          ...options.connection,
          ...(options.pooler ? {} : bounds(options.operationTimeout)),
          max: options.poolSize,
          // One stays, warm.
          min: 1,
          idleTimeoutMillis: idleTimeout,
          keepAlive: true
        }
        const pool = new Pg.Pool({ ...config, Client: Client as unknown as new() => Pg.Client })
        pool.on("error", () => {})
        return { pool, clients, connecting, closed: false }
      }),
      (own) =>
        Effect.async<void>((resume) => {
          own.closed = true
          const until = performance.now() + farewell
          void own.pool.end()
          // The pool's own end forgets clients before their sockets are closed.
          const look = () => {
            if (own.clients.size === 0) return resume(Effect.void)
            if (performance.now() < until) return void setTimeout(look, 5)
            for (const client of own.clients) destroy(client)
            resume(Effect.void)
          }
          look()
        })
    ),
    (own) =>
      poolExecutor.make(own.pool, {
        prepare: !options.pooler,
        secret: options.secret,
        isClosed: () => own.closed,
        // A place of the pool that waits in vain is worth less than a new attempt: else a few seconds of a network that swallows everything cost as many seconds more.
        onNoConnection: (millis) => {
          const before = performance.now() - Math.max(millis, leastToConnect)
          for (const [client, since] of own.connecting) if (since <= before) destroy(client)
        }
      })
  )
