import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import { Redis } from "ioredis"
import { randomBytes } from "node:crypto"
import * as RedisStorage from "../../../src/backends/redis/RedisStorage.js"
import * as Harness from "../../../test/harness/redis.js"
import { library } from "./library.js"
import { redisPeers } from "./redisPeers.js"
import type { Locker, Place, Server, StorageSubject, Way } from "./Subject.js"

const unlock = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end"

/** SET with NX and PX, and a script that deletes what is its own. */
const bare = async (place: Place): Promise<Locker> => {
  const client = new Redis(place.url, { lazyConnect: true })
  client.on("error", () => {})
  client.defineCommand("benchUnlock", { numberOfKeys: 1, lua: unlock })
  await client.connect()
  const free = client as unknown as { readonly benchUnlock: (key: string, value: string) => Promise<number> }
  let made = 0
  return {
    acquire: async (lockId) => {
      const value = `${process.pid}x${made++}`
      const key = `${place.prefix}${lockId}`
      if ((await client.set(key, value, "PX", 3_600_000, "NX")) !== "OK") throw new Error("not set")
      return { release: () => free.benchUnlock(key, value) }
    },
    close: async () => client.disconnect()
  }
}

/** Reads of our own counting. */
let asked = 0

const ways: ReadonlyArray<Way> = [
  {
    name: "bare driver, SET NX and a script",
    role: "floor",
    packages: ["ioredis"],
    note: "less than ours does: no token, no owner, no reentry; nothing is renewed, and nothing is told",
    waits: false,
    open: bare
  },
  {
    name: "StorageLock",
    role: "ours",
    packages: [],
    tells: true,
    open: ({ prefix, url }, settings) => library(RedisStorage.layer({ url: Redacted.make(url), prefix }), settings)
  },
  ...redisPeers
]

const server = Effect.gen(function* () {
  const server = yield* Harness.own
  const client = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const client = new Redis(server.url, { lazyConnect: true })
      client.on("error", () => {})
      await client.connect()
      return client
    }),
    (client) => Effect.sync(() => client.disconnect())
  )
  const figure = (text: string, name: string): number =>
    Number(new RegExp(`^${name}:([\\d.]+)`, "m").exec(text)?.[1] ?? Number.NaN)
  const version = /redis_version:(\S+)/.exec(yield* Effect.promise(() => client.info("server")))?.[1] ?? "?"
  const [appendonly, fsync] = yield* Effect.promise(async () =>
    ((await client.config("GET", "append*")) as Array<string>)
      .flatMap((name, i, all) => (["appendonly", "appendfsync"].includes(name) ? [`${name} ${all[i + 1]}`] : []))
      .sort()
      .reverse()
  )
  return {
    setting: `server ${version}, ${appendonly}, ${fsync}`,
    fresh: Effect.sync(() => ({ url: server.url, prefix: `bench-${randomBytes(6).toString("hex")}:` })),
    // What clients sent: commands that a script calls are in `total_commands_processed`, and no request. This very call is taken off.
    work: () =>
      Effect.promise(async () => {
        const all = await client.info("all")
        const micros = Array.from(all.matchAll(/^cmdstat_(?!info)\S+?:calls=\d+,usec=(\d+)/gm)).reduce(
          (sum, [, usec]) => sum + Number(usec),
          0
        )
        asked += 1
        return { requests: figure(all, "total_reads_processed") - asked, millis: micros / 1000 }
      }),
    stall: () => Effect.acquireRelease(server.suspend, () => server.resume),
    wire: { host: server.host, port: server.port, protocol: "bytes" }
  } satisfies Server
})

export const redis: StorageSubject = { name: "redis", title: "Redis", server, ways }
