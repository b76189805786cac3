/** A release that fails, with hands on the clock: when it is told, until when the lock may be kept from others, and when it is well again. */
import { assert, describe, it } from "#harness/vitest"
import type { Resolved } from "../../src/core/options.js"
import { Claimant } from "../../src/core/claimant.js"
import type { Core } from "../../src/core/core.js"
import type { Subject } from "../../src/core/logs.js"
import { Unreleased } from "../../src/core/unreleased.js"
import type { StorageError } from "../../src/LockError.js"
import * as Faulty from "../support/faulty.js"

const setup = () => {
  const hands = { now: 1_000 }
  const told: Array<ReadonlyArray<unknown>> = []
  const core = {
    timeline: { now: () => hands.now },
    logs: {
      wallClock: () => 0,
      unreleased: ({ leaseEnd }: Subject, error: StorageError | undefined) =>
        void told.push(["unreleased", leaseEnd, error?.reason]),
      released: ({ leaseEnd }: Subject) => void told.push(["released", leaseEnd])
    }
  } as unknown as Core
  const claimant = new Claimant("foo", "foo", "me", "h", { lease: 9_000, ownerLabel: "" } as Resolved)
  return { hands, told, claimant, unreleased: () => new Unreleased(core, claimant) }
}

const refused = Faulty.failure("Connection", "no")

describe("a release that fails", () => {
  it("is told after a third of the lease, once, and again when it succeeds after all", () => {
    const { claimant, hands, told, unreleased } = setup()
    claimant.until = 10_000
    const one = unreleased()
    hands.now = 3_999
    one.failed(refused)
    assert.deepStrictEqual(told, [])
    hands.now = 4_000
    one.failed(refused)
    one.failed(refused)
    assert.deepStrictEqual(told, [["unreleased", 6_000, "Connection"]])
    one.answered()
    one.answered()
    one.ended()
    assert.deepStrictEqual(told.slice(1), [["released", 6_000]])
  })

  it("is told at once if it is for good, or when nobody tries any more", () => {
    const final = setup()
    final.claimant.until = 2_000
    final.unreleased().failed(Faulty.failure("Permission", "no", false))
    assert.deepStrictEqual(final.told, [["unreleased", 1_000, "Permission"]])
    const given = setup()
    given.claimant.until = 2_000
    given.unreleased().ended()
    assert.deepStrictEqual(given.told, [["unreleased", 1_000, undefined]])
  })

  it("and not of what keeps nobody out: its lease is over, or it was answered", () => {
    const { claimant, told, unreleased } = setup()
    claimant.until = 1_000
    unreleased().ended()
    claimant.until = 5_000
    const one = unreleased()
    one.failed(refused)
    one.answered()
    one.ended()
    assert.deepStrictEqual(told, [])
    one.failed(refused)
    one.ended()
    assert.strictEqual(told.length, 1)
  })

  it("may keep others out for a lease from when a claim of it may last have arrived", () => {
    const until = (prepare: (claimant: Claimant) => void) => {
      const { claimant, hands, told, unreleased } = setup()
      prepare(claimant)
      const one = unreleased()
      hands.now = 2_000
      one.ended()
      return told[0]?.[1]
    }
    assert.strictEqual(
      until((claimant) => void claimant.inflight++),
      9_000
    )
    assert.strictEqual(
      until(() => {}),
      8_000,
      "since it was to be given back"
    )
    assert.strictEqual(
      until((claimant) => void (claimant.unsure = 1_500)),
      8_500
    )
    assert.strictEqual(
      until((claimant) => void (claimant.unsure = 500)),
      8_000
    )
    assert.strictEqual(
      until((claimant) => {
        claimant.until = 4_000
        claimant.unsure = 500
      }),
      7_500
    )
    assert.strictEqual(
      until((claimant) => void (claimant.until = 4_000)),
      2_000
    )
    assert.strictEqual(
      until((claimant) => {
        claimant.until = 4_000
        claimant.inflight++
      }),
      9_000
    )
  })
})
