/** Blocks on a pool that the program has already. */
import { invalid } from "../../common/input.js"
import type { InvalidOptions } from "../../LockError.js"
import type { Executor } from "../sql/executor.js"
import type { Driver, Pool } from "./driver.js"
import * as poolExecutor from "./poolExecutor.js"
import { close } from "./socket.js"
import type { Statement } from "./statements.js"

export const make = (driver: Driver, pool: Pool | undefined): Executor<Statement> | InvalidOptions => {
  if (typeof pool !== "object" || pool === null || typeof pool.getConnection !== "function")
    return invalid("pool", pool, "a pool of oracledb, as `createPool` gives it")
  const width = pool.poolMax ?? 4
  return poolExecutor.make(
    {
      take: (_, done) => {
        pool.getConnection().then(
          (connection) => done(undefined, connection),
          (error: unknown) => done(error ?? new Error("the pool gave no connection, and said nothing"))
        )
      },
      // Back to the pool, which rolls back what is open; or out of it.
      give: (connection) => close(connection, false),
      drop: (connection) => close(connection, true),
      isClosed: () => pool.status !== undefined && pool.status === driver.POOL_STATUS_CLOSED
    },
    { driver, width, mostTries: width }
  )
}
