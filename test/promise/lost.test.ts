/** Losses, as a program with promises is told of them. */
import { assert, describe, it } from "#harness/vitest"
import { type Lock, LockLost } from "../../src/promise/index.js"
import * as faulty from "../support/faulty.js"
import { failing, locksOn, memory, rejected } from "../support/promises.js"
import * as unhandled from "../support/unhandled.js"

unhandled.refused()

const short = { leaseExpireAfter: 300, clockMargin: 50, leaseRefreshInterval: 100 }

/** Resolves when it aborts. */
const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => (signal.aborted ? resolve() : signal.addEventListener("abort", () => resolve())))

describe("a hold that cannot be renewed", () => {
  for (const [name, fault] of [
    ["hangs", faulty.hang],
    ["refuses", faulty.refuse],
    ["loses its replies", faulty.loseReply]
  ] as const) {
    it(`is lost, and told by every way at once with one error, where the storage ${name}`, async () => {
      const { set, storage } = failing()
      await using locks = await locksOn(storage, short)
      const lock = await locks.acquire("a")
      const silent = await locks.acquire("b")
      set(["renew"], fault)
      await aborted(lock.signal)
      const error = lock.signal.reason as LockLost
      assert.instanceOf(error, LockLost)
      assert.strictEqual(error.reason, "Expired")
      assert.strictEqual(error.token, lock.token)
      assert.strictEqual(error.lockId, "a")
      assert.strictEqual(await rejected(lock.lost), error)
      assert.strictEqual(await rejected(lock.renew()), error)
      assert.strictEqual(await rejected(Promise.race([new Promise(() => {}), lock.lost])), error)
      assert.throws(() => lock.check(), error.message)
      // Nobody listened to this one.
      await rejected(silent.lost)
      assert.instanceOf(silent.signal.reason, LockLost)
      set(["renew"], undefined)
      await lock.release()
      await silent.release()
      await using again = await locks.acquire("a")
      assert.isAbove(again.token, lock.token)
    })
  }
})

/** The body is told of the loss, and then ends as it likes. */
const lostBody = async <A>(
  ends: (lock: Lock, signal: AbortSignal) => A | Promise<A>,
  lostAtEnd?: "fail" | "succeed"
): Promise<unknown> => {
  await using locks = await locksOn(memory(), { lostAtEnd })
  return await locks
    .withLock("a", async (lock, signal) => {
      assert.isTrue(await locks.forceRelease("a", { token: lock.token, when: "now" }))
      await aborted(signal)
      return ends(lock, signal)
    })
    .catch((error: unknown) => error)
}

describe("a body whose hold is lost", () => {
  it("is told by its signal, with the loss as the reason, which withLock is rejected with", async () => {
    let reason: unknown
    const error = await lostBody((_, signal) => {
      reason = signal.reason
      signal.throwIfAborted()
    })
    assert.instanceOf(error, LockLost)
    assert.strictEqual(error, reason)
    assert.strictEqual(error.reason, "Forced")
    assert.notProperty(error, "completed")
    assert.notProperty(error, "cause")
  })

  it("does not hide the loss by what it throws itself, which is the cause", async () => {
    const own = new Error("the request was aborted")
    const error = (await lostBody(() => Promise.reject(own))) as LockLost
    assert.instanceOf(error, LockLost)
    assert.strictEqual(error.cause, own)
  })

  it("is waited for, and its result is told", async () => {
    let ended = false
    const error = (await lostBody(async () => {
      await new Promise((resolve) => setTimeout(resolve, 30))
      ended = true
      return 7
    })) as LockLost
    assert.isTrue(ended)
    assert.instanceOf(error, LockLost)
    assert.deepStrictEqual([error.completed, error.result], [true, 7])
  })

  it("gives its result with lostAtEnd: succeed", async () => {
    assert.strictEqual(await lostBody(() => 7, "succeed"), 7)
  })

  it("ends in its own error, if it threw before anybody knew of the loss", async () => {
    await using locks = await locksOn(memory(), { leaseExpireAfter: 300, clockMargin: 50, leaseRefreshInterval: 100 })
    const own = new Error("own")
    const work = locks.withLock("a", (lock) => {
      // An event loop that is blocked beyond the lease: nobody could tell.
      while (lock.info.leaseExpireTime.getTime() > Date.now()) continue
      throw own
    })
    assert.strictEqual(await rejected(work), own)
  })
})

describe("check", () => {
  it("tells in a loop that lets nothing else run", async () => {
    await using locks = await locksOn(memory(), short)
    const lock = await locks.acquire("a")
    const spin = () => {
      for (;;) lock.check()
    }
    assert.throws(spin, LockLost)
    await lock.release()
  })
})
