/** What `step` does that no storage is asked about by the conformance kit. */
import { assert, describe, it } from "#harness/vitest"
import * as LockRecord from "../../src/LockRecord.js"

const claim = (holdId: string, ownerId = "ada"): LockRecord.Claim => ({ lockId: "a", ownerId, holdId, lease: 1_000 })
const taken = LockRecord.claim(undefined, claim("h1"), 10_000).record!

describe("LockRecord", () => {
  it("a lock of another kind is not deepened, though the owner is the same", () => {
    const { outcome, record } = LockRecord.claim({ ...taken, kind: "permits" }, claim("h2"), 10_001)
    assert.strictEqual(outcome._tag, "Held")
    assert.deepStrictEqual(record?.holds, ["h1"])
  })

  it("a new record of an exclusive lock has no data", () => {
    assert.strictEqual(taken.data, "")
  })

  it("a revocation for the lease end that is repeated changes nothing", () => {
    const request: LockRecord.Revoke = { lockId: "a", token: taken.token, when: "leaseEnd" }
    const { record } = LockRecord.revoke(taken, request, 10_001)
    const again = LockRecord.revoke(record, request, 10_002)
    assert.strictEqual(again.outcome._tag, "Revoked")
    assert.strictEqual(again.record, record)
  })
})
