/** What an AbortSignal ends, and that nothing is left behind. */
import { assert, describe, it } from "#harness/vitest"
import * as faulty from "../support/faulty.js"
import { failing, locksOn, memory, rejected, until } from "../support/promises.js"
import * as unhandled from "../support/unhandled.js"

unhandled.refused()

describe("an aborted acquire", () => {
  it("asks nothing, if it was aborted before", async () => {
    const { calls, storage } = failing()
    await using locks = await locksOn(storage)
    const signal = AbortSignal.abort("no longer")
    for (const made of [
      locks.acquire("a", { signal }),
      locks.tryAcquire("a", { signal }),
      locks.withLock("a", () => assert.fail("it ran"), { signal }),
      locks.withLockIfAvailable("a", () => assert.fail("it ran"), { signal })
    ])
      assert.strictEqual(await rejected(made), "no longer")
    assert.strictEqual(calls.claim, 0)
  })

  it("ends its wait, with the reason, and those behind it are served", async () => {
    await using locks = await locksOn(memory())
    const lock = await locks.acquire("a")
    const controller = new AbortController()
    const { signal } = controller
    const waiting = [
      rejected(locks.acquire("a", { signal })),
      rejected(locks.withLock("a", () => assert.fail("it ran"), { signal }))
    ]
    const behind = locks.acquire("a")
    const reason = new Error("enough")
    controller.abort(reason)
    assert.deepStrictEqual(await Promise.all(waiting), [reason, reason])
    await lock.release()
    await (await behind).release()
    assert.isUndefined(await locks.get("a"))
  })

  it("has an AbortError for a reason where none is given", async () => {
    await using locks = await locksOn(memory())
    await using _lock = await locks.acquire("a")
    const controller = new AbortController()
    const waiting = rejected(locks.acquire("a", { signal: controller.signal }))
    controller.abort()
    assert.strictEqual(((await waiting) as Error).name, "AbortError")
  })

  it("leaves no lock behind, whenever it is aborted", async () => {
    const { set, storage } = failing()
    await using locks = await locksOn(storage)
    for (const fault of [undefined, faulty.late(10), faulty.slow(10), { ...faulty.late(10), uninterruptible: true }]) {
      for (const turns of [0, 1, 2, 3, 5, 8, 20]) {
        for (const take of ["acquire", "withLock", "tryAcquire", "withLockIfAvailable"] as const) {
          set(["claim", "release"], fault)
          const controller = new AbortController()
          const { signal } = controller
          const made: Promise<unknown> =
            take === "acquire" || take === "tryAcquire"
              ? locks[take]("a", { signal })
              : locks[take]("a", () => new Promise((resolve) => setTimeout(resolve, 1)), { signal })
          const outcome = made.then(
            (lock) => lock as { readonly release?: () => Promise<void> } | undefined,
            (error: unknown) => ({ error })
          )
          for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setTimeout(resolve, 1))
          controller.abort("no longer")
          const ended = await outcome
          if (ended !== undefined && "error" in ended) assert.strictEqual(ended.error, "no longer")
          else await (ended as { readonly release?: () => Promise<void> } | undefined)?.release?.()
          set(["claim", "release"], undefined)
          await until(async () => (await locks.get("a")) === undefined)
        }
      }
    }
  })

  it("keeps no listener at a signal that lives on", async () => {
    await using locks = await locksOn(memory())
    const controller = new AbortController()
    let listeners = 0
    const { addEventListener, removeEventListener } = controller.signal
    controller.signal.addEventListener = function (this: AbortSignal, ...args: Parameters<typeof addEventListener>) {
      listeners++
      // What is tied to another signal goes with that.
      const { signal } = Object(args[2]) as { readonly signal?: AbortSignal }
      signal?.addEventListener("abort", () => listeners--)
      return addEventListener.apply(this, args)
    }
    controller.signal.removeEventListener = function (
      this: AbortSignal,
      ...args: Parameters<typeof removeEventListener>
    ) {
      listeners--
      return removeEventListener.apply(this, args)
    }
    const { signal } = controller
    await (await locks.acquire("a", { signal })).release()
    await locks.withLock("a", () => 1, { signal })
    await locks.withLockIfAvailable("a", () => 1, { signal })
    assert.strictEqual(listeners, 0)
  })
})

describe("a signal that aborts while a body runs", () => {
  it("aborts that of the body, whose end is waited for, and whose word counts", async () => {
    await using locks = await locksOn(memory())
    for (const heeds of [true, false]) {
      const controller = new AbortController()
      let ended = false
      const work = locks.withLock(
        "a",
        async (lock, signal) => {
          controller.abort("enough")
          assert.strictEqual(signal.reason, "enough")
          assert.isFalse(lock.signal.aborted)
          await new Promise((resolve) => setTimeout(resolve, 20))
          ended = true
          if (heeds) signal.throwIfAborted()
          return "done"
        },
        { signal: controller.signal }
      )
      assert.strictEqual(heeds ? await rejected(work) : await work, heeds ? "enough" : "done")
      assert.isTrue(ended)
      assert.isUndefined(await locks.get("a"))
    }
  })
})
