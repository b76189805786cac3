/**
 * Ctrl-C and SIGTERM: `NodeRuntime.runMain` makes an interruption of them, so that locks are given back at once. Without it the process just ends, and its locks are
 * held until their leases end. `npm i @effect/platform-node@0.108`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { MemoryStorage, StorageLock } from "effect-storage-lock"

const program = Effect.scoped(
  Effect.gen(function* () {
    // Finalizers run in reverse: this one after that of the lock.
    yield* Effect.addFinalizer(() =>
      Effect.map(Effect.orDie(StorageLock.isLocked("foo")), (locked) =>
        console.log(`held after the interruption: ${locked}`)
      )
    )
    yield* StorageLock.acquire("foo")
    console.log(`held before: ${yield* StorageLock.isLocked("foo")}`)
    // In earnest: somebody presses Ctrl-C.
    process.kill(process.pid, "SIGINT")
    return yield* Effect.never
  })
)

NodeRuntime.runMain(program.pipe(Effect.provide(StorageLock.layer().pipe(Layer.provide(MemoryStorage.layer)))), {
  // So that the tests see an end in order. By itself the exit code is 130, or 0 where finalizers had something to do: give a `teardown` if a shell is to know.
  teardown: (_exit, end) => end(0)
})
