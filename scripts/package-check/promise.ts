// A program of somebody who installed the package with effect, and does not know of it: it is compiled while effect is not there.
import { connect, type Lock, LockError, LockLost, LockTimeout, type Locks } from "effect-storage-lock/promise"

const locks: Locks = await connect("memory:", { leaseExpireAfter: "10 seconds", log: false })
let inside = 0
let most = 0
const critical = async (): Promise<void> => {
  most = Math.max(most, ++inside)
  await new Promise((resolve) => setTimeout(resolve, 5))
  inside--
}
await Promise.all(["a", "b", "c", "d"].map(() => locks.withLock("one at a time", critical)))
if (most !== 1) throw new Error(`${most} at a time`)

const refused: unknown = await locks.get("").catch((error: unknown) => error)
if (!(refused instanceof LockError) || refused.code !== "INVALID_LOCK_ID") throw new Error("an empty id was taken")

{
  await using reader: Lock = await locks.readWrite.read("shared")
  await using permit: Lock = await locks.semaphore.acquire("permits", { limit: 2 })
  const shared = await locks.get("shared")
  if (shared?.kind !== "readWrite" || shared.holders?.[0]?.token !== reader.token) throw new Error("not told who reads")
  if ((await locks.semaphore.tryAcquire("permits", { limit: 1 })) !== undefined) throw new Error("too many permits")
  if (permit.check() <= 0) throw new Error("no permit")
}
if ((await locks.lead("leader", ({ token }) => token)) <= 0) throw new Error("nobody leads")

const events = locks.events()
{
  await using lock: Lock = await locks.acquire("held")
  if (!Number.isSafeInteger(lock.token)) throw new Error("no token")
  if ((await locks.tryAcquire("held")) !== undefined) throw new Error("two owners")
  const error: unknown = await locks.acquire("held", { acquireTimeout: 20 }).catch((error: unknown) => error)
  if (!(error instanceof LockTimeout) || error.heldBy?.token !== lock.token) throw new Error("not told who has it")
  await locks.forceRelease("held", { token: lock.token, when: "now" })
  const lost: unknown = await lock.lost.catch((error: unknown) => error)
  if (!(lost instanceof LockLost) || lock.signal.reason !== lost) throw new Error("not told of the loss")
}
await locks.close()

const seen: Array<string> = []
for await (const { type } of events) seen.push(type)
if (seen.join() !== "Acquired,Refused,Waiting,TimedOut,Forced,Lost") throw new Error(seen.join())
