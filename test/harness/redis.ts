/** A real Redis or Valkey for tests: one named by the environment, else a private instance, with durable writes as in earnest. */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import { Redis } from "ioredis"
import { randomBytes } from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Debian from "./debian.js"
import * as Instance from "./instance.js"
import * as Sandbox from "./sandbox.js"
import { ServerUnavailable } from "./server.js"

export interface RedisServer extends Instance.Life, Instance.Address {
  readonly url: string
  /** One command on a connection of its own. A failing one is a defect. */
  readonly admin: (name: string, ...args: ReadonlyArray<string | number>) => Effect.Effect<any>
  /** What keys of one test begin with; they are deleted when the scope closes. */
  readonly freshPrefix: Effect.Effect<string, never, Scope.Scope>
}

export const environmentVariable = "EFFECT_STORAGE_LOCK_REDIS_URL"

/** On the machine, or of the system's own release; and older and newer ones. */
export type Release = "Redis" | "Redis 6" | "Redis 8" | "Valkey"

type Command = Pick<ReturnType<Debian.Unpacked["command"]>, "file" | "args" | "env">

const packages: Record<Release, Debian.Options> = {
  Redis: { server: "Redis", package: "redis-server", keep: (name) => /^(redis-|lib)/.test(name) },
  "Redis 6": {
    server: "Redis 6",
    package: "redis-server",
    suite: "bullseye",
    keep: (name) => /^(redis|lua)-/.test(name)
  },
  "Redis 8": { server: "Redis 8", package: "redis-server", suite: "trixie", keep: (name) => name.startsWith("redis-") },
  Valkey: { server: "Valkey", package: "valkey-server", suite: "sid", keep: (name) => name.startsWith("valkey-") }
}

const installed = (): string | undefined =>
  (process.env["PATH"] ?? "")
    .split(Path.delimiter)
    .filter((folder) => folder !== "")
    .map((folder) => Path.join(folder, "redis-server"))
    .find((file) => Fs.existsSync(file))

/** That of before /usr was one with /: its loader is elsewhere. */
const older = (root: string): Command => {
  const libraries = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"].map((folder) => Path.join(root, folder))
  return {
    file: Path.join(libraries[0]!, "ld-linux-x86-64.so.2"),
    args: ["--library-path", libraries.join(":"), Path.join(root, "usr/bin/redis-server")],
    env: {}
  }
}

const find = (release: Release): Effect.Effect<Command, ServerUnavailable> =>
  Effect.suspend(() => {
    const file = release === "Redis" ? installed() : undefined
    return file !== undefined
      ? Effect.succeed({ file, args: [], env: {} })
      : Effect.map(Debian.fetch(packages[release]), ({ command, root }) =>
          release === "Redis 6" ? older(root) : command(`usr/bin/${packages[release].package}`)
        )
  })

const command = (url: string, name: string, args: ReadonlyArray<string | number>, millis = 10_000) =>
  Effect.tryPromise({
    try: async () => {
      const client = new Redis(url, {
        lazyConnect: true,
        retryStrategy: null,
        connectTimeout: millis,
        enableReadyCheck: false,
        disableClientInfo: true
      })
      client.on("error", () => {})
      try {
        await client.connect()
        return await client.call(name, [...args])
      } finally {
        client.disconnect()
      }
    },
    catch: (cause) => cause as Error
  })

const using = (url: string): Pick<RedisServer, "url" | "admin" | "freshPrefix"> => ({
  url,
  admin: (name, ...args) => Effect.orDie(command(url, name, args)),
  freshPrefix: Effect.acquireRelease(
    Effect.sync(() => `storage-lock-${randomBytes(6).toString("hex")}:`),
    (prefix) =>
      Effect.ignore(
        command(
          url,
          "EVAL",
          ["for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) end", 0, `${prefix}*`],
          3_000
        )
      )
  )
})

/** The server at this URL. */
export const at = (url: string): Effect.Effect<RedisServer, ServerUnavailable> =>
  command(url, "PING", []).pipe(
    Effect.mapError(
      ({ message }) =>
        new ServerUnavailable({ server: "Redis", reason: `the given server does not answer: ${message}` })
    ),
    Effect.map(() => {
      const { hostname, port } = new URL(url)
      return { host: hostname, port: Number(port || 6379), ...using(url), ...Instance.foreign("Redis") }
    })
  )

/** A private instance, with settings of its own (`["--requirepass", "x"]`). */
export const start = (
  release: Release,
  settings: ReadonlyArray<string> = [],
  url = (port: number) => `redis://${Instance.host}:${port}`
): Effect.Effect<RedisServer & { readonly directory: string }, ServerUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const binary = yield* find(release)
    const sandbox = yield* Sandbox.make(release)
    const instance = yield* Instance.make({
      server: release,
      sandbox,
      command: (port) => ({
        file: binary.file,
        args: [
          ...binary.args,
          ...["--port", String(port), "--bind", Instance.host, "--dir", sandbox.directory],
          ...["--save", "", "--appendonly", "yes", "--appendfsync", "always"],
          ...settings
        ],
        env: binary.env
      }),
      ready: (port) => command(url(port), "PING", [], 1_000)
    })
    return { ...instance, ...using(url(instance.port)), directory: sandbox.directory }
  })

/** A Sentinel with these lines of configuration, which it rewrites. */
export const sentinel = (
  release: Release,
  lines: ReadonlyArray<string>
): Effect.Effect<RedisServer, ServerUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const binary = yield* find(release)
    const sandbox = yield* Sandbox.make("Sentinel")
    const url = (port: number) => `redis://${Instance.host}:${port}`
    const instance = yield* Instance.make({
      server: "Sentinel",
      sandbox,
      command: (port) => {
        const file = Path.join(sandbox.directory, "sentinel.conf")
        Fs.writeFileSync(
          file,
          [`port ${port}`, `bind ${Instance.host}`, `dir ${sandbox.directory}`, ...lines, ""].join("\n")
        )
        if (Sandbox.unprivileged !== undefined) Fs.chownSync(file, Sandbox.unprivileged.uid, Sandbox.unprivileged.gid)
        return { file: binary.file, args: [...binary.args, file, "--sentinel"], env: binary.env }
      },
      ready: (port) => command(url(port), "PING", [], 1_000)
    })
    return { ...instance, ...using(url(instance.port)) }
  })

export interface RedisCluster {
  readonly nodes: readonly [RedisServer, ...Array<RedisServer>]
}

/** A Cluster of two masters, half of the slots each. */
export const startCluster = (release: Release): Effect.Effect<RedisCluster, ServerUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const node = start(release, [
      "--cluster-enabled",
      "yes",
      "--cluster-announce-ip",
      Instance.host,
      "--cluster-node-timeout",
      "2000",
      "--cluster-require-full-coverage",
      "no"
    ])
    const [first, second] = yield* Effect.all([node, node], { concurrency: 2 })
    const slots = (from: number) => Array.from({ length: 8_192 }, (_, i) => from + i)
    yield* first.admin("CLUSTER", "ADDSLOTS", ...slots(0))
    yield* second.admin("CLUSTER", "ADDSLOTS", ...slots(8_192))
    yield* first.admin("CLUSTER", "MEET", second.host, second.port)
    for (const server of [first, second]) {
      yield* Effect.repeat(Effect.delay(server.admin("CLUSTER", "INFO"), "25 millis"), {
        until: (info) => /cluster_state:ok[^]*cluster_size:2/.test(String(info))
      })
    }
    return { nodes: [first, second] as const }
  })

/** A private instance, whatever the environment says: for tests that suspend, kill or restart their server. */
export const own: Effect.Effect<RedisServer, ServerUnavailable, Scope.Scope> = start("Redis")
