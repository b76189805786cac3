/** Connections to etcd, by a driver that misbehaves as no server can make it. */
import { assert, describe, it, vi } from "#harness/vitest"
import type * as Grpc from "@grpc/grpc-js"
import * as Cause from "#effect/Cause"
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Fiber from "#effect/Fiber"
import * as Schedule from "#effect/Schedule"
import * as Stream from "#effect/Stream"
import { EventEmitter } from "node:events"
import * as client from "../../src/backends/etcd/client.js"
import * as engine from "../../src/backends/etcd/engine.js"
import * as protocol from "../../src/backends/etcd/protocol.js"
import * as records from "../../src/backends/etcd/records.js"
import * as source from "../../src/backends/etcd/source.js"
import * as ports from "../../src/backends/etcd/storage.js"
import * as weak from "../../src/backends/etcd/startupFindings.js"
import type { StorageError } from "../../src/LockError.js"

/** The driver's client, with a channel that connects or never does. */
const driver = (connects: boolean, onClose: () => void): Grpc.Client =>
  ({
    makeUnaryRequest: (...args: ReadonlyArray<unknown>) => {
      const answer = args.at(-1) as (error: unknown, value?: unknown) => void
      queueMicrotask(() => (connects ? answer(null, {}) : answer({ code: 14, details: "no connection established" })))
      return { cancel: () => {} }
    },
    getChannel: () => ({ getConnectivityState: () => (connects ? 2 : 3) }),
    close: onClose
  }) as unknown as Grpc.Client

describe("a channel that never tries again", () => {
  it.live("is left for a new one, and not before it had time to connect", () =>
    Effect.gen(function* () {
      let now = 1_000
      yield* Effect.acquireRelease(
        Effect.sync(() => vi.spyOn(performance, "now").mockImplementation(() => now)),
        (spy) => Effect.sync(() => spy.mockRestore())
      )
      let opened = 0
      let closed = 0
      const { call } = yield* client.make({
        source: source.fixed([() => driver(++opened > 1, () => closed++)]),
        owned: true
      })
      const ask = Effect.suspend(() => call("get", protocol.status, {}, now + 500, "reads"))
      for (; now < 3_900; now += 100) {
        const error = yield* Effect.flip(ask)
        assert.deepStrictEqual([error.reason, error.isRetryable, error.applied], ["Connection", true, "no"])
      }
      assert.deepStrictEqual([opened, closed], [1, 0])
      now = 4_100
      yield* Effect.flip(ask)
      assert.strictEqual(closed, 1)
      yield* ask
      assert.deepStrictEqual([opened, closed], [2, 1])
    })
  )
})

const odd: ReadonlyArray<unknown> = [
  {},
  { header: null },
  { header: {} },
  null,
  undefined,
  "text",
  { header: { revision: 5 }, kvs: null },
  {
    header: { revision: 5 },
    succeeded: true,
    responses: []
  },
  { header: { revision: 5 }, succeeded: true, responses: null },
  { header: { revision: 5 }, kvs: [null], more: false },
  { header: { revision: 5 }, kvs: [{}], more: false }
]

/** The driver's client, connected to something that answers to everything with this. */
const answering = (value: unknown, stream = new EventEmitter()): Grpc.Client =>
  ({
    makeUnaryRequest: (...args: ReadonlyArray<unknown>) => {
      const answer = args.at(-1) as (error: unknown, value?: unknown) => void
      queueMicrotask(() =>
        answer(
          null,
          args[0] === protocol.status.path ? { version: "3.5.0", errors: [], isLearner: false, leader: 1 } : value
        )
      )
      return { cancel: () => {} }
    },
    makeBidiStreamRequest: () => Object.assign(stream, { cancel: () => {}, write: () => {} }),
    getChannel: () => ({ getConnectivityState: () => 2, getTarget: () => "dns:somewhere:2379" }),
    close: () => {}
  }) as unknown as Grpc.Client

it("warns of an etcd that is older than 3.4, and of no other", () => {
  const told = (version: string) => weak.findings({ errors: [], isLearner: false, version }).map(({ wrong }) => wrong)
  for (const version of ["3.0.1", "3.2.32", "3.3.27"])
    assert.deepStrictEqual(told(version), [`etcd ${version} is older than 3.4`])
  for (const version of ["3.4.0", "3.6.5", "3.10.0", "3.30.1", "4.0.0"]) assert.deepStrictEqual(told(version), [])
})

describe("answers that no etcd gives", () => {
  const keys = records.keys("p/")
  const settings = { prefix: "p/", operationTimeout: 1_000, versionMissRetry: Schedule.recurs(2) }
  const over = (driver: Grpc.Client) =>
    Effect.map(client.make({ source: source.fixed([() => driver]), owned: true }), (etcd) => {
      const core = engine.make(etcd, keys, settings)
      return { etcd, core, storage: ports.storage(core, Stream.empty) }
    })

  it.live("fail the call that they come to, as an error, whatever their shape", () =>
    Effect.gen(function* () {
      const request = { lockId: "a", ownerId: "me", holdId: "h".repeat(22), lease: 1_000_000 }
      for (const value of odd) {
        const { storage } = yield* over(answering(value))
        const calls: ReadonlyArray<Effect.Effect<unknown, StorageError>> = [
          storage.claim(request),
          storage.renew([request, { ...request, lockId: "b" }]),
          storage.release(request),
          storage.get("a"),
          Stream.runDrain(storage.list)
        ]
        for (const call of calls) {
          const exit = yield* Effect.exit(call)
          // Some of it may be read as an answer. What may not be is a defect.
          if (exit._tag === "Failure")
            assert.isTrue(Option.isSome(Cause.findErrorOption(exit.cause)), JSON.stringify(value))
        }
        assert.strictEqual((yield* Effect.exit(storage.claim(request)))._tag, "Failure", JSON.stringify(value))
      }
    })
  )

  it.live("end a watch, and nothing else", () =>
    Effect.gen(function* () {
      const events: ReadonlyArray<unknown> = [
        null,
        undefined,
        5,
        {},
        { events: null },
        { events: [null] },
        { events: [{ type: 0, kv: null }] },
        {
          events: [{ type: 0, kv: { key: "text", value: null } }]
        }
      ]
      for (const value of events) {
        const stream = new EventEmitter()
        const { etcd } = yield* over(answering({}, stream))
        const watching = yield* Effect.forkChild(
          Effect.flip(etcd.watch({ create: { key: keys.first, rangeEnd: keys.end } }, () => undefined, 5_000))
        )
        yield* Effect.repeat(Effect.yieldNow, { until: () => stream.listenerCount("data") > 0 })
        stream.emit("data", value)
        assert.strictEqual((yield* Fiber.join(watching))._tag, "StorageError")
      }
      const stream = new EventEmitter()
      const { etcd } = yield* over(answering({}, stream))
      const throwing = etcd.watch(
        { create: { key: keys.first, rangeEnd: keys.end } },
        () => {
          throw new Error("a hearer that throws")
        },
        5_000
      )
      const watching = yield* Effect.forkChild(Effect.flip(throwing))
      yield* Effect.repeat(Effect.yieldNow, { until: () => stream.listenerCount("data") > 0 })
      stream.emit("data", { header: null, events: [] })
      assert.include((yield* Fiber.join(watching)).message, "a hearer that throws")
    })
  )
})
