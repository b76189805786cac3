/** How what may be at the storage is given back for certain: when it is asked, how often, and when nobody asks any more. In virtual time. */
import { assert, describe, it } from "#harness/vitest"
import * as Clock from "effect/Clock"
import * as Deferred from "#effect/Deferred"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as clocks from "#effect/clocks"
import type { Resolved } from "../../src/core/options.js"
import { Claimant } from "../../src/core/claimant.js"
import type { Core } from "../../src/core/core.js"
import { settle } from "../../src/core/settling.js"
import type { StorageError } from "../../src/LockError.js"
import * as Faulty from "../support/faulty.js"
import { run } from "../support/virtualTime.js"

interface Setup {
  readonly core: { closed: boolean }
  readonly claimant: Claimant
  /** Since the beginning, in milliseconds. */
  readonly releases: Array<number>
  readonly told: Array<string>
  /** The holds of which its queues were told that the storage keeps nothing. */
  readonly gone: Array<string>
  readonly settled: Effect.Effect<void>
  readonly close: Effect.Effect<void>
  readonly holds: { by: string | undefined }
  readonly now: () => number
}

const over = (
  answer: (index: number) => Effect.Effect<unknown, StorageError>,
  lease: number,
  body: (setup: Setup) => Effect.Effect<void, unknown>
) =>
  Effect.runPromise(
    run(
      Effect.gen(function* () {
        const clock = yield* Effect.clockWith(Effect.succeed)
        const began = yield* Clock.currentTimeMillis
        const now = () => clocks.wallMillis(clock) - began
        const claimant = new Claimant("foo", "foo", "me", "h", { lease, ownerLabel: "" } as Resolved)
        const releases: Array<number> = []
        const told: Array<string> = []
        const gone: Array<string> = []
        const holds: Setup["holds"] = { by: undefined }
        const core = {
          timeline: { now },
          closed: false,
          closing: Deferred.makeUnsafe<void>(),
          storage: {
            release: (request: unknown) =>
              Effect.suspend(() => {
                assert.deepStrictEqual(request, { lockId: "foo", holdId: "h" })
                releases.push(now())
                return answer(releases.length - 1)
              })
          },
          calls: {
            ask: (operation: string, self: Effect.Effect<unknown, StorageError>, limit: number) => {
              assert.deepStrictEqual([operation, limit], ["release", Math.min(lease / 3, 10_000)])
              return self
            }
          },
          queues: {
            isHolder: (key: string, owner: string) => key === "foo" && owner === holds.by,
            gone: (key: string, holdId: string) => void gone.push(`${key} ${holdId}`)
          },
          events: { isHeard: false },
          logs: {
            wallClock: () => 0,
            unreleased: () => void told.push(`unreleased ${Math.round(now())}`),
            released: () => void told.push(`released ${Math.round(now())}`)
          }
        }
        const close = Effect.suspend(() => {
          core.closed = true
          return Effect.asVoid(Deferred.succeed(core.closing, undefined))
        })
        yield* body({
          core,
          claimant,
          releases,
          told,
          gone,
          settled: settle(core as unknown as Core, claimant),
          close,
          holds,
          now
        })
      })
    )
  )

const released = () => Effect.succeed({ _tag: "Released", remaining: 0 })
const refused = () => Effect.fail(Faulty.failure("Connection", "no"))
const pausesOf = (at: ReadonlyArray<number>) => at.slice(1).map((time, i) => time - at[i]!)

describe("to settle", () => {
  it("takes one release, if that is answered and nothing may yet arrive", () =>
    over(released, 30_000, ({ gone, now, releases, settled, told }) =>
      Effect.gen(function* () {
        yield* settled
        assert.deepStrictEqual([releases.length, now(), told.length], [1, 0, 0])
        assert.deepStrictEqual(gone, ["foo h"])
      })
    ))

  it("waits for the claims that are under way", () =>
    over(released, 30_000, ({ claimant, now, releases, settled }) =>
      Effect.gen(function* () {
        claimant.inflight = 2
        const fiber = yield* Effect.forkChild(settled)
        yield* Effect.sleep("1 second")
        claimant.ended()
        yield* Effect.sleep("1 second")
        assert.strictEqual(releases.length, 0)
        claimant.ended()
        yield* Fiber.join(fiber)
        assert.deepStrictEqual([releases.length, now()], [1, 2000])
      })
    ))

  it("tries on, with pauses that double up to two seconds; tells it once after a third of the lease, and when it is well again", () =>
    over(
      (index) => (index < 15 ? refused() : released()),
      30_000,
      ({ claimant, releases, settled, told }) =>
        Effect.gen(function* () {
          claimant.until = 30_000
          yield* settled
          assert.strictEqual(releases.length, 16)
          pausesOf(releases).forEach((pause, i) => {
            const usual = Math.min(2_000, 20 * 2 ** i)
            assert.isTrue(pause >= usual / 2 && pause <= usual * 1.5, `pause ${i}: ${pause}`)
          })
          assert.deepStrictEqual(told, [
            `unreleased ${Math.round(releases.find((at) => at >= 10_000)!)}`,
            `released ${Math.round(releases.at(-1)!)}`
          ])
        })
    ))

  it("ends with the lease, which ends the hold; unless this process holds the lock, and what it has deepened with it", () =>
    over(refused, 9_000, ({ claimant, holds, now, releases, settled }) =>
      Effect.gen(function* () {
        claimant.until = 9_000
        yield* settled
        assert.isTrue(now() >= 9_000 && now() <= 12_000, String(now()))
        const began = now()
        holds.by = "me"
        const fiber = yield* Effect.forkChild(settled)
        yield* Effect.sleep("1 minute")
        assert.isTrue(releases.at(-1)! > began + 50_000)
        holds.by = "you"
        yield* Fiber.join(fiber)
        assert.isTrue(now() <= began + 63_001)
      })
    ))

  it("looks again and again for a claim that may yet arrive, as long as its lease; more seldom than it tries, if the lease is long", () =>
    over(released, 60_000, ({ claimant, now, releases, settled, told }) =>
      Effect.gen(function* () {
        claimant.unsure = 0
        yield* settled
        assert.isTrue(now() >= 60_000 && now() <= 69_000, String(now()))
        const pauses = pausesOf(releases)
        assert.isAbove(Math.max(...pauses), 3_000)
        assert.isAtMost(Math.max(...pauses), 9_000)
        assert.strictEqual(told.length, 0)
      })
    ))

  it("and not more seldom than every two seconds or so, if it is short", () =>
    over(released, 15_000, ({ claimant, releases, settled }) =>
      Effect.gen(function* () {
        claimant.unsure = 0
        yield* settled
        const pauses = pausesOf(releases)
        assert.isAtMost(Math.max(...pauses), 3_000)
        pauses.slice(7).forEach((pause) => assert.isAtLeast(pause, 1_000))
      })
    ))

  it("tells when nobody tries any more what was not given back", () =>
    over(
      () => Effect.fail(Faulty.failure("Permission", "no", false)),
      30_000,
      ({ claimant, close, settled, told }) =>
        Effect.gen(function* () {
          claimant.until = 30_000
          yield* close
          yield* settled
          assert.deepStrictEqual(told, ["unreleased 0"])
        })
    ))

  it("and if it was interrupted before the storage answered", () =>
    over(
      () => Effect.never,
      30_000,
      ({ claimant, settled, told }) =>
        Effect.gen(function* () {
          claimant.until = 30_000
          const fiber = yield* Effect.forkChild(settled)
          yield* Effect.sleep("1 second")
          assert.deepStrictEqual(told, [])
          yield* Fiber.interrupt(fiber)
          assert.deepStrictEqual(told, ["unreleased 1000"])
        })
    ))
})

describe("to settle while the layer closes", () => {
  it("waits for no claim that may yet arrive", () =>
    over(released, 30_000, ({ claimant, close, releases, settled }) =>
      Effect.gen(function* () {
        claimant.unsure = 0
        yield* close
        yield* settled
        assert.strictEqual(releases.length, 1)
      })
    ))

  it("starts over with short pauses, but with pauses", () =>
    over(refused, 30_000, ({ close, releases, settled }) =>
      Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(settled)
        yield* Effect.sleep("12 seconds")
        const before = releases.length
        yield* close
        yield* Effect.sleep("1 second")
        const after = releases.slice(before)
        assert.isAtMost(after[0]! - 12_000, 1)
        pausesOf(after).forEach((pause, i) => {
          const usual = 20 * 2 ** i
          assert.isTrue(pause >= usual / 2 && pause <= usual * 1.5, `pause ${i}: ${pause}`)
        })
        assert.isAbove(after.length, 3)
        yield* Fiber.interrupt(fiber)
      })
    ))
})
