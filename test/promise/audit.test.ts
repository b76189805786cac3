/** The audit, without Effect. */
import { assert, describe, it } from "#harness/vitest"
import {
  type AuditEntry,
  AuditUnavailable,
  InvalidLockId,
  InvalidOptions,
  type Locks
} from "../../src/promise/index.js"
import { locksOn, memory, rejected, until } from "../support/promises.js"
import * as unhandled from "../support/unhandled.js"

unhandled.refused()

const all = async (locks: Locks, query?: Parameters<Locks["audit"]>[0]): Promise<ReadonlyArray<AuditEntry>> => {
  const found: Array<AuditEntry> = []
  for await (const entry of locks.audit(query)) found.push(entry)
  return found
}
const types = (entries: ReadonlyArray<AuditEntry>) => entries.map(({ event }) => event.type)

describe("the audit", () => {
  it("is kept by a connection that is asked to, and read by any", async () => {
    const storage = memory()
    const before = new Date(Date.now() - 1_000)
    const locks = await locksOn(storage, { audit: true, ownerLabel: "worker 1" })
    await locks.withLock("a", async () => assert.isUndefined(await locks.tryAcquire("a")))
    await locks.withLock("b", async () => {})
    await locks.acquire("held until the end")
    await locks.close()
    const reader = await locksOn(storage)
    const entries = await all(reader)
    assert.deepStrictEqual(types(entries), [
      "Acquired",
      "Refused",
      "Released",
      "Acquired",
      "Released",
      "Acquired",
      "Lost"
    ])
    const [first] = entries
    assert(first?.event.type === "Acquired")
    assert.deepStrictEqual(
      [first.event.lockId, first.event.ownerLabel, first.pid, typeof first.id],
      ["a", "worker 1", process.pid, "string"]
    )
    assert.instanceOf(first.writtenAt, Date)
    assert.lengthOf(await all(reader, { lockId: "b", since: before }), 2)
    assert.lengthOf(await all(reader, { since: new Date(Date.now() + 60_000) }), 0)
    assert.lengthOf(await all(reader, { limit: 3 }), 3)
    await reader.close()
  })

  it("has a name, a namespace, and is followed until the loop is left", async () => {
    const storage = memory()
    const locks = await locksOn(storage, { namespace: "one", audit: { name: "mine", every: 5, events: ["Acquired"] } })
    const told: Array<string> = []
    const following = (async () => {
      for await (const { event } of locks.audit({ follow: true })) {
        told.push(event.type)
        if (told.length === 2) break
      }
    })()
    await locks.withLock("a", async () => {})
    await until(() => told.length === 1)
    await locks.withLock("a", async () => {})
    await following
    assert.deepStrictEqual(told, ["Acquired", "Acquired"])
    assert.lengthOf(await all(locks, { name: "another" }), 0)
    const other = await locksOn(storage, { namespace: "two" })
    assert.lengthOf(await all(other, { name: "mine" }), 0)
    await other.close()
    await locks.close()
  })

  it("says what is wrong with its options, and where there is no place for it", async () => {
    const storage = memory()
    const fault = await rejected(locksOn(storage, { audit: { capacity: 0 } }))
    assert(fault instanceof InvalidOptions && fault.field === "audit.capacity")
    assert.instanceOf(await rejected(locksOn(storage, { audit: "yes" as never })), InvalidOptions)
    const locks = await locksOn(storage)
    assert.instanceOf(await rejected(all(locks, { lockId: "" })), InvalidLockId)
    assert.instanceOf(await rejected(all(locks, { since: "now" as never })), InvalidOptions)
    await locks.close()
    const { audit: _, ...without } = storage
    const refused = await rejected(locksOn(without, { audit: true }))
    assert(refused instanceof AuditUnavailable && refused.code === "AUDIT_UNAVAILABLE")
    assert.include(refused.offeredBy, "PostgresStorage")
    const plain = await locksOn(without)
    assert.instanceOf(await rejected(all(plain)), AuditUnavailable)
    await plain.close()
  })
})
