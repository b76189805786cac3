/** Connections to etcd, by a driver that misbehaves as no server can make it. */
import { assert, describe, it, vi } from "@effect/vitest"
import type * as Grpc from "@grpc/grpc-js"
import * as Effect from "effect/Effect"
import * as client from "../src/internal/etcd/client.js"
import * as protocol from "../src/internal/etcd/protocol.js"
import * as source from "../src/internal/etcd/source.js"

/** The driver's client, with a channel that connects or never does. */
const driver = (connects: boolean, onClose: () => void): Grpc.Client =>
  ({
    makeUnaryRequest: (...args: ReadonlyArray<unknown>) => {
      const answer = args.at(-1) as (error: unknown, value?: unknown) => void
      queueMicrotask(() => connects ? answer(null, {}) : answer({ code: 14, details: "no connection established" }))
      return { cancel: () => {} }
    },
    getChannel: () => ({ getConnectivityState: () => connects ? 2 : 3 }),
    close: onClose
  }) as unknown as Grpc.Client

describe("a channel that never tries again", () => {
  it.scopedLive("is left for a new one, and not before it had time to connect", () =>
    Effect.gen(function*() {
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
    }))
})
