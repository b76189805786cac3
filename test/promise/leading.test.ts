/** Leaders and schedules, as promises. */
import { assert, describe, it } from "#harness/vitest"
import { InvalidOptions, LockLost, Resigned } from "../../src/promise/index.js"
import { locksOn, memory, rejected, until } from "../support/promises.js"
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

describe("a schedule", () => {
  it("runs each tick once in all processes, goes on after a failure, and ends with its signal, or at the end", async () => {
    const storage = memory()
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
