import { assert, describe, it } from "#harness/vitest"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as Schedule from "#effect/Schedule"
import { hostname } from "node:os"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as Storage from "../../src/Storage.js"
import * as StorageLock from "../../src/StorageLock.js"
import * as Faulty from "../support/faulty.js"
import * as Process from "../support/process.js"

const counted = Effect.gen(function* () {
  const link = Faulty.make(yield* MemoryStorage.make())
  return { link, ...(yield* Process.make(link.storage)) }
})

const refused = (options: StorageLock.Options) =>
  Effect.gen(function* () {
    const storage = yield* MemoryStorage.make()
    return yield* Effect.flip(
      Effect.scoped(
        Layer.build(StorageLock.layer(options).pipe(Layer.provide(Layer.succeed(Storage.Storage, storage))))
      )
    )
  })

const nonsense: ReadonlyArray<readonly [field: string, options: StorageLock.Options]> = [
  ...[
    0,
    -1,
    NaN,
    Infinity,
    -Infinity,
    "0 seconds",
    "-5 seconds",
    "soon",
    Duration.infinity,
    Duration.zero,
    {},
    null,
    -1n,
    "400 days"
  ].map((lease) => ["leaseExpireAfter", { leaseExpireAfter: lease as Duration.Input }] as const),
  ["leaseExpireAfter", { leaseExpireAfter: "0.5 millis" }],
  ["leaseExpireAfter", { leaseExpireAfter: "120 millis" }],
  ...[0, -1, NaN, Infinity, "30 seconds", "31 seconds"].map(
    (interval) => ["leaseRefreshInterval", { leaseRefreshInterval: interval as Duration.Input }] as const
  ),
  ["leaseRefreshInterval", { leaseRefreshInterval: "20 seconds", clockMargin: "10 seconds" }],
  ...[-1, NaN, Infinity, "30 seconds"].map(
    (margin) => ["clockMargin", { clockMargin: margin as Duration.Input }] as const
  ),
  ...[0, -1, NaN, "x"].map((timeout) => ["acquireTimeout", { acquireTimeout: timeout as Duration.Input }] as const),
  ["retry", { retry: "often" as never }],
  ...["\ud800", "n\0", "x".repeat(256), 7 as never].map((ownerLabel) => ["ownerLabel", { ownerLabel }] as const),
  ...["", "a\u001fb", "\ud800", "n\0", "x".repeat(65), 7 as never].map(
    (namespace) => ["namespace", { namespace }] as const
  )
]

describe("options that make no sense", () => {
  for (const [field, options] of nonsense) {
    const shown = Object.entries(options)
      .map(
        ([key, value]) =>
          `${key}: ${typeof value === "bigint" ? `${value}n` : (JSON.stringify(value) ?? String(value))} ${String(value).slice(0, 20)}`
      )
      .join(", ")
    it.effect(`are refused by layer and acquire, before any I/O: ${shown}`, () =>
      Effect.gen(function* () {
        const error = yield* refused(options)
        assert.strictEqual(error._tag, "InvalidOptions")
        assert.strictEqual(error.field, field)
        assert.isAbove(error.kind.length, 0)
        assert.include(error.message, error.rule)
        const { link, locks } = yield* counted
        const atAcquire = yield* Effect.flip(Effect.scoped(locks.acquire("foo", "me", options)))
        assert.strictEqual(atAcquire._tag, "InvalidOptions")
        assert.strictEqual(link.calls.claim, 0)
      })
    )
  }

  it.effect("a namespace is of the layer only", () =>
    Effect.gen(function* () {
      const { locks } = yield* counted
      const error = yield* Effect.flip(Effect.scoped(locks.acquire("foo", "me", { namespace: "mine" } as object)))
      assert(error._tag === "InvalidOptions")
      assert.strictEqual(error.field, "namespace")
    })
  )

  it.effect("forceRelease wants a token and a when", () =>
    Effect.gen(function* () {
      const { link, locks } = yield* counted
      for (const token of [0, -1, 1.5, NaN, 2 ** 53]) {
        assert.strictEqual(
          (yield* Effect.flip(locks.forceRelease("foo", { token, when: "now" })))._tag,
          "InvalidOptions"
        )
      }
      assert.strictEqual(
        (yield* Effect.flip(locks.forceRelease("foo", { token: 1, when: "later" as "now" })))._tag,
        "InvalidOptions"
      )
      assert.strictEqual(link.calls.revoke, 0)
    })
  )

  it.effect("undefined is the default, and a lease of one acquire brings its own refresh and margin", () =>
    Effect.gen(function* () {
      const { locks } = yield* counted
      const all = {
        leaseExpireAfter: undefined,
        leaseRefreshInterval: undefined,
        acquireTimeout: undefined,
        retry: undefined,
        clockMargin: undefined,
        namespace: undefined
      }
      assert.strictEqual((yield* locks.acquire("foo", undefined, all)).unsafeRemainingMillis(), 28_500)
      assert.strictEqual(
        (yield* locks.acquire("bar", undefined, { leaseExpireAfter: "1 second" })).unsafeRemainingMillis(),
        900
      )
    })
  )
})

describe("owner ids and labels", () => {
  it.effect("options may be given in the owner's place, the owner id among them, but not twice", () =>
    Effect.gen(function* () {
      const { link, locks } = yield* counted
      const other = yield* Process.make(link.storage)
      const lock = yield* locks.acquire("foo", {
        ownerId: "me",
        leaseExpireAfter: "10 seconds",
        ownerLabel: "the night shift"
      })
      assert.strictEqual(lock.ownerId, "me")
      assert.strictEqual((yield* lock.info).ownerLabel, "the night shift")
      assert.isTrue(Option.isNone(yield* locks.tryAcquire("foo", {})))
      for (const args of [
        ["foo", { ownerId: "me" }, {}],
        ["foo", "me", { ownerId: "me" }]
      ] as const) {
        // @ts-expect-error an owner id is not given twice
        const error = yield* Effect.flip(Effect.scoped(locks.acquire(args[0], args[1], args[2])))
        assert.strictEqual(error._tag === "InvalidOptions" && error.field, "options")
      }
      assert.strictEqual(link.calls.claim, 2)
      const timeout = yield* Effect.flip(other.locks.acquire("foo", "you", { retry: Schedule.recurs(0) }))
      assert(timeout._tag === "LockTimeout")
      assert.strictEqual(timeout.holderLabel, "the night shift")
      assert.include(timeout.message, 'it is held by the night shift (owner "me") since')
    })
  )

  it.effect("a label is host and pid by default", () =>
    Effect.gen(function* () {
      const { locks } = yield* counted
      assert.strictEqual((yield* (yield* locks.acquire("foo")).info).ownerLabel, `${hostname()} pid ${process.pid}`)
      assert.strictEqual((yield* (yield* locks.acquire("bar", { ownerLabel: "" })).info).ownerLabel, "")
    })
  )
})

describe("lock ids", () => {
  const bad: ReadonlyArray<readonly [kind: string, id: string]> = [
    ["empty", ""],
    ["256 units", "x".repeat(256)],
    ["NUL", "a\0b"],
    ["a lone high surrogate", "a\ud800b"],
    ["a lone low surrogate", "\udc00"],
    ["surrogates in the wrong order", "\udc00\ud800"],
    ["a number", 7 as never],
    ["null", null as never],
    ["an object", {} as never]
  ]
  for (const [kind, id] of bad) {
    it.effect(`${kind}: refused before any I/O, as lock id and as owner id`, () =>
      Effect.gen(function* () {
        const { link, locks } = yield* counted
        const body = () => Effect.die("must not run")
        const all = [
          Effect.scoped(locks.acquire(id, "me")),
          Effect.scoped(locks.tryAcquire(id, "me")),
          locks.withLock(body, id),
          locks.withLockIfAvailable(body, id),
          locks.get(id),
          locks.isLocked(id),
          locks.forceRelease(id, { token: 1, when: "now" })
        ]
        for (const effect of all) {
          const error = yield* Effect.flip(effect as Effect.Effect<unknown, StorageLock.AcquireError>)
          assert(error._tag === "InvalidLockId")
          assert.strictEqual(error.field, "lockId")
          assert.include(error.message, error.rule)
        }
        // An object in the owner's place is options; the owner id in it is judged alike.
        const error = yield* Effect.flip(
          Effect.scoped(typeof id === "object" ? locks.acquire("foo", { ownerId: id }) : locks.acquire("foo", id))
        )
        assert(error._tag === "InvalidOptions")
        assert.strictEqual(error.field, "ownerId")
        assert.deepStrictEqual(link.calls, { claim: 0, renew: 0, release: 0, revoke: 0, get: 0 })
      })
    )
  }

  it.effect("all others are locks of their own, byte for byte", () =>
    Effect.gen(function* () {
      const { locks } = yield* counted
      const ids = [
        "Foo",
        "foo",
        "foo ",
        " foo",
        "é",
        "e\u0301",
        "'; DROP TABLE x; --",
        '"',
        "`",
        "\\",
        "😀",
        "%",
        "__proto__",
        "constructor",
        "all",
        "x".repeat(255),
        "a\nb",
        "\u001f",
        "a\u001fb"
      ]
      for (const id of ids) yield* locks.acquire(id, "me")
      for (const id of ids) {
        const info = Option.getOrThrow(yield* locks.get(id))
        assert.strictEqual(info.lockId, id)
        assert.strictEqual(info.lockCount, 1)
      }
    })
  )

  it.effect("no two pairs of namespace and id are stored alike", () =>
    Effect.gen(function* () {
      const storage = yield* MemoryStorage.make()
      const processes = yield* Effect.forEach([undefined, "a", "b"], (namespace) =>
        Process.make(storage, { namespace })
      )
      for (const { locks } of processes) {
        for (const id of ["x", "a\u001fx", "\u001fx", "a\u001f\u001fx", "\u001fa\u001fx"]) {
          assert.isTrue(Option.isSome(yield* locks.tryAcquire(id)), id)
        }
      }
    })
  )
})
