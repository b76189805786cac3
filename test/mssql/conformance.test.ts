/** SQL Server keeps every promise: over a pool of its own, over the program's client, and over compare-and-set; whatever the database is set to. */
import { MssqlClient } from "@effect/sql-mssql"
import { afterAll, beforeAll, describe } from "#effect/vitest"
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "#effect/Scope"
import * as MssqlStorage from "../../src/backends/mssql/MssqlStorage.js"
import { VersionedStore } from "../../src/index.js"
import * as Conformance from "../../src/testing/index.js"
import * as Mssql from "../harness/mssql.js"
import * as Proxy from "../harness/proxy.js"
import { describeServer } from "../harness/server.js"

/** What a suite needs is made when it runs, and goes when it has run. */
const resource = <A, E>(make: Effect.Effect<A, E, Scope.Scope>): (() => A) => {
  const scope = Effect.runSync(Scope.make())
  let made: Option.Option<A> = Option.none()
  beforeAll(async () => {
    made = Option.some(await Effect.runPromise(Scope.provide(make, scope)))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  return () => Option.getOrThrow(made)
}

const shiftClient = Conformance.shiftDate

const clientOf = (url: string) => {
  const parsed = new URL(url)
  return MssqlClient.layer({
    server: parsed.hostname,
    port: Number(parsed.port || 1433),
    database: parsed.pathname.slice(1),
    username: decodeURIComponent(parsed.username),
    password: Redacted.make(decodeURIComponent(parsed.password)),
    encrypt: parsed.searchParams.get("encrypt") !== "false",
    trustServer: parsed.searchParams.get("trustServerCertificate") === "true",
    maxConnections: 8
  })
}

await describeServer(
  "MssqlStorage",
  Mssql.scoped,
  (server) => {
    describe("over a link that fails", () => {
      const link = resource(
        Effect.all({
          database: server.freshDatabase(),
          proxy: Proxy.make(server, { protocol: server.protocol })
        })
      )
      Conformance.suite({
        name: "MssqlStorage",
        layer: Layer.suspend(() => MssqlStorage.layer({ url: Redacted.make(link().proxy.url(link().database)) })),
        versioned: Layer.suspend(() => MssqlStorage.layerVersioned({ url: Redacted.make(link().database) })),
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

    describe("from the program's client", () => {
      const client = resource(Effect.flatMap(server.freshDatabase(), (url) => Layer.build(clientOf(url))))
      Conformance.suite({
        name: "MssqlStorage.layerFromClient",
        layer: Layer.suspend(() => Layer.provide(MssqlStorage.layerFromClient(), Layer.succeedContext(client()))),
        versioned: Layer.suspend(() =>
          Layer.provide(MssqlStorage.layerVersionedFromClient(), Layer.succeedContext(client()))
        ),
        hooks: {
          shiftClient,
          inTransaction: (effect) =>
            Effect.suspend(() => {
              const sql = Context.get(client(), MssqlClient.MssqlClient)
              return effect.pipe(
                Effect.flatMap((value) => Effect.fail({ rolledBackWith: value })),
                sql.withTransaction,
                Effect.catchIf(
                  (error): error is { readonly rolledBackWith: any } =>
                    typeof error === "object" && error !== null && "rolledBackWith" in error,
                  ({ rolledBackWith }) => Effect.succeed(rolledBackWith)
                )
              )
            })
        }
      })
    })

    describe("by the smaller port", () => {
      const database = resource(server.freshDatabase())
      Conformance.suite({
        name: "MssqlStorage.layerVersioned, over compare-and-set",
        layer: Layer.suspend(() =>
          Layer.provide(VersionedStore.layerStorage(), MssqlStorage.layerVersioned({ url: Redacted.make(database()) }))
        ),
        versioned: Layer.suspend(() => MssqlStorage.layerVersioned({ url: Redacted.make(database()) })),
        hooks: { shiftClient }
      })
    })

    const where: ReadonlyArray<readonly [name: string, create: string, ...alter: ReadonlyArray<string>]> = [
      [
        "where readers see versions, and snapshot isolation is allowed",
        "",
        "SET READ_COMMITTED_SNAPSHOT ON",
        "SET ALLOW_SNAPSHOT_ISOLATION ON"
      ],
      ["where texts are compared without case and accents", "COLLATE Turkish_CI_AI"],
      ["where the database is of an old compatibility level", "", "SET COMPATIBILITY_LEVEL = 110"]
    ]
    for (const [name, create, ...alter] of where) {
      describe(name, () => {
        const database = resource(server.freshDatabase(create, ...alter))
        Conformance.suite({
          name: "MssqlStorage",
          layer: Layer.suspend(() => MssqlStorage.layer({ url: Redacted.make(database()) })),
          versioned: Layer.suspend(() => MssqlStorage.layerVersioned({ url: Redacted.make(database()) })),
          hooks: { shiftClient }
        })
      })
    }
  },
  { optional: true }
)
