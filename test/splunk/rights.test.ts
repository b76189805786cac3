/** Who asks: by tokens and by sessions that end, with fewer rights, and over TLS. */
import { assert, describe, it } from "#harness/vitest"
import * as Cause from "#effect/Cause"
import * as Effect from "#effect/Effect"
import * as FetchHttpClient from "#harness/http/FetchHttpClient"
import * as Redacted from "effect/Redacted"
import { randomBytes } from "node:crypto"
import * as SplunkStorage from "../../src/backends/splunk/SplunkStorage.js"
import type { StorageError } from "../../src/LockError.js"
import * as Certificates from "../harness/certificates.js"
import { describeServer } from "../harness/server.js"
import * as Splunk from "../harness/splunk.js"

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

const setup = Effect.gen(function* () {
  const { double, freshCollection, url } = yield* Splunk.double({
    users: { locks: { password: "sesame" }, reader: { password: "sesame", writes: false } }
  })
  const collection = yield* freshCollection
  const open = (more: Omit<SplunkStorage.Options, "url"> & { readonly at?: string }) => {
    const { at = url, ...options } = more
    return SplunkStorage.make({ url: Redacted.make(at), collection, operationTimeout: "20 seconds", ...options })
  }
  return { double, collection, url, open }
})

const user = (name = "locks", password = "sesame") => ({ name, password: Redacted.make(password) })

describe("who asks", () => {
  it.live("a token, a user, or a user in the URL", () =>
    Effect.gen(function* () {
      const { double, open, url } = yield* setup
      const mine = request("a")
      const { storage } = yield* open({ token: Redacted.make("eyJ.token") })
      assert.strictEqual((yield* storage.claim(mine))._tag, "Claimed")
      assert.strictEqual(double.logins(), 0)
      for (const [n, more] of [{ user: user() }, { at: url.replace("//", "//locks:sesame@") }].entries()) {
        const { storage } = yield* open(more)
        assert.strictEqual((yield* storage.renew([mine]))[0]!._tag, "Renewed")
        assert.strictEqual((yield* storage.claim(request("a", "you")))._tag, "Held")
        // One for all that is asked.
        assert.strictEqual(double.logins(), n + 1)
      }
    })
  )

  it.live("who is not known is told so at the start, and no secret is in a message", () =>
    Effect.gen(function* () {
      const { open } = yield* setup
      for (const more of [
        {},
        { token: Redacted.make("eyJ.secret") },
        { user: user("locks", "secret") },
        { user: user("nobody", "secret") }
      ]) {
        const error = (yield* Effect.flip(open(more))) as StorageError
        assert.deepStrictEqual(facts(error), refusal)
        assert.notInclude(error.message + Cause.pretty(Cause.fail(error)) + JSON.stringify(error), "secret")
      }
    })
  )

  it.live("a session that has ended is begun again within the call, once for all who ask", () =>
    Effect.gen(function* () {
      const { double, open } = yield* setup
      const { storage } = yield* open({ user: user() })
      const mine = request("a")
      yield* storage.claim(mine)
      yield* double.endSessions
      const answers = yield* Effect.all(
        Array.from({ length: 8 }, (_, n) => storage.claim(request(`b${n}`))),
        { concurrency: "unbounded" }
      )
      assert.isTrue(answers.every(({ _tag }) => _tag === "Claimed"))
      assert.strictEqual((yield* storage.renew([mine]))[0]!._tag, "Renewed")
      assert.strictEqual(double.logins(), 2)
    })
  )

  it.live("a password that has changed is asked for again; one that has not is a refusal", () =>
    Effect.gen(function* () {
      const { double, open } = yield* setup
      let password = "sesame"
      const { storage } = yield* open({ user: () => user("locks", password) })
      const mine = request("a")
      yield* storage.claim(mine)
      double.users["locks"]!.password = "changed"
      yield* double.endSessions
      assert.deepStrictEqual(facts(yield* Effect.flip(storage.renew([mine]))), refusal)
      password = "changed"
      assert.strictEqual((yield* storage.renew([mine]))[0]!._tag, "Renewed")
    })
  )

  it.live("a token that has ended is asked for again, once within the call", () =>
    Effect.gen(function* () {
      const { double, open } = yield* setup
      let token = "eyJ.token"
      let asked = 0
      const { storage } = yield* open({
        token: () => {
          asked++
          return Redacted.make(token)
        }
      })
      const mine = request("a")
      yield* storage.claim(mine)
      assert.strictEqual(asked, 1)
      double.tokens.delete("eyJ.token")
      assert.deepStrictEqual(facts(yield* Effect.flip(storage.renew([mine]))), refusal)
      assert.strictEqual(asked, 2)
      token = "eyJ.next"
      double.tokens.add(token)
      assert.strictEqual((yield* storage.renew([mine]))[0]!._tag, "Renewed")
      assert.strictEqual(asked, 3)
    })
  )

  it.live("who may only read is refused by each write, and reads", () =>
    Effect.gen(function* () {
      const { open } = yield* setup
      const writer = (yield* open({ user: user() })).storage
      const reader = (yield* open({ user: user("reader") })).storage
      const mine = request("held")
      yield* writer.claim(mine)
      assert.strictEqual((yield* reader.get("held"))._tag, "Some")
      for (const attempt of [reader.claim(request("fresh")), reader.release(mine), reader.claim({ ...mine })])
        assert.deepStrictEqual(facts(yield* Effect.flip(attempt as Effect.Effect<unknown, StorageError>)), refusal)
      assert.deepStrictEqual(facts(yield* Effect.flip(reader.renew([mine]))), refusal)
      assert.strictEqual((yield* writer.renew([mine]))[0]!._tag, "Renewed")
    })
  )

  it.live("over the program's client as well", () =>
    Effect.gen(function* () {
      const { collection, double, url } = yield* setup
      const { storage } = yield* SplunkStorage.makeFromClient({ url: Redacted.make(url), user: user(), collection })
      const mine = request("a")
      yield* storage.claim(mine)
      yield* double.endSessions
      assert.strictEqual((yield* storage.renew([mine]))[0]!._tag, "Renewed")
      assert.strictEqual(double.logins(), 2)
    }).pipe(Effect.provide(FetchHttpClient.layer))
  )

  it.live("of one owner, or of one app, locks are not those of another", () =>
    Effect.gen(function* () {
      const { open } = yield* setup
      const [all, own, elsewhere] = yield* Effect.all([
        open({ user: user() }),
        open({ user: user(), owner: "locks" }),
        open({ user: user(), app: "other" })
      ])
      for (const { storage } of [all, own, elsewhere])
        assert.strictEqual((yield* storage.claim(request("a", "you")))._tag, "Claimed")
      assert.strictEqual((yield* all.storage.claim(request("a")))._tag, "Held")
    })
  )
})

await describeServer(
  "SplunkStorage over TLS",
  Certificates.scoped("Splunk", () => {}),
  (certificates) => {
    const secure = Splunk.double({
      tls: {
        cert: certificates.read("server.pem"),
        key: certificates.read("server.key"),
        ca: certificates.read("ca.pem"),
        requestCert: true,
        rejectUnauthorized: true
      }
    })

    it.live("verifies who answers, and shows its own certificate where it is asked for one, for logins, too", () =>
      Effect.gen(function* () {
        const { freshCollection, url } = yield* secure
        const collection = yield* freshCollection
        const own = { cert: certificates.read("client.pem"), key: Redacted.make(certificates.read("client.key")) }
        const open = (tls: SplunkStorage.TlsOptions | undefined) =>
          SplunkStorage.make({
            url: Redacted.make(url),
            user: user(),
            collection,
            ...(tls === undefined ? {} : { tls })
          })
        const { storage } = yield* open({ ca: certificates.read("ca.pem"), ...own })
        assert.strictEqual((yield* storage.claim(request("a")))._tag, "Claimed")
        for (const [tls, hint] of [
          [undefined, /authority that is not known here/],
          [{ ca: certificates.read("other.pem"), ...own }, /authority that is not known here/],
          [{ ca: certificates.read("ca.pem") }, /asks for a certificate/]
        ] as const) {
          const error = (yield* Effect.flip(open(tls))) as StorageError
          assert.deepStrictEqual([error.reason, error.isRetryable], ["Connection", true], error.message)
          assert.match(error.message, hint)
        }
      })
    )
  }
)
