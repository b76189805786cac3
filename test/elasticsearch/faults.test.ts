/** What ElasticsearchStorage makes of links and nodes that fail, of whoever stands in front of the server, and of the program's own client. */
import { assert, describe, it } from "#harness/vitest"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as FetchHttpClient from "#harness/http/FetchHttpClient"
import * as HttpClient from "#harness/http/HttpClient"
import * as HttpClientRequest from "#harness/http/HttpClientRequest"
import * as Redacted from "effect/Redacted"
import { randomBytes } from "node:crypto"
import * as ElasticsearchStorage from "../../src/backends/elasticsearch/ElasticsearchStorage.js"
import type { StorageError } from "../../src/LockError.js"
import * as Storage from "../../src/Storage.js"
import * as Certificates from "../harness/certificates.js"
import * as HttpFrames from "../harness/httpFrames.js"
import * as Proxy from "../harness/proxy.js"
import { describeServer, freePort } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import { gateway } from "../support/gateway.js"

const hold = () => randomBytes(16).toString("base64url")
const second = 1_000_000

const request = (lockId: string, ownerId: string, holdId = hold()) => ({ lockId, ownerId, holdId, lease: 60 * second })

const facts = (error: unknown) => {
  const { _tag, applied, isRetryable, reason } = error as StorageError
  assert.strictEqual(_tag, "StorageError", String(error))
  return { reason, isRetryable, applied }
}

await describeServer("ElasticsearchStorage", Shared.opensearch, (server) => {
  const open = (url: string, index: string, more: Partial<ElasticsearchStorage.Options> = {}) =>
    ElasticsearchStorage.make({ url: Redacted.make(url), index, ...more })

  describe("nodes and links", () => {
    it.live("a node that is dead or hangs is passed over, at the start and later", () =>
      Effect.gen(function* () {
        const index = yield* server.freshIndex
        const dead = `127.0.0.1:${yield* freePort}`
        const proxy = yield* Proxy.make(server, { protocol: HttpFrames.http })
        const link = `127.0.0.1:${proxy.port}`
        yield* proxy.hang(true)
        const { storage } = yield* open(`http://${dead},${link},${server.host}:${server.port}`, index, {
          operationTimeout: "20 seconds"
        })
        assert.strictEqual((yield* storage.claim(request("a", "me")))._tag, "Claimed")
        yield* proxy.hang(false)
        const both = yield* open(`http://${link},${server.host}:${server.port}`, index, {
          operationTimeout: "20 seconds"
        })
        assert.strictEqual((yield* both.storage.claim(request("b", "me")))._tag, "Claimed")
        yield* proxy.hang(true)
        assert.strictEqual((yield* both.storage.claim(request("c", "me")))._tag, "Claimed")
        yield* proxy.refuse(true)
        yield* proxy.cut
        assert.strictEqual((yield* both.storage.claim(request("d", "me")))._tag, "Claimed")
      })
    )

    it.live("one that hangs alone costs no more than the caller's time, also at the start", () =>
      Effect.gen(function* () {
        const index = yield* server.freshIndex
        const proxy = yield* Proxy.make(server, { protocol: HttpFrames.http })
        const { storage } = yield* open(proxy.url(server.url), index)
        yield* proxy.hang(true)
        const error = yield* Effect.flip(
          Effect.provideService(storage.claim(request("a", "me")), Storage.TimeLimit, Duration.millis(300))
        )
        assert.deepStrictEqual(facts(error), { reason: "Timeout", isRetryable: true, applied: "unknown" })
        const begin = yield* Effect.flip(open(proxy.url(server.url), index, { operationTimeout: "300 millis" }))
        assert.deepStrictEqual(facts(begin), { reason: "Timeout", isRetryable: true, applied: "no" })
      })
    )

    it.live("a reply that is lost leaves the outcome unknown, and the repeat has the effect of one", () =>
      Effect.gen(function* () {
        const index = yield* server.freshIndex
        const proxy = yield* Proxy.make(server, { protocol: HttpFrames.http })
        const { storage } = yield* open(proxy.url(server.url), index)
        const mine = request("a", "me")
        // A claim may be repeated, and is.
        yield* proxy.dropNextReply
        assert.strictEqual((yield* storage.claim(mine))._tag, "Claimed")
        assert.strictEqual(proxy.dropped(), 1)
        yield* proxy.dropNextReply
        const lost = yield* Effect.flip(storage.release(mine))
        assert.deepStrictEqual(facts(lost), { reason: "Connection", isRetryable: true, applied: "unknown" })
        assert.strictEqual((yield* storage.release(mine))._tag, "NotHeld")
      })
    )

    it.live("a server that is not there is told soon, and certainly has applied nothing", () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(open(`http://127.0.0.1:${yield* freePort}`, "locks"))
        assert.deepStrictEqual(facts(error), { reason: "Connection", isRetryable: true, applied: "no" })
        assert.match((error as StorageError).message, /is it up/)
      })
    )
  })

  describe("whoever stands in front", () => {
    const said = (status: number, text: string) => ({ status, text })

    it.live("an API key that is refused is asked for again, once within the call", () =>
      Effect.gen(function* () {
        const index = yield* server.freshIndex
        const seen: Array<string | undefined> = []
        let right = "ApiKey first"
        const front = yield* gateway(server, ({ headers }) => {
          seen.push(headers.authorization)
          return headers.authorization === right
            ? undefined
            : said(401, JSON.stringify({ error: { type: "security_exception", reason: "no" }, status: 401 }))
        })
        let key = "first"
        const { storage } = yield* open(front.url, index, { apiKey: () => Redacted.make(key) })
        right = "ApiKey second"
        const refused = yield* Effect.flip(storage.claim(request("a", "me")))
        assert.deepStrictEqual(facts(refused), { reason: "Permission", isRetryable: false, applied: "no" })
        key = "second"
        assert.strictEqual((yield* storage.claim(request("a", "me")))._tag, "Claimed")
        assert.deepStrictEqual(seen.slice(-2), ["ApiKey first", "ApiKey second"])
      })
    )

    it.live("user and password of the URL, and the path under which the server is", () =>
      Effect.gen(function* () {
        const index = yield* server.freshIndex
        const front = yield* gateway(server, ({ headers, url }) =>
          headers.authorization === `Basic ${btoa("me:s@cret")}` && url!.startsWith("/search/")
            ? undefined
            : said(401, "")
        )
        const { storage } = yield* open(front.url.replace("://", "://me:s%40cret@") + "/search/", index)
        assert.strictEqual((yield* storage.claim(request("a", "me")))._tag, "Claimed")
        const error = yield* Effect.flip(open(`${front.url}/search`, index))
        assert.deepStrictEqual(facts(error), { reason: "Permission", isRetryable: false, applied: "no" })
        assert.notInclude(String(error), "s@cret")
      })
    )

    it.live("certificates, ours and the server's, which are asked for again when nobody can be reached", () =>
      Effect.gen(function* () {
        const index = yield* server.freshIndex
        const { read } = yield* Certificates.scoped("OpenSearch", () => {})
        const front = yield* gateway(server, () => undefined, {
          cert: read("server.pem"),
          key: read("server.key"),
          ca: read("ca.pem"),
          requestCert: true
        })
        const shown = { cert: read("client.pem"), key: Redacted.make(read("client.key")) }
        const error = yield* Effect.flip(open(front.url, index, { tls: { ...shown, ca: read("other.pem") } }))
        assert.deepStrictEqual(facts(error), { reason: "Connection", isRetryable: true, applied: "no" })
        assert.match((error as StorageError).message, /authority that is not known/)
        const authorities = ["other.pem", "ca.pem"]
        const { storage } = yield* open(front.url, index, {
          tls: () => ({ ...shown, ca: read(authorities.shift() ?? "ca.pem") }),
          operationTimeout: "1 minute"
        })
        assert.strictEqual((yield* storage.claim(request("a", "me")))._tag, "Claimed")
      })
    )

    it.live("what is no answer of the server's is told for what it may be", () =>
      Effect.gen(function* () {
        const index = yield* server.freshIndex
        let own: { readonly status: number; readonly text: string } | undefined
        const front = yield* gateway(server, () => own)
        const { storage } = yield* open(front.url, index)
        for (const [answer, expected] of [
          [said(502, "<html>Bad gateway</html>"), { reason: "Connection", isRetryable: true, applied: "unknown" }],
          [said(500, ""), { reason: "Unknown", isRetryable: true, applied: "unknown" }],
          [
            said(403, `{"Message":"User: anonymous is not authorized"}`),
            { reason: "Permission", isRetryable: false, applied: "no" }
          ],
          [said(404, "not here"), { reason: "Schema", isRetryable: false, applied: "no" }],
          [said(301, ""), { reason: "Unknown", isRetryable: false, applied: "unknown" }],
          [said(200, "hello"), { reason: "Unknown", isRetryable: false, applied: "unknown" }],
          [said(200, "{}"), { reason: "Unknown", isRetryable: false, applied: "unknown" }],
          [
            said(200, `{"get":{"_source":null},"items":[null]}`),
            { reason: "Unknown", isRetryable: false, applied: "unknown" }
          ],
          [
            said(429, `{"error":{"type":"es_rejected_execution_exception","reason":"full"}}`),
            { reason: "Timeout", isRetryable: true, applied: "unknown" }
          ],
          [
            said(400, `{"error":{"type":"illegal_argument_exception","caused_by":{"type":"script_exception"}}}`),
            { reason: "Schema", isRetryable: false, applied: "no" }
          ],
          [
            said(
              400,
              `{"error":{"type":"illegal_argument_exception","caused_by":{"type":"circuit_breaking_exception"}}}`
            ),
            { reason: "Timeout", isRetryable: true, applied: "no" }
          ]
        ] as const) {
          own = answer
          const mine = request("a", "me")
          for (const attempt of [storage.claim(mine), storage.renew([mine]), storage.release(mine)])
            assert.deepStrictEqual(
              [answer, facts(yield* Effect.flip(attempt as Effect.Effect<unknown, StorageError>))],
              [answer, expected]
            )
        }
        own = undefined
        assert.strictEqual((yield* storage.claim(request("a", "me")))._tag, "Claimed")
      })
    )
  })

  it.live("what one node may have done is not undone by the refusal of the next", () =>
    Effect.gen(function* () {
      const index = yield* server.freshIndex
      let refusing = false
      const first = yield* gateway(server, () => (refusing ? { status: 503, text: "" } : undefined))
      const second = yield* gateway(server, () => ({ status: 403, text: "" }))
      const { storage } = yield* open(`${first.url},${second.url.replace("http://", "")}`, index)
      refusing = true
      const error = yield* Effect.flip(storage.claim(request("a", "me")))
      assert.deepStrictEqual(facts(error), { reason: "Permission", isRetryable: false, applied: "unknown" })
    })
  )

  describe("the program's own client", () => {
    it.live("signs requests, knows the host, and may fail for statuses", () =>
      Effect.gen(function* () {
        const index = yield* server.freshIndex
        const front = yield* gateway(server, ({ headers }) =>
          headers["x-signature"] === "right" ? undefined : { status: 403, text: "" }
        )
        const client = (yield* HttpClient.HttpClient).pipe(
          HttpClient.mapRequest((request) =>
            HttpClientRequest.setHeader(HttpClientRequest.prependUrl(request, front.url), "x-signature", "right")
          ),
          HttpClient.filterStatusOk
        )
        const { mode, storage } = yield* ElasticsearchStorage.makeFromClient({ index }).pipe(
          Effect.provideService(HttpClient.HttpClient, client as never)
        )
        assert.strictEqual(mode, "script")
        const mine = request("a/b c", "me")
        assert.strictEqual((yield* storage.claim(mine))._tag, "Claimed")
        assert.strictEqual((yield* storage.claim(request("a/b c", "you")))._tag, "Held")
        assert.strictEqual((yield* storage.release({ lockId: "other", holdId: hold() }))._tag, "NotHeld")
        assert.strictEqual((yield* storage.release(mine))._tag, "Released")
      }).pipe(Effect.provide(FetchHttpClient.layer))
    )

    it.live("is given up in time, and one that reaches nobody has applied nothing", () =>
      Effect.gen(function* () {
        const nobody = yield* Effect.flip(
          ElasticsearchStorage.makeFromClient({ url: Redacted.make(`http://127.0.0.1:${yield* freePort}`) })
        )
        assert.deepStrictEqual(facts(nobody), { reason: "Connection", isRetryable: true, applied: "no" })
        const index = yield* server.freshIndex
        const proxy = yield* Proxy.make(server, { protocol: HttpFrames.http })
        const { storage } = yield* ElasticsearchStorage.makeFromClient({
          url: Redacted.make(proxy.url(server.url)),
          index,
          operationTimeout: "2 seconds"
        })
        yield* proxy.hang(true)
        const error = yield* Effect.flip(storage.release({ lockId: "a", holdId: hold() }))
        assert.deepStrictEqual(facts(error), { reason: "Timeout", isRetryable: true, applied: "unknown" })
      }).pipe(Effect.provide(FetchHttpClient.layer))
    )
  })
})
