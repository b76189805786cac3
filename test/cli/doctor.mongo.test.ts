/** What can be made at mongo-java-server, which stands alone, is found, and its cure is named. */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import { rights } from "../../src/backends/mongo/checkup.js"
import * as Mongo from "../harness/mongo.js"
import { describeServer } from "../harness/server.js"
import { doctor } from "../support/doctor.js"

await describeServer("doctor at a server of MongoDB's protocol", Mongo.own, (server) => {
  it.live("finds that it stands alone", () =>
    Effect.gen(function* () {
      const { code, of } = yield* doctor(server.url)
      assert.strictEqual(code, 1)
      assert.strictEqual(of("replica set")[0]!.severity, "warning")
      assert.include(of("replica set")[0]!.cure, "rs.initiate()")
    })
  )

  it.live("indexes that delete locks, or refuse them", () =>
    Effect.gen(function* () {
      yield* server.admin((db) => db.collection("locks").createIndex({ at: 1 }, { expireAfterSeconds: 60 }))
      yield* server.admin((db) => db.collection("locks").createIndex({ owner: 1 }, { unique: true }))
      const { of } = yield* doctor(server.url, ["-o", "collection=locks"])
      assert.deepStrictEqual(
        of("indexes").map(({ cure, severity }) => [severity, cure]),
        [
          ["error", 'db.getCollection("locks").dropIndex("at_1")'],
          ["error", 'db.getCollection("locks").dropIndex("owner_1")']
        ]
      )
    })
  )

  it.live("a write concern that is too weak is refused by name", () =>
    Effect.gen(function* () {
      const { code, text } = yield* Effect.catchDefect(doctor(`${server.url}&w=1`), () =>
        Effect.succeed({ code: -1, text: "" })
      )
      assert.notStrictEqual(code, 0)
      assert.notInclude(text, "nothing is wrong")
    })
  )

  it.live("the clocks differ", () =>
    Effect.gen(function* () {
      const { of } = yield* doctor(server.url, [], () => Date.now() - 60_000)
      assert.match(of("clock")[0]!.wrong!, /is (59|60)\d{3} ms behind/)
    })
  )

  it.live("rights, as a server tells them", () =>
    Effect.sync(() => {
      const told = (actions: ReadonlyArray<string>, resource: object) => ({
        authInfo: { authenticatedUsers: [{ user: "app" }], authenticatedUserPrivileges: [{ resource, actions }] }
      })
      const all = ["find", "insert", "update", "remove"]
      assert.deepStrictEqual(rights(told(all, { db: "d", collection: "" }), "d", "c"), [])
      assert.deepStrictEqual(rights({ authInfo: { authenticatedUsers: [] } }, "d", "c"), [])
      assert.deepInclude(rights(told(["find"], { db: "d", collection: "c" }), "d", "c")[0], {
        severity: "error",
        wrong: "the user app may not insert, update, remove in d.c"
      })
      assert.strictEqual(rights(told(all, { db: "other", collection: "" }), "d", "c")[0]?.severity, "error")
    })
  )
})
