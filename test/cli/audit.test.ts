/** What has happened to locks, on a command line. */
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { connect } from "../../src/promise/index.js"
import { type Place, place } from "../support/command.js"

let at: Place
beforeAll(async () => {
  at = place()
  await (await connect(`sqlite:${at.database}`)).close()
  const without = await at.run(["audit"])
  assert.strictEqual(without.code, 69)
  assert.match(without.err, /there is no audit in "storage_lock_audit".*LockAudit\.layer/)
  const locks = await connect(`sqlite:${at.database}`, { audit: true, ownerLabel: "the\u001b[31m job" })
  await locks.withLock("a", async () => void (await locks.tryAcquire("a")))
  await locks.withLock("b", async () => {})
  await locks.close()
})
afterAll(() => at.clear())

describe("storage-lock audit", () => {
  it("shows who had which lock, the oldest first, and obeys no control characters", async () => {
    const { code, err, out } = await at.run(["audit"])
    assert.strictEqual(code, 0, err)
    const lines = out.trimEnd().split("\n")
    assert.lengthOf(lines, 5)
    assert.match(
      lines[0]!,
      /^\d{4}-.*Z {2}Acquired {2}a {2}the\\u\{1b\}\[31m job {2}token \d+ {2}\S+ pid \d+ {2}after \d+ ms$/
    )
    assert.match(lines[1]!, /Refused {2}a .* held by the\\u\{1b\}\[31m job$/)
    assert.match(lines[4]!, /Released {2}b /)
  })

  it("of one lock, of so long, so many, and as JSON", async () => {
    assert.lengthOf((await at.run(["audit", "b"])).out.trimEnd().split("\n"), 2)
    assert.lengthOf((await at.run(["audit", "--since", "1h", "--limit", "3"])).out.trimEnd().split("\n"), 3)
    const none = await at.run(["audit", "no such lock", "--since", "1h"])
    assert.deepStrictEqual([none.code, none.out, none.err], [0, "", "storage-lock: nothing was kept\n"])
    const [first] = (await at.run(["audit", "a", "--json"])).out.split("\n")
    const { event, id, pid } = JSON.parse(first!)
    assert.deepStrictEqual([event.type, event.lockId, typeof id, pid], ["Acquired", "a", "string", process.pid])
  })

  it("goes on with what happens", async () => {
    const running = at.start(["audit", "c", "--follow", "--limit", "2"])
    const locks = await connect(`sqlite:${at.database}`, { audit: { every: 10 } })
    await locks.withLock("c", async () => {})
    const { code, out } = await running.ended
    assert.strictEqual(code, 0)
    assert.match(out, /Acquired {2}c .*\n.*Released {2}c /)
    await locks.close()
  })

  it("says what it cannot do", async () => {
    assert.strictEqual((await at.run(["audit", "a", "b"])).code, 64)
    assert.strictEqual((await at.run(["audit", "--since", "soon"])).code, 64)
    const refused = await at.run(["ddl", "--audit", "etcd://localhost"])
    assert.strictEqual(refused.code, 64)
    assert.match(refused.err, /EtcdStorage has no place for an audit\. These have: PostgresStorage/)
  })

  it("prints what has to be there", async () => {
    const { out } = await at.run(["ddl", "--audit", "postgres://localhost/x", "-o", "table=locks", "-o", "schema=app"])
    assert.match(out, /CREATE TABLE IF NOT EXISTS "app"\."locks_audit"/)
    const mongo = await at.run(["ddl", "--audit", "mongodb://localhost/x"])
    assert.deepStrictEqual([mongo.code, mongo.out], [0, ""])
  })
})
