/** A real etcd for tests: one named by the environment, else a private instance or cluster, with durable writes as in earnest. */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import { randomBytes } from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Cache from "./cache.js"
import * as Golang from "./golang.js"
import * as Debian from "./debian.js"
import * as Instance from "./instance.js"
import type * as Proxy from "./proxy.js"
import * as Sandbox from "./sandbox.js"
import { freePort, required, ServerUnavailable, tidy } from "./server.js"

export interface EtcdServer extends Instance.Life, Instance.Address {
  readonly url: string
  /** A call over the gateway that takes JSON, such as `("kv/put", { key: base64("a"), value: base64("b") })`. A failing one is a defect. */
  readonly admin: (path: string, body: unknown, token?: string) => Effect.Effect<any>
  /** How many calls of each method the server has answered, such as `Txn` and `Range`. */
  readonly handled: Effect.Effect<Readonly<Record<string, number>>>
  /** What keys of one test begin with; they are deleted when the scope closes. */
  readonly freshPrefix: Effect.Effect<string, never, Scope.Scope>
}

export const environmentVariable = "EFFECT_STORAGE_LOCK_ETCD_URL"

export type Release = "etcd 3.4" | "etcd 3.5" | "etcd 3.6"

type Command = Pick<ReturnType<Debian.Unpacked["command"]>, "file" | "args" | "env">

const program: Golang.Program = {
  server: "etcd 3.6",
  program: "go.etcd.io/etcd/server/v3",
  version: "v3.6.6",
  name: "etcd"
}

/** Takes minutes, so it is done once, and only where servers are required. */
const built: Effect.Effect<Command, ServerUnavailable> = Effect.suspend(() => {
  const { server, version } = program
  const name = `go-${process.arch}-etcd-${version}`
  const cache = Cache.cacheFolder()
  if (!required() && !(cache !== undefined && Fs.existsSync(Path.join(cache, name)))) {
    return new ServerUnavailable({
      server,
      reason: "it is not built; EFFECT_STORAGE_LOCK_REQUIRE_SERVERS=1 builds it once, by Go, in some minutes"
    })
  }
  return Effect.map(
    Cache.folder(server, name, (work) => Golang.build(program, work)),
    (folder): Command => ({ file: Path.join(folder, "etcd"), args: [], env: {} })
  )
})

const packaged = (server: string, suite: string) =>
  Effect.map(
    Debian.fetch({ server, package: "etcd-server", suite, keep: (name) => name === "etcd-server" }),
    ({ command }) => command("usr/bin/etcd")
  )

const find = (release: Release): Effect.Effect<Command, ServerUnavailable> =>
  release === "etcd 3.6" ? built : release === "etcd 3.5" ? packaged(release, "sid") : packaged(release, "bookworm")

export const base64 = (text: string): string => Buffer.from(text, "utf8").toString("base64")

const call = (address: string, path: string, body: unknown, token?: string) =>
  Effect.tryPromise({
    try: async (signal): Promise<any> => {
      const response = await fetch(`http://${address}/v3/${path}`, {
        method: "POST",
        body: JSON.stringify(body),
        headers: token === undefined ? {} : { authorization: token },
        signal: AbortSignal.any([signal, AbortSignal.timeout(10_000)])
      })
      const text = await response.text()
      if (!response.ok) throw new Error(`${path}: ${text}`)
      return JSON.parse(text)
    },
    catch: (cause) => cause as Error
  })

/** From one key to the next after all that begin with it. */
export const under = (prefix: string) => {
  const end = Buffer.from(prefix)
  end[end.length - 1]! += 1
  return { key: base64(prefix), range_end: end.toString("base64") }
}

const using = (address: string): Pick<EtcdServer, "url" | "admin" | "handled" | "freshPrefix"> => ({
  url: `etcd://${address}`,
  admin: (path, body, token) => Effect.orDie(call(address, path, body, token)),
  handled: Effect.promise(async () => {
    const text = await (await fetch(`http://${address}/metrics`)).text()
    const counts: Record<string, number> = {}
    for (const [, method, count] of text.matchAll(
      /^grpc_server_handled_total\{[^}]*grpc_method="(\w+)"[^}]*\} (\S+)$/gm
    )) {
      counts[method!] = (counts[method!] ?? 0) + Number(count)
    }
    return counts
  }),
  freshPrefix: Effect.acquireRelease(
    Effect.sync(() => `storage-lock-${randomBytes(6).toString("hex")}/`),
    (prefix) => tidy(call(address, "kv/deleterange", under(prefix)), "3 seconds")
  )
})

const ready = (port: number) =>
  Effect.filterOrFail(
    Effect.tryPromise(async () =>
      (await fetch(`http://${Instance.host}:${port}/health`, { signal: AbortSignal.timeout(1_000) })).text()
    ),
    (text) => /"health":\s*"?true/.test(text)
  )

/** The server at this URL. */
export const at = (url: string): Effect.Effect<EtcdServer, ServerUnavailable> =>
  Effect.suspend(() => {
    const { hostname, port } = new URL(url.replace(/^etcd:/, "http:"))
    const address = `${hostname}:${port || 2379}`
    return Effect.mapBoth(call(address, "kv/range", { key: base64("any") }), {
      onFailure: ({ message }) =>
        new ServerUnavailable({ server: "etcd", reason: `the given server does not answer: ${message}` }),
      onSuccess: () => ({ ...Instance.foreign("etcd"), host: hostname, port: Number(port || 2379), ...using(address) })
    })
  })

interface Setting {
  readonly peers: Readonly<Record<string, number>>
  readonly more: ReadonlyArray<string>
  readonly scheme: "http" | "https"
  readonly ready: (port: number) => Effect.Effect<unknown, unknown>
}

const member = (release: Release, found: Command, name: string, { more, peers, ready, scheme }: Setting) =>
  Effect.gen(function* () {
    const sandbox = yield* Sandbox.make(release)
    const peer = `http://${Instance.host}:${peers[name]}`
    const instance = yield* Instance.make({
      server: release,
      sandbox,
      command: (port) => ({
        file: found.file,
        args: [
          ...found.args,
          `--name=${name}`,
          `--data-dir=${Path.join(sandbox.directory, "data")}`,
          `--listen-client-urls=${scheme}://${Instance.host}:${port}`,
          `--advertise-client-urls=${scheme}://${Instance.host}:${port}`,
          `--listen-peer-urls=${peer}`,
          `--initial-advertise-peer-urls=${peer}`,
          `--initial-cluster=${Object.entries(peers)
            .map(([name, port]) => `${name}=http://${Instance.host}:${port}`)
            .join()}`,
          "--heartbeat-interval=50",
          "--election-timeout=500",
          "--logger=zap",
          "--log-level=warn",
          ...more
        ],
        env: { ...found.env, ETCD_UNSUPPORTED_ARCH: process.arch }
      }),
      ready
    })
    return {
      ...instance,
      ...using(`${Instance.host}:${instance.port}`),
      peer,
      erase: Effect.andThen(
        instance.kill,
        Effect.sync(() => Fs.rmSync(Path.join(sandbox.directory, "data"), { recursive: true, force: true }))
      )
    } satisfies EtcdServer & OwnMember
  })

export interface OwnMember {
  /** Its URL among members. */
  readonly peer: string
  /** Killed, and all that it had is gone: started again it is of the same cluster by name and id, and empty. */
  readonly erase: Effect.Effect<void>
}

/** One more for a cluster of one, which serves nobody. */
export const learner = (
  release: Release,
  voter: EtcdServer & OwnMember
): Effect.Effect<EtcdServer, ServerUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const found = yield* find(release)
    const port = yield* freePort
    yield* voter.admin("cluster/member/add", { peerURLs: [`http://${Instance.host}:${port}`], isLearner: true })
    const peers = { m0: Number(new URL(voter.peer).port), learner: port }
    return yield* member(release, found, "learner", {
      peers,
      more: ["--initial-cluster-state=existing"],
      scheme: "http",
      ready: (port) =>
        Effect.filterOrFail(
          call(`${Instance.host}:${port}`, "maintenance/status", {}),
          ({ leader }) => leader !== undefined
        )
    })
  })

/** Private instances that are one cluster. */
export const cluster = (
  release: Release,
  size: number,
  more: ReadonlyArray<string> = []
): Effect.Effect<ReadonlyArray<EtcdServer & OwnMember>, ServerUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const found = yield* find(release)
    const peers: Record<string, number> = {}
    for (let i = 0; i < size; i++) peers[`m${i}`] = yield* freePort
    return yield* Effect.forEach(
      Object.keys(peers),
      (name) => member(release, found, name, { peers, more, scheme: "http", ready }),
      { concurrency: "unbounded" }
    )
  })

/** A private instance, whatever the environment says: for tests that suspend, kill or restart their server. */
export const own = (
  release: Release,
  more: ReadonlyArray<string> = []
): Effect.Effect<EtcdServer & OwnMember, ServerUnavailable, Scope.Scope> =>
  Effect.map(cluster(release, 1, more), ([only]) => only!)

/** A private instance that speaks TLS alone, to who shows a certificate of the authority. Paths of files in PEM. */
export const encrypted = (
  release: Release,
  files: { readonly cert: string; readonly key: string; readonly ca: string }
): Effect.Effect<Instance.Address & Instance.Life, ServerUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const found = yield* find(release)
    const metrics = yield* freePort
    const more = [
      `--cert-file=${files.cert}`,
      `--key-file=${files.key}`,
      `--trusted-ca-file=${files.ca}`,
      "--client-cert-auth",
      `--listen-metrics-urls=http://${Instance.host}:${metrics}`
    ]
    return yield* member(release, found, "only", {
      peers: { only: yield* freePort },
      more,
      scheme: "https",
      ready: () => ready(metrics)
    })
  })

const preface = 24
const frameHead = 9
const endStream = 1
const data = 0
const headers = 1

/** Counts the frames of one type that end a stream, in the bytes of one direction of HTTP/2. */
const ends = (type: number, skip: number) => {
  let rest: Buffer = Buffer.alloc(0)
  let begun = skip === 0
  return (chunk: Buffer): number => {
    let count = 0
    rest = Buffer.concat([rest, chunk])
    if (!begun && rest.length >= skip) {
      rest = rest.subarray(skip)
      begun = true
    }
    while (begun && rest.length >= frameHead) {
      const length = frameHead + rest.readUIntBE(0, 3)
      if (rest.length < length) break
      if (rest[3] === type && (rest[4]! & endStream) !== 0) count++
      rest = rest.subarray(length)
    }
    return count
  }
}

/** Calls of gRPC with one request and one reply: the first ends with its data, the second with its trailers. */
export const grpc = (): Proxy.Watch => {
  const asked = ends(data, preface)
  const answered = ends(headers, 0)
  return { asked, answered: (chunk) => answered(chunk) > 0 }
}
