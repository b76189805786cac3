import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import { randomBytes } from "node:crypto"
import * as peers from "../peers.js"
import * as EtcdStorage from "../../../src/backends/etcd/EtcdStorage.js"
import * as Harness from "../../../test/harness/etcd.js"
import { library } from "./library.js"
import type { Server, StorageSubject, Way } from "./Subject.js"

const hostOf = (url: string): string => url.replace(/^etcd:/, "http:")
const pause = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

const ways: ReadonlyArray<Way> = [
  {
    name: "bare driver, put and delete",
    role: "floor",
    packages: ["etcd3"],
    borrows: true,
    note: "less than ours does: nothing is compared, nothing is renewed, and nothing is told",
    waits: false,
    open: async ({ prefix, url }) => {
      const { Etcd3 } = await peers.load("etcd3")
      const client = new Etcd3({ hosts: hostOf(url) })
      return {
        acquire: async (lockId) => {
          await client.put(`${prefix}${lockId}`).value("held")
          return { release: () => client.delete().key(`${prefix}${lockId}`) }
        },
        close: async () => client.close()
      }
    }
  },
  {
    name: "StorageLock",
    role: "ours",
    packages: [],
    tells: true,
    open: ({ prefix, url }, settings) => library(EtcdStorage.layer({ url: Redacted.make(url), prefix }), settings)
  },
  {
    name: "etcd3 Lock",
    role: "peer",
    packages: ["etcd3"],
    note: "does not wait: asked again each 10 ms by this benchmark; no signal of a loss",
    open: async ({ prefix, url }, settings) => {
      const { Etcd3, EtcdLockFailedError } = await peers.load("etcd3")
      const client = new Etcd3({ hosts: hostOf(url) })
      return {
        acquire: async (lockId) => {
          for (;;) {
            const lock = client.lock(`${prefix}${lockId}`).ttl(Math.max(1, Math.round(settings.leaseMillis / 1000)))
            try {
              await lock.acquire()
              return { release: () => lock.release() }
            } catch (error) {
              if (!(error instanceof EtcdLockFailedError)) throw error
              await pause(10)
            }
          }
        },
        close: async () => client.close()
      }
    }
  }
]

const server = Effect.gen(function* () {
  const server = yield* Effect.catch(Harness.own("etcd 3.5"), () => Harness.own("etcd 3.4"))
  const http = `http://${server.host}:${server.port}`
  const get = (path: string) => Effect.promise(async () => (await fetch(`${http}${path}`)).text())
  return {
    setting: `server ${/"etcdserver":"([^"]+)"/.exec(yield* get("/version"))?.[1] ?? "?"}, one member`,
    fresh: Effect.sync(() => ({ url: server.url, prefix: `bench-${randomBytes(6).toString("hex")}/` })),
    work: () =>
      Effect.map(get("/metrics"), (text) => ({
        requests: Array.from(text.matchAll(/^grpc_server_started_total\{.*\} (\S+)$/gm)).reduce(
          (sum, [, count]) => sum + Number(count),
          0
        ),
        millis: undefined
      })),
    stall: () => Effect.acquireRelease(server.suspend, () => server.resume),
    wire: undefined
  } satisfies Server
})

export const etcd: StorageSubject = { name: "etcd", title: "etcd", server, ways }
