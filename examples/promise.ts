/**
 * Locks in a program without Effect: promises, an `AbortSignal` for a loss, `await using`, and errors that are plain classes. The storage is that of `LOCK_URL`.
 */
import { connect, LockLost, LockTimeout } from "effect-storage-lock/promise"

const url = process.env["LOCK_URL"] ?? "memory:"
await using locks = await connect(url, { leaseExpireAfter: "30 seconds", ownerLabel: "worker-1", log: false })

// A body: the lock is given back when it ends, however it ends.
const sum = await locks.withLock("foo", async (lock, signal) => {
  // Pass the signal on to whatever takes one. And check before each step that matters.
  signal.throwIfAborted()
  lock.check()
  return 1 + 1
})
console.log(`withLock: ${sum}`)

// A block: the same, without a function.
{
  await using lock = await locks.acquire("foo", { acquireTimeout: "5 seconds" })
  console.log(`acquire: for more than 20 seconds: ${lock.check() > 20_000}`)

  console.log(`tryAcquire: ${await locks.tryAcquire("foo")}`)
  console.log(`withLockIfAvailable: ${(await locks.withLockIfAvailable("foo", () => 1)).ran}`)

  try {
    await locks.acquire("foo", { acquireTimeout: 100 })
  } catch (error) {
    if (!(error instanceof LockTimeout)) throw error
    console.log(`${error.code}: held by ${error.heldBy?.ownerLabel}`)
  }

  // A wait that somebody ends.
  const reason = await locks.acquire("foo", { signal: AbortSignal.timeout(50) }).catch((error) => error.name)
  console.log(`aborted: ${reason}`)
}

// A loss: here an operator takes the lock away. A storage that does not answer does the same when the lease ends.
const lost = await locks
  .withLock("bar", async (lock, signal) => {
    const work = new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)))
    await locks.forceRelease("bar", { token: lock.token, when: "now" })
    await work
  })
  .catch((error: unknown) => error)
if (lost instanceof LockLost) console.log(`${lost.code}: ${lost.reason}`)

for await (const { lockId } of locks.list()) console.log(`still held: ${lockId}`)
