/** Splunk for tests: a stand-in of our own, and a real one that only the environment can name, for there is none to fetch. Each test gets a collection of its own in the app `search`. */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import { randomBytes } from "node:crypto"
import * as Redacted from "effect/Redacted"
import { InvalidOptions } from "../../src/LockError.js"
import type * as SplunkStorage from "../../src/backends/splunk/SplunkStorage.js"
import { basic, url as parsed } from "../../src/backends/http/options.js"
import type * as Instance from "./instance.js"
import { ServerUnavailable } from "./server.js"
import * as Double from "./splunkDouble.js"

export interface SplunkServer extends Instance.Address {
  readonly url: string
  /** With the user of the tests. */
  readonly options: SplunkStorage.Options
  /** The name of a collection that is not there yet; it goes when the scope closes. */
  readonly freshCollection: Effect.Effect<string, never, Scope.Scope>
}

export interface SplunkDouble extends SplunkServer {
  readonly double: Double.Double
}

export const environmentVariable = "EFFECT_STORAGE_LOCK_SPLUNK_URL"
const server = "Splunk"

const freshName = Effect.sync(() => `storage_lock_${randomBytes(6).toString("hex")}`)

export const double = (setting?: Double.Setting): Effect.Effect<SplunkDouble, never, Scope.Scope> =>
  Effect.map(Double.make(setting), (double) => ({
    double,
    host: double.host,
    port: double.port,
    url: double.url,
    options: { url: Redacted.make(double.url), user: { name: "locks", password: Redacted.make("sesame") } },
    freshCollection: freshName
  }))

const promised = <A>(run: () => Promise<A>): Effect.Effect<A, Error> =>
  Effect.tryPromise({ try: run, catch: (error) => (error instanceof Error ? error : new Error(String(error))) })

/** The server that the environment names, if it answers. */
export const scoped: Effect.Effect<SplunkServer, ServerUnavailable> = Effect.suspend(() => {
  const given = process.env[environmentVariable]
  const unavailable = (reason: string) => new ServerUnavailable({ server, reason })
  if (given === undefined || given === "")
    return unavailable(
      `there is none to be had here; name one by ${environmentVariable}=https://user:password@host:8089, and its authority by NODE_EXTRA_CA_CERTS`
    )
  const found = parsed(Redacted.make(given), 8089)
  if (found instanceof InvalidOptions) return unavailable(found.message)
  const { hostname, port } = new URL(found.nodes[0]!)
  const base = `${found.nodes[0]}/servicesNS/nobody/search/storage/collections/config`
  const ask = (method: string, path: string) =>
    promised(async () => {
      const response = await fetch(`${base}${path}`, {
        method,
        headers: { authorization: found.user === undefined ? "" : basic(found.user) },
        signal: AbortSignal.timeout(20_000)
      })
      if (response.status >= 400) throw new Error(`it answered ${response.status}`)
    })
  const made: SplunkServer = {
    url: given,
    host: hostname,
    port: Number(port || 8089),
    options: { url: Redacted.make(given) },
    freshCollection: Effect.acquireRelease(freshName, (name) => Effect.ignore(ask("DELETE", `/${name}`)))
  }
  return ask("GET", "?output_mode=json").pipe(
    Effect.mapError(({ message }) => unavailable(`the given server does not answer: ${message}`)),
    Effect.as(made)
  )
})
