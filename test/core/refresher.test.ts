/** Renewals by themselves: which holds share a statement, how long it may take, and what each is told of it. */
import { assert, describe, it } from "#harness/vitest"
import * as Result from "#effect/Result"
import { LinkedList } from "../../src/core/linkedList.js"
import type { RenewableHold } from "../../src/core/claimant.js"
import type { Core } from "../../src/core/core.js"
import { renew, renewDue } from "../../src/core/refresher.js"
import type { StorageError } from "../../src/LockError.js"
import type { RenewAnswer } from "../../src/Storage.js"
import * as Faulty from "../support/faulty.js"

interface Call {
  readonly ids: ReadonlyArray<string>
  readonly leases: ReadonlyArray<number>
  readonly limit: number
  readonly answered: (answer: Result.Result<ReadonlyArray<unknown>, StorageError>) => void
  readonly overdue: (error: StorageError) => void
}

const now = 50_000

const setup = () => {
  const calls: Array<Call> = []
  const told: Array<string> = []
  const failed: Array<readonly [holds: string, reason: string]> = []
  const core = {
    timeline: { now: () => now },
    storage: { guarantees: { name: "test" }, renew: (requests: unknown) => requests },
    calls: {
      start: (operation: string, requests: unknown, limit: number, handler: Pick<Call, "answered" | "overdue">) => {
        assert.strictEqual(operation, "renew")
        const all = requests as ReadonlyArray<{
          readonly lockId: string
          readonly holdId: string
          readonly lease: number
        }>
        for (const { holdId, lockId } of all) assert.strictEqual(lockId, `lock of ${holdId}`)
        calls.push({ ids: all.map(({ holdId }) => holdId), leases: all.map(({ lease }) => lease), limit, ...handler })
      }
    },
    events: { isHeard: false },
    logs: {
      renewalFailed: (holds: ReadonlyArray<RenewableHold>, { reason }: StorageError) =>
        void failed.push([holds.map(({ claimant }) => claimant.holdId).join(), reason])
    },
    due: new Set<RenewableHold>(),
    holds: new LinkedList<RenewableHold>()
  }
  const hold = (
    id: string,
    {
      left = 100_000,
      refresh = 8_000,
      renewIn = 0,
      ...more
    }: { left?: number; refresh?: number; renewIn?: number; lease?: number; state?: string; renewing?: boolean } = {}
  ) => {
    const made = {
      claimant: { key: `lock of ${id}`, holdId: id, lease: more.lease ?? 30_000 },
      options: { refresh },
      state: more.state ?? "held",
      renewing: more.renewing ?? false,
      deadline: now + left,
      renewAt: now + renewIn,
      renewed: (start: number, { _tag }: { readonly _tag: string }) => void told.push(`${id} ${_tag} ${start}`),
      renewFailed: ({ reason }: StorageError) => void told.push(`${id} ${reason}`)
    } as unknown as RenewableHold
    core.holds.add(made)
    return made
  }
  const due = (id: string, options?: Parameters<typeof hold>[1]) => {
    const made = hold(id, options)
    core.due.add(made)
    return made
  }
  const chunks = () => {
    renewDue(core as unknown as Core)
    return calls.map(({ ids }) => ids)
  }
  return { core: core as unknown as Core, calls, told, failed, hold, due, chunks }
}

const renewed = { _tag: "Renewed", leaseExpireTime: 1, validFor: 1 } as const

describe("a renewal", () => {
  it("may take an interval, ten seconds, or half of what is left, whichever is least; but 20 ms", () => {
    const limit = (options: { left?: number; refresh?: number }) => {
      const { calls, core, hold } = setup()
      renew(core, [hold("a", options)])
      return calls[0]!.limit
    }
    assert.strictEqual(limit({}), 8_000)
    assert.strictEqual(limit({ refresh: 60_000 }), 10_000)
    assert.strictEqual(limit({ left: 100 }), 50)
    assert.strictEqual(limit({ left: 10 }), 20)
  })

  it("of several takes no longer than the most urgent may, asks for each its lease, and is under way", () => {
    const { calls, core, due } = setup()
    const holds = [due("a", { lease: 1.0004 }), due("b", { left: 4_000 })]
    renew(core, holds)
    assert.strictEqual(calls[0]!.limit, 2_000)
    assert.deepStrictEqual(calls[0]!.leases, [1000, 30_000_000])
    assert.deepStrictEqual(
      holds.map(({ renewing }) => renewing),
      [true, true]
    )
    assert.strictEqual(core.due.size, 0)
  })

  it("tells each what came of it; an answer that is none is a failure of that one", () => {
    const { calls, core, failed, hold, told } = setup()
    const holds = ["a", "b", "c", "d", "e"].map((id) => hold(id))
    const after: Array<string> = []
    renew(
      core,
      holds,
      (answer: RenewAnswer) => void after.push(answer._tag === "StorageError" ? answer.operation : answer._tag)
    )
    calls[0]!.answered(
      Result.succeed([
        renewed,
        { _tag: "NotHeld", current: undefined },
        Faulty.failure("Timeout", "no"),
        { _tag: "odd" },
        Faulty.failure("Timeout", "unknown")
      ])
    )
    assert.deepStrictEqual(told, ["a Renewed 50000", "b NotHeld 50000", "c Timeout", "d Unknown", "e Timeout"])
    assert.deepStrictEqual(after, ["Renewed", "NotHeld", "test", "test.renew", "test"])
    assert.deepStrictEqual(failed, [
      ["c,e", "Timeout"],
      ["d", "Unknown"]
    ])
    assert.isTrue(holds.every(({ renewing }) => !renewing))
  })

  it("that answers too few fails those without an answer", () => {
    const { calls, core, hold, told } = setup()
    renew(core, [hold("a"), hold("b")])
    calls[0]!.answered(Result.succeed([renewed]))
    assert.deepStrictEqual(told, ["a Renewed 50000", "b Unknown"])
  })

  it("that fails, fails all, and speaks of those that are still held", () => {
    const { calls, core, failed, hold, told } = setup()
    const holds = [hold("a"), hold("b", { state: "released" })]
    let after = 0
    renew(core, holds, () => after++)
    calls[0]!.answered(Result.fail(Faulty.failure("Connection", "no")))
    assert.deepStrictEqual(told, ["a Connection", "b Connection"])
    assert.deepStrictEqual(failed, [["a", "Connection"]])
    assert.deepStrictEqual([after, holds[0]!.renewing], [2, false])
  })

  it("that is overdue has failed, whatever it answers then", () => {
    const { calls, core, hold, told } = setup()
    const one = hold("a")
    renew(core, [one])
    calls[0]!.overdue(Faulty.failure("Timeout", "unknown"))
    assert.isFalse(one.renewing)
    calls[0]!.answered(Result.succeed([renewed]))
    calls[0]!.answered(Result.fail(Faulty.failure("Connection", "no")))
    assert.deepStrictEqual(told, ["a Timeout"])
  })
})

describe("of the holds that are due", () => {
  it("each is renewed, and whoever will be within a quarter of its interval comes along", () => {
    const { chunks, due, hold } = setup()
    due("a")
    hold("along", { renewIn: 2_000 })
    hold("later", { renewIn: 2_001 })
    assert.deepStrictEqual(chunks(), [["a", "along"]])
  })

  it("none is renewed that is over, or that is being renewed; nobody is who only would have come along", () => {
    const over = setup()
    over.due("lost", { state: "lost" })
    over.due("under way", { renewing: true })
    over.hold("along")
    assert.deepStrictEqual(over.chunks(), [])
    const none = setup()
    none.hold("along")
    assert.deepStrictEqual(none.chunks(), [])
  })

  it("a hundred go in a statement, the urgent ones together", () => {
    const { chunks, due } = setup()
    for (let i = 0; i < 250; i++) due(`${i}`, { left: 1_000 + ((i * 7) % 250) })
    const sent = chunks()
    assert.deepStrictEqual(
      sent.map(({ length }) => length),
      [100, 100, 50]
    )
    const left = sent.flat().map((id) => (Number(id) * 7) % 250)
    assert.deepStrictEqual(
      left,
      [...left].sort((a, b) => a - b)
    )
  })

  it("whoever has more than four times the time of the most urgent goes in another, that of its own most urgent", () => {
    const { chunks, due } = setup()
    for (const left of [3_202, 200, 12_810, 800, 802, 3_208]) due(`${left}`, { left })
    assert.deepStrictEqual(chunks(), [["200", "800"], ["802", "3202", "3208"], ["12810"]])
  })

  it("and of those chunks only the ones in which somebody is due", () => {
    const { chunks, due, hold } = setup()
    due("urgent", { left: 200 })
    hold("plenty", { left: 20_000 })
    assert.deepStrictEqual(chunks(), [["urgent"]])
  })

  it("five hundred go at once, of ten thousand holds those that were renewed the longest ago", () => {
    const { chunks, due, hold } = setup()
    due("due")
    for (let i = 0; i < 10_000; i++) hold(`${i}`, { renewIn: i < 5 ? 2_001 : 2_000 })
    const sent = chunks()
    assert.deepStrictEqual(
      sent.map(({ length }) => length),
      [100, 100, 100, 100, 100]
    )
    assert.sameMembers(sent.flat(), ["due", ...Array.from({ length: 499 }, (_, i) => `${i + 5}`)])
    const many = setup()
    for (let i = 0; i < 600; i++) many.due(`${i}`)
    many.hold("along")
    assert.strictEqual(many.chunks().flat().length, 600)
    const some = setup()
    for (let i = 0; i < 300; i++) some.due(`${i}`, { left: 20_000 })
    for (let i = 0; i < 1_000; i++) some.hold(`along ${i}`, { left: 19_000 })
    assert.strictEqual(some.chunks().flat().length, 500)
  })

  it("of those who only come along, a statement that is not full waits", () => {
    const { chunks, due, hold } = setup()
    due("due")
    for (let i = 0; i < 150; i++) hold(`${i}`)
    assert.deepStrictEqual(
      chunks().map(({ length }) => length),
      [100]
    )
  })

  it("and a thousand are looked at", () => {
    const { chunks, due, hold } = setup()
    for (let i = 0; i < 999; i++) hold(`later ${i}`, { renewIn: 2_001 })
    hold("seen")
    hold("not seen")
    due("due")
    assert.sameMembers([...chunks()[0]!], ["due", "seen"])
  })
})
