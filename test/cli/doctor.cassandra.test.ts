/** Each misconfiguration is made at a real server, found, and its cure is named. */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import { describe } from "vitest"
import { ofNode } from "../../src/backends/cassandra/startupFindings.js"
import * as Cassandra from "../harness/cassandra.js"
import { describeServer } from "../harness/server.js"
import { doctor } from "../support/doctor.js"

await describeServer("doctor at Cassandra", Cassandra.own({ more: [] }), (server) => {
  const keyspace = (name: string, replication: string, more = "") =>
    Effect.gen(function* () {
      yield* server.admin(`CREATE KEYSPACE IF NOT EXISTS ${name} WITH replication = ${replication} ${more}`)
      return server.url.replace(`/${server.keyspace}`, `/${name}`)
    })
  const one = "{'class': 'NetworkTopologyStrategy', 'datacenter1': 1}"

  it.live("finds nothing but that there is one node", () =>
    Effect.gen(function* () {
      const { code, said } = yield* doctor(yield* keyspace("well", one))
      assert.deepStrictEqual(
        said.filter(({ severity }) => severity !== "ok").map(({ check, severity }) => [check, severity]),
        [["replication", "note"]]
      )
      assert.strictEqual(code, 0)
    })
  )

  it.live("writes that are not durable, and a strategy that knows no data centres", () =>
    Effect.gen(function* () {
      const url = yield* keyspace(
        "weak",
        "{'class': 'SimpleStrategy', 'replication_factor': 1}",
        "AND durable_writes = false"
      )
      const { code, of } = yield* doctor(url)
      assert.strictEqual(code, 1)
      assert.deepInclude(of("durable_writes")[0], {
        severity: "error",
        cure: 'ALTER KEYSPACE "weak" WITH durable_writes = true;'
      })
      assert.deepInclude(of("strategy")[0], { severity: "note" })
      assert.deepStrictEqual(of("warns"), [])
    })
  )

  it.live("more copies than nodes", () =>
    Effect.gen(function* () {
      const { of } = yield* doctor(yield* keyspace("many", "{'class': 'NetworkTopologyStrategy', 'datacenter1': 3}"))
      assert.deepInclude(of("replication")[0], {
        severity: "error",
        wrong: 'the keyspace "many" wants 3 copies, and there are 1 nodes'
      })
    })
  )

  it.live("a table whose rows go by themselves", () =>
    Effect.gen(function* () {
      const url = yield* keyspace("aging", one)
      yield* server.admin(
        "CREATE TABLE aging.storage_lock (id text PRIMARY KEY, record text) WITH default_time_to_live = 60"
      )
      const { of } = yield* doctor(url)
      assert.deepInclude(of("table")[0], {
        severity: "error",
        cure: 'ALTER TABLE "aging"."storage_lock" WITH default_time_to_live = 0;'
      })
    })
  )
})

describe("doctor at nodes of Cassandra that are set otherwise", () => {
  it("a log that is written late, and an older Paxos", () => {
    const found = ofNode(
      new Map([
        ["commitlog_sync", "periodic"],
        ["paxos_variant", "v1"]
      ])
    )
    assert.deepStrictEqual(
      found.map(({ check, severity }) => [check, severity]),
      [
        ["commitlog_sync", "warning"],
        ["paxos_variant", "note"]
      ]
    )
  })
})
