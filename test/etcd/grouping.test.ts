/** What comes at once travels together to etcd, and no member of a group can fail, hold up or end another. */
import { assert, it } from "#harness/vitest"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Result from "#effect/Result"
import { randomBytes } from "node:crypto"
import * as EtcdStorage from "../../src/backends/etcd/EtcdStorage.js"
import * as Storage from "../../src/Storage.js"
import * as Etcd from "../harness/etcd.js"
import { describeServer } from "../harness/server.js"

const second = 1_000_000
const request = (lockId: string, ownerId = "me") => ({
  lockId,
  ownerId,
  holdId: randomBytes(16).toString("base64url"),
  lease: 60 * second
})

const atOnce = <A, B, E>(all: ReadonlyArray<A>, each: (one: A) => Effect.Effect<B, E>) =>
  Effect.forEach(all, each, { concurrency: "unbounded" })

const tags = (outcomes: ReadonlyArray<{ readonly _tag: string }>) => outcomes.map(({ _tag }) => _tag)

const opened = (server: Etcd.EtcdServer) =>
  Effect.flatMap(server.freshPrefix, (prefix) =>
    Effect.map(EtcdStorage.make({ url: Redacted.make(server.url), prefix }), ({ storage }) => ({
      prefix,
      storage
    }))
  )

const each = (count: number, name = "lock") => Array.from({ length: count }, (_, i) => request(`${name}-${i}`))

for (const release of ["etcd 3.4", "etcd 3.5"] as const) {
  await describeServer(`claims and releases at once, on ${release}`, Etcd.own(release), (server) => {
    it.live("are a transaction for up to 64, counted at the server", () =>
      Effect.gen(function* () {
        const { storage } = yield* opened(server)
        const transactions = Effect.map(server.handled, ({ Txn }) => Txn ?? 0)
        for (const [count, wanted] of [
          [1, 1],
          [50, 1],
          [130, 3]
        ] as const) {
          const requests = each(count, `of ${count}`)
          const before = yield* transactions
          const claimed = yield* atOnce(requests, storage.claim)
          const between = yield* transactions
          const released = yield* atOnce(requests, storage.release)
          const after = yield* transactions
          assert.deepStrictEqual([between - before, after - between], [wanted, wanted], `${count} at once`)
          assert.deepStrictEqual(new Set(tags(claimed)), new Set(["Claimed"]))
          assert.isTrue(released.every((outcome) => outcome._tag === "Released" && outcome.remaining === 0))
          const tokens = claimed.map((outcome) => (outcome._tag === "Claimed" ? outcome.record.token : 0))
          const again = yield* atOnce(requests, storage.claim)
          again.forEach((outcome, i) => {
            assert.isTrue(outcome._tag === "Claimed" && outcome.record.token > tokens[i]!)
          })
          yield* atOnce(requests, storage.release)
        }
      })
    )

    it.live("for one lock are one winner, and each has its own answer", () =>
      Effect.gen(function* () {
        const { prefix, storage } = yield* opened(server)
        yield* storage.claim(request("held", "other"))
        yield* server.admin("kv/put", { key: Etcd.base64(`${prefix}text`), value: Etcd.base64("hello") })
        const requests = [
          request("held"),
          request("free"),
          request("text"),
          request("same", "a"),
          request("same", "b"),
          request("same", "c")
        ]
        const outcomes = yield* atOnce(requests, (one) => Effect.result(storage.claim(one)))
        const told = outcomes.map((result) =>
          Result.isSuccess(result)
            ? result.success._tag
            : `${result.failure.reason}, applied: ${result.failure.applied}`
        )
        assert.deepStrictEqual(told.slice(0, 3), ["Held", "Claimed", "Schema, applied: no"])
        assert.deepStrictEqual(told.slice(3).sort(), ["Claimed", "Held", "Held"])
      })
    )

    it.live("go on without one that is interrupted", () =>
      Effect.gen(function* () {
        const { storage } = yield* opened(server)
        yield* server.suspend
        const [gone, ...others] = each(6)
        const given = yield* Effect.forkChild(storage.claim(gone!))
        const rest = yield* Effect.forkChild(atOnce(others, storage.claim))
        // By then they are under way.
        yield* Effect.sleep("50 millis")
        yield* Fiber.interrupt(given)
        yield* server.resume
        assert.deepStrictEqual(new Set(tags(yield* Fiber.join(rest))), new Set(["Claimed"]))
      }).pipe(Effect.ensuring(server.resume))
    )

    it.live("have each its own time limit", () =>
      Effect.gen(function* () {
        const { storage } = yield* opened(server)
        yield* server.suspend
        const [short, ...others] = each(4)
        const limited = yield* Effect.forkChild(
          Effect.flip(Effect.provideService(storage.claim(short!), Storage.TimeLimit, Duration.millis(200)))
        )
        const rest = yield* Effect.forkChild(atOnce(others, storage.claim))
        const { applied, reason } = yield* Fiber.join(limited)
        assert.deepStrictEqual([reason, applied], ["Timeout", "unknown"])
        yield* server.resume
        assert.deepStrictEqual(new Set(tags(yield* Fiber.join(rest))), new Set(["Claimed"]))
      }).pipe(Effect.ensuring(server.resume))
    )
  })
}

await describeServer("a group that is too large for etcd", Etcd.own("etcd 3.4", ["--max-txn-ops=24"]), (server) => {
  it.live("goes in parts", () =>
    Effect.gen(function* () {
      const { storage } = yield* opened(server)
      const requests = each(100)
      assert.deepStrictEqual(new Set(tags(yield* atOnce(requests, storage.claim))), new Set(["Claimed"]))
      const { Txn: before = 0 } = yield* server.handled
      assert.deepStrictEqual(new Set(tags(yield* atOnce(requests, storage.release))), new Set(["Released"]))
      // Four of 16 and two of 18: by now it is known that 32 are too many.
      assert.strictEqual(((yield* server.handled)["Txn"] ?? 0) - before, 6)
    })
  )
})

await describeServer(
  "a group of too many bytes for etcd",
  Etcd.own("etcd 3.5", ["--max-request-bytes=20000"]),
  (server) => {
    it.live("goes in parts, and what is small goes together as before", () =>
      Effect.gen(function* () {
        const { storage } = yield* opened(server)
        const transactions = Effect.map(server.handled, ({ Txn }) => Txn ?? 0)
        const large = each(2, "large").map((one) => ({ ...one, ownerLabel: "x".repeat(12_000) }))
        assert.deepStrictEqual(tags(yield* atOnce(large, storage.claim)), ["Claimed", "Claimed"])
        const small = each(20, "small")
        const before = yield* transactions
        assert.deepStrictEqual(new Set(tags(yield* atOnce(small, storage.claim))), new Set(["Claimed"]))
        assert.deepStrictEqual(new Set(tags(yield* storage.renew(small))), new Set(["Renewed"]))
        assert.strictEqual((yield* transactions) - before, 2)
      })
    )
  }
)

await describeServer("a group of which etcd refuses one", Etcd.own("etcd 3.5"), (server) => {
  it.live("goes on without it", () =>
    Effect.gen(function* () {
      const { admin } = server
      const grant = (permType: string, prefix: string) =>
        admin("auth/role/grant", { name: "locks", perm: { permType, ...Etcd.under(prefix) } })
      for (const name of ["root", "locks"]) {
        yield* admin("auth/user/add", { name, password: "word" })
        yield* admin("auth/role/add", { name })
        yield* admin("auth/user/grant", { user: name, role: name })
      }
      yield* grant("READ", "p/")
      yield* grant("READWRITE", "p/mine")
      yield* admin("auth/enable", {})
      const { storage } = yield* EtcdStorage.make({
        url: Redacted.make(`etcd://locks:word@${server.host}:${server.port}`),
        prefix: "p/"
      })
      const requests = [...each(3, "mine"), request("theirs"), ...each(3, "mine-too")]
      const outcomes = yield* atOnce(requests, (one) => Effect.result(storage.claim(one)))
      assert.deepStrictEqual(
        outcomes.map((result) => (Result.isSuccess(result) ? result.success._tag : result.failure.reason)),
        ["Claimed", "Claimed", "Claimed", "Permission", "Claimed", "Claimed", "Claimed"]
      )
    })
  )
})
