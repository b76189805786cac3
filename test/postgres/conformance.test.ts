/** PostgreSQL keeps every promise: over a pool of its own, over the program's client, and over compare-and-set. */
import { PgClient } from "@effect/sql-pg"
import { describe } from "#harness/vitest"
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as PostgresStorage from "../../src/backends/postgres/PostgresStorage.js"
import { VersionedStore } from "../../src/index.js"
import * as Conformance from "../../src/testing/index.js"
import * as Postgres from "../harness/postgres.js"
import * as Shared from "../harness/shared.js"
import * as Proxy from "../harness/proxy.js"
import { resource } from "../harness/resource.js"
import { describeServer } from "../harness/server.js"
import * as NotifyQueue from "../support/notifyQueue.js"
import { rolledBack } from "../support/rolledBack.js"

const shiftClient = Conformance.shiftDate

await describeServer("PostgresStorage on a server of its own", Postgres.own, (server) => {
  const link = resource(
    Effect.all({
      database: server.freshDatabase,
      proxy: Proxy.make({ host: server.host, port: server.port })
    })
  )
  Conformance.suite({
    name: "over a link that fails",
    layer: Layer.suspend(() => PostgresStorage.layer({ url: Redacted.make(link().proxy.url(link().database)) })),
    versioned: Layer.suspend(() => PostgresStorage.layerVersioned({ url: Redacted.make(link().database) })),
    hooks: {
      shiftClient,
      loseReply: Effect.suspend(() => link().proxy.dropNextReply),
      hang: (effect) =>
        Effect.acquireUseRelease(
          Effect.suspend(() => link().proxy.hang(true)),
          () => effect,
          () => link().proxy.hang(false)
        ),
      // As a power cut, not in order: what was acknowledged is there afterwards.
      restart: Effect.andThen(server.kill, server.start)
    }
  })
})

await describeServer("PostgresStorage on the shared server", Shared.postgres, (server) => {
  describe("from the program's client", () => {
    const client = resource(
      Effect.gen(function* () {
        const url = Redacted.make(yield* server.freshDatabase)
        return yield* Layer.build(PgClient.layer({ url, maxConnections: 8 }))
      })
    )
    Conformance.suite({
      name: "PostgresStorage.layerFromClient",
      effort: 0.2,
      layer: Layer.suspend(() => Layer.provide(PostgresStorage.layerFromClient(), Layer.succeedContext(client()))),
      hooks: {
        shiftClient,
        inTransaction: (effect) =>
          Effect.suspend(() => rolledBack(Context.get(client(), PgClient.PgClient).withTransaction, effect))
      }
    })
  })

  describe("by the smaller port", () => {
    const database = resource(server.freshDatabase)
    Conformance.suite({
      name: "PostgresStorage.layerVersioned, over compare-and-set",
      effort: 0.2,
      layer: Layer.suspend(() =>
        Layer.provide(VersionedStore.layerStorage(), PostgresStorage.layerVersioned({ url: Redacted.make(database()) }))
      ),
      versioned: Layer.suspend(() => PostgresStorage.layerVersioned({ url: Redacted.make(database()) })),
      hooks: { shiftClient }
    })
  })

  describe("where transactions are serializable by default", () => {
    const database = resource(
      Effect.map(server.freshDatabase, (url) => {
        const strict = new URL(url)
        strict.searchParams.set("options", "-c default_transaction_isolation=serializable")
        return strict.toString()
      })
    )
    Conformance.suite({
      name: "PostgresStorage",
      effort: 0.5,
      layer: Layer.suspend(() => PostgresStorage.layer({ url: Redacted.make(database()) })),
      hooks: { shiftClient }
    })
  })
})

await describeServer("PostgresStorage on PostgreSQL 18", Postgres.newest, (server) => {
  const database = resource(Effect.andThen(NotifyQueue.makeSmall(server), server.freshDatabase))
  Conformance.suite({
    name: "at a URL",
    effort: 0.5,
    layer: Layer.suspend(() => PostgresStorage.layer({ url: Redacted.make(database()) })),
    versioned: Layer.suspend(() => PostgresStorage.layerVersioned({ url: Redacted.make(database()) })),
    wakesUp: true,
    hooks: { shiftClient, breakHints: (effect) => Effect.suspend(() => NotifyQueue.whileFull(database())(effect)) }
  })
  Conformance.versionedSuite({
    name: "by the smaller port",
    layer: Layer.suspend(() => PostgresStorage.layerVersioned({ url: Redacted.make(database()) }))
  })
})
