/** Quick start in memory: for tests, and for programs that are one process. Nothing to install but `effect`. */
import { Effect, Layer } from "effect"
import { MemoryStorage, StorageLock } from "effect-storage-lock"

const Locks = StorageLock.layer().pipe(Layer.provide(MemoryStorage.layer))

const program = Effect.scoped(
  Effect.gen(function* () {
    const lock = yield* StorageLock.acquire("must-serial-operation-resource-foo", { ownerLabel: "worker-1" })
    const { lockCount, ownerLabel } = yield* lock.info
    console.log(`held by ${ownerLabel}, ${lockCount} time; the token has its value: ${lock.token > 0}`)
    // The end of the scope gives the lock back.
  })
)

const free = Effect.map(StorageLock.isLocked("must-serial-operation-resource-foo"), (locked) =>
  console.log(`held after the scope: ${locked}`)
)

await Effect.runPromise(Effect.andThen(program, free).pipe(Effect.provide(Locks)))
