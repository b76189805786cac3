/** Consul that asks who one is: with exactly the rights of the documented policy, with less, with tokens that change, and over TLS. */
import { assert, it } from "#harness/vitest"
import * as Cause from "#effect/Cause"
import * as Effect from "#effect/Effect"
import * as Queue from "#effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Stream from "#effect/Stream"
import { randomBytes } from "node:crypto"
import * as ConsulStorage from "../../src/backends/consul/ConsulStorage.js"
import { StorageError } from "../../src/LockError.js"
import * as Certificates from "../harness/certificates.js"
import * as Consul from "../harness/consul.js"
import { describeServer } from "../harness/server.js"

const second = 1_000_000
const refusal = { reason: "Permission", isRetryable: false, applied: "no" } as const
const facts = (error: unknown) => {
  const { applied, isRetryable, reason } = error as StorageError
  return { reason, isRetryable, applied }
}
const request = (lockId: string, ownerId = "me") => ({
  lockId,
  ownerId,
  holdId: randomBytes(16).toString("base64url"),
  lease: 30 * second
})

const master = "the-master-token"

await describeServer("Consul with tokens", Consul.own({ master }), (server) => {
  const prefix = "least/"
  const url = Redacted.make(server.url)

  let policies = 0
  /** A token of these rules alone, and how it is taken back. */
  const granted = (rules: string) =>
    Effect.gen(function* () {
      const name = `policy-${policies++}`
      const policy = yield* server.admin("PUT", "/v1/acl/policy", { Name: name, Rules: rules })
      assert.strictEqual(policy.status, 200, String(policy.body))
      const { body } = yield* server.admin("PUT", "/v1/acl/token", { Policies: [{ Name: name }] })
      return {
        token: body.SecretID as string,
        revoke: server.admin("DELETE", `/v1/acl/token/${body.AccessorID}`)
      }
    })

  const open = (token: string | undefined, more: Partial<ConsulStorage.Options> = {}) =>
    ConsulStorage.make({
      url,
      prefix,
      operationTimeout: "20 seconds",
      ...(token === undefined ? {} : { token: Redacted.make(token) }),
      ...more
    })

  it.live("the rules of the policy are enough for all, and for nothing else", () =>
    Effect.gen(function* () {
      const { token } = yield* granted(ConsulStorage.policy({ prefix }))
      const { storage, versioned } = yield* open(token)
      const { storage: waiter } = yield* open(token)
      const woken = yield* Queue.unbounded<string>()
      yield* Effect.forkScoped(Stream.runForEach(waiter.wakeUps, (id) => Queue.offer(woken, id)))
      yield* Effect.sleep("50 millis")
      const mine = request("a")
      assert.strictEqual((yield* storage.claim(mine))._tag, "Claimed")
      assert.strictEqual((yield* waiter.claim(request("a", "you")))._tag, "Held")
      assert.strictEqual((yield* storage.renew([mine]))[0]!._tag, "Renewed")
      assert.strictEqual((yield* Stream.runCollect(storage.list)).length, 1)
      assert.strictEqual((yield* storage.release(mine))._tag, "Released")
      assert.strictEqual(yield* Queue.take(woken), "a")
      const outcome = yield* storage.claim(request("b"))
      assert.strictEqual(outcome._tag, "Claimed")
      if (outcome._tag !== "Claimed") return
      assert.strictEqual(
        (yield* storage.revoke({ lockId: "b", token: outcome.record.token, when: "now" }))._tag,
        "Revoked"
      )
      yield* versioned.create("c", 1, { ...outcome.record, lockId: "c" })
      yield* versioned.delete("c", 1)
      assert.deepStrictEqual(facts(yield* Effect.flip(open(token, { prefix: "other/" }))), refusal)
    })
  )

  it.live("who may not read is told so at the start, and the token is in no message", () =>
    Effect.gen(function* () {
      for (const token of [
        undefined,
        "no-such-token",
        (yield* granted('key_prefix "x/" { policy = "write" }')).token
      ]) {
        const error = (yield* Effect.flip(open(token))) as StorageError
        assert.deepStrictEqual(facts(error), refusal)
        assert.include(error.message, "policy")
        if (token !== undefined) assert.notInclude(error.message + Cause.pretty(Cause.fail(error)), token)
      }
    })
  )

  it.live("who may only read is refused by each write, which a transaction itself tells in words alone", () =>
    Effect.gen(function* () {
      const { token } = yield* granted(ConsulStorage.policy({ prefix }))
      const writer = (yield* open(token)).storage
      const reader = (yield* open((yield* granted(`key_prefix "${prefix}" { policy = "read" }`)).token)).storage
      const mine = request("held")
      yield* writer.claim(mine)
      assert.strictEqual((yield* reader.get("held"))._tag, "Some")
      assert.strictEqual((yield* reader.claim(request("held", "you")))._tag, "Held")
      for (const attempt of [reader.claim(request("fresh")), reader.release(mine), reader.claim({ ...mine })])
        assert.deepStrictEqual(facts(yield* Effect.flip(attempt as Effect.Effect<unknown, StorageError>)), refusal)
      assert.deepStrictEqual(facts(yield* Effect.flip(reader.renew([mine]))), refusal)
      assert.strictEqual((yield* writer.renew([mine]))[0]!._tag, "Renewed")
    })
  )

  it.live("what may not be read or written of many is refused alone", () =>
    Effect.gen(function* () {
      const all = (yield* open((yield* granted(ConsulStorage.policy({ prefix }))).token)).storage
      const { token } = yield* granted(
        `${ConsulStorage.policy({ prefix })} key "${prefix}no-read" { policy = "deny" } key "${prefix}no-write" { policy = "read" }`
      )
      const held = ["no-1", "no-read", "no-2", "no-write", "no-3"].map((lockId) => request(lockId))
      for (const each of held) yield* all.claim(each)
      const answers = yield* (yield* open(token)).storage.renew(held)
      assert.deepStrictEqual(
        answers.map((_) => (_._tag === "StorageError" ? _.reason : _._tag)),
        ["Renewed", "Permission", "Renewed", "Permission", "Renewed"]
      )
    })
  )

  it.live("a token that is taken back is asked for again, once within the call", () =>
    Effect.gen(function* () {
      const rules = ConsulStorage.policy({ prefix })
      const first = yield* granted(rules)
      let now = first.token
      let asked = 0
      const { storage } = yield* open(undefined, {
        token: () => {
          asked++
          return Redacted.make(now)
        }
      })
      const mine = request("asked")
      yield* storage.claim(mine)
      const renewed = Effect.match(storage.renew([mine]), {
        onFailure: (error): unknown => error,
        onSuccess: ([answer]): unknown => answer
      })
      yield* first.revoke
      // What was right is remembered by the server for a while.
      const refused = yield* Effect.repeat(Effect.delay(renewed, "50 millis"), {
        until: (found) => found instanceof StorageError
      })
      assert.deepStrictEqual(facts(refused), refusal)
      now = (yield* granted(rules)).token
      const before = asked
      assert.strictEqual((yield* storage.renew([mine]))[0]!._tag, "Renewed")
      assert.strictEqual(asked, before + 1)
    })
  )
})

const encrypted = Effect.gen(function* () {
  const certificates = yield* Certificates.scoped("Consul", () => {})
  const server = yield* Consul.own({
    tls: {
      cert: certificates.at("server.pem"),
      key: certificates.at("server.key"),
      ca: certificates.at("ca.pem")
    }
  })
  return { certificates, server }
})

await describeServer("Consul that speaks TLS", encrypted, ({ certificates, server }) => {
  it.live("serves who shows a certificate, and is served by nobody who does not know its authority", () =>
    Effect.gen(function* () {
      const { read } = certificates
      const open = (tls: ConsulStorage.TlsOptions | undefined) =>
        ConsulStorage.make({ url: Redacted.make(`https://${server.host}:${server.port}`), tls })
      const client = { cert: read("client.pem"), key: Redacted.make(read("client.key")) }
      const { storage } = yield* open({ ca: read("ca.pem"), ...client })
      assert.strictEqual((yield* storage.claim(request("a")))._tag, "Claimed")
      for (const tls of [undefined, client, { ca: read("other.pem"), ...client }, { ca: read("ca.pem") }]) {
        const error = (yield* Effect.flip(open(tls))) as StorageError
        assert.strictEqual(error.reason, "Connection")
      }
    })
  )
})
