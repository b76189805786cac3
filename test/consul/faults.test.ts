/** What ConsulStorage makes of agents and links that fail, of a cluster without a leader, of another cluster under the name, and of whoever stands in front. */
import { assert, describe, it } from "#harness/vitest"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as FetchHttpClient from "#harness/http/FetchHttpClient"
import * as HttpClient from "#harness/http/HttpClient"
import * as HttpClientRequest from "#harness/http/HttpClientRequest"
import * as Queue from "#effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Stream from "#effect/Stream"
import { randomBytes } from "node:crypto"
import * as ConsulStorage from "../../src/backends/consul/ConsulStorage.js"
import type { StorageError } from "../../src/LockError.js"
import * as Storage from "../../src/Storage.js"
import * as Consul from "../harness/consul.js"
import * as HttpFrames from "../harness/httpFrames.js"
import * as Proxy from "../harness/proxy.js"
import { describeServer, freePort } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import { gateway } from "../support/gateway.js"
import { at, heard } from "../support/logged.js"

const hold = () => randomBytes(16).toString("base64url")
const second = 1_000_000

const request = (lockId: string, ownerId: string, holdId = hold()) => ({ lockId, ownerId, holdId, lease: 600 * second })

const facts = (error: unknown) => {
  const { _tag, applied, isRetryable, reason } = error as StorageError
  assert.strictEqual(_tag, "StorageError", String(error))
  return { reason, isRetryable, applied }
}

const open = (url: string, prefix: string, more: Partial<ConsulStorage.Options> = {}) =>
  ConsulStorage.make({ url: Redacted.make(url), prefix, ...more })

await describeServer("ConsulStorage", Shared.consul, (server) => {
  it.live("an agent that is dead or hangs is passed over, at the start and later", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const dead = `127.0.0.1:${yield* freePort}`
      const proxy = yield* Proxy.make(server, { protocol: HttpFrames.http })
      const all = `http://${dead},127.0.0.1:${proxy.port},${server.host}:${server.port}`
      yield* proxy.hang(true)
      const { storage } = yield* open(all, prefix, { operationTimeout: "20 seconds" })
      assert.strictEqual((yield* storage.claim(request("a", "me")))._tag, "Claimed")
    })
  )

  it.live("one that hangs alone costs no more than the caller's time, also at the start", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const proxy = yield* Proxy.make(server, { protocol: HttpFrames.http })
      const { storage } = yield* open(proxy.url(server.url), prefix)
      yield* proxy.hang(true)
      const limited = <A, E>(self: Effect.Effect<A, E>) =>
        Effect.provideService(self, Storage.TimeLimit, Duration.millis(300))
      const error = yield* Effect.flip(limited(storage.claim(request("a", "me"))))
      assert.deepStrictEqual(facts(error), { reason: "Timeout", isRetryable: true, applied: "unknown" })
      assert.deepStrictEqual(facts(yield* Effect.flip(limited(storage.get("a")))), {
        reason: "Timeout",
        isRetryable: true,
        applied: "no"
      })
      const begin = yield* Effect.flip(open(proxy.url(server.url), prefix, { operationTimeout: "300 millis" }))
      assert.deepStrictEqual(facts(begin), { reason: "Timeout", isRetryable: true, applied: "no" })
    })
  )

  it.live("a reply that is lost leaves the outcome unknown, and the repeat has the effect of one", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const proxy = yield* Proxy.make(server, { protocol: HttpFrames.http })
      const { storage } = yield* open(proxy.url(server.url), prefix)
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

  it.live("what is no answer of the server's is told for what it may be", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      let own: { readonly status: number; readonly text: string } | undefined
      const front = yield* gateway(server, () => own)
      const { storage } = yield* open(front.url, prefix)
      for (const [status, text, expected] of [
        [500, "rpc error making call: No cluster leader", ["Connection", true, "unknown"]],
        [500, "rpc error making call: leadership lost while committing log", ["Connection", true, "unknown"]],
        [500, "No path to datacenter", ["Connection", true, "unknown"]],
        [502, "<html>Bad gateway</html>", ["Connection", true, "unknown"]],
        [429, "Your IP is issuing too many concurrent connections", ["Timeout", true, "no"]],
        [403, "Permission denied", ["Permission", false, "no"]],
        [403, "ACL not found", ["Permission", false, "no"]],
        [401, "", ["Permission", false, "no"]],
        [400, 'Bad request: Invalid query parameter: "ns"', ["Unknown", false, "no"]],
        [404, "not here", ["Schema", false, "no"]],
        [413, "too large", ["TooLarge", false, "no"]],
        [301, "", ["Unknown", false, "unknown"]],
        [200, "hello", ["Unknown", false, "unknown"]],
        [200, "{}", ["Unknown", false, "unknown"]],
        [200, `{"Results":[{"KV":null}]}`, ["Unknown", false, "unknown"]],
        [409, "", ["Unknown", false, "no"]],
        [409, `{"Errors":[{"OpIndex":7}]}`, ["Unknown", false, "no"]]
      ] as const) {
        own = { status, text }
        const [reason, isRetryable, applied] = expected
        const error = yield* Effect.flip(storage.claim(request("a", "me")))
        assert.deepStrictEqual([status, text, facts(error)], [status, text, { reason, isRetryable, applied }])
        // Nothing is known of it: it is read.
        assert.strictEqual(facts(yield* Effect.flip(storage.get("b"))).applied, "no")
      }
      own = undefined
      assert.strictEqual((yield* storage.claim(request("a", "me")))._tag, "Claimed")
    })
  )

  it.live("a data centre that is not known, and namespaces where there are none, are told at the start", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const { storage } = yield* open(server.url, prefix, { datacenter: "dc1" })
      assert.strictEqual((yield* storage.claim(request("a", "me")))._tag, "Claimed")
      const elsewhere = (yield* Effect.flip(open(server.url, prefix, { datacenter: "nowhere" }))) as StorageError
      assert.deepStrictEqual(facts(elsewhere), { reason: "Connection", isRetryable: true, applied: "no" })
      assert.include(elsewhere.message, "data centre")
      const enterprise = (yield* Effect.flip(open(server.url, prefix, { namespace: "team" }))) as StorageError
      assert.deepStrictEqual(facts(enterprise), { reason: "Unknown", isRetryable: false, applied: "no" })
      assert.include(enterprise.message, "Enterprise")
    })
  )

  it.live("wake-ups that fail are one warning; who asks again waits again", () =>
    heard((lines) =>
      Effect.gen(function* () {
        const prefix = yield* server.freshPrefix
        let broken = true
        const front = yield* gateway(server, ({ url }) =>
          broken && url!.includes("wait=") ? { status: 500, text: "No cluster leader" } : undefined
        )
        const { storage } = yield* open(server.url, prefix)
        const waiter = (yield* open(front.url, prefix)).storage
        const woken = yield* Queue.unbounded<string>()
        yield* Effect.forkScoped(Stream.runForEach(waiter.wakeUps, (id) => Queue.offer(woken, id)))
        yield* Effect.sleep("50 millis")
        const mine = request("a", "me")
        yield* storage.claim(mine)
        yield* Effect.repeat(
          Effect.delay(
            Effect.andThen(
              waiter.claim(request("a", "you")),
              Effect.sync(() => at(lines, "Warning").length)
            ),
            "5 millis"
          ),
          { until: (count) => count > 0 }
        )
        for (let n = 0; n < 5; n++) yield* waiter.claim(request("a", "you"))
        yield* Effect.sleep("50 millis")
        assert.strictEqual(at(lines, "Warning").length, 1)
        assert.match(at(lines, "Warning")[0]!.message, /no wake-ups for now/)
        broken = false
        yield* waiter.claim(request("a", "you"))
        yield* storage.release(mine)
        assert.strictEqual(yield* Queue.take(woken), "a")
      })
    )
  )

  describe("the program's own client", () => {
    it.live("adds token and host, and may fail for statuses", () =>
      Effect.gen(function* () {
        const prefix = yield* server.freshPrefix
        const front = yield* gateway(server, ({ headers }) =>
          headers["x-consul-token"] === "right" ? undefined : { status: 403, text: "" }
        )
        const client = (yield* HttpClient.HttpClient).pipe(
          HttpClient.mapRequest((request) =>
            HttpClientRequest.setHeader(HttpClientRequest.prependUrl(request, front.url), "x-consul-token", "right")
          ),
          HttpClient.filterStatusOk
        )
        const { storage } = yield* ConsulStorage.makeFromClient({ prefix }).pipe(
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
})

const two = Effect.all([Consul.own(), Consul.own()])

await describeServer("two clusters of Consul", two, ([ours, theirs]) => {
  it.live("another one under the name knows no holds, which is noticed, and tokens go on", () =>
    heard((lines) =>
      Effect.gen(function* () {
        const target = { host: ours.host, port: ours.port }
        const proxy = yield* Proxy.make(target, { protocol: HttpFrames.http })
        const { storage } = yield* open(proxy.url(ours.url), "p/", { operationTimeout: "20 seconds" })
        for (let n = 0; n < 50; n++) yield* storage.claim(request(`some-${n}`, "me"))
        const mine = request("a", "me")
        const first = yield* storage.claim(mine)
        target.port = theirs.port
        yield* proxy.cut
        assert.deepStrictEqual(yield* storage.renew([mine]), [{ _tag: "NotHeld" }])
        assert.match(
          at(lines, "Warning")
            .map(({ message }) => message)
            .join(),
          /has gone back/
        )
        const next = yield* storage.claim(request("a", "you"))
        assert.isTrue(first._tag === "Claimed" && next._tag === "Claimed" && next.record.token > first.record.token)
      })
    )
  )

  it.live("without a leader nothing is served, and after it all goes on", () =>
    Effect.gen(function* () {
      const { storage } = yield* open(ours.url, "p/", { operationTimeout: "1 second" })
      const mine = request("kept", "me")
      yield* storage.claim(mine)
      yield* ours.kill
      assert.deepStrictEqual(facts(yield* Effect.flip(storage.claim(request("kept", "you")))), {
        reason: "Connection",
        isRetryable: true,
        applied: "no"
      })
      yield* ours.start
      assert.strictEqual((yield* storage.renew([mine]))[0]!._tag, "Renewed")
    })
  )
})
