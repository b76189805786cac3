/** etcd that has reached its quota: what it still does, and what becomes of holds. */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Option from "#effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "#effect/Schedule"
import * as Stream from "#effect/Stream"
import * as fibers from "#effect/fibers"
import * as EtcdStorage from "../../src/backends/etcd/EtcdStorage.js"
import * as Etcd from "../harness/etcd.js"
import { describeServer } from "../harness/server.js"

const second = 1_000_000
const hold = (letter: string) => letter.repeat(22)

for (const release of ["etcd 3.4", "etcd 3.5"] as const) {
  await describeServer(
    `${release} with a full database`,
    Etcd.own(release, ["--quota-backend-bytes=400000"]),
    (server) => {
      it.live("locks are kept and freed while nobody can take one, and what is refused says why", () =>
        Effect.gen(function* () {
          const { storage } = yield* EtcdStorage.make({ url: Redacted.make(server.url), prefix: "p/" })
          const request = (lockId: string, holdId: string) => ({
            lockId,
            ownerId: "me",
            holdId: hold(holdId),
            lease: 120 * second
          })
          const [held, freed, forced] = [request("held", "h"), request("freed", "f"), request("forced", "o")]
          const first = yield* storage.claim(held)
          yield* storage.claim(freed)
          const taken = yield* storage.claim(forced)
          const waste = server.admin("kv/put", { key: Etcd.base64("waste"), value: Etcd.base64("x".repeat(60_000)) })
          assert.strictEqual(
            (yield* Effect.exit(Effect.repeat(waste, { schedule: Schedule.recurs(200) })))._tag,
            "Failure"
          )
          const full = yield* Effect.flip(storage.claim(request("new", "n")))
          assert.deepStrictEqual([full.reason, full.isRetryable], ["Unknown", true])
          assert.include(full.message, "disarm the alarm")
          const some = ["a", "b", "c"].map((letter) => request(letter, letter))
          const refused = yield* Effect.forEach(some, (one) => Effect.flip(storage.claim(one)), {
            concurrency: "unbounded"
          })
          assert.deepStrictEqual(new Set(refused.map(({ message }) => message)), new Set([full.message]))
          const tokenOf = (outcome: typeof first) => (outcome._tag === "Claimed" ? outcome.record.token : 0)
          assert.deepStrictEqual(
            (yield* storage.renew([held])).map((_) => _._tag),
            ["Renewed"]
          )
          assert.deepStrictEqual(
            (yield* storage.renew([held, freed])).map((_) => _._tag),
            ["Renewed", "Renewed"]
          )
          assert.strictEqual((yield* storage.release(freed))._tag, "Released")
          assert.strictEqual((yield* storage.release(freed))._tag, "NotHeld")
          assert.strictEqual(
            (yield* storage.revoke({ lockId: "forced", token: tokenOf(taken), when: "now" }))._tag,
            "Revoked"
          )
          assert.isTrue(Option.isNone(yield* storage.get("freed")))
          assert.isTrue(Option.isSome(yield* storage.get("held")))
          assert.strictEqual((yield* Stream.runCollect(storage.list)).length, 1)
          // As an operator frees space.
          yield* server.admin("kv/deleterange", { key: Etcd.base64("waste") })
          const { header } = yield* server.admin("kv/range", { key: Etcd.base64("a") })
          yield* server.admin("kv/compaction", { revision: header.revision, physical: true })
          yield* server.admin("maintenance/defragment", {})
          yield* server.admin("maintenance/alarm", {
            action: "DEACTIVATE",
            memberID: header.member_id,
            alarm: "NOSPACE"
          })
          yield* storage.release(held)
          const next = yield* storage.claim(request("held", "m"))
          assert.isAbove(tokenOf(next), tokenOf(first))
        })
      )
    }
  )
}

await describeServer("a channel of the program that ends", Etcd.own("etcd 3.4"), (server) => {
  it.live("is no closing of the layer: what follows may be tried again, and wake-ups go on trying", () =>
    Effect.gen(function* () {
      const Grpc = yield* Effect.promise(() => import("@grpc/grpc-js"))
      const channel = new Grpc.Channel(`${server.host}:${server.port}`, Grpc.credentials.createInsecure(), {})
      const { storage } = yield* EtcdStorage.makeFromChannel({ channel, prefix: "p/" })
      const listening = yield* Effect.forkChild(Stream.runDrain(storage.wakeUps))
      yield* storage.get("a")
      channel.close()
      for (let i = 0; i < 3; i++) {
        const error = yield* Effect.flip(storage.get("a"))
        assert.deepStrictEqual([error.reason, error.isRetryable, error.applied], ["Connection", true, "no"])
      }
      yield* Effect.sleep("300 millis")
      assert.isTrue(fibers.exitOf(listening) === undefined)
      yield* Fiber.interrupt(listening)
    })
  )
})
