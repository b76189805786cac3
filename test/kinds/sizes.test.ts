/** What a record has room for: claims stop before it is full, so that what is held can be kept and given back. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Redacted from "effect/Redacted"
import * as ConsulStorage from "../../src/backends/consul/ConsulStorage.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import { readWrite } from "../../src/kinds/readWrite.js"
import { semaphore } from "../../src/kinds/semaphore.js"
import * as observations from "../../src/kinds/observed.js"
import type { StorageError } from "../../src/LockError.js"
import type * as LockRecord from "../../src/LockRecord.js"
import type * as Storage from "../../src/Storage.js"
import { type Service, toStorage } from "../../src/VersionedStore.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"

const lease = 600_000_000
const holdId = (n: number) => String(n).padStart(22, "h")
const claimOf = (n: number, ownerId = `owner ${n}`): LockRecord.Claim => ({
  lockId: "foo",
  ownerId,
  holdId: holdId(n),
  lease,
  mode: "read",
  limit: 1_000_000
})

const bytesOf = (store: Service) =>
  Effect.map(store.get("foo"), (found) => Buffer.byteLength(JSON.stringify(Option.getOrThrow(found))))

/** Claims, so many at once, until one is refused for its size. Gives those that got in, and what the others were told. */
const fill = (storage: Storage.Service, together: number, owner?: (n: number) => string) =>
  Effect.gen(function* () {
    const inside: Array<LockRecord.Claim> = []
    const refused: Array<StorageError> = []
    for (let n = 0; refused.length === 0; n += together) {
      const claims = Array.from({ length: together }, (_, i) => claimOf(n + i, owner?.(n + i)))
      const outcomes = yield* Effect.forEach(claims, (claim) => Effect.result(storage.claim(claim)), {
        concurrency: "unbounded"
      })
      outcomes.forEach((outcome, i) => {
        if (outcome._tag === "Failure") refused.push(outcome.failure)
        else {
          assert.strictEqual(outcome.success._tag, "Claimed")
          inside.push(claims[i]!)
        }
      })
    }
    return { inside, refused }
  })

/** All that is not a claim goes on. */
const goesOn = (storage: Storage.Service, inside: ReadonlyArray<LockRecord.Claim>) =>
  Effect.gen(function* () {
    const renewed = yield* storage.renew(inside.map((claim) => ({ ...claim, lease: 2 * lease })))
    assert.isTrue(renewed.every(({ _tag }) => _tag === "Renewed"))
    const { record } = Option.getOrThrow(yield* storage.get("foo"))
    const [first, second] = (record as LockRecord.View).holders!
    for (const when of ["leaseEnd", "now"] as const)
      assert.strictEqual((yield* storage.revoke({ lockId: "foo", token: first!.token, when }))._tag, "Revoked")
    assert.strictEqual(
      (yield* storage.revoke({ lockId: "foo", token: second!.token, when: "leaseEnd" }))._tag,
      "Revoked"
    )
    const released = yield* Effect.forEach(inside.slice(2), (claim) => storage.release(claim), {
      concurrency: "unbounded"
    })
    assert.isTrue(released.every(({ _tag }) => _tag === "Released"))
  })

describe("a record that is nearly full", () => {
  for (const time of [undefined, "none"] as const)
    for (const kind of [readWrite, semaphore])
      for (const together of [1, 7])
        it.effect(
          `${kind.name}, ${time === undefined ? "by a clock" : "observed"}, ${together} at once: claims are refused before anything is written, and all else goes on`,
          () =>
            Effect.gen(function* () {
              const largestRecord = 4_000
              const inner = yield* MemoryStorage.makeVersioned({ time })
              let largest = 0
              const store: Service = {
                ...inner,
                guarantees: { ...inner.guarantees, largestRecord },
                update: (lockId, expected, record) => {
                  largest = Math.max(largest, Buffer.byteLength(JSON.stringify(record)))
                  return inner.update(lockId, expected, record)
                }
              }
              const storage = toStorage(store, { kind })
              const { inside, refused } = yield* fill(storage, together)
              assert.isAtLeast(inside.length, 10)
              const [error] = refused
              assert.deepInclude(
                { ...error, message: error!.message },
                { _tag: "StorageError", reason: "TooLarge", isRetryable: false, applied: "no" }
              )
              assert.match(error!.message, /"foo" has no room .* the storage takes 4000\. Give each part/)
              const full = yield* bytesOf(store)
              assert.isAtMost(full, 0.9 * largestRecord)
              // As many got in as have room, whatever came along.
              assert.isAbove(full, 0.9 * largestRecord - 300)
              yield* goesOn(storage, inside)
              assert.isAtMost(largest, largestRecord)
              assert.strictEqual((yield* storage.claim(claimOf(9_999)))._tag, "Claimed")
            })
        )
})

describe("what was observed of holds", () => {
  it("is forgotten with them", () => {
    const seen = observations.make()
    const leases = (...ids: ReadonlyArray<string>) => ids.map((id) => ({ id, beat: 1, end: lease }))
    for (let n = 0; n < 100; n++) seen.look(leases(`a${n}`, `b${n}`), n, "foo")
    assert.strictEqual(seen.first("foo", "a99"), 99)
    assert.isUndefined(seen.first("foo", "a98"))
    assert.strictEqual(seen.size(), 1)
    // One that comes again starts over.
    const left = seen.look(leases("a0"), lease, "foo")
    assert.strictEqual(left({ id: "a0", beat: 1, end: lease }), lease)
    seen.look([], lease, "foo")
    assert.strictEqual(seen.size(), 0)
  })
})

await describeServer("Consul", Shared.consul, (server) => {
  it.live("has as many holds in a record as it takes, and keeps and frees them all", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const { versioned } = yield* ConsulStorage.make({ url: Redacted.make(server.url), prefix })
      const storage = toStorage(versioned, { kind: semaphore })
      const { inside } = yield* fill(storage, 50, (n) => `${n}`.padEnd(255, "\u00e9"))
      assert.isAbove(yield* bytesOf(versioned), 300_000)
      yield* goesOn(storage, inside)
    })
  )
})
