/** ZooKeeper's answers, as the engine takes them: what no server can be made to show at a chosen moment. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Schedule from "#effect/Schedule"
import type { Client } from "../../src/backends/zookeeper/client.js"
import type { Answer } from "../../src/backends/zookeeper/client/connection.js"
import * as protocol from "../../src/backends/zookeeper/client/protocol.js"
import { Writer } from "../../src/backends/zookeeper/client/jute.js"
import * as zookeeper from "../../src/backends/zookeeper/engine.js"

const kinds: Record<number, string> = { 4: "read", 5: "write", 9: "sync", 15: "create" }

/** A server by hand: what was asked, and what is answered to each flight. */
const setup = () => {
  const asked: Array<string> = []
  const flights: Array<ReadonlyArray<Answer<any>>> = []
  const client: Client = {
    root: () => "/locks",
    acls: () => [],
    listen: () => Effect.never,
    send: (_, requests) =>
      Effect.sync(() => {
        asked.push(requests.map(({ type }) => kinds[type] ?? String(type)).join(" "))
        return flights.shift()!
      })
  }
  const core = zookeeper.make(client, { operationTimeout: 5_000, versionMissRetry: Schedule.recurs(1) })
  const look = core.one("get", {
    lockId: "a",
    unseen: "read",
    unsure: "again",
    decide: (record) => ({ record, outcome: record?.ownerId })
  })
  return { asked, flights, look: Effect.map(look, ({ outcome }) => outcome) }
}

const done = (zxid: number, value?: unknown): Answer<any> => ({ _tag: "Done", zxid, value })
const refused = (zxid: number, code: number): Answer<any> => ({ _tag: "Refused", zxid, code })

const node = (zxid: number, ownerId: string) =>
  done(zxid, {
    data: Buffer.from(
      JSON.stringify({
        kind: "exclusive",
        format: 1,
        ownerId,
        holds: ["h"],
        token: 1,
        version: 1,
        lockBeginTime: 0,
        leaseExpireTime: 1,
        data: ""
      })
    ),
    stat: { czxid: 1, mzxid: zxid, version: 0 }
  })

describe("an answer that is older than what is known", () => {
  it.effect("is asked for again behind a change that a majority refuses, and what comes then is believed", () =>
    Effect.gen(function* () {
      const { asked, flights, look } = setup()
      flights.push([done(10), node(10, "ada")])
      assert.strictEqual(yield* look, "ada")
      flights.push([done(9), node(9, "old")], [refused(11, protocol.code.badVersion), node(11, "bob")])
      assert.strictEqual(yield* look, "bob")
      assert.deepStrictEqual(asked.splice(0), ["sync read", "sync read", "write read"])
      // Of an ensemble that went back, it is asked for once.
      flights.push([done(5), node(5, "cyd")], [refused(6, protocol.code.badVersion), node(6, "cyd")])
      assert.strictEqual(yield* look, "cyd")
      flights.push([done(6), node(6, "cyd")])
      assert.strictEqual(yield* look, "cyd")
      assert.deepStrictEqual(asked, ["sync read", "write read", "sync read"])
    })
  )

  it.effect("is none if nobody agrees", () =>
    Effect.gen(function* () {
      const { flights, look } = setup()
      for (const [code, reason] of [
        [protocol.code.operationTimeout, "Timeout"],
        [protocol.code.noAuth, "Permission"],
        [protocol.code.noNode, "Schema"]
      ] as const) {
        flights.push([done(10), node(10, "ada")])
        assert.strictEqual(yield* look, "ada")
        flights.push([done(9), node(9, "old")], [refused(9, code), node(9, "old")])
        const error = yield* Effect.flip(look)
        assert.deepStrictEqual([error.reason, error.applied], [reason, "no"])
      }
    })
  )
})

it("no change is one of any version", () => {
  const bytes = (version: number) => {
    const writer = new Writer()
    protocol.setData("/a", new Uint8Array(0), version).write(writer)
    return writer.frame().subarray(-4).readInt32BE(0)
  }
  assert.deepStrictEqual([0, 7, -5, -1].map(bytes), [0, 7, -5, -2])
})
