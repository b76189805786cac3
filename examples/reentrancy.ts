/** Whoever has the owner id enters again, wherever it is: reentrancy goes by owner, never by fiber or process. The lock is free after the last release. */
import { Effect, Layer, Option } from "effect"
import { MemoryStorage, StorageLock } from "effect-storage-lock"

const inner = StorageLock.withLock(
  (lock) => Effect.map(lock.info, ({ lockCount }) => ({ token: lock.token, lockCount })),
  "foo",
  "job-7"
)

const outer = StorageLock.withLock(
  (lock) =>
    Effect.gen(function* () {
      const { lockCount, token } = yield* inner
      console.log(`inside: held ${lockCount} times, with one token: ${token === lock.token}`)
      const other = yield* Effect.scoped(StorageLock.tryAcquire("foo", "job-8"))
      console.log(`another owner gets it: ${Option.isSome(other)}`)
      // Without an owner id each acquire is an owner of its own: it would wait for itself here, so it does not enter either.
      const nameless = yield* Effect.scoped(StorageLock.tryAcquire("foo"))
      console.log(`without an owner id: ${Option.isSome(nameless)}`)
    }),
  "foo",
  "job-7"
)

const program = Effect.andThen(outer, StorageLock.isLocked("foo")).pipe(
  Effect.map((locked) => console.log(`held at the end: ${locked}`))
)

await Effect.runPromise(program.pipe(Effect.provide(StorageLock.layer().pipe(Layer.provide(MemoryStorage.layer)))))
