/** Which fibers end before the lock is given back: children of the body of `withLock`, and fibers forked into the scope of `acquire`. Daemons do not. */
import { Effect, Fiber, Layer } from "effect"
import { MemoryStorage, StorageLock } from "effect-storage-lock"

const work = (name: string) =>
  Effect.never.pipe(
    Effect.onInterrupt(() =>
      Effect.map(StorageLock.isLocked("foo"), (locked) =>
        console.log(`${name} ends, and the lock is ${locked ? "held" : "free"}`)
      ).pipe(Effect.orDie)
    )
  )

const started = Effect.sleep("20 millis")

const program = Effect.gen(function* () {
  yield* Effect.fork(work("a child of withLock")).pipe(Effect.andThen(started), StorageLock.withLock("foo"))

  yield* Effect.scoped(
    Effect.gen(function* () {
      yield* StorageLock.acquire("foo")
      yield* Effect.forkScoped(work("a fiber in the scope"))
      yield* started
    })
  )

  const daemon = yield* Effect.forkDaemon(work("a daemon")).pipe(Effect.tap(started), StorageLock.withLock("foo"))
  yield* Fiber.interrupt(daemon)
})

await Effect.runPromise(program.pipe(Effect.provide(StorageLock.layer().pipe(Layer.provide(MemoryStorage.layer)))))
