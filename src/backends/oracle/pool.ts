/** Our own pool of connections by `oracledb`. */
import * as Effect from "#effect/Effect"
import * as fibers from "#effect/fibers"
import type * as Scope from "#effect/Scope"
import type { Executor } from "../sql/executor.js"
import { OwnPool } from "../sql/ownPool.js"
import * as connection from "./connection.js"
import type { Connection, Driver } from "./driver.js"
import * as poolExecutor from "./poolExecutor.js"
import { close, hangUp } from "./socket.js"
import type { Source } from "./source.js"
import type { Statement } from "./statements.js"

export interface Options {
  readonly driver: Driver
  readonly source: Source
  readonly poolSize: number
  /** Milliseconds. */
  readonly operationTimeout: number
}

/** A small pool for locks alone, closed with its scope in bounded time. The driver's own could neither hold each connection to one database, nor keep a place for a session that is still at the server. */
export const make = ({
  driver,
  operationTimeout,
  poolSize,
  source
}: Options): Effect.Effect<Executor<Statement>, never, Scope.Scope> =>
  Effect.flatMap(fibers.run, (run) => {
    const options = { driver, source, run, patience: operationTimeout, place: { name: undefined } }
    return Effect.acquireRelease(
      Effect.sync(
        () =>
          new OwnPool<Connection>(
            {
              open: (done) => connection.open(options, done),
              // The driver does not tell: whoever uses it next hears that it is gone, and another takes its place.
              watch: () => {},
              end: (one, gone) => close(one, true, gone),
              destroy: (one) => {
                hangUp(one)
                close(one, true)
              }
            },
            poolSize
          )
      ),
      (pool) => pool.close()
    ).pipe(Effect.map((pool) => poolExecutor.make(pool, { driver, width: poolSize, mostTries: poolSize })))
  })
