/** Who a holder is, for people, and that it decides nothing: fibers of one process that give no owner id exclude each other. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Stream from "#effect/Stream"
import { hostname } from "node:os"
import { nameOf, thisProcess } from "../../src/core/thisProcess.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as Process from "../support/process.js"

const fibers = Array.from({ length: 200 }, (_, i) => i)

describe("without an owner id", () => {
  for (const processes of [1, 4]) {
    it.live(`200 fibers on 50 keys never overlap, in ${processes} process(es) with one label`, () =>
      Effect.gen(function* () {
        const storage = yield* MemoryStorage.make()
        const crew = yield* Effect.forEach(Array.from({ length: processes }), () =>
          Process.make(storage, { ownerLabel: "host-1 pid 7" })
        )
        const inside = Array.from({ length: 50 }, () => 0)
        const balances = Array.from({ length: 50 }, () => 0)
        const tokens = new Set<string>()
        let overlaps = 0
        yield* Effect.forEach(
          fibers,
          (i) =>
            crew[i % processes]!.locks.withLock(
              (lock) =>
                Effect.gen(function* () {
                  const key = i % 50
                  if (++inside[key]! > 1) overlaps++
                  const balance = balances[key]!
                  yield* Effect.sleep("2 millis")
                  balances[key] = balance + 1
                  tokens.add(`${key} ${lock.token}`)
                  inside[key]!--
                }),
              `account ${i % 50}`
            ),
          { concurrency: "unbounded", discard: true }
        )
        assert.strictEqual(overlaps, 0)
        assert.deepStrictEqual(
          balances,
          inside.map(() => 4)
        )
        assert.strictEqual(tokens.size, fibers.length)
      }).pipe(Effect.scoped)
    )
  }

  it.live("handlers that try: of two at once one has it, and the other is told who", () =>
    Effect.gen(function* () {
      const { locks } = yield* Process.make(yield* MemoryStorage.make(), { ownerLabel: "web-1" })
      const handle = Effect.scoped(
        Effect.gen(function* () {
          const lock = yield* locks.tryAcquire("job")
          const info = Option.getOrThrow(yield* locks.get("job"))
          yield* Effect.sleep("20 millis")
          return Option.isSome(lock) ? `done ${lock.value.token}` : `busy: ${info.ownerLabel}`
        })
      )
      const [first, second] = yield* Effect.all([handle, handle], { concurrency: "unbounded" })
      assert.match(first, /^done \d+$/)
      assert.strictEqual(second, "busy: web-1")
    }).pipe(Effect.scoped)
  )
})

describe("the label of an owner", () => {
  it("is what the platform tells of the process: host and id, the id alone, or nothing", () => {
    assert.strictEqual(thisProcess, `${hostname()} pid ${process.pid}`)
    assert.strictEqual(nameOf({ process: { pid: 7 } }), "pid 7")
    for (const platform of [{}, { process: undefined }, { process: {} }]) assert.strictEqual(nameOf(platform), "")
  })

  it.live(
    "is shown in LockTimeout, get, list and info; by default it is the process; that of one acquire goes first",
    () =>
      Effect.gen(function* () {
        const storage = yield* MemoryStorage.make()
        const named = yield* Process.make(storage, { ownerLabel: "worker A" })
        const plain = yield* Process.make(storage)
        const lock = yield* named.locks.acquire("x")
        const timeout = yield* Effect.flip(plain.locks.acquire("x", { acquireTimeout: "20 millis" }))
        assert.strictEqual(timeout._tag, "LockTimeout")
        if (timeout._tag === "LockTimeout") {
          assert.strictEqual(timeout.holderLabel, "worker A")
          assert.strictEqual(timeout.holder, lock.ownerId)
          assert.include(timeout.message, `held by worker A (owner "${lock.ownerId}")`)
        }
        assert.strictEqual((yield* lock.info).ownerLabel, "worker A")
        yield* plain.locks.acquire("y")
        yield* named.locks.acquire("z", { ownerLabel: "this one" })
        const labels = new Map(
          (yield* Stream.runCollect(plain.locks.list)).map(({ lockId, ownerLabel }) => [lockId, ownerLabel])
        )
        assert.deepStrictEqual([labels.get("x"), labels.get("z")], ["worker A", "this one"])
        assert.include(labels.get("y"), `pid ${process.pid}`)
        const none = yield* named.locks.acquire("w", { ownerLabel: "" })
        assert.strictEqual((yield* none.info).ownerLabel, "")
      }).pipe(Effect.scoped)
  )

  it.live("an owner's reentry keeps it, whatever it calls itself", () =>
    Effect.gen(function* () {
      const storage = yield* MemoryStorage.make()
      const [one, two] = [
        yield* Process.make(storage, { ownerLabel: "one" }),
        yield* Process.make(storage, { ownerLabel: "two" })
      ]
      const lock = yield* one.locks.acquire("x")
      const again = yield* two.locks.acquire("x", { ownerId: lock.ownerId })
      assert.strictEqual(again.token, lock.token)
      assert.strictEqual((yield* again.info).ownerLabel, "one")
    }).pipe(Effect.scoped)
  )
})
