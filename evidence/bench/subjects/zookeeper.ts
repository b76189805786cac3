import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import { randomBytes } from "node:crypto"
import * as Net from "node:net"
import * as peers from "../peers.js"
import * as ZookeeperStorage from "../../../src/backends/zookeeper/ZookeeperStorage.js"
import * as Harness from "../../../test/harness/zookeeper.js"
import { library } from "./library.js"
import type { Server, StorageSubject, Way } from "./Subject.js"

const rootOf = (prefix: string): string => `/${prefix}`

const ways: ReadonlyArray<Way> = [
  {
    name: "bare driver, ephemeral node and delete",
    role: "floor",
    packages: ["node-zookeeper-client"],
    note: "less than ours does: no token, no lease of its own, and nothing is told",
    waits: false,
    open: async ({ prefix, url }) => {
      const zookeeper = await peers.main("node-zookeeper-client")
      const client = zookeeper.createClient(url.slice("zookeeper://".length), { sessionTimeout: 10_000 })
      await new Promise<void>((resolve) => {
        client.once("connected", resolve)
        client.connect()
      })
      const asked = (ask: (done: (error: Error | null) => void) => void) =>
        new Promise<void>((resolve, reject) => ask((error) => (error ? reject(error) : resolve())))
      const root = rootOf(prefix)
      await asked((done) => client.mkdirp(root, done))
      return {
        acquire: async (lockId) => {
          const path = `${root}/${encodeURIComponent(lockId)}`
          await asked((done) => client.create(path, Buffer.alloc(0), zookeeper.CreateMode.EPHEMERAL, done))
          return { release: () => asked((done) => client.remove(path, -1, done)) }
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
    open: ({ prefix, url }, settings) =>
      library(ZookeeperStorage.layer({ url: Redacted.make(url), root: rootOf(prefix) }), settings)
  }
]

/** By the word that every server knows. */
const version = ({ host, port }: { readonly host: string; readonly port: number }) =>
  Effect.promise(
    () =>
      new Promise<string>((resolve) => {
        let told = ""
        const socket = Net.connect(port, host, () => socket.write("srvr"))
        socket.on("data", (chunk) => (told += chunk.toString()))
        socket.on("error", () => {})
        socket.on("close", () => resolve(/version: ([\d.]+)/.exec(told)?.[1] ?? "?"))
      })
  )

const server = Effect.gen(function* () {
  const server = yield* Harness.own
  return {
    setting: `server ${yield* version(server)}, alone`,
    fresh: Effect.sync(() => ({ url: server.url, prefix: `bench-${randomBytes(6).toString("hex")}` })),
    work: undefined,
    stall: () => Effect.acquireRelease(server.suspend, () => server.resume),
    wire: { host: server.host, port: server.port, protocol: "bytes" }
  } satisfies Server
})

export const zookeeper: StorageSubject = { name: "zookeeper", title: "ZooKeeper", server, ways }
