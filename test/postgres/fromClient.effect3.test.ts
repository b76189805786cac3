/** What only the client of Effect 3 for PostgreSQL can be told: by which functions of `pg` it reads values. */
import { PgClient } from "@effect/sql-pg"
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as Redacted from "effect/Redacted"
import Pg from "pg"
import * as PostgresStorage from "../../src/backends/postgres/PostgresStorage.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"

const second = 1_000_000

await describeServer("PostgresStorage on the client of Effect 3", Shared.postgres, (server) => {
  it.live("the program's name transforms and type parsers do not reach the records", () =>
    Effect.gen(function* () {
      const url = Redacted.make(yield* server.freshDatabase)
      const context = yield* Layer.build(
        PgClient.layer({
          url,
          transformQueryNames: (name) => `q_${name}`,
          transformResultNames: (name) => name.toUpperCase(),
          types: {
            getTypeParser: (oid: number, format: any) =>
              oid === 20 ? (text: string) => BigInt(text) : Pg.types.getTypeParser(oid, format)
          }
        })
      )
      const { storage, versioned } = yield* PostgresStorage.makeFromClient().pipe(Effect.provide(context))
      const holdId = "A".repeat(22)
      const outcome = yield* storage.claim({ lockId: "a", ownerId: "me", holdId, lease: 30 * second })
      assert.isTrue(
        outcome._tag === "Claimed" && outcome.validFor === 30 * second && Number.isInteger(outcome.record.token)
      )
      assert.strictEqual((yield* storage.renew([{ lockId: "a", holdId, lease: second }]))[0]!._tag, "Renewed")
      assert.strictEqual(Option.getOrThrow(yield* versioned.get("a")).holds[0], holdId)
      assert.isNumber(yield* versioned.time!)
    })
  )
})
