/** A real ZooKeeper for tests: one named by the environment, else private servers from Maven Central, on loopback and with small heaps, with durable writes as in earnest. */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import * as Instance from "./instance.js"
import * as Maven from "./maven.js"
import type * as Proxy from "./proxy.js"
import * as Sandbox from "./sandbox.js"
import { freePort, ServerUnavailable } from "./server.js"

export interface ZookeeperServer extends Instance.Life, Instance.Address {
  readonly url: string
  /** A root of one test. What is under it stays, as a server of a run does not. */
  readonly freshRoot: Effect.Effect<string>
}

export const environmentVariable = "EFFECT_STORAGE_LOCK_ZOOKEEPER_URL"

const server = "ZooKeeper 3.9"

const artifacts = [
  "org.apache.zookeeper:zookeeper:3.9.5",
  "io.dropwizard.metrics:metrics-core:4.1.12.1",
  // Without it the port opens, and every connection is closed.
  "org.xerial.snappy:snappy-java:1.1.10.5"
]

/** What stands in front of a frame is its length. */
const head = 4
const timeout = 4000

/** The request that opens a session of some seconds: protocol, last change seen, time-out, session and its password, read-only. */
const hello = (): Buffer => {
  const bytes = Buffer.alloc(49)
  bytes.writeInt32BE(45, 0)
  bytes.writeInt32BE(timeout, 16)
  bytes.writeInt32BE(16, 28)
  return bytes
}

/** By a handshake: a server without a quorum, or in trouble, opens its port as well, and closes what comes. */
const greets = (port: number, host: string = Instance.host) =>
  Effect.callback<void, Error>((resume) => {
    const socket = Net.connect(port, host, () => socket.write(hello()))
    const fail = () => resume(Effect.fail(new Error("it does not answer")))
    socket.setTimeout(2_000, () => socket.destroy())
    socket.on("data", () => {
      resume(Effect.void)
      // In order, so that no session stays behind: a frame of 8 bytes, which is xid 0 and the end of the session.
      const bye = Buffer.alloc(12)
      bye.writeInt32BE(8, 0)
      bye.writeInt32BE(-11, 8)
      socket.end(bye)
    })
    socket.on("error", fail)
    socket.on("close", fail)
    return Effect.sync(() => socket.destroy())
  })

const freshRoot = Effect.sync(() => `/test-${randomBytes(6).toString("hex")}`)

const using = (address: Instance.Address, tls = false): Pick<ZookeeperServer, "url" | "freshRoot"> => ({
  url: `${tls ? "zookeepers" : "zookeeper"}://${address.host}:${address.port}`,
  freshRoot
})

/** The server at this URL. */
export const at = (url: string): Effect.Effect<ZookeeperServer, ServerUnavailable> =>
  Effect.suspend(() => {
    const { hostname, port } = new URL(url)
    const address = { host: hostname, port: Number(port || 2181) }
    return Effect.mapBoth(greets(address.port, address.host), {
      onFailure: (error) =>
        new ServerUnavailable({ server, reason: `the given server does not answer: ${error.message}` }),
      onSuccess: () => ({ ...Instance.foreign(server), ...address, ...using(address) })
    })
  })

interface Recipe {
  readonly lines: (port: number, data: string) => ReadonlyArray<string>
  readonly id?: number
  readonly ready?: (port: number) => Effect.Effect<unknown, unknown>
}

const start = (jars: string, { id, lines, ready = greets }: Recipe) =>
  Effect.gen(function* () {
    const sandbox = yield* Sandbox.make(server)
    const data = Path.join(sandbox.directory, "data")
    const config = Path.join(sandbox.directory, "zoo.cfg")
    const classPath = Path.join(jars, "*")
    const instance = yield* Instance.make({
      server,
      sandbox,
      command: (port) => {
        Fs.writeFileSync(
          config,
          [
            "tickTime=1000",
            `dataDir=${data}`,
            "admin.enableServer=false",
            "maxClientCnxns=0",
            "4lw.commands.whitelist=*",
            ...lines(port, data)
          ].join("\n") + "\n"
        )
        Fs.chmodSync(config, 0o644)
        return {
          // The folder is the server's own to make, and holds its number in a cluster.
          file: "sh",
          args: [
            "-c",
            `mkdir -p "$0" && { [ -z "$1" ] || echo "$1" > "$0/myid"; } && shift && exec java "$@"`,
            data,
            id === undefined ? "" : String(id),
            ...Maven.jvm,
            "-Xms16m",
            "-Xmx96m",
            // Fewer files of 64 MB that are mostly empty.
            "-Dzookeeper.preAllocSize=1024",
            "-Dzookeeper.extendedTypesEnabled=true",
            "-cp",
            classPath,
            "org.apache.zookeeper.server.quorum.QuorumPeerMain",
            config
          ]
        }
      },
      ready
    })
    const copy = (from: string, to: string) => {
      Fs.rmSync(to, { recursive: true, force: true })
      execFileSync("cp", ["-a", from, to])
    }
    return {
      ...instance,
      backup: Effect.andThen(
        instance.stop,
        Effect.sync(() => copy(data, `${data}.backup`))
      ),
      restore: Effect.andThen(
        instance.kill,
        Effect.sync(() => copy(`${data}.backup`, data))
      )
    }
  })

/** Both leave it stopped. */
export interface Own extends ZookeeperServer {
  readonly backup: Effect.Effect<void>
  /** All that came after the backup is forgotten. */
  readonly restore: Effect.Effect<void>
}

const jars = Maven.fetch(server, artifacts)

const plain = (port: number) => [`clientPort=${port}`, `clientPortAddress=${Instance.host}`]

/** A private instance, whatever the environment says: for tests that suspend, kill or restart their server. */
export const own: Effect.Effect<Own, ServerUnavailable, Scope.Scope> = Effect.gen(function* () {
  const instance = yield* start(yield* jars, { lines: plain })
  return { ...instance, ...using(instance) }
})

/** What it says of itself: `leader`, `follower`, or nothing where it serves nobody. */
const roleOf = ({ host, port }: Instance.Address) =>
  Effect.callback<string | undefined>((resume) => {
    let told = ""
    const socket = Net.connect(port, host, () => socket.write("srvr"))
    socket.setTimeout(2_000, () => socket.destroy())
    socket.on("data", (chunk) => (told += chunk.toString()))
    socket.on("error", () => {})
    socket.on("close", () => resume(Effect.succeed(/^Mode: (\w+)$/m.exec(told)?.[1])))
    return Effect.sync(() => socket.destroy())
  })

export interface Member extends ZookeeperServer {
  readonly role: Effect.Effect<string | undefined>
}

/** A private ensemble of three. `more`: further lines of its configuration. */
export const cluster = (
  ...more: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<Member>, ServerUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const found = yield* jars
    const ids = [1, 2, 3]
    const members: Array<string> = []
    for (const id of ids)
      members.push(`server.${id}=${Instance.host}:${yield* freePort}:${yield* freePort}:participant`)
    return yield* Effect.forEach(
      ids,
      (id) =>
        Effect.map(
          start(found, {
            id,
            lines: (port) => [
              ...plain(port),
              "initLimit=20",
              "syncLimit=5",
              "standaloneEnabled=false",
              ...members,
              ...more
            ]
          }),
          (instance) => ({ ...instance, ...using(instance), role: roleOf(instance) })
        ),
      { concurrency: "unbounded" }
    )
  })

/** A private instance that speaks TLS alone, to who shows a certificate of the authority. Paths of files in PEM: `pair` has a key and its certificate. */
export const encrypted = (files: {
  readonly pair: string
  readonly ca: string
}): Effect.Effect<Instance.Address & Instance.Life, ServerUnavailable, Scope.Scope> =>
  Effect.flatMap(jars, (found) =>
    start(found, {
      lines: (port) => [
        `secureClientPort=${port}`,
        `secureClientPortAddress=${Instance.host}`,
        "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory",
        "authProvider.x509=org.apache.zookeeper.server.auth.X509AuthenticationProvider",
        `ssl.keyStore.location=${files.pair}`,
        "ssl.keyStore.type=PEM",
        `ssl.trustStore.location=${files.ca}`,
        "ssl.trustStore.type=PEM"
      ],
      ready: (port) =>
        Effect.callback<void, Error>((resume) => {
          const socket = Net.connect(port, Instance.host, () => {
            socket.destroy()
            resume(Effect.void)
          })
          socket.on("error", (error) => resume(Effect.fail(error)))
        })
    })
  )

/** Counts frames that are whole, but for the first `skip`, those of pings, and events. */
const frames = (skip: number) => {
  const unasked = [-1, -2]
  let rest: Buffer = Buffer.alloc(0)
  let seen = 0
  return (chunk: Buffer): number => {
    rest = Buffer.concat([rest, chunk])
    let count = 0
    while (rest.length >= head && rest.length >= head + rest.readInt32BE(0)) {
      const length = head + rest.readInt32BE(0)
      if (seen++ >= skip && !unasked.includes(rest.readInt32BE(head))) count++
      rest = rest.subarray(length)
    }
    return count
  }
}

/** Requests and replies of ZooKeeper's protocol; the first of each opens the session. */
export const protocol = (): Proxy.Watch => {
  const asked = frames(1)
  const answered = frames(1)
  return { asked, answered: (chunk) => answered(chunk) > 0 }
}

/** The same, but what is asked while something waits for its answer is of the same flight, and counts once. */
export const flights = (): Proxy.Watch => {
  const asked = frames(1)
  const answered = frames(1)
  let open = 0
  return {
    asked: (chunk) => {
      const count = asked(chunk)
      const begins = count > 0 && open === 0
      open += count
      return begins ? 1 : 0
    },
    answered: (chunk) => {
      const count = answered(chunk)
      open -= count
      return count > 0
    }
  }
}
