/** All that can only be shown on Oracle itself. Runs where the environment names a server. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "#effect/Stream"
import { randomBytes } from "node:crypto"
import * as OracleStorage from "../../src/backends/oracle/OracleStorage.js"
import { VersionedStore } from "../../src/index.js"
import type * as Storage from "../../src/Storage.js"
import * as Conformance from "../../src/testing/index.js"
import * as Oracle from "../harness/oracle.js"
import * as Proxy from "../harness/proxy.js"
import { resource } from "../harness/resource.js"
import { describeServer } from "../harness/server.js"

const shiftClient = Conformance.shiftDate
const second = 1_000_000
const hold = () => randomBytes(16).toString("base64url")

const claim = (storage: Storage.Service, lockId: string, ownerId: string, holdId = hold()) =>
  Effect.map(storage.claim({ lockId, ownerId, holdId, lease: 30 * second }), (outcome) => ({ outcome, holdId }))

/** What must not matter. */
const strange = [
  "ALTER SESSION SET TIME_ZONE = '+14:00'",
  "ALTER SESSION SET NLS_LANGUAGE = 'GERMAN' NLS_TERRITORY = 'GERMANY'",
  "ALTER SESSION SET NLS_COMP = LINGUISTIC NLS_SORT = BINARY_AI",
  "ALTER SESSION SET NLS_NUMERIC_CHARACTERS = ',.'",
  "ALTER SESSION SET ISOLATION_LEVEL = SERIALIZABLE"
]

await describeServer(
  "OracleStorage on Oracle",
  Oracle.scoped,
  (server) => {
    describe("over a link that fails", () => {
      const link = resource(Effect.all({ table: server.freshTable, proxy: Proxy.make(server, { protocol: "bytes" }) }))
      const options = () => ({ url: Redacted.make(link().proxy.url(server.url)), table: link().table })
      Conformance.suite({
        name: "OracleStorage",
        layer: Layer.suspend(() => OracleStorage.layer(options())),
        versioned: Layer.suspend(() => OracleStorage.layerVersioned(options())),
        hooks: {
          shiftClient,
          loseReply: Effect.suspend(() => link().proxy.dropNextReply),
          hang: (effect) =>
            Effect.acquireUseRelease(
              Effect.suspend(() => link().proxy.hang(true)),
              () => effect,
              () => link().proxy.hang(false)
            )
        }
      })
    })

    describe("by the smaller port", () => {
      const table = resource(server.freshTable)
      const layer = Layer.suspend(() =>
        OracleStorage.layerVersioned({ url: Redacted.make(server.url), table: table() })
      )
      Conformance.versionedSuite({ name: "OracleStorage.layerVersioned", layer })
      Conformance.suite({
        name: "OracleStorage.layerVersioned, over compare-and-set",
        layer: Layer.provide(VersionedStore.layerStorage(), layer),
        versioned: layer,
        hooks: { shiftClient }
      })
    })

    describe("on a pool of the program, whose sessions are set to all that must not matter", () => {
      const given = resource(Effect.all({ table: server.freshTable, pool: server.pool(...strange) }))
      Conformance.suite({
        name: "OracleStorage.layerFromPool",
        layer: Layer.suspend(() => OracleStorage.layerFromPool(given())),
        versioned: Layer.suspend(() => OracleStorage.layerVersionedFromPool(given())),
        hooks: { shiftClient }
      })
    })

    it.live("the text of ddl may be run again, and is what setup asks for", () =>
      Effect.gen(function* () {
        const table = yield* server.freshTable
        const [text] = OracleStorage.ddl({ table }).split("\n/\n")
        yield* server.query(text!)
        yield* server.query(text!)
        const { storage } = yield* OracleStorage.make({ url: Redacted.make(server.url), table, setup: false })
        assert.strictEqual((yield* claim(storage, "a", "me")).outcome._tag, "Claimed")
      })
    )

    it.live("the clock is UTC, in microseconds", () =>
      Effect.gen(function* () {
        const table = yield* server.freshTable
        const pool = yield* server.pool(...strange)
        const { versioned } = yield* OracleStorage.makeFromPool({ pool, table })
        // Clocks of two machines: a zone would be hours.
        assert.isBelow(Math.abs((yield* versioned.time!) - Date.now() * 1_000), 600 * second)
      })
    )

    it.live("ids are bytes: no collation and no character set folds, pads or cuts them", () =>
      Effect.gen(function* () {
        const table = yield* server.freshTable
        const pool = yield* server.pool(...strange)
        const { storage } = yield* OracleStorage.makeFromPool({ pool, table })
        const ids = ["Foo", "foo", "foo ", "é", "e\u0301", "ß", "ss", "'; --", "\u{1F512}", "漢".repeat(255)]
        for (const id of ids)
          assert.strictEqual((yield* claim(storage, id, `owner of ${id}`.slice(0, 255))).outcome._tag, "Claimed", id)
        const listed = yield* Stream.runCollect(storage.list)
        assert.deepStrictEqual([...listed].map(({ record }) => record.lockId).sort(), [...ids].sort())
        const lower = "a".repeat(22)
        yield* claim(storage, "x", "me", lower)
        yield* claim(storage, "x", "me", lower.toUpperCase())
        yield* storage.release({ lockId: "x", holdId: lower.toUpperCase() })
        assert.deepStrictEqual(Option.getOrThrow(yield* storage.get("x")).record.holds, [lower])
      })
    )

    it.live("a row that somebody has locked is told as Timeout, and not applied", () =>
      Effect.gen(function* () {
        const table = yield* server.freshTable
        const pool = yield* server.pool()
        const { storage } = yield* OracleStorage.makeFromPool({ pool, table, operationTimeout: "3 seconds" })
        const { holdId } = yield* claim(storage, "a", "me")
        const other = yield* Effect.promise(() => pool.getConnection())
        yield* Effect.addFinalizer(() => Effect.promise(() => other.close()))
        yield* Effect.promise(() =>
          other.execute(`SELECT token FROM "${table}" FOR UPDATE`, {}, { autoCommit: false, outFormat: 4001 })
        )
        const error = yield* Effect.flip(storage.release({ lockId: "a", holdId }))
        assert.deepStrictEqual([error.reason, error.isRetryable, error.applied], ["Timeout", true, "no"])
      })
    )

    it.live("a wrong password is told", () =>
      Effect.gen(function* () {
        const wrong = new URL(server.url)
        wrong.password = "wrong"
        const error = yield* Effect.flip(Effect.scoped(OracleStorage.make({ url: Redacted.make(wrong.toString()) })))
        assert(error._tag === "StorageError")
        assert.deepStrictEqual([error.reason, error.isRetryable, error.applied], ["Permission", false, "no"])
      })
    )
  },
  { optional: true }
)
