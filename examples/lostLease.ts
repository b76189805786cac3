/**
 * What a holder is told when its lease cannot be renewed: `withLock` interrupts its body, `lock.lost` fails, `lock.check` fails, `unsafeRemainingMillis` is zero, all of
 * them before anybody else can have the lock. Here the storage stops answering renewals.
 */
import { Effect, Fiber, Layer } from "effect"
import { MemoryStorage, Storage, StorageLock } from "effect-storage-lock"

const SilentStorage = Layer.effect(
  Storage.Storage,
  Effect.map(MemoryStorage.make(), (storage) => ({ ...storage, renew: () => Effect.never }))
)

const Locks = StorageLock.layer({ leaseExpireAfter: "600 millis" }).pipe(Layer.provide(SilentStorage))

/** The easy way: the body is interrupted. */
const guarded = Effect.never.pipe(
  Effect.onInterrupt(() => Effect.sync(() => console.log("withLock: the body was interrupted"))),
  StorageLock.withLock("a"),
  Effect.catchTag("LockLost", (lost) => Effect.sync(() => console.log(`withLock: ${lost.reason}`)))
)

/** With `acquire` the scope is not interrupted: ask, listen, or guard the part that matters. */
const manual = Effect.scoped(
  Effect.gen(function* () {
    const lock = yield* StorageLock.acquire("b")
    const told = yield* Effect.fork(Effect.flip(lock.lost))

    // Before each step, so that none is begun on a lock that is gone. No I/O.
    const ended = yield* Effect.flip(Effect.forever(Effect.andThen(lock.check, Effect.sleep("50 millis"))))
    console.log(`check: ${ended._tag}`)

    console.log(`lost: ${(yield* Fiber.join(told)).reason}`)

    const refused = yield* Effect.flip(lock.guard(Effect.die("never begun")))
    console.log(`guard: ${refused._tag}`)
  })
)

/** Where no timer can fire, in a loop that never yields, it reads the clock itself. */
const busy = StorageLock.withLock(
  (lock) =>
    Effect.sync(() => {
      while (lock.unsafeRemainingMillis() > 0);
      console.log("unsafeRemainingMillis: left the loop")
    }),
  "c"
).pipe(Effect.catchTag("LockLost", () => Effect.void))

await Effect.runPromise(Effect.all([guarded, manual, busy], { discard: true }).pipe(Effect.provide(Locks)))
