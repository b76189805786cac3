import { assert } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import type * as LockRecord from "../../src/LockRecord.js"
import type * as Storage from "../../src/Storage.js"

/** A thousand holds, of which one was taken away, are renewed by a write each, and each is answered for itself. `asked`: what the server was asked since the last call. */
export const renewedByOneEach = (
  storage: Storage.Service,
  claimOf: (ownerId: string, lockId: string) => LockRecord.Claim,
  asked: () => ReadonlyArray<string>,
  write: string,
  read: string
) =>
  Effect.gen(function* () {
    const claims = Array.from({ length: 1_000 }, (_, i) => claimOf("me", `lock ${i}`))
    yield* Effect.forEach(claims, storage.claim, { concurrency: 32, discard: true })
    const revoked = yield* storage.revoke({ lockId: "lock 7", token: 1, when: "now" })
    assert.strictEqual(revoked._tag, "Revoked")
    asked()
    const answers = yield* storage.renew(claims)
    const words = asked()
    assert.strictEqual(answers.filter(({ _tag }) => _tag === "Renewed").length, 999)
    assert.strictEqual(answers[7]!._tag, "NotHeld")
    assert.strictEqual(words.filter((word) => word === write).length, 999)
    assert.strictEqual(words.filter((word) => word === read).length, 1)
  })
