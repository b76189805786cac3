/** A hold by itself, in a core whose time, timers and calls the test has in its hands: when it renews, when it warns, when it ends, and what it leaves. */
import { assert, describe, it } from "#harness/vitest"
import * as Cause from "#effect/Cause"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Result from "#effect/Result"
import * as Fiber from "#effect/Fiber"
import { exitOf } from "#effect/fibers"
import { Claimant } from "../../src/core/claimant.js"
import type { Core } from "../../src/core/core.js"
import { deadlineOf, Hold } from "../../src/core/hold.js"
import { LockQueues } from "../../src/core/lockQueues.js"
import type { Resolved } from "../../src/core/options.js"
import type { LostReason, StorageError } from "../../src/LockError.js"
import { type LockRecord, revokedHold } from "../../src/LockRecord.js"
import * as Faulty from "../support/faulty.js"

const options = {
  lease: 30_000,
  refresh: 10_000,
  margin: 1_500,
  holdAtMost: Number.POSITIVE_INFINITY,
  ownerLabel: ""
} as Resolved

const record: LockRecord = {
  lockId: "foo",
  kind: "exclusive",
  format: 1,
  ownerId: "me",
  holds: ["h"],
  token: 7,
  version: 3,
  lockBeginTime: 0,
  leaseExpireTime: 31_000_000,
  data: ""
}

interface Pending {
  due: number
  readonly ring: () => void
}

interface Handler {
  readonly answered: (answer: Result.Result<unknown, StorageError>) => void
  readonly overdue: (error: StorageError) => void
}

const setup = () => {
  let now = 1_000
  const waitingTimers = new Set<Pending>()
  const told: Array<ReadonlyArray<unknown>> = []
  const releases: Array<Handler & { readonly limit: number }> = []
  let rings = 0
  const parts = {
    timeline: { now: () => now },
    timers: {
      set: <A>(due: number, callback: (subject: A) => void, subject: A) => {
        const timer = { due, ring: () => callback(subject) }
        waitingTimers.add(timer)
        return {
          cancel: () => void waitingTimers.delete(timer),
          move: (due: number) => {
            timer.due = due
            waitingTimers.add(timer)
          }
        }
      }
    },
    queues: new LockQueues(),
    events: { isHeard: false },
    logs: {
      lost: (_: unknown, reason: LostReason, detail: string | undefined) =>
        void told.push([now, "lost", reason, detail]),
      endangered: (_: unknown, error: StorageError | undefined) => void told.push([now, "endangered", error?.message]),
      recovered: () => void told.push([now, "recovered"])
    },
    calls: {
      start: (_: string, __: unknown, limit: number, handler: Handler) => void releases.push({ ...handler, limit })
    },
    storage: { release: () => Effect.void },
    holds: new Set<unknown>(),
    due: new Set<unknown>(),
    tasks: [] as Array<unknown>,
    quiet: { notify: () => {} },
    work: { notify: () => void rings++ }
  }
  const core = parts as unknown as Core
  const hold = (own?: Partial<Resolved>, ownerId = "me", claimed = record) => {
    const all = { ...options, ...own }
    const claimant = new Claimant("foo", "foo", ownerId, "h", all)
    return new Hold(core, claimant, claimed, now, deadlineOf(now, 30_000_000, all))
  }
  /** Timers ring in order, each at its time. */
  const until = (end: number) => {
    for (let rounds = 0; ; rounds++) {
      assert.isBelow(rounds, 1_000, "timers without end")
      const [next] = [...waitingTimers].filter(({ due }) => due <= end).sort((a, b) => a.due - b.due)
      if (next === undefined) break
      waitingTimers.delete(next)
      now = Math.max(now, next.due)
      next.ring()
    }
    now = end
  }
  /** Time passes, and no timer rings. */
  const blockedUntil = (end: number) => void (now = end)
  const dues = () => [...waitingTimers].map(({ due }) => due)
  return {
    ...parts,
    hold,
    until,
    blockedUntil,
    dues,
    told,
    releases,
    rings: () => rings,
    queue: () => core.queues.of("foo")
  }
}

const renewed = (start: number, validFor = 30_000_000) =>
  ({ _tag: "Renewed", leaseExpireTime: start * 1000 + validFor, validFor }) as const

describe("the record of a hold", () => {
  const { hold } = setup()
  const alike: ReadonlyArray<readonly [string, Partial<LockRecord>, Partial<Resolved>?]> = [
    ["that nobody else has", {}],
    ["with a label", { ownerLabel: "host" }, { ownerLabel: "host" }],
    ["with the label of another hold of its owner", { ownerLabel: "host" }],
    ["held twice", { holds: ["other", "h"] }],
    ["of another hold alone", { holds: ["other"] }],
    ["that several hold", { kind: "semaphore" }],
    ["with data", { data: "{}" }],
    ["of a later format", { format: 2 }],
    ["of an owner in another spelling", { ownerId: "Me" }]
  ]
  for (const [name, part, own] of alike)
    it(`is what the storage has told: one ${name}`, () => {
      const told = { ...record, ...part }
      assert.deepStrictEqual(hold(own, "me", told).record, told)
    })

  it("has the numbers of now", () => {
    for (const part of [{}, { holds: ["other", "h"] }]) {
      const { hold, until } = setup()
      const one = hold({}, "me", { ...record, ...part })
      until(12_000)
      one.renewed(11_000, renewed(11_000))
      one.renumber(8)
      assert.deepStrictEqual(one.record, { ...record, ...part, token: 8, leaseExpireTime: 41_000_000 })
    }
  })
})

describe("a hold is renewed", () => {
  it("begins held, until a margin before the end of its lease, and asks for its first renewal at its time", () => {
    const { due, dues, hold, holds, queue, rings, until } = setup()
    const one = hold()
    assert.deepStrictEqual(
      [one.state, one.renewing, one.token, one.leaseEnd, one.error],
      ["held", false, 7, 31_000, undefined]
    )
    assert.strictEqual(one.deadline, 29_500)
    assert.strictEqual(one.claimant.until, 31_000)
    assert.strictEqual(one.remaining(), 28_500)
    assert.isTrue(holds.has(one) && queue().isHolder("me"))
    assert.deepStrictEqual(dues(), [11_000])
    until(10_999)
    assert.strictEqual(due.size, 0)
    until(11_000)
    assert.isTrue(due.has(one))
    assert.strictEqual(rings(), 1)
  })

  it("by the shorter of what the storage tells and the lease", () => {
    assert.strictEqual(deadlineOf(1_000, 20_000_000, options), 19_500)
    assert.strictEqual(deadlineOf(1_000, 40_000_000, options), 29_500)
  })

  it("from the start of a renewal on, and its end only grows", () => {
    const { dues, hold, told, until } = setup()
    const one = hold()
    until(12_000)
    one.renewed(11_000, renewed(11_000))
    assert.deepStrictEqual(
      [one.deadline, one.claimant.until, one.renewAt, one.record.leaseExpireTime],
      [39_500, 41_000, 21_000, 41_000_000]
    )
    assert.deepStrictEqual(dues(), [21_000])
    one.renewed(11_500, renewed(11_500, 10_000_000))
    assert.deepStrictEqual([one.deadline, one.claimant.until], [39_500, 41_000])
    until(21_499)
    assert.deepStrictEqual(told, [])
  })

  it("warns once, halfway between the first renewal that does not get through and the end, and tells when it is well again", () => {
    const { hold, rings, told, until } = setup()
    const one = hold()
    until(11_000)
    one.renewFailed(Faulty.failure("Connection", "no"))
    assert.strictEqual(one.renewAt, 12_850)
    until(12_850)
    assert.strictEqual(rings(), 2)
    until(20_249)
    assert.deepStrictEqual(told, [])
    until(20_250)
    assert.deepStrictEqual(told, [[20_250, "endangered", "a Connection made by the test"]])
    assert.strictEqual(rings(), 2)
    one.renewFailed(Faulty.failure("Connection", "no"))
    until(24_000)
    assert.strictEqual(told.length, 1)
    assert.strictEqual(rings(), 3)
    one.renewed(24_000, renewed(24_000))
    one.renewed(24_001, renewed(24_001))
    assert.deepStrictEqual(told.slice(1), [[24_000, "recovered"]])
    // The next outage is another, whose failures are its own.
    until(34_001)
    until(43_000)
    assert.deepStrictEqual(told.slice(2), [])
    until(52_000)
    assert.deepStrictEqual(told.slice(2), [[(34_001 + 52_501) / 2, "endangered", undefined]])
  })

  it("and one that gets through before halfway is not told of", () => {
    const { hold, told, until } = setup()
    const one = hold()
    until(15_000)
    one.renewed(15_000, renewed(15_000))
    until(24_000)
    one.renewed(24_000, renewed(24_000))
    until(33_900)
    assert.deepStrictEqual(told, [])
  })

  it("after a failure, a tenth of what is left later; in no more than half an interval, and no sooner than 5 ms", () => {
    const { blockedUntil, hold } = setup()
    const one = hold({ refresh: 2_000 })
    one.renewFailed(Faulty.failure("Connection", "no"))
    assert.strictEqual(one.renewAt, 2_000)
    blockedUntil(25_500)
    one.renewFailed(Faulty.failure("Connection", "no"))
    assert.strictEqual(one.renewAt, 25_900)
    blockedUntil(29_490)
    one.renewFailed(Faulty.failure("Connection", "no"))
    assert.strictEqual(one.renewAt, 29_495)
  })

  it("a failure that may have been applied may have made it longer at the storage, also of what is over", () => {
    const { hold, until } = setup()
    const one = hold()
    until(2_000)
    one.renewFailed(Faulty.failure("Connection", "no"))
    assert.strictEqual(one.claimant.until, 31_000)
    one.renewFailed(Faulty.failure("Connection", "unknown"))
    assert.strictEqual(one.claimant.until, 32_000)
    one.lose("Forced")
    const { renewAt } = one
    until(3_000)
    one.renewFailed(Faulty.failure("Connection", "unknown"))
    assert.deepStrictEqual([one.claimant.until, one.renewAt], [33_000, renewAt])
  })
})

describe("a hold is lost", () => {
  it("at its deadline, for its last failure, with nothing more to come but that it is given back a margin later", () => {
    const { tasks, due, dues, hold, holds, queue, told, until } = setup()
    const one = hold()
    until(29_000)
    one.renewFailed(Faulty.failure("Timeout", "no"))
    until(29_499)
    assert.strictEqual(one.state, "held")
    until(29_500)
    assert.strictEqual(one.state, "lost")
    assert.deepStrictEqual(told.at(-1), [29_500, "lost", "Expired", "a Timeout made by the test"])
    assert.deepInclude(
      { ...one.error },
      { lockId: "foo", ownerId: "me", token: 7, reason: "Expired", detail: "a Timeout made by the test" }
    )
    assert.strictEqual(one.failure("Released"), one.error)
    assert.deepStrictEqual([one.remaining(), holds.size, due.size, queue().isHolder("me")], [0, 0, 0, false])
    assert.deepStrictEqual(dues(), [31_000])
    until(30_999)
    assert.strictEqual(tasks.length, 0)
    until(31_000)
    assert.strictEqual(tasks.length, 1)
    one.giveBack()
    assert.strictEqual(tasks.length, 1)
    assert.deepStrictEqual(dues(), [])
  })

  it("also if no timer told, as soon as somebody looks; what came too late is not believed", () => {
    const { blockedUntil, dues, hold, told } = setup()
    const one = hold()
    blockedUntil(29_500)
    one.renewed(29_000, renewed(29_000))
    assert.deepStrictEqual(told, [[29_500, "lost", "Expired", undefined]])
    assert.deepStrictEqual(one.record, record)
    assert.deepStrictEqual(dues(), [31_000])
  })

  it("once: the first reason stands, and a failure of a renewal is no reason for another loss", () => {
    const { hold, told } = setup()
    const one = hold()
    one.renewFailed(Faulty.failure("Timeout", "no"))
    one.lose("Forced")
    one.lose("Expired")
    assert.deepStrictEqual(told, [[1_000, "lost", "Forced", undefined]])
  })

  it("when it was held for as long as it may be, however it is renewed; given back when its lease could have ended", () => {
    const { dues, hold, told, until } = setup()
    const one = hold({ holdAtMost: 20_000 })
    until(11_000)
    one.renewed(11_000, renewed(11_000))
    assert.strictEqual(one.remaining(), 10_000)
    until(21_000)
    assert.deepStrictEqual(told, [[21_000, "lost", "HeldTooLong", "20s"]])
    assert.deepStrictEqual(dues(), [41_000])
  })

  it("of both ends at one moment, for its longest time", () => {
    const { hold, told, until } = setup()
    hold({ holdAtMost: 28_500 })
    until(29_500)
    assert.deepStrictEqual(told.at(-1), [29_500, "lost", "HeldTooLong", "28s 500ms"])
  })

  it("by force: it is given back a margin later, not at the end of its lease", () => {
    const { dues, hold } = setup()
    hold().lose("Forced")
    assert.deepStrictEqual(dues(), [2_500])
  })

  it("with its layer, which gives it back itself", () => {
    const { tasks, dues, hold } = setup()
    const one = hold()
    one.giveBack()
    assert.strictEqual(tasks.length, 0, "what is held is not given back")
    one.lose("Closed")
    assert.deepStrictEqual(dues(), [])
    assert.isTrue(one.owesRelease)
    one.giveBack()
    assert.strictEqual(tasks.length, 1)
    assert.isFalse(one.owesRelease)
  })

  it.effect("who waits for it, before or after, hears of it", () =>
    Effect.gen(function* () {
      const { hold } = setup()
      const one = hold()
      const before = yield* Effect.forkChild(Effect.flip(one.lost))
      yield* Effect.yieldNow
      one.lose("Forced")
      assert.strictEqual(yield* Fiber.join(before), one.error)
      assert.strictEqual(yield* Effect.flip(one.lost), one.error)
    })
  )

  const shows: Record<
    string,
    readonly [current: LockRecord | undefined, reason: LostReason, detail: RegExp | undefined]
  > = {
    "no record": [undefined, "Vanished", /^it has no record of this lock$/],
    "a lower token": [
      { ...record, token: 6, version: 9 },
      "Vanished",
      /^its record is of an older state, with token 6$/
    ],
    "an older version": [{ ...record, version: 2 }, "Vanished", /older state, with token 7/],
    "a higher token at a lower version": [{ ...record, token: 8, version: 1 }, "Taken", undefined],
    "a higher token, revoked": [{ ...record, token: 8, holds: [revokedHold] }, "Taken", undefined],
    "the mark of an operator": [{ ...record, version: 4, holds: [revokedHold] }, "Forced", undefined],
    "this very hold": [record, "Expired", /^by the storage's clock; its clock ran ahead by more than `clockMargin`$/],
    "nothing held": [{ ...record, version: 4, holds: [] }, "Forced", undefined],
    "other holds": [
      { ...record, version: 4, holds: ["other"] },
      "Vanished",
      /^its record has other holds of this owner, and not this one$/
    ]
  }
  for (const [name, [current, reason, detail]] of Object.entries(shows)) {
    it(`to a renewal that finds ${name}`, () => {
      const { hold, told } = setup()
      const one = hold()
      one.renewFailed(Faulty.failure("Timeout", "no"))
      one.renewed(1_000, { _tag: "NotHeld", current })
      assert.strictEqual(told[0]![2], reason)
      if (detail === undefined) assert.isUndefined(told[0]![3])
      else assert.match(told[0]![3] as string, detail)
    })
  }
})

describe("a hold is given back", () => {
  it("when its scope closes; what is thrown there is a defect, and keeps the scope from nothing", async () => {
    const { calls, hold, releases } = setup()
    const one = hold()
    const close = one.finalizer
    assert.deepStrictEqual([one.state, releases.length], ["held", 0])
    const end = Effect.runPromise(close())
    assert.deepStrictEqual([one.state, releases.length], ["released", 1])
    releases[0]!.answered(Result.succeed({ _tag: "Released", remaining: 0 }))
    await end

    const defect = new Error("made by the test")
    const other = hold({}, "you").finalizer
    calls.start = () => {
      throw defect
    }
    const exit = Effect.runSyncExit(other())
    assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) === defect)
  })

  /** Whether a fiber has ended, after it had time to. */
  const ended = (fiber: Fiber.Fiber<unknown>) =>
    Effect.map(Effect.repeat(Effect.yieldNow, { times: 5 }), () => exitOf(fiber) !== undefined)

  it.effect("once, and whoever does it waits for the answer; nothing of it is left", () =>
    Effect.gen(function* () {
      const { tasks, dues, hold, holds, queue, releases } = setup()
      const one = hold()
      const both = yield* Effect.forEach([1, 2], () => Effect.forkChild(one.release))
      yield* Effect.repeat(Effect.yieldNow, { times: 5 })
      assert.deepStrictEqual([one.state, holds.size, releases.length, releases[0]!.limit], ["released", 0, 1, 10_000])
      assert.isTrue(queue().isHolder("me"), "until the storage knows")
      for (const fiber of both) assert.isFalse(yield* ended(fiber))
      releases[0]!.answered(Result.succeed({ _tag: "Released", remaining: 0 }))
      for (const fiber of both) yield* Fiber.join(fiber)
      yield* one.release
      assert.deepStrictEqual([releases.length, tasks.length, dues().length, queue().isHolder("me")], [1, 0, 0, false])
    })
  )

  it.effect("and what is lost is not released again, but its debt is paid at once", () =>
    Effect.gen(function* () {
      const { blockedUntil, tasks, hold, releases } = setup()
      const one = hold()
      blockedUntil(29_500)
      yield* one.release
      assert.deepStrictEqual([one.state, releases.length, tasks.length], ["lost", 0, 1])
      yield* one.release
      assert.deepStrictEqual([releases.length, tasks.length], [0, 1])
    })
  )

  it.effect("a release that fails ends the hold, is known to the queue, and is tried on in the background", () =>
    Effect.gen(function* () {
      const { tasks, hold, queue, releases } = setup()
      const fiber = yield* Effect.forkChild(hold().release)
      yield* Effect.repeat(Effect.yieldNow, { times: 5 })
      const kept = queue()
      const error = Faulty.failure("Connection", "unknown")
      releases[0]!.answered(Result.fail(error))
      yield* Fiber.join(fiber)
      assert.strictEqual(kept.outage(1_000, 1_000), error)
      assert.deepStrictEqual([tasks.length, kept.isHolder("me")], [1, false])
    })
  )

  it.effect("one that is answered while a claim of its own may yet arrive is followed up, too", () =>
    Effect.gen(function* () {
      const { tasks, hold, queue, releases } = setup()
      const one = hold()
      one.claimant.unsure = 900
      const fiber = yield* Effect.forkChild(one.release)
      yield* Effect.repeat(Effect.yieldNow, { times: 5 })
      const kept = queue()
      releases[0]!.answered(Result.succeed({ _tag: "Released", remaining: 0 }))
      yield* Fiber.join(fiber)
      assert.deepStrictEqual([tasks.length, kept.outage(1_000, 1_000)], [1, undefined])
    })
  )

  it.effect("one that is overdue ends it then, and its late answer ends nothing else", () =>
    Effect.gen(function* () {
      const { tasks, hold, queue, releases } = setup()
      const one = hold()
      const deeper = hold()
      const fiber = yield* Effect.forkChild(one.release)
      yield* Effect.repeat(Effect.yieldNow, { times: 5 })
      const error = Faulty.failure("Timeout", "unknown")
      releases[0]!.overdue(error)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual([tasks.length, queue().isHolder("me")], [1, true])
      releases[0]!.answered(Result.fail(Faulty.failure("Connection", "unknown")))
      assert.deepStrictEqual([tasks.length, queue().isHolder("me"), deeper.state], [1, true, "held"])
      assert.strictEqual(queue().outage(1_000, 1_000), error)
    })
  )
})
