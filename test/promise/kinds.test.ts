/** Read-write locks and semaphores, as promises, on memory, SQLite and PostgreSQL; and every kind as operators see it. */
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "#harness/vitest"
import {
  connect,
  InvalidOptions,
  type LockInformation,
  LockLost,
  type Locks,
  LockTimeout,
  StorageError,
  UpgradeRefused
} from "../../src/promise/index.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import { locksOn, ports, rejected, until } from "../support/promises.js"
import * as faulty from "../support/faulty.js"
import * as unhandled from "../support/unhandled.js"

unhandled.refused()

const all = async (locks: Locks): Promise<ReadonlyArray<LockInformation>> => {
  const found: Array<LockInformation> = []
  for await (const lock of locks.list()) found.push(lock)
  return found
}

/** A try gives up early on a storage that is slow to answer, as one on a busy machine may be. */
const tried = async <A>(attempt: () => Promise<A>): Promise<A> => {
  for (;;)
    try {
      return await attempt()
    } catch (error) {
      if (!(error instanceof StorageError && error.isRetryable)) throw error
    }
}

/** `open` gives another process's locks over the same storage. */
const suite = (open: () => Promise<Locks>) => {
  let one: Locks
  let two: Locks
  beforeAll(async () => {
    one = await open()
    two = await open()
  })
  afterAll(async () => {
    await one.close()
    await two.close()
  })

  it("reads go together, and a write goes alone", async () => {
    {
      await using first = await one.readWrite.read("rw")
      await using second = await two.readWrite.read("rw")
      assert.isAbove(second.token, first.token)
      assert.isUndefined(await tried(() => two.readWrite.tryWrite("rw")))
      assert.isUndefined(await tried(() => one.tryAcquire("rw")))
      assert.instanceOf(await rejected(tried(() => two.readWrite.write("rw", { acquireTimeout: 300 }))), LockTimeout)
      assert.instanceOf(await rejected(one.readWrite.write("rw", { ownerId: first.ownerId })), UpgradeRefused)
    }
    const result = await one.readWrite.withWriteLock("rw", async (lock, signal) => {
      assert.isFalse(signal.aborted)
      assert.isAbove(lock.check(), 0)
      assert.isUndefined(await tried(() => two.readWrite.tryRead("rw")))
      return await one.readWrite.withReadLock("rw", (inner) => inner.token === lock.token, { ownerId: lock.ownerId })
    })
    assert.isTrue(result)
    assert.isUndefined(await two.get("rw"))
  })

  it("an upgradable read becomes a write, and reads on after it", async () => {
    await using lock = await one.readWrite.upgradable("up")
    assert.isUndefined(await tried(() => two.readWrite.tryUpgradable("up")))
    await using other = await two.readWrite.read("up")
    const upgrading = one.readWrite.upgrade(lock)
    await other.release()
    {
      await using alone = await upgrading
      assert.isAbove(alone.token, other.token)
      assert.strictEqual(lock.token, alone.token)
      assert.isUndefined(await tried(() => two.readWrite.tryRead("up")))
    }
    await using again = await two.readWrite.read("up")
    assert.isAbove(again.check(), 0)
    assert.instanceOf(await rejected(two.readWrite.upgrade(again)), InvalidOptions)
    assert.instanceOf(await rejected(two.readWrite.upgrade({} as never)), InvalidOptions)
  })

  it("a semaphore has so many permits, and no more", async () => {
    {
      await using _ = await one.semaphore.acquire("sem", { limit: 3, permits: 2 })
      await using last = await two.semaphore.acquire("sem", { limit: 3 })
      assert.isUndefined(await tried(() => one.semaphore.tryAcquire("sem", { limit: 3 })))
      assert.deepStrictEqual(await tried(() => one.semaphore.withPermitsIfAvailable("sem", () => 1, { limit: 3 })), {
        ran: false
      })
      await last.release()
      assert.deepStrictEqual(await tried(() => one.semaphore.withPermitsIfAvailable("sem", () => 1, { limit: 3 })), {
        ran: true,
        result: 1
      })
    }
    assert.strictEqual(await two.semaphore.withPermits("sem", () => "had", { limit: 1 }), "had")
    for (const options of [undefined, {}, { limit: 0 }, { limit: 2, permits: 3 }, { limit: 2, limt: 2 }])
      assert.instanceOf(await rejected(one.semaphore.acquire("sem", options as never)), InvalidOptions)
  })

  it("a wait ends with its signal, and holds nothing", async () => {
    await using _ = await one.readWrite.write("abort")
    const controller = new AbortController()
    const waiting = rejected(two.readWrite.read("abort", { signal: controller.signal }))
    controller.abort("enough")
    assert.strictEqual(await waiting, "enough")
    await _.release()
    await using mine = await one.readWrite.write("abort")
    assert.isAbove(mine.check(), 0)
  })

  it("who looks after them sees locks of every kind, and who holds them", async () => {
    await using _ = await one.acquire("see-a")
    await using reader = await one.readWrite.read("see-b")
    await using second = await two.readWrite.read("see-b", { ownerLabel: "second" })
    await using permits = await two.semaphore.acquire("see-c", { limit: 5, permits: 3 })
    const seen = (await all(two)).filter(({ lockId }) => lockId.startsWith("see-"))
    assert.deepStrictEqual(seen.map(({ kind, lockId }) => [lockId, kind]).sort(), [
      ["see-a", "exclusive"],
      ["see-b", "readWrite"],
      ["see-c", "semaphore"]
    ])
    const [a, b, c] = await Promise.all(["see-a", "see-b", "see-c"].map(one.get))
    assert.isUndefined(a!.holders)
    assert.deepStrictEqual(
      b!.holders!.map(({ mode, ownerId, ownerLabel, token }) => ({ mode, ownerId, ownerLabel, token })),
      [
        { mode: "read", ownerId: reader.ownerId, ownerLabel: "a test", token: reader.token },
        { mode: "read", ownerId: second.ownerId, ownerLabel: "second", token: second.token }
      ]
    )
    assert.isAbove(b!.holders![0]!.leaseExpireTime.getTime(), b!.holders![0]!.lockBeginTime.getTime())
    assert.strictEqual(b!.holderCount, 2)
    assert.deepStrictEqual(
      c!.holders!.map(({ permits, token }) => ({ permits, token })),
      [{ permits: 3, token: permits.token }]
    )
  })

  it("what an operator takes away is that owner's hold alone, and its holder is told", async () => {
    await using kept = await one.readWrite.read("free")
    await using taken = await one.readWrite.read("free")
    const { lost } = taken
    assert.isFalse(await two.forceRelease("free", { token: taken.token + 1, when: "now" }))
    assert.isTrue(await two.forceRelease("free", { token: taken.token, when: "now" }))
    assert.isFalse(await two.forceRelease("free", { token: taken.token, when: "now" }))
    assert.deepStrictEqual(
      (await one.get("free"))!.holders!.map(({ token }) => token),
      [kept.token]
    )
    const told = await rejected(taken.renew())
    assert.instanceOf(told, LockLost)
    assert.strictEqual(told.reason, "Forced")
    assert.strictEqual(await rejected(lost), told)
    assert.isAbove(await kept.renew(), 0)
    assert.isTrue(await two.forceRelease("free", { token: kept.token, when: "leaseEnd" }))
    const [revoked] = (await two.get("free"))!.holders!
    assert.deepInclude(revoked, { ownerId: "", ownerLabel: "", token: kept.token, mode: "read" })
    assert.isUndefined(await tried(() => two.tryAcquire("free")))
  })

  it("the token of a hold that is over takes nothing away from those that go on", async () => {
    await using stays = await one.semaphore.acquire("stays", { limit: 2 })
    const gone = await two.semaphore.acquire("stays", { limit: 2 })
    await gone.release()
    assert.isFalse(await two.forceRelease("stays", { token: gone.token, when: "now" }))
    assert.isAbove(await stays.renew(), 0)
  })

  it("all or none, without a wait", async () => {
    {
      await using _ = await one.acquire("try-b")
      assert.isUndefined(await tried(() => two.tryAcquireAll(["try-a", "try-b"])))
      assert.isUndefined(await one.get("try-a"))
    }
    await using set = (await tried(() => two.tryAcquireAll(["try-b", "try-a"])))!
    assert.deepStrictEqual(
      set.locks.map(({ lockId }) => lockId),
      ["try-b", "try-a"]
    )
    assert.isAbove(set.check(), 0)
  })
}

const options = { log: false, ownerLabel: "a test", purgeAfter: false } as const

describe("kinds of lock on memory", () => {
  const storage = ports()
  suite(() => locksOn(storage, options))

  it("tells what happens to locks of every kind, until the end", async () => {
    await using locks = await locksOn(storage, options)
    const events = locks.events()
    await locks.readWrite.withReadLock("told", () => {})
    await locks.semaphore.withPermits("told", () => {}, { limit: 1 })
    const held = await locks.readWrite.write("told")
    await locks.close()
    const types: Array<string> = []
    for await (const event of events) types.push(event.type)
    assert.deepStrictEqual(types, ["Acquired", "Released", "Acquired", "Released", "Acquired", "Lost"])
    assert.strictEqual(((await rejected(held.lost)) as LockLost).reason, "Closed")
    assert.instanceOf(await rejected(locks.readWrite.read("told")), Error)
  })

  it("a body that loses its lock is told in time, and the promise says so", async () => {
    await using one = await locksOn(storage, options)
    await using two = await locksOn(storage, options)
    let isTold = false
    const lost = rejected(
      one.readWrite.withWriteLock("lost", async (lock, signal) => {
        await two.forceRelease("lost", { token: lock.token, when: "now" })
        await rejected(lock.renew())
        await until(() => signal.aborted)
        isTold = true
      })
    )
    assert.strictEqual(((await lost) as LockLost).reason, "Forced")
    assert.isTrue(isTold)
  })

  it("a storage with nothing but the lock storage has exclusive locks alone, and says so", async () => {
    const { storage: wrapped } = faulty.make(storage.storage)
    await using locks = await locksOn(wrapped, options)
    await using rich = await locksOn(storage, options)
    await using read = await rich.readWrite.read("bare")
    assert.strictEqual(((await rejected(locks.readWrite.read("bare"))) as InvalidOptions).field, "storage")
    assert.strictEqual((await locks.get("bare"))!.holders![0]!.token, read.token)
    // One hold of many cannot be taken away there, and all of them are not meant.
    const refused = await rejected(locks.forceRelease("bare", { token: read.token, when: "now" }))
    assert.strictEqual((refused as InvalidOptions).field, "storage")
    assert.isAbove(await read.renew(), 0)
    assert.isTrue(
      await locks
        .acquire("bare-a")
        .then((lock) => lock.release())
        .then(() => true)
    )
  })
})

describe("kinds of lock on SQLite", () => {
  const folder = Fs.mkdtempSync(Path.join(Os.tmpdir(), "storage-lock-kinds-"))
  afterAll(() => Fs.rmSync(folder, { recursive: true, force: true }))
  suite(() => connect(`sqlite:${Path.join(folder, "locks.db")}`, options))
})

await describeServer("kinds of lock on PostgreSQL", Shared.postgres, (server) => {
  suite(() => connect(server.url, { ...options, namespace: "promise kinds" }))
})

await describeServer("kinds of lock on etcd, which has no clock", Shared.etcd, (server) => {
  suite(() => connect(server.url, { ...options, storage: { prefix: `promise-kinds-${process.pid}/` } }))
})

await describeServer("kinds of lock on Redis", Shared.redis, (server) => {
  suite(() => connect(server.url, { ...options, storage: { prefix: `promise-kinds-${process.pid}:` } }))

  it("are not had where a lock waits for replicas, for they would not", async () => {
    await using locks = await connect(server.url, { ...options, storage: { wait: { replicas: 1, timeout: 50 } } })
    const refused = await rejected(locks.readWrite.read("replicas"))
    assert.strictEqual((refused as InvalidOptions).field, "storage")
    assert.instanceOf(await rejected(locks.schedule("replicas", "0 3 * * *", () => {})), InvalidOptions)
  })
})
