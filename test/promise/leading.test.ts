/** Leaders and schedules, as promises. */
import { assert, describe, it } from "#harness/vitest"
import { InvalidLockId, InvalidOptions, LockLost, Resigned } from "../../src/promise/index.js"
import { locksOn, memory, ports, rejected, until } from "../support/promises.js"
import * as unhandled from "../support/unhandled.js"

unhandled.refused()

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }))

describe("a leader", () => {
  it("is one of all, and its value is the end", async () => {
    const storage = memory()
    await using one = await locksOn(storage)
    await using two = await locksOn(storage)
    let leaders = 0
    const body = async () => {
      assert.strictEqual(++leaders, 1)
      await new Promise((resolve) => setTimeout(resolve, 20))
      leaders--
      return "done"
    }
    assert.deepStrictEqual(await Promise.all([one.lead("a", body), two.lead("a", body)]), ["done", "done"])
  })

  it("that loses its leadership is told, and leads again with a greater token; what it throws then is no failure", async () => {
    const storage = memory()
    await using one = await locksOn(storage)
    await using two = await locksOn(storage)
    const tokens: Array<number> = []
    const result = await one.lead("b", async ({ lock, token }, signal) => {
      tokens.push(token)
      if (tokens.length === 2) return lock.check() > 0
      await two.forceRelease("b", { token, when: "now" })
      const ended = aborted(signal)
      await rejected(lock.renew())
      await ended
      assert.instanceOf(signal.reason, LockLost)
      throw signal.reason
    })
    assert.isTrue(result)
    assert.isAbove(tokens[1]!, tokens[0]!)
  })

  it("resigns, fails as its body does, or ends with its signal, each time when the body has ended", async () => {
    const storage = memory()
    await using one = await locksOn(storage)
    let ended = false
    const resigned = await rejected(
      one.lead(
        "c",
        async ({ resign }, signal) => {
          resign()
          await (signal.aborted ? undefined : aborted(signal))
          await new Promise((resolve) => setTimeout(resolve, 5))
          ended = true
        },
        { afterResign: "never" }
      )
    )
    assert.instanceOf(resigned, Resigned)
    assert.isTrue(ended)
    for (const thrown of [new Error("mine"), undefined, 0, "text"])
      assert.strictEqual(await rejected(one.lead("c", () => Promise.reject(thrown))), thrown)
    const controller = new AbortController()
    const stopped = rejected(
      one.lead(
        "c",
        async (_, signal) => {
          controller.abort("enough")
          assert.strictEqual(signal.reason, "enough")
        },
        { signal: controller.signal }
      )
    )
    assert.strictEqual(await stopped, "enough")
    assert.isUndefined(await one.get("c"))
  })

  it("that makes no sense is refused", async () => {
    await using locks = await locksOn(memory())
    for (const options of [{ again: "often" }, { acquireTimeout: 5 }, { afterResign: "soon" }, { agin: 1 }])
      assert.instanceOf(await rejected(locks.lead("d", () => 1, options as never)), InvalidOptions)
    assert.instanceOf(await rejected(locks.lead("d", 1 as never)), InvalidOptions)
  })
})

describe("who looks", () => {
  it("sees whether its own connection leads, and who leads: at once, each change, until the end", async () => {
    const storage = memory()
    await using one = await locksOn(storage, { ownerLabel: "one" })
    const two = await locksOn(storage)
    const own = one.isLeader("e")
    const other = two.isLeader("e")
    const leader = two.leader("e", { pollEvery: "10 millis" })
    assert.deepStrictEqual(await own.next(), { done: false, value: false })
    assert.deepStrictEqual(await other.next(), { done: false, value: false })
    assert.deepStrictEqual(await leader.next(), { done: false, value: undefined })
    const led = one.lead("e", async ({ token }) => {
      assert.deepStrictEqual(await own.next(), { done: false, value: true })
      const { value } = await leader.next()
      assert.strictEqual(value?.token, token)
      assert.strictEqual(value?.ownerLabel, "one")
      assert.instanceOf(value?.leaseExpireTime, Date)
    })
    await led
    assert.deepStrictEqual(await own.next(), { done: false, value: false })
    assert.deepStrictEqual(await leader.next(), { done: false, value: undefined })
    // Who waits for a change is told the end, and so is who asks later.
    const waiting = [other.next(), leader.next()]
    await two.close()
    for (const each of [...waiting, other.next(), leader.next()])
      assert.deepStrictEqual(await each, { done: true, value: undefined })
    for await (const leads of one.isLeader("e")) {
      assert.isFalse(leads)
      break
    }
  })

  it("is refused what makes no sense", async () => {
    await using locks = await locksOn(memory())
    for (const options of [{ pollEvery: 0 }, { pollEvery: "soon" }, { pollevery: 1 }])
      assert.instanceOf(await rejected(locks.leader("e", options as never).next()), InvalidOptions)
    assert.instanceOf(await rejected(locks.leader("").next()), InvalidLockId)
  })
})

describe("a schedule", () => {
  it("tells how its last ticks went, to every process", async () => {
    const storage = ports()
    await using one = await locksOn(storage, { ownerLabel: "one" })
    await using two = await locksOn(storage)
    assert.deepStrictEqual(await two.history("h"), [])
    const controller = new AbortController()
    let runs = 0
    const schedule = one.schedule(
      "h",
      { every: "1 second" },
      () => {
        if (++runs === 1) throw new Error("the first")
      },
      { signal: controller.signal }
    )
    await until(async () => (await two.history("h")).some(({ outcome }) => outcome === "done"))
    controller.abort()
    await schedule
    const [last, ...before] = await two.history("h")
    const first = before[before.length - 1]!
    assert.deepInclude(first, { outcome: "failed", by: "one" })
    assert.isAbove(last!.token, first.token)
    for (const { began, ended, time } of [last!, first])
      for (const date of [time, began, ended]) assert.instanceOf(date, Date)
    assert.instanceOf(await rejected(two.history("")), InvalidLockId)
  })

  it("runs each tick once in all processes, goes on after a failure, and ends with its signal, or at the end", async () => {
    const storage = ports()
    await using one = await locksOn(storage)
    const two = await locksOn(storage)
    const controller = new AbortController()
    const ticks: Array<number> = []
    const tokens: Array<number> = []
    const task = (tick: { readonly time: Date; readonly token: number }) => {
      ticks.push(tick.time.getTime())
      tokens.push(tick.token)
      if (ticks.length === 1) throw new Error("the first")
    }
    const both = [
      one.schedule("s", { every: "1 second" }, task, { signal: controller.signal }),
      two.schedule("s", { every: "1 second" }, task)
    ]
    await until(() => ticks.length >= 3)
    assert.strictEqual(new Set(ticks).size, ticks.length)
    assert.deepStrictEqual(
      tokens,
      [...tokens].sort((a, b) => a - b)
    )
    controller.abort()
    await both[0]
    await two.close()
    await both[1]
    assert.instanceOf(await rejected(one.schedule("s", "not a cron", task)), InvalidOptions)
    assert.instanceOf(await rejected(one.schedule("s", "0 3 * * *", 1 as never)), InvalidOptions)
    assert.instanceOf(await rejected(one.schedule("s", "0 3 * * *", task, { runs: "often" } as never)), InvalidOptions)
  })
})
