/** Requests over HTTP, as the storages that stand on them send them: to servers that hang, break off, and refuse. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "#effect/Scope"
import * as Http from "node:http"
import * as Https from "node:https"
import * as Net from "node:net"
import * as direct from "../../src/common/direct.js"
import * as client from "../../src/backends/http/client.js"
import * as node from "../../src/backends/http/node.js"
import * as options from "../../src/backends/http/options.js"
import * as source from "../../src/backends/http/source.js"
import { InvalidOptions, type StorageError } from "../../src/LockError.js"
import * as Certificates from "../harness/certificates.js"
import { freePort } from "../harness/server.js"

const names = { storage: "SomeStorage", product: "The server" }

interface Server {
  readonly port: number
  readonly url: string
  /** Connections that were ever accepted. */
  readonly accepted: () => number
  readonly asked: () => number
}

const listening = (server: Http.Server | Https.Server | Net.Server, scheme: string, asked: () => number) =>
  Effect.acquireRelease(
    Effect.callback<Server>((resume) => {
      let accepted = 0
      const open = new Set<Net.Socket>()
      server.on("connection", (socket: Net.Socket) => {
        accepted++
        open.add(socket)
        socket.on("error", () => {})
      })
      server.on("close-all", () => open.forEach((socket) => socket.destroy()))
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as Net.AddressInfo
        resume(Effect.succeed({ port, url: `${scheme}://127.0.0.1:${port}`, accepted: () => accepted, asked }))
      })
    }),
    () =>
      Effect.sync(() => {
        server.emit("close-all")
        server.close()
      })
  )

const serve = (answer: Http.RequestListener): Effect.Effect<Server, never, Scope.Scope> => {
  let asked = 0
  const server = Http.createServer((request, response) => {
    asked++
    answer(request, response)
  })
  return listening(server, "http", () => asked)
}

const says =
  (text: string, status = 200): Http.RequestListener =>
  (request, response) => {
    request.resume()
    request.on("end", () => response.writeHead(status).end(text))
  }

const hangs: Http.RequestListener = () => {}

const open = (
  given: Readonly<Record<string, unknown>>,
  tls: options.ResolvedTls = {},
  poolSize = 4
): Effect.Effect<client.Client, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const made = source.make(names, given, (values) => {
        const url = options.url(values.url, 80)
        return url instanceof InvalidOptions
          ? url
          : {
              nodes: url.nodes,
              headers: url.user === undefined ? {} : { authorization: options.basic(url.user) },
              key: "",
              open: () => node.make({ poolSize, tls })
            }
      })
      if (made instanceof InvalidOptions) throw made
      return client.make(names, made)
    }),
    ({ close }) => close
  )

const urlOf = (...servers: ReadonlyArray<Pick<Server, "url">>) =>
  Redacted.make(
    `${servers[0]!.url.split("://")[0]}://${servers.map(({ url }) => url.replace(/^https?:\/\//, "")).join()}`
  )

const call = (
  { ask }: client.Client,
  more: Partial<client.Call> = {},
  millis = 60_000
): Effect.Effect<string, StorageError> =>
  Effect.map(
    direct.effectOf<client.Call, { readonly text: string }>((asked, _, done) => ask(asked, millis, done))({
      operation: "test",
      kind: "writes",
      repeatable: false,
      request: { method: "POST", path: "/x", body: "{}" },
      ...more
    }),
    ({ text }) => text
  )

const facts = ({ applied, isRetryable, reason }: StorageError) => ({ reason, isRetryable, applied })

describe("nodes", () => {
  it.live("one that cannot be reached is passed over, and the one that serves is remembered", () =>
    Effect.gen(function* () {
      const dead = { url: `http://127.0.0.1:${yield* freePort}` }
      const good = yield* serve(says("good"))
      const busy = yield* serve(says("elsewhere", 503))
      const http = yield* open({ url: urlOf(dead, busy, good) })
      assert.strictEqual(yield* call(http, { repeatable: true }), "good")
      assert.strictEqual(yield* call(http), "good")
      assert.deepStrictEqual([busy.asked(), good.asked(), good.accepted()], [1, 2, 1])
    })
  )

  it.live("where none can be reached, that is told, and nothing was applied", () =>
    Effect.gen(function* () {
      const dead = [yield* freePort, yield* freePort].map((port) => ({ url: `http://127.0.0.1:${port}` }))
      const http = yield* open({ url: urlOf(...dead) })
      const error = yield* Effect.flip(call(http))
      assert.deepStrictEqual(facts(error), { reason: "Connection", isRetryable: true, applied: "no" })
      assert.match(error.message, /is it up/)
    })
  )

  it.live("what may be repeated goes on to the next one when the first is silent; what may not is unknown", () =>
    Effect.gen(function* () {
      const silent = yield* serve(hangs)
      const good = yield* serve(says("good"))
      const first = yield* open({ url: urlOf(silent, good) })
      assert.strictEqual(yield* call(first, { repeatable: true }, 4_000), "good")
      const second = yield* open({ url: urlOf(silent, good) })
      assert.deepStrictEqual(facts(yield* Effect.flip(call(second, {}, 300))), {
        reason: "Timeout",
        isRetryable: true,
        applied: "unknown"
      })
      assert.strictEqual(yield* call(second), "good")
    })
  )
})

describe("connections", () => {
  it.live("are kept, and no more than asked for", () =>
    Effect.gen(function* () {
      const good = yield* serve(says("good"))
      const http = yield* open({ url: urlOf(good) }, {}, 2)
      yield* Effect.forEach(Array.from({ length: 50 }), () => call(http), { concurrency: 20 })
      assert.isAtMost(good.accepted(), 2)
      assert.strictEqual(good.asked(), 50)
    })
  )

  it.live("who waits for one in vain has sent nothing", () =>
    Effect.gen(function* () {
      const silent = yield* serve(hangs)
      const http = yield* open({ url: urlOf(silent) }, {}, 1)
      const [first, second] = yield* Effect.all(
        [Effect.flip(call(http, {}, 1_000)), Effect.flip(call(http, {}, 200))],
        { concurrency: 2 }
      )
      assert.deepStrictEqual([first.applied, second.applied], ["unknown", "no"])
      assert.deepStrictEqual([first.reason, second.reason], ["Timeout", "Timeout"])
    })
  )

  it.live("one that waited and then was given a used connection may have sent", () =>
    Effect.gen(function* () {
      let asked = 0
      const server = yield* serve((request, response) => {
        if (asked++ === 0) setTimeout(() => says("first")(request, response), 100)
      })
      const http = yield* open({ url: urlOf(server) }, {}, 1)
      const [first, second] = yield* Effect.all([call(http), Effect.flip(call(http, {}, 1_000))], { concurrency: 2 })
      assert.strictEqual(first, "first")
      assert.deepStrictEqual(facts(second), { reason: "Timeout", isRetryable: true, applied: "unknown" })
    })
  )

  it.live("a TLS handshake that never ends has sent nothing", () =>
    Effect.gen(function* () {
      const mute = yield* listening(Net.createServer(), "https", () => 0)
      const http = yield* open({ url: urlOf(mute) })
      assert.deepStrictEqual(facts(yield* Effect.flip(call(http, {}, 300))), {
        reason: "Timeout",
        isRetryable: true,
        applied: "no"
      })
    })
  )

  it.live("an answer that breaks off is unknown for a write, and nothing for a read", () =>
    Effect.gen(function* () {
      const breaking = yield* serve((_, response) => {
        response.writeHead(200, { "content-length": "100" }).write("half")
        setTimeout(() => response.destroy(), 10)
      })
      const http = yield* open({ url: urlOf(breaking) })
      const write = yield* Effect.flip(call(http))
      assert.deepStrictEqual(facts(write), { reason: "Connection", isRetryable: true, applied: "unknown" })
      assert.strictEqual((yield* Effect.flip(call(http, { kind: "reads" }))).applied, "no")
      assert.strictEqual(breaking.asked(), 2)
    })
  )

  it.live("one that the server closes as it is used is replaced, if a repeat does no harm", () =>
    Effect.gen(function* () {
      let asked = 0
      const server = yield* serve((request, response) => {
        if (++asked === 2) request.socket.destroy()
        else says("good")(request, response)
      })
      const http = yield* open({ url: urlOf(server) })
      assert.strictEqual(yield* call(http, { repeatable: true }), "good")
      assert.strictEqual(yield* call(http, { repeatable: true }), "good")
      assert.strictEqual(asked, 3)
    })
  )

  it.live("a closed client says so, also to those under way", () =>
    Effect.gen(function* () {
      const silent = yield* serve(hangs)
      const http = yield* open({ url: urlOf(silent) })
      const [under] = yield* Effect.all([Effect.flip(call(http)), Effect.delay(http.close, "50 millis")], {
        concurrency: 2
      })
      assert.deepStrictEqual(facts(under), { reason: "Closed", isRetryable: false, applied: "unknown" })
      assert.deepStrictEqual(facts(yield* Effect.flip(call(http))), {
        reason: "Closed",
        isRetryable: false,
        applied: "no"
      })
    })
  )
})

describe("options that change", () => {
  it.live("are asked again when who asks is refused, or nobody is there", () =>
    Effect.gen(function* () {
      const guarded = yield* serve((request, response) =>
        says(
          request.headers.authorization ?? "",
          request.headers.authorization === options.basic({ name: "u", password: Redacted.make("new") }) ? 200 : 401
        )(request, response)
      )
      const at = (password: string, port = guarded.port) => Redacted.make(`http://u:${password}@127.0.0.1:${port}`)
      let asked = 0
      const dead = yield* freePort
      const values = [at("old"), at("new"), at("new", dead)]
      const http = yield* open({ url: () => values[Math.min(asked++, 2)] })
      assert.strictEqual(yield* call(http), options.basic({ name: "u", password: Redacted.make("new") }))
      assert.deepStrictEqual([asked, guarded.asked()], [2, 2])
      const failing = yield* open({ url: Effect.fail("no secrets now") })
      assert.deepStrictEqual(facts(yield* Effect.flip(call(failing))), {
        reason: "Connection",
        isRetryable: true,
        applied: "no"
      })
      const never = yield* open({ url: Effect.never })
      assert.deepStrictEqual(facts(yield* Effect.flip(call(never, {}, 100))), {
        reason: "Timeout",
        isRetryable: true,
        applied: "no"
      })
    })
  )
})

describe("TLS", () => {
  it.live("knows the server by its authority, and shows a certificate to one that asks", () =>
    Effect.gen(function* () {
      const certificates = yield* Certificates.scoped("HTTP", () => {})
      const { read } = certificates
      const secure = yield* listening(
        Https.createServer(
          { cert: read("server.pem"), key: read("server.key"), ca: read("ca.pem"), requestCert: true },
          says("good")
        ),
        "https",
        () => 0
      )
      const pem = (name: string) => Buffer.from(read(name))
      const shown = { cert: pem("client.pem"), key: pem("client.key") }
      const known = yield* open({ url: urlOf(secure) }, { ca: pem("ca.pem"), ...shown })
      assert.strictEqual(yield* call(known), "good")
      for (const [tls, words] of [
        [{ ca: pem("other.pem"), ...shown }, /authority that is not known/],
        [{ ca: pem("ca.pem") }, /certificate that it accepts|alert|certificate required|reset/i]
      ] as const) {
        const error = yield* Effect.flip(call(yield* open({ url: urlOf(secure) }, tls)))
        assert.strictEqual(error.reason, "Connection")
        assert.match(error.message, words)
      }
      const plain = yield* open({ url: Redacted.make(secure.url.replace("https", "http")) })
      assert.strictEqual((yield* Effect.flip(call(plain))).reason, "Connection")
    })
  )
})
