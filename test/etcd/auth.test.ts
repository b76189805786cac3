/** etcd that asks who one is: by name and password, with the least rights, and with tokens that end. */
import { assert, it } from "#harness/vitest"
import * as Cause from "#effect/Cause"
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "#effect/Schedule"
import * as EtcdStorage from "../../src/backends/etcd/EtcdStorage.js"
import type { StorageError } from "../../src/LockError.js"
import * as Etcd from "../harness/etcd.js"
import { describeServer } from "../harness/server.js"

const second = 1_000_000

await describeServer("etcd with authentication", Etcd.own("etcd 3.5", ["--auth-token-ttl=1"]), (server) => {
  it.live("a user with rights on the prefix alone is enough; tokens are renewed; others are refused", () =>
    Effect.gen(function* () {
      const prefix = "least/"
      const admin = server.admin
      yield* admin("auth/user/add", { name: "root", password: "root" })
      yield* admin("auth/role/add", { name: "root" })
      yield* admin("auth/user/grant", { user: "root", role: "root" })
      yield* admin("auth/role/add", { name: "locks" })
      yield* admin("auth/role/grant", { name: "locks", perm: { permType: "READWRITE", ...Etcd.under(prefix) } })
      yield* admin("auth/role/add", { name: "other" })
      for (const [name, role] of [
        ["app", "locks"],
        ["stranger", "other"]
      ]) {
        yield* admin("auth/user/add", { name, password: "p@ss:/,word" })
        yield* admin("auth/user/grant", { user: name, role })
      }
      yield* admin("auth/enable", {})
      const as = (user: string) =>
        EtcdStorage.make({ url: Redacted.make(`etcd://${user}@${server.host}:${server.port}`), prefix })
      const password = encodeURIComponent("p@ss:/,word")

      for (const who of [`app:wrong`, `nobody:${password}`, `stranger:${password}`]) {
        const error = (yield* Effect.flip(as(who))) as StorageError
        assert.deepStrictEqual([error.reason, error.isRetryable, error.applied], ["Permission", false, "no"], who)
        assert.notInclude(error.message + Cause.pretty(Cause.fail(error)), "p@ss")
      }
      const anonymous = (yield* Effect.flip(
        EtcdStorage.make({ url: Redacted.make(server.url), prefix })
      )) as StorageError
      assert.deepStrictEqual([anonymous.isRetryable, anonymous.applied], [false, "no"])
      assert.include(anonymous.message, "user and password")

      const { storage } = yield* as(`app:${password}`)
      const holdId = "h".repeat(22)
      yield* storage.claim({ lockId: "a", ownerId: "me", holdId, lease: 600 * second })
      const renew = Effect.map(
        storage.renew([{ lockId: "a", holdId, lease: 600 * second }]),
        ([outcome]) => outcome!._tag
      )
      const beginning = yield* server.handled
      assert.strictEqual(yield* renew, "Renewed")
      // Longer than a token of this server lives unused.
      yield* Effect.sleep("3500 millis")
      // One login for all who need it.
      const outcomes = yield* Effect.all(
        Array.from({ length: 8 }, () => renew),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(new Set(outcomes), new Set(["Renewed"]))
      const ending = yield* server.handled
      assert.strictEqual((ending["Authenticate"] ?? 0) - (beginning["Authenticate"] ?? 0), 1)
      yield* server.kill
      yield* server.start
      assert.strictEqual(yield* Effect.retry(renew, { schedule: Schedule.spaced("100 millis"), times: 50 }), "Renewed")
      assert.isTrue(Option.isSome(yield* storage.get("a")))
    })
  )

  it.live("a password that changes while the layer lives is asked for at the next login", () =>
    Effect.gen(function* () {
      // Authentication is on since the test before.
      const root = { name: "root", password: "root" }
      const token = Effect.map(server.admin("auth/authenticate", root), (_) => _.token as string)
      const change = (password: string) =>
        Effect.flatMap(token, (by) => server.admin("auth/user/changepw", { name: "app", password }, by))
      let password = "p@ss:/,word"
      let asked = 0
      const { storage } = yield* EtcdStorage.make({
        url: Redacted.make(server.url),
        user: Effect.sync(() => {
          asked++
          return { name: "app", password: Redacted.make(password) }
        }),
        prefix: "least/"
      })
      const held = { lockId: "rotated", ownerId: "me", holdId: "r".repeat(22), lease: 60 * second }
      yield* storage.claim(held)
      const renew = Effect.map(storage.renew([held]), ([outcome]) => outcome!._tag)
      const before = asked
      assert.strictEqual(yield* renew, "Renewed")
      assert.strictEqual(asked, before)
      yield* change("another")
      // Not yet told: refused, and worth another try, for the next answer may be a better one.
      const error = yield* Effect.flip(renew)
      assert.deepStrictEqual([error.reason, error.isRetryable, error.applied], ["Permission", true, "no"])
      assert.notInclude(error.message, password)
      password = "another"
      assert.strictEqual(yield* renew, "Renewed")
      // By time, too.
      yield* Effect.sleep("3500 millis")
      assert.strictEqual(yield* renew, "Renewed")
      // And through a restart, with one more password.
      yield* change("third")
      password = "third"
      yield* server.kill
      yield* server.start
      assert.strictEqual(yield* Effect.retry(renew, { schedule: Schedule.spaced("100 millis"), times: 50 }), "Renewed")
      // What cannot be had, or makes no sense, at the start is as a server that cannot be reached.
      const failing = (user: unknown) =>
        Effect.flip(
          EtcdStorage.make({ url: Redacted.make(server.url), user: () => user as never })
        ) as Effect.Effect<StorageError>
      for (const nonsense of [undefined, null, 5, { name: "app" }, { name: "app", password: "secret-in-the-clear" }]) {
        const error = yield* failing(nonsense)
        assert.deepStrictEqual([error._tag, error.reason, error.isRetryable], ["StorageError", "Connection", true])
        assert.notInclude(error.message, "secret-in-the-clear")
      }
      const thrown = (yield* Effect.flip(
        EtcdStorage.make({ url: Redacted.make(server.url), user: () => Promise.reject(new Error("no vault")) })
      )) as StorageError
      assert.deepStrictEqual([thrown.reason, thrown.isRetryable], ["Connection", true])
      assert.include(thrown.message, "no vault")
    })
  )
})
