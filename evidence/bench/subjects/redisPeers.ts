import { Redis } from "ioredis"
import * as peers from "../peers.js"
import type { Locker, Place, Settings, Way } from "./Subject.js"
import * as verrou from "./verrou.js"

/** How a peer is told to wait for ever: by its own count of tries where it has no other way. */
const retries = 1_000_000
const options = ({ url }: Place) => ({ host: new URL(url).hostname, port: Number(new URL(url).port) })
const key = ({ prefix }: Place, lockId: string): string => `${prefix}${lockId}`

/** One client, connected. What it says between two commands is not this benchmark's. */
const connect = async (place: Place): Promise<Redis> => {
  const client = new Redis({ ...options(place), lazyConnect: true })
  client.on("error", () => {})
  await client.connect()
  return client
}
const quit = (client: Redis) => async () => client.disconnect()

/** What runs for as long as a function does, as a hold. `settled`: what to do when it ended by itself. */
const bracket = (run: (body: (signal?: AbortSignal) => Promise<void>) => Promise<unknown>, lost: () => void) =>
  new Promise<{ readonly release: () => Promise<unknown> }>((resolve, reject) => {
    let end = () => {}
    const body = new Promise<void>((done) => (end = done))
    let held = false
    const ended = run((signal) => {
      held = true
      signal?.addEventListener("abort", lost, { once: true })
      resolve({
        release: () => {
          end()
          return ended
        }
      })
      return body
    }).catch((error: unknown) => (held ? lost() : reject(error instanceof Error ? error : new Error(String(error)))))
  })

const redlock =
  (name: string) =>
  async (place: Place, settings: Settings): Promise<Locker> => {
    const client = await connect(place)
    const module = await peers.load(name)
    const Redlock = module.default?.default ?? module.Redlock ?? module.default
    const locks = new Redlock([client], {
      retryCount: -1,
      ...(settings.pollMillis === undefined
        ? {}
        : { retryDelay: settings.pollMillis, retryJitter: settings.pollMillis / 2 })
    })
    // An extension is tried as often as an acquire: for ever, above, and then no loss would be told.
    const holding = new Redlock([client])
    for (const each of [locks, holding]) each.on("error", () => {})
    return {
      acquire: (lockId) => locks.acquire([key(place, lockId)], settings.leaseMillis),
      hold: (lockId, lost) => bracket((body) => holding.using([key(place, lockId)], settings.leaseMillis, body), lost),
      close: quit(client)
    }
  }

export const redisPeers: ReadonlyArray<Way> = [
  {
    name: "redlock 4",
    role: "peer",
    packages: ["redlock4"],
    note: "no renewal by itself; the client's clock",
    polls: true,
    open: async (place, settings) => {
      const client = await connect(place)
      const Redlock = await peers.main("redlock4")
      const locks = new Redlock([client], {
        retryCount: retries,
        ...(settings.pollMillis === undefined
          ? {}
          : { retryDelay: settings.pollMillis, retryJitter: settings.pollMillis / 2 })
      })
      locks.on("error", () => {})
      return {
        acquire: async (lockId) => {
          const lock = await locks.lock(key(place, lockId), settings.leaseMillis)
          return { release: () => lock.unlock() }
        },
        close: quit(client)
      }
    }
  },
  {
    name: "redlock 5",
    role: "peer",
    packages: ["redlock"],
    note: "renewal in `using` alone",
    polls: true,
    tells: true,
    open: redlock("redlock")
  },
  {
    name: "@sesamecare-oss/redlock",
    role: "peer",
    packages: ["@sesamecare-oss/redlock"],
    note: "renewal in `using` alone",
    polls: true,
    tells: true,
    open: redlock("@sesamecare-oss/redlock")
  },
  {
    // Its default is the tuned one: it looks each 10 ms.
    name: "redis-semaphore",
    role: "peer",
    packages: ["redis-semaphore"],
    tells: true,
    open: async (place, settings) => {
      const client = await connect(place)
      const { Mutex } = await peers.load("redis-semaphore")
      const hold = async (lockId: string, lost: () => void) => {
        const mutex = new Mutex(client, key(place, lockId), {
          lockTimeout: settings.leaseMillis,
          acquireTimeout: Number.POSITIVE_INFINITY,
          // Its own handler ends the process.
          onLockLost: lost
        })
        await mutex.acquire()
        return { release: () => mutex.release() }
      }
      return { acquire: (lockId) => hold(lockId, () => {}), hold, close: quit(client) }
    }
  },
  {
    name: "redlock-universal",
    role: "peer",
    packages: ["redlock-universal"],
    note: "renewal in `using` alone",
    polls: true,
    tells: true,
    open: async (place, settings) => {
      const client = await connect(place)
      const { IoredisAdapter, createLock } = await peers.load("redlock-universal")
      const adapter = new IoredisAdapter(client)
      const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
      const make = (lockId: string) =>
        createLock({
          adapter,
          key: key(place, lockId),
          ttl: settings.leaseMillis,
          retryAttempts: retries,
          logger: quiet,
          ...(settings.pollMillis === undefined ? {} : { retryDelay: settings.pollMillis })
        })
      return {
        acquire: async (lockId) => {
          const lock = make(lockId)
          const handle = await lock.acquire()
          return { release: () => lock.release(handle) }
        },
        hold: (lockId, lost) => bracket((body) => make(lockId).using(body), lost),
        close: quit(client)
      }
    }
  },
  {
    name: "node-redisson",
    role: "peer",
    packages: ["node-redisson"],
    note: "no signal of a loss",
    open: async (place, settings) => {
      const { Redisson } = await peers.load("node-redisson")
      const redisson = new Redisson({
        redis: { options: options(place) },
        lockWatchdogTimeout: BigInt(settings.leaseMillis)
      })
      return {
        acquire: async (lockId) => {
          const lock = redisson.getLock(key(place, lockId))
          await lock.lock()
          return { release: () => lock.unlock() }
        },
        close: () => redisson.quit()
      }
    }
  },
  {
    name: "@verrou/core",
    role: "peer",
    packages: ["@verrou/core"],
    note: verrou.note,
    polls: true,
    open: async (place, settings) => {
      const client = await connect(place)
      const { redisStore } = await peers.load("@verrou/core/drivers/redis")
      const locker = await verrou.verrou(redisStore({ connection: client }), settings, quit(client))
      return { ...locker, acquire: (lockId) => locker.acquire(key(place, lockId)) }
    }
  },
  {
    name: "effect-distributed-lock",
    role: "peer",
    packages: ["effect-distributed-lock"],
    note: "the client's clock; a connection for each acquire",
    many: false,
    tells: true,
    open: async (place, settings) => {
      const client = await connect(place)
      const { DistributedSemaphore, RedisBacking } = await peers.load("effect-distributed-lock")
      // Its own copy: values of another one would be foreign to it.
      const { Effect } = await peers.load("effect")
      const layer = RedisBacking.layer(client, { keyPrefix: place.prefix })
      const hold = (lockId: string, lost: () => void) =>
        bracket(
          (body) =>
            Effect.runPromise(
              Effect.flatMap(
                DistributedSemaphore.make(lockId, { limit: 1, ttl: settings.leaseMillis }),
                (semaphore: any) => semaphore.withPermits(1)(Effect.promise(() => body()))
              ).pipe(Effect.provide(layer))
            ),
          lost
        )
      return { acquire: (lockId) => hold(lockId, () => {}), hold, close: quit(client) }
    }
  }
]
