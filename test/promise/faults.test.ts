/** Whatever a storage does, a promise ends, is rejected with an error of this library alone, and nothing else is rejected. */
import { assert, describe, it } from "#harness/vitest"
import { LockError, type LockErrorCode, type Locks, StorageError } from "../../src/promise/index.js"
import * as faulty from "../support/faulty.js"
import { failing, locksOn, rejected } from "../support/promises.js"
import * as unhandled from "../support/unhandled.js"

unhandled.refused()

const faults: Readonly<Record<string, faulty.Fault>> = {
  hangs: faulty.hang,
  "hangs, and cannot be interrupted": { ...faulty.slow(400), uninterruptible: true },
  refuses: faulty.refuse,
  "refuses for good": { before: faulty.failure("Permission", "no", false) },
  "loses its replies": faulty.loseReply,
  "is slow": faulty.slow(30),
  "is late": faulty.late(30)
}

const options = { leaseExpireAfter: 600, clockMargin: 50, leaseRefreshInterval: 150, acquireTimeout: 300 }

/** Every way to ask, each as a promise. */
const asks: Readonly<Record<string, (locks: Locks) => Promise<unknown>>> = {
  acquire: async (locks) => (await locks.acquire("a", options)).release(),
  tryAcquire: async (locks) => (await locks.tryAcquire("a", options))?.release(),
  withLock: (locks) => locks.withLock("a", (_, signal) => signal.aborted, options),
  withLockIfAvailable: (locks) => locks.withLockIfAvailable("a", async (lock) => lock.check(), options),
  renew: async (locks) => {
    await using lock = await locks.acquire("a", options)
    return await lock.renew()
  },
  get: (locks) => locks.get("a"),
  forceRelease: (locks) => locks.forceRelease("a", { token: 1, when: "leaseEnd" })
}

const codes: ReadonlyArray<LockErrorCode> = ["STORAGE", "LOCK_TIMEOUT", "LOCK_LOST"]

describe("a storage", () => {
  for (const [name, fault] of Object.entries(faults)) {
    it(`that ${name}: what is asked ends, in a result or in an error of ours`, async () => {
      const asked = Object.values(asks).map(async (ask) => {
        const { set, storage } = failing()
        await using locks = await locksOn(storage)
        set(["claim", "renew", "release", "revoke", "get"], fault)
        const error = await ask(locks).then(
          () => undefined,
          (error: unknown) => error
        )
        if (error !== undefined) {
          assert.isTrue(error instanceof LockError)
          assert.include(codes, (error as LockError).code)
        }
        set(["claim", "renew", "release", "revoke", "get"], undefined)
      })
      await Promise.all(asked)
    })
  }

  it("that fails: the error has what a program decides by", async () => {
    const { set, storage } = failing()
    await using locks = await locksOn(storage)
    set(["claim"], { before: faulty.failure("Permission", "no", false) })
    const error = (await rejected(locks.acquire("a"))) as StorageError
    assert.instanceOf(error, StorageError)
    assert.deepStrictEqual(
      [error.code, error.name, error.reason, error.operation, error.isRetryable, error.applied, error.message],
      ["STORAGE", "StorageError", "Permission", "test", false, "no", "a Permission made by the test"]
    )
  })

  it("that throws where it should fail", async () => {
    const { storage } = failing()
    const broken = {
      ...storage,
      claim: () => {
        throw new Error("broken")
      }
    }
    await using locks = await locksOn(broken)
    const error = await rejected(locks.acquire("a", { acquireTimeout: 100 }))
    assert.instanceOf(error, StorageError)
  })
})
