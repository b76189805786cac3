/** Each misconfiguration is made at a real server, found, and its cure is named. */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import { randomUUID } from "node:crypto"
import * as checkup from "../../src/backends/etcd/checkup.js"
import * as Etcd from "../harness/etcd.js"
import { describeServer } from "../harness/server.js"
import { doctor, read } from "../support/doctor.js"

await describeServer("doctor at etcd", Etcd.own("etcd 3.4"), (server) => {
  it.live("finds nothing but that there is one member", () =>
    Effect.gen(function* () {
      const well = yield* doctor(server.url)
      assert.strictEqual(well.code, 0)
      assert.deepStrictEqual(
        well.said.filter(({ severity }) => severity !== "ok").map(({ check, severity }) => [check, severity]),
        [["members", "note"]]
      )
      assert.match(yield* read(server.url), /\nnothing is wrong \(1 note\)\n$/)
    })
  )

  it.live("the alarm of a full database", () =>
    Effect.gen(function* () {
      const status = yield* server.admin("maintenance/status", {})
      const alarm = (action: string) =>
        server.admin("maintenance/alarm", { action, memberID: status.header.member_id, alarm: "NOSPACE" })
      const { of } = yield* Effect.acquireUseRelease(
        alarm("ACTIVATE"),
        () => doctor(server.url),
        () => alarm("DEACTIVATE")
      )
      assert.strictEqual(of("alarm")[0]!.severity, "error")
      assert.include(of("alarm")[0]!.cure, "etcdctl alarm disarm")
      assert.deepStrictEqual(of("warns"), [])
    })
  )

  it.live("nothing is ever compacted", () =>
    Effect.gen(function* () {
      const put = server.admin("kv/put", { key: Etcd.base64("other"), value: "" })
      for (let i = 0; i < 5; i++) yield* put
      const look = Effect.flatMap(
        checkup.open({ history: 3 })({ url: Redacted.make(server.url) }),
        ({ checks }) => checks.find(({ name }) => name === "compaction")!.look
      )
      const [found] = yield* look
      assert.include(found !== undefined && "cure" in found ? found.cure : "", "--auto-compaction-retention=1h")
      const { header } = yield* server.admin("kv/range", { key: Etcd.base64("other") })
      yield* server.admin("kv/compaction", { revision: header.revision })
      assert.deepStrictEqual(yield* look, [])
    })
  )

  it.live("a user without the right to write", () =>
    Effect.gen(function* () {
      const { admin } = server
      yield* admin("auth/user/add", { name: "root", password: "root" })
      yield* admin("auth/role/add", { name: "root" })
      yield* admin("auth/user/grant", { user: "root", role: "root" })
      yield* admin("auth/role/add", { name: "readers" })
      yield* admin("auth/role/grant", {
        name: "readers",
        perm: { permType: "READ", ...Etcd.under("effect-storage-lock/") }
      })
      yield* admin("auth/user/add", { name: "app", password: "hunter2" })
      yield* admin("auth/user/grant", { user: "app", role: "readers" })
      yield* admin("auth/enable", {})
      const url = server.url.replace("://", "://app:hunter2@")
      const { code, of, text } = yield* doctor(url)
      assert.strictEqual(code, 1)
      assert.deepInclude(of("rights")[0], {
        severity: "error",
        cure: "etcdctl role grant-permission readers --prefix=true readwrite effect-storage-lock/"
      })
      assert.notInclude(text, "hunter2")
    })
  )
})

await describeServer("doctor at an etcd with a learner", Etcd.own("etcd 3.5"), (server) => {
  it.live("tells who is not a member that votes", () =>
    Effect.gen(function* () {
      const learner = yield* Etcd.learner("etcd 3.5", server)
      const { said } = yield* doctor(learner.url)
      assert.deepInclude(said[0], { check: "connects", severity: "error" })
      assert.match(said[0]!.wrong!, /it is a learner/)
    })
  )
})

await describeServer("doctor at a small etcd", Etcd.own("etcd 3.6", ["--quota-backend-bytes=6000000"]), (server) => {
  it.live("a database that is nearly at its quota", () =>
    Effect.gen(function* () {
      const value = Buffer.alloc(250_000).toString("base64")
      // A put is part of the size once its batch is committed, by default within 100 ms; how many pages that takes depends on the batch.
      const put = Effect.andThen(
        server.admin("kv/put", { key: Etcd.base64(randomUUID()), value }),
        Effect.sleep("150 millis")
      )
      yield* Effect.repeat(Effect.andThen(put, server.admin("maintenance/status", {})), {
        until: ({ dbSize }) => Number(dbSize) > 4_800_000
      })
      const { of } = yield* doctor(server.url)
      assert.strictEqual(of("quota")[0]!.severity, "warning")
      assert.include(of("quota")[0]!.cure, "etcdctl defrag")
    })
  )
})

await describeServer("doctor at two etcd", Etcd.cluster("etcd 3.5", 2), ([server, other]) => {
  it.live("an even number of members stands no failure", () =>
    Effect.gen(function* () {
      const { of } = yield* doctor(server!.url)
      assert.deepInclude(of("members")[0], { severity: "warning", wrong: "the cluster has 2 members that vote" })
      assert.deepInclude(of("members")[1], { severity: "note", wrong: "the URL names 1 of 2 members" })
    })
  )

  it.live("a member that has lost its leader is told as one", () =>
    Effect.gen(function* () {
      yield* other!.kill
      yield* Effect.repeat(Effect.delay(server!.admin("maintenance/status", {}), "50 millis"), {
        until: ({ leader }) => leader === undefined || leader === "0"
      })
      const { said } = yield* doctor(server!.url)
      assert.deepInclude(said[0], { check: "connects", severity: "error" })
      assert.match(said[0]!.wrong!, /no leader/)
    })
  )
})
