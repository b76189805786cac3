/** What options come to, and what is said of those that make no sense, word for word. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Schedule from "#effect/Schedule"
import * as TestClock from "#harness/testing/TestClock"
import { wallMillis } from "#effect/clocks"
import { callLimit, closedError, type Core, isUnsure } from "../../src/core/core.js"
import type { Claimant } from "../../src/core/claimant.js"
import { defaultRetry, ofLayer, override, resolve } from "../../src/core/options.js"
import { thisProcess } from "../../src/core/thisProcess.js"
import { InvalidOptions } from "../../src/LockError.js"
import type { Guarantees } from "../../src/Storage.js"
import type { Options } from "../../src/StorageLock.js"

const guarantees: Guarantees = {
  name: "Test",
  clock: "storage",
  leaseGranularity: 1_000,
  shortestLease: 50_000,
  longestId: 255
}

const resolved = (options: Options, more: Partial<Guarantees> = {}) => {
  const made = resolve(options, { ...guarantees, ...more })
  assert.notInstanceOf(made, InvalidOptions)
  return made
}

const refused = (options: unknown, more: Partial<Guarantees> = {}) => {
  const made = resolve(options as Options, { ...guarantees, ...more })
  return made instanceof InvalidOptions ? made.message : made
}

describe("options come to", () => {
  it("their defaults", () => {
    assert.deepStrictEqual(resolved({}), {
      lease: 30_000,
      refresh: 10_000,
      margin: 1_500,
      acquireTimeout: Number.POSITIVE_INFINITY,
      holdAtMost: Number.POSITIVE_INFINITY,
      lostAtEnd: "fail",
      purgeAfter: 24 * 3_600_000,
      retry: defaultRetry,
      ownerLabel: thisProcess
    })
  })

  it("what is given", () => {
    const retry = Schedule.spaced("1 second")
    assert.deepStrictEqual(
      resolved({
        leaseExpireAfter: "1 minute",
        leaseRefreshInterval: "7 seconds",
        clockMargin: 0,
        acquireTimeout: 1,
        holdAtMost: "1 hour",
        lostAtEnd: "succeed",
        purgeAfter: "1 hour",
        retry,
        ownerLabel: "me",
        namespace: "n"
      }),
      {
        lease: 60_000,
        refresh: 7_000,
        margin: 0,
        acquireTimeout: 1,
        holdAtMost: 3_600_000,
        lostAtEnd: "succeed",
        purgeAfter: 3_600_000,
        retry,
        ownerLabel: "me"
      }
    )
  })

  it("a lease that is rounded up to the grain of the storage's clock, with the rest in proportion", () => {
    const second = { leaseGranularity: 1_000_000 }
    assert.deepInclude(resolved({ leaseExpireAfter: 8_001 }, second), { lease: 9_000, refresh: 3_000, margin: 450 })
    assert.deepInclude(resolved({ leaseExpireAfter: 9_000 }, second), { lease: 9_000 })
    assert.deepInclude(resolved({ leaseExpireAfter: 1_000 }), { margin: 100 })
    assert.deepInclude(resolved({ leaseExpireAfter: 4_000 }), { margin: 200 })
  })

  it("infinity where that is asked for", () => {
    const never = { holdAtMost: "infinity", purgeAfter: "infinity" } as const
    assert.deepInclude(resolved(never), { holdAtMost: Number.POSITIVE_INFINITY, purgeAfter: Number.POSITIVE_INFINITY })
    assert.deepInclude(resolved({ purgeAfter: false }), { purgeAfter: Number.POSITIVE_INFINITY })
    assert.deepInclude(resolved({ acquireTimeout: Number.POSITIVE_INFINITY }), {
      acquireTimeout: Number.POSITIVE_INFINITY
    })
  })

  it("what is still allowed at the edges", () => {
    assert.deepInclude(resolved({ leaseExpireAfter: 50, clockMargin: 10 }), { lease: 50 })
    assert.deepInclude(resolved({ leaseExpireAfter: "365 days" }), { lease: 365 * 24 * 3_600_000 })
    assert.deepInclude(resolved({ leaseExpireAfter: 1_000, leaseRefreshInterval: 800, clockMargin: 100 }), {
      refresh: 800
    })
  })

  it("those of the layer with one acquire's own over them, each with names of its own", () => {
    const layer: Options = { leaseExpireAfter: "1 minute", ownerLabel: "layer", namespace: "n" }
    assert.deepInclude(override(layer, { ownerLabel: "own" }, guarantees), { lease: 60_000, ownerLabel: "own" })
    assert.deepInclude(override(layer, { leaseExpireAfter: "3 seconds" }, guarantees), { refresh: 1_000 })
    const acquire = override(layer, { namespace: "m" } as object, guarantees)
    assert.strictEqual(acquire instanceof InvalidOptions && acquire.field, "namespace")
    const ofAcquire = ofLayer({ ownerId: "me" } as object, guarantees)
    assert.strictEqual(ofAcquire instanceof InvalidOptions && ofAcquire.field, "ownerId")
    assert.deepStrictEqual(ofLayer(layer, guarantees), resolve(layer, guarantees))
  })
})

const lease = "leaseExpireAfter must be a duration from 50ms (the shortest of Test) to 365d, but is "
const refresh = "leaseRefreshInterval must be a duration above zero and below the lease of 30s, but is "
const margin = "clockMargin must be a duration of zero or more, below the lease of 30s, but is "
const together =
  "such that leaseRefreshInterval and clockMargin (give a smaller one for a short lease) together are at most 90 % of leaseExpireAfter"

const nonsense: ReadonlyArray<readonly [options: unknown, message: string]> = [
  [{ leaseExpireAfter: 49 }, `${lease}49`],
  [{ leaseExpireAfter: 365 * 24 * 3_600_000 + 1 }, `${lease}${365 * 24 * 3_600_000 + 1}`],
  [{ leaseRefreshInterval: 0 }, `${refresh}0`],
  [{ leaseRefreshInterval: 30_000 }, `${refresh}30000`],
  [{ clockMargin: -1 }, `${margin}-1`],
  [{ clockMargin: 30_000 }, `${margin}30000`],
  [
    { leaseExpireAfter: 120 },
    `leaseExpireAfter must be ${together}, but is 40ms (refresh) and 100ms (clockMargin) in a lease of 120ms`
  ],
  // The default of the margin does not fit, which is the lease's fault.
  [
    { leaseExpireAfter: 60 },
    `leaseExpireAfter must be ${together}, but is 20ms (refresh) and 100ms (clockMargin) in a lease of 60ms`
  ],
  [
    { leaseRefreshInterval: 26_000 },
    `leaseRefreshInterval must be ${together}, but is 26s (refresh) and 1s 500ms (clockMargin) in a lease of 30s`
  ],
  [
    { clockMargin: 18_000 },
    `leaseRefreshInterval must be ${together}, but is 10s (refresh) and 18s (clockMargin) in a lease of 30s`
  ],
  [{ acquireTimeout: 0 }, "acquireTimeout must be a duration above zero (tryAcquire does not wait), but is 0"],
  [{ holdAtMost: 0 }, 'holdAtMost must be a duration above zero, or "infinity" for no bound, but is 0'],
  [{ lostAtEnd: "never" }, 'lostAtEnd must be "fail" or "succeed", but is "never"'],
  [{ retry: "often" }, 'retry must be a Schedule, but is "often"'],
  [
    { namespace: "" },
    "namespace must be a string of 1 to 64 UTF-16 units, without NUL and without lone surrogates, and without U+001F, but is empty"
  ],
  [
    { ownerLabel: "a\0" },
    "ownerLabel must be a string of 1 to 255 UTF-16 units, without NUL and without lone surrogates, or empty for none, but is a string with a NUL"
  ],
  [{ purgeAfter: 3_599_999 }, 'purgeAfter must be a duration of at least 1h, or "infinity" for never, but is 3599999']
]

describe("options that make no sense are refused in these words", () => {
  for (const [options, message] of nonsense)
    it(message, () => {
      assert.strictEqual(refused(options), message)
    })

  it("a lease of zero, where the storage allows the shortest", () => {
    assert.include(refused({ leaseExpireAfter: 0 }, { shortestLease: 0 }), "leaseExpireAfter must be a duration from 0")
  })
})

it.effect("whoever waits asks again after 20 ms or so, then ever later, and at last every half a second or so", () =>
  Effect.gen(function* () {
    const asked: Array<number> = []
    const clock = yield* Effect.clockWith(Effect.succeed)
    const asking = yield* Effect.forkChild(
      Effect.repeat(
        Effect.sync(() => void asked.push(wallMillis(clock))),
        defaultRetry
      )
    )
    yield* TestClock.adjust("20 seconds")
    yield* Fiber.interrupt(asking)
    const delays = asked.slice(1).map((at, i) => at - asked[i]!)
    assert.isAtLeast(delays.length, 25)
    for (const [i, delay] of delays.entries()) {
      const usual = Math.min(20 * 1.5 ** i, 500)
      assert.strictEqual(delay, Math.floor(delay))
      assert.isAtLeast(delay, 0.5 * usual)
      assert.isAtMost(delay, 1.5 * usual + 1)
    }
  })
)

describe("one call", () => {
  it("has a third of the lease, and never more than ten seconds", () => {
    assert.deepStrictEqual([3, 3_000, 30_000, 60_000].map(callLimit), [1, 1_000, 10_000, 10_000])
  })

  it("may have been made as long as one is under way, and for a lease after one was not answered", () => {
    const core = { timeline: { now: () => 1_000 } } as unknown as Core
    const unsure = (inflight: number, since: number) =>
      isUnsure(core, { inflight, unsure: since, lease: 100 } as unknown as Claimant)
    assert.isTrue(unsure(1, 0))
    assert.isFalse(unsure(0, 0))
    assert.isFalse(unsure(0, 900))
    assert.isTrue(unsure(0, 901))
  })

  it("fails in these words once the layer is closed", () => {
    const error = closedError("acquire")
    assert.deepInclude(error, {
      reason: "Closed",
      operation: "StorageLock.acquire",
      isRetryable: false,
      applied: "no"
    })
    assert.include(error.message, "the StorageLock layer is closed")
  })
})
