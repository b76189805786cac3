/** What SplunkStorage makes of servers and links that fail, and of whoever stands in front. */
import { assert, describe, it } from "#harness/vitest"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as FetchHttpClient from "#harness/http/FetchHttpClient"
import * as HttpClient from "#harness/http/HttpClient"
import * as HttpClientRequest from "#harness/http/HttpClientRequest"
import * as Redacted from "effect/Redacted"
import { randomBytes } from "node:crypto"
import * as SplunkStorage from "../../src/backends/splunk/SplunkStorage.js"
import type { StorageError } from "../../src/LockError.js"
import * as Storage from "../../src/Storage.js"
import * as HttpFrames from "../harness/httpFrames.js"
import * as Proxy from "../harness/proxy.js"
import { freePort } from "../harness/server.js"
import * as Splunk from "../harness/splunk.js"
import { gateway } from "../support/gateway.js"

const hold = () => randomBytes(16).toString("base64url")
const second = 1_000_000

const request = (lockId: string, ownerId: string, holdId = hold()) => ({ lockId, ownerId, holdId, lease: 60 * second })

const facts = (error: unknown) => {
  const { _tag, applied, isRetryable, reason } = error as StorageError
  assert.strictEqual(_tag, "StorageError", String(error))
  return { reason, isRetryable, applied }
}

const token = Redacted.make("eyJ.token")

const setup = Effect.gen(function* () {
  const server = yield* Splunk.double()
  const collection = yield* server.freshCollection
  const open = (url: string, more: Partial<SplunkStorage.Options> = {}) =>
    SplunkStorage.make({ url: Redacted.make(url), token, collection, ...more })
  return { server, collection, open }
})

describe("a link that fails", () => {
  it.live("a server that hangs costs no more than the caller's time, also at the start and at a login", () =>
    Effect.gen(function* () {
      const { open, server } = yield* setup
      const proxy = yield* Proxy.make(server, { protocol: HttpFrames.http })
      const { storage } = yield* open(proxy.url(server.url))
      const url = Redacted.make(proxy.url(server.url))
      yield* proxy.hang(true)
      const limited = <A, E>(self: Effect.Effect<A, E>) =>
        Effect.provideService(self, Storage.TimeLimit, Duration.millis(300))
      const error = yield* Effect.flip(limited(storage.claim(request("a", "me"))))
      assert.deepStrictEqual(facts(error), { reason: "Timeout", isRetryable: true, applied: "unknown" })
      const silent = { reason: "Timeout", isRetryable: true, applied: "no" }
      assert.deepStrictEqual(facts(yield* Effect.flip(limited(storage.get("a")))), silent)
      const operationTimeout = "300 millis"
      assert.deepStrictEqual(facts(yield* Effect.flip(open("", { url, operationTimeout }))), silent)
      const user = { name: "locks", password: Redacted.make("sesame") }
      assert.deepStrictEqual(
        facts(yield* Effect.flip(open("", { url, operationTimeout, user, token: undefined }))),
        silent
      )
    })
  )

  it.live(
    "a server that cannot be reached was told nothing; when it is back, all goes on, with a session of its own",
    () =>
      Effect.gen(function* () {
        const { open, server } = yield* setup
        const { storage } = yield* open(server.url, {
          token: undefined,
          user: { name: "locks", password: Redacted.make("sesame") },
          operationTimeout: "2 seconds"
        })
        const mine = request("a", "me")
        yield* storage.claim(mine)
        yield* server.double.stop
        // Of the connections that were open it is not known what came of them.
        yield* Effect.flip(storage.get("b"))
        assert.deepStrictEqual(facts(yield* Effect.flip(storage.claim(request("b", "me")))), {
          reason: "Connection",
          isRetryable: true,
          applied: "no"
        })
        yield* server.double.start
        assert.strictEqual((yield* storage.renew([mine]))[0]!._tag, "Renewed")
        const dead = yield* freePort
        assert.deepStrictEqual(facts(yield* Effect.flip(open(`http://127.0.0.1:${dead}`))), {
          reason: "Connection",
          isRetryable: true,
          applied: "no"
        })
      })
  )

  it.live("what was written and cannot be read back is told as unknown, and the repeat has the effect of one", () =>
    Effect.gen(function* () {
      const { open, server } = yield* setup
      let broken = false
      const front = yield* gateway(server, ({ method }) =>
        broken && method === "GET" ? { status: 503, text: "{}" } : undefined
      )
      const { storage } = yield* open(front.url)
      const mine = request("a", "me")
      broken = true
      const error = yield* Effect.flip(storage.claim(mine))
      assert.deepStrictEqual(facts(error), { reason: "Timeout", isRetryable: true, applied: "unknown" })
      broken = false
      const again = yield* storage.claim(mine)
      assert(again._tag === "Claimed" && again.record.holds.length === 1)
      broken = true
      assert.strictEqual(facts(yield* Effect.flip(storage.release(mine))).applied, "unknown")
      broken = false
      assert.strictEqual((yield* storage.release(mine))._tag, "NotHeld")
      assert.strictEqual((yield* storage.claim(request("a", "you")))._tag, "Claimed")
    })
  )

  it.live("what is no answer of the server's is told for what it may be", () =>
    Effect.gen(function* () {
      const { open, server } = yield* setup
      let own: { readonly status: number; readonly text: string } | undefined
      const front = yield* gateway(server, () => own)
      const { storage } = yield* open(front.url)
      const said = (text: string) => JSON.stringify({ messages: [{ type: "ERROR", text }] })
      for (const [status, text, expected] of [
        [503, said("KV Store is initializing. Please try again later."), ["Connection", true, "unknown"]],
        [500, said("Failed to insert record"), ["Connection", true, "unknown"]],
        [502, "<html>Bad gateway</html>", ["Connection", true, "unknown"]],
        [429, said("too many"), ["Timeout", true, "no"]],
        [408, "", ["Timeout", true, "unknown"]],
        [401, said("call not properly authenticated"), ["Permission", false, "no"]],
        [403, said("no permission"), ["Permission", false, "no"]],
        [400, said("Bad query"), ["Unknown", false, "no"]],
        [404, said("Could not find object."), ["Schema", false, "no"]],
        [413, "", ["Unknown", false, "no"]],
        [303, "", ["Unknown", false, "unknown"]],
        [200, "hello", ["Unknown", false, "unknown"]],
        [201, "{}", ["Unknown", false, "unknown"]],
        [201, `{"_key":"another"}`, ["Unknown", false, "unknown"]]
      ] as const) {
        own = { status, text }
        const [reason, isRetryable, applied] = expected
        const error = yield* Effect.flip(storage.claim(request("a", "me")))
        assert.deepStrictEqual([status, text, facts(error)], [status, text, { reason, isRetryable, applied }])
        // Nothing is known of it: it is read.
        assert.strictEqual(facts(yield* Effect.flip(storage.get("b"))).applied, "no")
        // Only messages are passed on: what a gateway shows may be anything.
        if (text.includes("messages")) assert.include(error.message, JSON.parse(text).messages[0].text)
        else assert.notInclude(error.message, "Bad gateway")
      }
      own = undefined
      assert.strictEqual((yield* storage.claim(request("a", "me")))._tag, "Claimed")
    })
  )
})

describe("the program's own client", () => {
  it.live("adds who asks and the host, and may fail for statuses", () =>
    Effect.gen(function* () {
      const { collection, server } = yield* setup
      const client = (yield* HttpClient.HttpClient).pipe(
        HttpClient.mapRequest((request) =>
          HttpClientRequest.setHeader(
            HttpClientRequest.prependUrl(request, server.url),
            "authorization",
            "Bearer eyJ.token"
          )
        ),
        HttpClient.filterStatusOk
      )
      const { storage } = yield* SplunkStorage.makeFromClient({ collection }).pipe(
        Effect.provideService(HttpClient.HttpClient, client as never)
      )
      const mine = request("a/b c", "me")
      assert.strictEqual((yield* storage.claim(mine))._tag, "Claimed")
      assert.strictEqual((yield* storage.claim(request("a/b c", "you")))._tag, "Held")
      assert.strictEqual((yield* storage.release({ lockId: "other", holdId: hold() }))._tag, "NotHeld")
      assert.strictEqual((yield* storage.release(mine))._tag, "Released")
    }).pipe(Effect.provide(FetchHttpClient.layer))
  )
})
