/** A real Consul for tests: one named by the environment, else a private server of one node that keeps its data on disk, as in earnest. */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import { randomBytes } from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Debian from "./debian.js"
import * as Instance from "./instance.js"
import * as Sandbox from "./sandbox.js"
import { freePort, ServerUnavailable, tidy } from "./server.js"

export interface Answer {
  readonly status: number
  readonly body: any
  readonly index: number
}

export interface ConsulServer extends Instance.Life, Instance.Address {
  readonly url: string
  /** One request, whatever the answer is. A body that is text is sent as it is. With the token that may do everything, if there are tokens. */
  readonly admin: (method: string, path: string, body?: unknown, token?: string) => Effect.Effect<Answer>
  /** What keys of one test begin with; they are deleted when the scope closes. */
  readonly freshPrefix: Effect.Effect<string, never, Scope.Scope>
}

export const environmentVariable = "EFFECT_STORAGE_LOCK_CONSUL_URL"

const server = "Consul 1.8"

const send = (url: string, method: string, path: string, body: unknown, token: string | undefined) =>
  Effect.tryPromise({
    try: async (signal): Promise<Answer> => {
      const response = await fetch(`${url}${path}`, {
        method,
        body: body === undefined ? null : typeof body === "string" ? body : JSON.stringify(body),
        headers: token === undefined ? {} : { "x-consul-token": token },
        signal: AbortSignal.any([signal, AbortSignal.timeout(30_000)])
      })
      const text = await response.text()
      const index = Number(response.headers.get("x-consul-index") ?? 0)
      try {
        return { status: response.status, index, body: JSON.parse(text) }
      } catch {
        return { status: response.status, index, body: text }
      }
    },
    catch: (cause) => cause as Error
  })

const using = (url: string, master?: string): Pick<ConsulServer, "url" | "admin" | "freshPrefix"> => ({
  url,
  admin: (method, path, body, token = master) => Effect.orDie(send(url, method, path, body, token)),
  freshPrefix: Effect.acquireRelease(
    Effect.sync(() => `storage-lock-${randomBytes(6).toString("hex")}/`),
    (prefix) => tidy(send(url, "DELETE", `/v1/kv/${prefix}?recurse`, undefined, master), "3 seconds")
  )
})

/** It knows its leader, and reads. */
const ready = (url: string, token?: string) =>
  Effect.filterOrFail(
    send(url, "GET", "/v1/kv/any?consistent", undefined, token),
    ({ index, status }) => (status === 200 || status === 404) && index > 0
  )

/** The server at this URL. */
export const at = (url: string): Effect.Effect<ConsulServer, ServerUnavailable> =>
  Effect.suspend(() => {
    const { hostname, port } = new URL(url)
    return Effect.mapBoth(ready(url), {
      onFailure: (error) =>
        new ServerUnavailable({
          server,
          reason: `the given server does not answer: ${error instanceof Error ? error.message : "it has no leader"}`
        }),
      onSuccess: () => ({ ...Instance.foreign(server), host: hostname, port: Number(port || 8500), ...using(url) })
    })
  })

const find = Effect.map(
  Debian.fetch({ server, package: "consul", suite: "bullseye", keep: (name) => name === "consul" }),
  // It is of an older release, and needs nothing but a C library: that of the system is newer.
  ({ root }) => Path.join(root, "usr/bin/consul")
)

export interface Setting {
  /** With this, nobody may do anything but who has a token; this one may do everything. */
  readonly master?: string | undefined
  /** What its configuration has besides. */
  readonly more?: object | undefined
  /** Of files in PEM: at the server's own port it speaks TLS alone, to who shows a certificate of the authority. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca: string } | undefined
}

/** A private instance, whatever the environment says: for tests that suspend, kill or restart their server. */
export const own = ({ master, more, tls }: Setting = {}): Effect.Effect<ConsulServer, ServerUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const found = yield* find
    const sandbox = yield* Sandbox.make(server)
    const [rpc, serf, plain] = [yield* freePort, yield* freePort, yield* freePort]
    const configuration = Path.join(sandbox.directory, "consul.json")
    const urlAt = (port: number) => `http://${Instance.host}:${tls === undefined ? port : plain}`
    const write = (port: number) => {
      Fs.writeFileSync(
        configuration,
        JSON.stringify({
          server: true,
          bootstrap_expect: 1,
          node_name: "only",
          data_dir: Path.join(sandbox.directory, "data"),
          bind_addr: Instance.host,
          client_addr: Instance.host,
          ports: {
            http: tls === undefined ? port : plain,
            https: tls === undefined ? -1 : port,
            server: rpc,
            serf_lan: serf,
            serf_wan: -1,
            dns: -1,
            grpc: -1
          },
          performance: { raft_multiplier: 1 },
          // A lone server has nobody to give its leadership to.
          leave_on_terminate: false,
          disable_update_check: true,
          log_level: "WARN",
          ...(master === undefined
            ? {}
            : { acl: { enabled: true, default_policy: "deny", tokens: { master, agent: master } } }),
          ...(tls === undefined
            ? {}
            : { cert_file: tls.cert, key_file: tls.key, ca_file: tls.ca, verify_incoming_https: true }),
          ...more
        })
      )
      Fs.chmodSync(configuration, 0o644)
    }
    const instance = yield* Instance.make({
      server,
      sandbox,
      command: (port) => {
        write(port)
        return { file: found, args: ["agent", `-config-file=${configuration}`] }
      },
      ready: (port) => ready(urlAt(port), master)
    })
    return { ...instance, ...using(urlAt(instance.port), master) }
  })
