/** A pool of `pg` for locks alone, whose connections are set up for them. */
import * as Effect from "#effect/Effect"
import * as fibers from "#effect/fibers"
import type * as Scope from "#effect/Scope"
import * as Pg from "pg"
import { givenUpBefore } from "../shared/patience.js"
import type { Executor } from "../sql/executor.js"
import { farewell } from "../sql/farewell.js"
import * as connection from "./connection.js"
import { keepsConnection } from "./errors.js"
import { destroy } from "./listener.js"
import { isTold, numberOfSession } from "./poolerCheck.js"
import * as poolExecutor from "./poolExecutor.js"
import type { Statement } from "./statements.js"

export interface OwnPoolOptions {
  readonly source: connection.Source
  readonly poolSize: number
  /** Milliseconds. */
  readonly operationTimeout: number
  /** A transaction pooler stands between: no settings of the connection, no named statements. */
  readonly pooler: boolean
}

/** Longer than a refresh interval, so that a renewal finds its connection open. */
const idleTimeout = 60_000

/**
 * The server gives up before the caller does, so that the caller mostly gets a definite answer. By settings of the connection, not by SET: behind a pooler
 * SET would outlive us, on a connection that others use.
 */
const settings = (operationTimeout: number): string =>
  [
    `statement_timeout=${Math.max(1, Math.floor(operationTimeout * 0.8))}`,
    `lock_timeout=${Math.max(1, Math.floor(operationTimeout * 0.6))}`,
    "default_transaction_isolation=read\\ committed",
    // A renewal of few locks would be planned again each time, which costs more than running it.
    "plan_cache_mode=force_generic_plan"
  ]
    .map((setting) => `-c ${setting}`)
    .join(" ")

/** A small pool for locks alone, closed with its scope in bounded time. */
export const make = (options: OwnPoolOptions): Effect.Effect<Executor<Statement>, never, Scope.Scope> =>
  Effect.flatMap(fibers.run, (run) =>
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => {
          /** And when their opening began. */
          const clients = new Map<object, number>()
          const connecting = new Set<Pg.Client>()
          /** Those of `pooler: true` behind which there is none. */
          const direct = new WeakSet<object>()
          // The time-out is here and not in the pool, which would set a timer for each operation; those have one of their own.
          class Client extends connection.clientClass(
            options.source,
            run,
            { keepAlive: true },
            options.pooler ? "" : settings(options.operationTimeout),
            options.operationTimeout
          ) {
            constructor() {
              super()
              clients.set(this, performance.now())
              connecting.add(this)
              // An "error" that nobody hears ends the process, and the pool listens to idle clients only.
              this.on("error", () => {})
              this.once("connect", () => options.pooler || connecting.delete(this))
              this.once("end", () => {
                clients.delete(this)
                connecting.delete(this)
              })
            }

            override connect(): Promise<Pg.Client>
            override connect(callback: (error: Error | null, client?: Pg.Client) => void): void
            override connect(callback?: (error: Error | null, client?: Pg.Client) => void): Promise<Pg.Client> | void {
              if (callback === undefined) return super.connect()
              if (!options.pooler) return super.connect(callback)
              super.connect((error, client) => {
                if (error) return callback(error)
                // One that answers is asked once who it is: to a server itself, a statement that nobody waits for can be told to stop.
                this.query(numberOfSession, (failed: Error | null | undefined, result: unknown) => {
                  connecting.delete(this)
                  if (failed && !keepsConnection(failed)) return callback(failed)
                  if (isTold(this, (result as Partial<Pg.QueryResult> | undefined)?.rows)) direct.add(this)
                  callback(null, client)
                })
              })
            }
          }
          const pool = new Pg.Pool({
            max: options.poolSize,
            // One stays, warm.
            min: 1,
            idleTimeoutMillis: idleTimeout,
            Client: Client as unknown as new () => Pg.Client
          })
          pool.on("error", () => {})
          return { pool, clients, connecting, direct, closed: false }
        }),
        (own) =>
          farewell(
            () => {
              own.closed = true
              void own.pool.end()
            },
            // The pool's own end forgets clients before their sockets are closed.
            () => own.clients.size === 0,
            () => {
              for (const client of own.clients.keys()) destroy(client as Pg.Client)
            }
          )
      ),
      (own) =>
        poolExecutor.make(own.pool, {
          pooler: options.pooler,
          operationTimeout: options.operationTimeout,
          own: true,
          isDirect: (client) => own.direct.has(client),
          openedAt: (client) => own.clients.get(client),
          isClosed: () => own.closed,
          // A place of the pool that waits in vain is worth less than a new attempt: else a few seconds of a network that swallows everything cost as many seconds more.
          onNoConnection: (millis) => {
            const before = givenUpBefore(millis)
            for (const client of own.connecting) if (own.clients.get(client)! <= before) destroy(client)
          }
        })
    )
  )
