/**
 * A lock service in a program that is not written with Effect, and what happens when it is shut down: bodies are interrupted and have a moment to end, and the
 * locks are given back.
 */
import { Effect, Layer, ManagedRuntime } from "effect"
import { MemoryStorage, Storage, StorageLock } from "effect-storage-lock"

const storage = await Effect.runPromise(MemoryStorage.make())
const Locks = StorageLock.layer().pipe(Layer.provide(Layer.succeed(Storage.Storage, storage)))
const runtime = ManagedRuntime.make(Locks)

const sum = await runtime.runPromise(
  StorageLock.withLock(
    Effect.promise(async () => 1 + 1),
    "foo"
  )
)
console.log(`a promise under the lock: ${sum}`)

let begun = () => {}
const hasBegun = new Promise<void>((resolve) => (begun = resolve))
const job = runtime.runPromise(
  StorageLock.withLock(
    () =>
      Effect.sync(() => begun()).pipe(
        Effect.andThen(Effect.never),
        Effect.onInterrupt(() => Effect.sync(() => console.log("the body was interrupted")))
      ),
    "foo"
  ).pipe(Effect.catchTag("LockLost", (lost) => Effect.succeed(lost.reason)))
)
await hasBegun

// As at SIGTERM.
await runtime.dispose()
// With Effect 4 the runtime itself interrupts what still runs, so the promise is rejected.
console.log(`the job ended: ${await job.catch(() => "interrupted")}`)
console.log(`held in the storage: ${(await Effect.runPromise(storage.get("foo")))._tag === "Some"}`)
