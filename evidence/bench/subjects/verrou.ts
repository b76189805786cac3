/** @verrou/core over any of its stores. */
import * as peers from "../peers.js"
import type { Locker, Settings } from "./Subject.js"

/** `store` is one of its drivers, configured; `close` closes the driver's client. */
export const verrou = async (store: unknown, settings: Settings, close: () => Promise<unknown>): Promise<Locker> => {
  const { Verrou } = await peers.load("@verrou/core")
  const locks = new Verrou({ default: "store", stores: { store: { driver: store } } })
  return {
    acquire: async (lockId) => {
      const lock = locks.createLock(lockId, settings.leaseMillis)
      const retry = settings.pollMillis === undefined ? undefined : { retry: { delay: settings.pollMillis } }
      if (!(await lock.acquire(retry))) throw new Error("not acquired")
      return { release: () => lock.release() }
    },
    close
  }
}

/** Its SQL stores, over Knex. */
export const verrouKnex = async (config: object, settings: Settings): Promise<Locker> => {
  const knex = (await peers.main("knex"))(config)
  const { knexStore } = await peers.load("@verrou/core/drivers/knex")
  const locker = await verrou(
    knexStore({ connection: knex, tableName: "verrou", autoCreateTable: true }),
    settings,
    () => knex.destroy()
  )
  // The table is made at the first use.
  await (await locker.acquire("the first")).release()
  return locker
}

export const note = "no renewal and no signal of a loss; the client's clock; a token is not given"
