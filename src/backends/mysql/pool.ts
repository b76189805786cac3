/** Our own pool of connections by `mysql2`. */
import * as Effect from "#effect/Effect"
import * as fibers from "#effect/fibers"
import type * as Scope from "#effect/Scope"
import type * as Mysql from "mysql2"
import type { Executor } from "../sql/executor.js"
import { OwnPool } from "../sql/ownPool.js"
import * as connection from "./connection.js"
import * as limits from "./limits.js"
import type { Packet } from "./packet.js"
import * as poolExecutor from "./poolExecutor.js"
import * as socket from "./socket.js"

export interface OwnPoolOptions {
  readonly source: connection.Source
  readonly poolSize: number
  /** Milliseconds. */
  readonly operationTimeout: number
}

/** A small pool for locks alone, closed with its scope in bounded time. */
export const make = ({
  operationTimeout,
  poolSize,
  source
}: OwnPoolOptions): Effect.Effect<Executor<Packet>, never, Scope.Scope> =>
  Effect.flatMap(fibers.run, (run) => {
    const seconds = limits.secondsOf(operationTimeout)
    const options = { source, patience: operationTimeout, seconds, run }
    return Effect.acquireRelease(
      Effect.sync(() => {
        const pool = new OwnPool<Mysql.Connection>(
          {
            open: (done) => connection.open(options, done),
            watch: (one, gone) => {
              one.on("error", gone)
              one.on("end", gone)
            },
            // The driver says that it has ended when it has said so itself. It has, when the server hangs up.
            end: (one, gone) => {
              socket.streamOf(one).once("close", gone)
              one.end()
            },
            destroy: socket.hangUp
          },
          poolSize
        )
        const executor = poolExecutor.make(pool, {
          width: poolSize,
          own: { seconds },
          isAsked: source.fixed === undefined
        })
        return { executor, pool }
      }),
      ({ executor, pool }) => Effect.andThen(Effect.sync(executor.abandon), pool.close())
    ).pipe(Effect.map(({ executor }) => executor))
  })
