import { assert, describe, it } from "#harness/vitest"
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as Scope from "#effect/Scope"
import * as Stream from "#effect/Stream"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import { StorageError } from "../../src/LockError.js"
import * as LockManager from "../../src/LockManager.js"
import * as Storage from "../../src/Storage.js"
import * as StorageLock from "../../src/StorageLock.js"
import * as Faulty from "../support/faulty.js"

const over = (storage: Storage.Service) =>
  StorageLock.layer().pipe(Layer.provide(Layer.succeed(Storage.Storage, storage)))

const refused = new StorageError({
  reason: "Connection",
  operation: "test",
  isRetryable: true,
  applied: "no",
  message: "nobody is there"
})

/** Two services, how often the second was built and closed, and a switch that keeps it from being built. */
const setup = Effect.gen(function* () {
  const [first, second] = [yield* MemoryStorage.make(), Faulty.make(yield* MemoryStorage.make())]
  const built = { begun: 0, closed: 0, fails: false }
  const counted = Layer.effectDiscard(
    Effect.acquireRelease(
      Effect.suspend(() => {
        built.begun++
        return built.fails ? Effect.fail(refused) : Effect.void
      }),
      () => Effect.sync(() => built.closed++)
    )
  )
  const scope = yield* Scope.make()
  const context = yield* Layer.buildWithScope(
    LockManager.layer({
      orders: over(first),
      sessions: Layer.provideMerge(over(second.storage), counted)
    }),
    scope
  )
  return {
    first,
    second,
    built,
    manager: Context.get(context, LockManager.LockManager),
    run: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.provide(self, context),
    close: Scope.close(scope, Exit.void)
  }
})

const isHeld = (storage: Storage.Service, lockId: string) => Effect.map(storage.get(lockId), Option.isSome)

describe("LockManager", () => {
  it.effect("each name is a lock service of its own", () =>
    Effect.gen(function* () {
      const { built, first, run, second } = yield* setup
      const seen = yield* run(
        Effect.all([isHeld(first, "foo"), isHeld(second.storage, "foo"), LockManager.isLocked("orders", "foo")]).pipe(
          LockManager.withLock("orders", "foo")
        )
      )
      assert.deepStrictEqual(seen, [true, false, true])
      assert.strictEqual(built.begun, 0)
      assert.isFalse(yield* isHeld(first, "foo"))
      const taken = yield* run(
        Effect.scoped(
          Effect.andThen(
            LockManager.acquire("sessions", "foo"),
            Effect.all([
              Effect.succeed("run").pipe(LockManager.tryWithLock("sessions", "foo")),
              Effect.succeed("run").pipe(LockManager.tryWithLock("orders", "foo")),
              LockManager.lockInfo("sessions", "foo"),
              Stream.runCollect(LockManager.list("sessions")).pipe(Effect.map((all) => Array.from(all).length))
            ])
          )
        )
      )
      assert.isTrue(Option.isNone(taken[0]))
      assert.strictEqual(Option.getOrThrow(taken[1]), "run")
      assert.isTrue(Option.isSome(taken[2]))
      assert.strictEqual(taken[3], 1)
      assert.strictEqual(built.begun, 1)
    })
  )

  it.effect("lock, renew, unlock and forceRelease by name; use gives all the rest", () =>
    Effect.gen(function* () {
      const { first, run } = yield* setup
      const { token } = yield* run(LockManager.lock("orders", "foo", "me"))
      yield* run(LockManager.renew("orders", "foo", "me", { holdAtMost: "1 minute" }))
      assert.strictEqual((yield* Effect.flip(run(LockManager.unlock("sessions", "foo", "me"))))._tag, "NotLocked")
      assert.isTrue(yield* isHeld(first, "foo"))
      yield* run(LockManager.unlock("orders", "foo", "me"))
      assert.isFalse(yield* isHeld(first, "foo"))
      assert.isFalse(yield* run(LockManager.forceRelease("orders", "foo", { token, when: "now" })))
      const lock = yield* run(LockManager.use("orders")(StorageLock.tryLock("foo", "me")))
      assert.isTrue(Option.isSome(lock))
    })
  )

  it.effect("an unknown name is a typed error that lists the known ones", () =>
    Effect.gen(function* () {
      const { manager, run } = yield* setup
      const wrong = [
        run(Effect.void.pipe(LockManager.withLock("ordres", "foo"))),
        run(Effect.scoped(LockManager.acquire("ordres", "foo"))),
        run(LockManager.isLocked("ordres", "foo")),
        run(Stream.runDrain(LockManager.list("ordres"))),
        manager.remove("ordres")
      ]
      for (const self of wrong) {
        const error = yield* Effect.flip<unknown, unknown, never>(self)
        assert(error instanceof LockManager.UnknownLockService)
        assert.deepStrictEqual(error.known, ["orders", "sessions"])
        assert.strictEqual(error.message, 'there is no lock service "ordres"; there are: "orders", "sessions"')
      }
    })
  )

  it.effect("a service that cannot be built says so, and is built again by the next who asks", () =>
    Effect.gen(function* () {
      const { built, run } = yield* setup
      built.fails = true
      const error = yield* Effect.flip(run(LockManager.isLocked("sessions", "foo")))
      assert(error._tag === "LockServiceUnavailable")
      assert.strictEqual(error.message, 'the lock service "sessions" cannot be built: nobody is there')
      assert.strictEqual(error.cause, refused)
      built.fails = false
      assert.isFalse(yield* run(LockManager.isLocked("sessions", "foo")))
      assert.strictEqual(built.begun, 2)
    })
  )

  it.effect("health tries each, and says which fails and why", () =>
    Effect.gen(function* () {
      const { built, manager, second } = yield* setup
      built.fails = true
      const unbuilt = yield* manager.health
      assert.strictEqual(unbuilt["orders"]?._tag, "Healthy")
      assert(unbuilt["sessions"]?._tag === "Failing")
      assert.strictEqual(unbuilt["sessions"].error._tag, "LockServiceUnavailable")
      built.fails = false
      yield* second.set(["get"], Faulty.refuse)
      const unreachable = yield* manager.health
      assert(unreachable["sessions"]?._tag === "Failing")
      assert.strictEqual(unreachable["sessions"].error._tag, "StorageError")
      yield* second.set(["get"], undefined)
      assert.deepStrictEqual(
        Object.entries(yield* manager.health).map(([name, { _tag }]) => [name, _tag]),
        [
          ["orders", "Healthy"],
          ["sessions", "Healthy"]
        ]
      )
    })
  )

  it.effect("services come and go at run time; a removed one lives for as long as it is used", () =>
    Effect.gen(function* () {
      const { built, manager, run, second } = yield* setup
      const third = yield* MemoryStorage.make()
      yield* manager.add("reports", over(third))
      const fourth = yield* MemoryStorage.make()
      assert.deepStrictEqual(yield* manager.names, ["orders", "sessions", "reports"])
      assert.isTrue(yield* run(isHeld(third, "foo").pipe(LockManager.withLock("reports", "foo"))))
      yield* run(
        Effect.scoped(
          Effect.gen(function* () {
            const lock = yield* LockManager.acquire("sessions", "foo")
            yield* manager.remove("sessions")
            assert.strictEqual((yield* Effect.flip(LockManager.isLocked("sessions", "foo")))._tag, "UnknownLockService")
            // Another one of its name, beside the one that is still used.
            yield* manager.add("sessions", over(fourth))
            assert.isTrue(yield* isHeld(fourth, "foo").pipe(LockManager.withLock("sessions", "foo")))
            yield* lock.check
            assert.strictEqual(built.closed, 0)
          })
        )
      )
      assert.strictEqual(built.closed, 1)
      assert.isFalse(yield* isHeld(second.storage, "foo"))
      assert.deepStrictEqual(Object.keys(yield* manager.health), ["orders", "reports", "sessions"])
    })
  )

  it.effect("closing it closes all", () =>
    Effect.gen(function* () {
      const { built, close, first, run } = yield* setup
      yield* run(LockManager.lock("orders", "foo", "me"))
      yield* run(LockManager.isLocked("sessions", "foo"))
      yield* close
      assert.isFalse(yield* isHeld(first, "foo"))
      assert.strictEqual(built.closed, 1)
    })
  )

  it.effect("bad input is refused by field and rule", () =>
    Effect.gen(function* () {
      const { manager } = yield* setup
      const layer = over(yield* MemoryStorage.make())
      const wrong: ReadonlyArray<readonly [string, Effect.Effect<unknown, unknown, Scope.Scope>]> = [
        ["name", manager.add("orders", layer)],
        ["name", manager.add("", layer)],
        ["name", manager.add(1 as never, layer)],
        ["more", manager.add("more", {} as never)],
        ["orders", LockManager.make({ orders: undefined as never })],
        ["services", LockManager.make([] as never)],
        ["name", LockManager.make({ "": layer })]
      ]
      for (const [field, self] of wrong) {
        const error = yield* Effect.flip(self) as Effect.Effect<{ _tag: string; field: string }, unknown, Scope.Scope>
        assert.deepInclude(error, { _tag: "InvalidOptions", field })
      }
    })
  )
})
