/**
 * The update pipelines for MongoDB, evaluated in JavaScript by `mingo` with a clock that is moved: they agree with `LockRecord.step`, and with the whole conformance
 * kit. How a MongoDB evaluates them is not shown here: see `conformance.mongo.test.ts`.
 */
import { assert, describe, it } from "#harness/vitest"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as Stream from "#effect/Stream"
import * as FastCheck from "fast-check"
import { LockRecord, Storage, VersionedStore } from "../../src/index.js"
import * as ports from "../../src/backends/mongo/ports.js"
import type { StorageError } from "../../src/LockError.js"
import * as Conformance from "../../src/testing/index.js"
import * as Evaluator from "../harness/mongoEvaluator.js"

const settings = {
  database: "app",
  collection: "storage_lock",
  operationTimeout: 5_000,
  mode: "auto",
  wakeUps: false,
  versionMissRetry: VersionedStore.defaultVersionMissRetry
} as const

const over = (evaluator: Evaluator.Evaluator, change: Partial<ports.Settings> = {}) =>
  ports.over(evaluator, evaluator, { ...settings, ...change }, undefined)

const hooks = (evaluator: Evaluator.Evaluator): Conformance.Hooks => ({
  advance: (span) => Effect.sync(() => void (evaluator.clock += Duration.toMillis(span))),
  shiftClient: Conformance.shiftDate,
  loseReply: Effect.sync(() => void (evaluator.loseReply = true)),
  hang: (effect) =>
    Effect.acquireUseRelease(
      Effect.sync(() => void (evaluator.hanging = true)),
      () => effect,
      () => Effect.sync(() => void (evaluator.hanging = false))
    )
})

describe("conformance, evaluated by mingo", () => {
  const native = Evaluator.make()
  Conformance.suite({
    name: "the pipelines of MongoStorage",
    layer: Layer.effect(
      Storage.Storage,
      Effect.map(over(native), ({ storage }) => storage)
    ),
    versioned: Layer.effect(
      VersionedStore.VersionedStore,
      Effect.map(over(native), ({ versioned }) => versioned)
    ),
    hooks: hooks(native)
  })
  const plain = Evaluator.make()
  Conformance.suite({
    name: "the compare-and-set of MongoStorage",
    layer: Layer.effect(
      Storage.Storage,
      Effect.map(over(plain, { mode: "versioned" }), ({ storage }) => storage)
    ),
    hooks: hooks(plain)
  })
})

const hostile = [
  "a",
  "$$NOW",
  "$owner",
  "$$ROOT",
  "$holds",
  "$literal",
  "{$gt:''}",
  '{"$gt":""}',
  "a.b",
  "holds.0",
  "__proto__",
  "$$REMOVE",
  "\u{1F512}",
  "null",
  "0"
]
const held = ["$$NOW", "$holds", "h3", "a.b", LockRecord.revokedHold.slice(0, 21) + "x"]

const request = FastCheck.oneof(
  {
    weight: 5,
    arbitrary: FastCheck.record({
      _tag: FastCheck.constant("Claim" as const),
      ownerId: FastCheck.constantFrom(...hostile.slice(0, 6)),
      holdId: FastCheck.constantFrom(...held),
      lease: FastCheck.constantFrom(1_000, 5_000, 60_000_000, 31_536_000_000_000)
    })
  },
  {
    weight: 3,
    arbitrary: FastCheck.record({
      _tag: FastCheck.constant("Renew" as const),
      holdId: FastCheck.constantFrom(...held),
      lease: FastCheck.constantFrom(1_000, 9_000, 31_536_000_000_000)
    })
  },
  {
    weight: 3,
    arbitrary: FastCheck.record({
      _tag: FastCheck.constant("Release" as const),
      holdId: FastCheck.constantFrom(...held)
    })
  },
  {
    weight: 1,
    arbitrary: FastCheck.record({
      _tag: FastCheck.constant("Revoke" as const),
      stale: FastCheck.boolean(),
      when: FastCheck.constantFrom("now" as const, "leaseEnd" as const)
    })
  }
)
/** Milliseconds until each request: also none, and backwards. */
const history = FastCheck.array(FastCheck.tuple(request, FastCheck.constantFrom(0, 0, 1, 2, 5, 70_000, -3)), {
  minLength: 1,
  maxLength: 14
})

describe("pipelines", () => {
  it("do what LockRecord.step does, in thousands of random histories", async () => {
    const evaluator = Evaluator.make()
    const { storage, versioned } = Effect.runSync(over(evaluator))
    let counted = 0
    await FastCheck.assert(
      FastCheck.asyncProperty(FastCheck.constantFrom(...hostile), history, async (lockId, steps) => {
        // A test runner that hears nothing of a worker for a minute gives it up.
        await new Promise((resolve) => setImmediate(resolve))
        evaluator.documents.delete(lockId)
        let model: LockRecord.LockRecord | undefined
        for (const [each, wait] of steps) {
          counted++
          evaluator.clock += wait
          const now = evaluator.clock * 1000
          const full: LockRecord.Request =
            each._tag === "Revoke"
              ? { _tag: "Revoke", lockId, when: each.when, token: (model?.token ?? 7) + (each.stale ? 1 : 0) }
              : { ...each, lockId }
          const expected = LockRecord.step(model, full, now)
          const writes = evaluator.writes
          const outcome = Effect.runSync<unknown, unknown>(
            full._tag === "Claim"
              ? storage.claim(full)
              : full._tag === "Renew"
                ? Effect.map(storage.renew([full]), ([first]) => first)
                : full._tag === "Release"
                  ? storage.release(full)
                  : storage.revoke(full)
          )
          assert.deepStrictEqual(outcome, expected.outcome)
          const after = Option.getOrUndefined(Effect.runSync(versioned.get(lockId)))
          assert.deepStrictEqual(after, expected.record)
          assert.strictEqual(
            evaluator.writes - writes,
            expected.record === model ? 0 : 1,
            "what changes nothing writes nothing"
          )
          model = expected.record
        }
      }),
      { numRuns: 1500 }
    )
    assert.isAbove(counted, 5_000)
  })

  it("renew many in two commands: one write for each lock, the longest lease that was asked for a hold that is in", () => {
    const evaluator = Evaluator.make()
    const { storage } = Effect.runSync(over(evaluator))
    const claim = (lockId: string, ownerId: string, holdId: string, lease = 10_000_000) =>
      Effect.runSync(storage.claim({ lockId, ownerId, holdId, lease }))
    claim("$a", "me", "h1")
    claim("$a", "me", "h2")
    claim("b.c", "me", "h3")
    claim("over", "me", "h4", 1_000)
    claim("other", "you", "h5")
    evaluator.clock += 2
    const before = { writes: evaluator.writes, commands: evaluator.commands }
    const outcomes = Effect.runSync(
      storage.renew([
        { lockId: "b.c", holdId: "h3", lease: 40_000_000 },
        { lockId: "$a", holdId: "h2", lease: 50_000_000 },
        { lockId: "none", holdId: "h1", lease: 90_000_000 },
        { lockId: "$a", holdId: "h3", lease: 90_000_000 },
        { lockId: "$a", holdId: "h1", lease: 60_000_000 },
        { lockId: "over", holdId: "h4", lease: 60_000_000 },
        { lockId: "other", holdId: "h4", lease: 60_000_000 }
      ])
    )
    assert.deepStrictEqual(
      outcomes.map((_) => _._tag),
      ["Renewed", "Renewed", "NotHeld", "NotHeld", "Renewed", "NotHeld", "NotHeld"]
    )
    assert.strictEqual(outcomes[0]!._tag === "Renewed" && outcomes[0]!.validFor, 40_000_000)
    assert.strictEqual(outcomes[1]!._tag === "Renewed" && outcomes[1]!.validFor, 60_000_000)
    assert.deepStrictEqual(outcomes[1], outcomes[4])
    assert.strictEqual(outcomes[3]!._tag === "NotHeld" && outcomes[3]!.current?.ownerId, "me")
    assert.deepStrictEqual(outcomes[5]!._tag === "NotHeld" && outcomes[5]!.current?.holds, ["h4"])
    assert.strictEqual(outcomes[6]!._tag === "NotHeld" && outcomes[6]!.current?.ownerId, "you")
    assert.strictEqual(evaluator.writes - before.writes, 2)
    assert.strictEqual(evaluator.commands - before.commands, 2)
  })

  it("every other operation is one command", () => {
    const evaluator = Evaluator.make()
    const { storage, versioned } = Effect.runSync(over(evaluator))
    const once = <A, E>(effect: Effect.Effect<A, E>): A => {
      const before = evaluator.commands
      const result = Effect.runSync(effect)
      assert.strictEqual(evaluator.commands - before, 1)
      return result
    }
    const taken = once(storage.claim({ lockId: "a", ownerId: "me", holdId: "h1", lease: 1_000_000 }))
    assert.strictEqual(
      once(storage.claim({ lockId: "a", ownerId: "you", holdId: "h2", lease: 1_000_000 }))._tag,
      "Held"
    )
    assert.strictEqual(
      once(storage.claim({ lockId: "a", ownerId: "me", holdId: "h3", lease: 1_000_000 }))._tag,
      "Claimed"
    )
    once(storage.renew([{ lockId: "a", holdId: "h1", lease: 2_000_000 }]))
    once(storage.release({ lockId: "a", holdId: "h1" }))
    once(storage.get("a"))
    once(versioned.time!)
    once(storage.revoke({ lockId: "a", token: taken._tag === "Claimed" ? taken.record.token : 0, when: "now" }))
  })

  it("two upserts that meet are answered by a second try; what goes on meeting is a Conflict", () => {
    const evaluator = Evaluator.make()
    const { storage } = Effect.runSync(over(evaluator))
    const duplicate = { code: 11000, errmsg: "E11000 duplicate key" }
    evaluator.refuseWith = [duplicate, { code: 112, errmsg: "WriteConflict" }]
    const outcome = Effect.runSync(storage.claim({ lockId: "a", ownerId: "me", holdId: "h1", lease: 1_000_000 }))
    assert.strictEqual(outcome._tag, "Claimed")
    evaluator.refuseWith = Array.from({ length: 1000 }, () => duplicate)
    return Effect.runPromise(
      Effect.map(
        Effect.flip(storage.claim({ lockId: "b", ownerId: "me", holdId: "h1", lease: 1_000_000 })),
        (error) => {
          assert.deepInclude(error, { reason: "Conflict", isRetryable: true, applied: "no" })
        }
      )
    )
  })

  it("a record of a newer format is neither judged nor touched", () => {
    const evaluator = Evaluator.make()
    const { storage, versioned } = Effect.runSync(over(evaluator))
    const record: LockRecord.LockRecord = {
      lockId: "new",
      kind: "exclusive",
      format: 2,
      ownerId: "me",
      holds: ["h1"],
      token: 5,
      version: 5,
      lockBeginTime: 1,
      leaseExpireTime: 2,
      data: "?"
    }
    Effect.runSync(versioned.create("new", 5, record))
    Effect.runSync(storage.claim({ lockId: "old", ownerId: "me", holdId: "h2", lease: 1_000_000 }))
    const writes = evaluator.writes
    const failures: ReadonlyArray<Effect.Effect<unknown, StorageError>> = [
      storage.claim({ lockId: "new", ownerId: "me", holdId: "h1", lease: 1_000_000 }),
      storage.renew([{ lockId: "new", holdId: "h1", lease: 1_000_000 }]),
      storage.renew([
        { lockId: "new", holdId: "h1", lease: 1_000_000 },
        { lockId: "new", holdId: "h2", lease: 1_000_000 }
      ]),
      storage.release({ lockId: "new", holdId: "h1" }),
      storage.revoke({ lockId: "new", token: 5, when: "now" }),
      storage.get("new")
    ]
    for (const each of failures) {
      assert.deepInclude(Effect.runSync(Effect.flip(each)), { reason: "Schema", applied: "no" })
    }
    assert.strictEqual(evaluator.writes, writes)
    // It does not cost the others theirs.
    const outcomes = Effect.runSync(
      storage.renew([
        { lockId: "new", holdId: "h1", lease: 1 },
        { lockId: "old", holdId: "h2", lease: 2_000_000 }
      ])
    )
    assert.deepStrictEqual(
      outcomes.map((_) => _._tag),
      ["StorageError", "Renewed"]
    )
  })

  it("a document that is no lock's is neither taken nor dropped, and what else is in the collection is not listed", () => {
    const evaluator = Evaluator.make()
    const { storage, versioned } = Effect.runSync(over(evaluator))
    const foreign = { _id: "theirs", name: "x", expires: 1 }
    evaluator.documents.set("theirs", foreign)
    evaluator.documents.set(7, { _id: 7, format: 1, expires: 1, holds: ["x"] })
    const error = Effect.runSync(
      Effect.flip(storage.claim({ lockId: "theirs", ownerId: "me", holdId: "h1", lease: 1_000_000 }))
    )
    assert.strictEqual(error.reason, "Schema")
    assert.strictEqual(Effect.runSync(Effect.flip(storage.get("theirs"))).reason, "Schema")
    assert.strictEqual(Effect.runSync(Effect.flip(versioned.get("theirs"))).reason, "Schema")
    assert.strictEqual(Effect.runSync(storage.purge(0)), 0)
    assert.deepStrictEqual(evaluator.documents.get("theirs"), foreign)
    assert.strictEqual(Effect.runSync(Stream.runCount(versioned.list)), 0)
    assert.strictEqual(Effect.runSync(Stream.runCount(storage.list)), 0)
  })

  it("purge drops what ended long ago, page by page, and tokens and versions grow over it", () => {
    const evaluator = Evaluator.make()
    const { storage, versioned } = Effect.runSync(over(evaluator))
    const claim = (lockId: string, lease: number) =>
      Effect.runSync(storage.claim({ lockId, ownerId: "me", holdId: "h", lease }))
    for (let i = 0; i < 620; i++) claim(`old-${i}`, 1_000)
    evaluator.clock += 2 * 3_600_000
    claim("young", 1_000)
    claim("live", 3_600_000_000)
    assert.strictEqual(Effect.runSync(storage.purge("3 hours")), 0)
    assert.strictEqual(Effect.runSync(storage.purge(0)), 620)
    const left = Effect.runSync(Stream.runCollect(Stream.map(versioned.list, ({ lockId }) => lockId)))
    assert.deepStrictEqual([...left], ["live", "young"])
    const again = claim("old-1", 1_000)
    assert.isTrue(again._tag === "Claimed" && again.record.token === evaluator.clock * 1000)
  })

  it("purge leaves alone what was taken after it was found", () => {
    const evaluator = Evaluator.make()
    const { storage } = Effect.runSync(over(evaluator))
    const claim = (lockId: string, lease: number) =>
      Effect.runSync(storage.claim({ lockId, ownerId: "me", holdId: `h${evaluator.clock}`, lease }))
    claim("taken", 1_000)
    claim("old", 1_000)
    evaluator.clock += 2 * 3_600_000
    const run = evaluator.run
    Object.assign(evaluator, {
      run: (operation: string, command: Record<string, unknown>, millis: number) => {
        if ("delete" in command) {
          // Over again, but not for long enough.
          claim("taken", 1_000)
          evaluator.clock += 1_000
        }
        return run(operation, command, millis)
      }
    })
    assert.strictEqual(Effect.runSync(storage.purge(0)), 1)
    assert.deepStrictEqual([...evaluator.documents.keys()], [0, "taken"])
  })

  it("an answer without the clock is not guessed at", () => {
    const evaluator = Evaluator.make()
    const { storage } = Effect.runSync(over(evaluator))
    const run = evaluator.run
    Object.assign(evaluator, {
      run: (operation: string, command: Record<string, unknown>, millis: number) =>
        run(operation, { ...command, fields: null }, millis)
    })
    const error = Effect.runSync(
      Effect.flip(storage.claim({ lockId: "a", ownerId: "me", holdId: "h1", lease: 1_000_000 }))
    )
    assert.deepInclude(error, { reason: "Unknown", applied: "unknown" })
  })
})
