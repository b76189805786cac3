/** Not to wait, to wait for a time only, and to be told who has the lock. */
import { DateTime, Effect, Layer, Option } from "effect"
import { MemoryStorage, StorageLock } from "effect-storage-lock"

const program = Effect.scoped(
  Effect.gen(function* () {
    yield* StorageLock.acquire("foo", { ownerLabel: "worker-1" })

    const tried = yield* Effect.scoped(StorageLock.tryAcquire("foo"))
    console.log(`tryAcquire: ${Option.isSome(tried) ? "held" : "somebody else has it"}`)

    const skipped = yield* Effect.die("must not run").pipe(StorageLock.withLockIfAvailable("foo"))
    console.log(`withLockIfAvailable: ${skipped._tag}`)

    yield* Effect.log("never").pipe(
      StorageLock.withLock("foo", { acquireTimeout: "100 millis" }),
      Effect.catchTag("LockTimeout", (error) =>
        Effect.sync(() => {
          console.log(
            `withLock: held by ${error.holderLabel}, its lease lasts beyond now: ${error.until !== undefined && DateTime.toEpochMillis(error.until) > Date.now()}`
          )
          // The message says it all: who waited how long, and who has it since when and until when.
          console.log(
            error.message
              .replace(/"[\w-]{22}"/g, "<id>")
              .replace(/\d{4}-\S+Z/g, "<time>")
              .replace(/\d+ ms/, "<time>")
          )
        })
      )
    )
  })
)

await Effect.runPromise(program.pipe(Effect.provide(StorageLock.layer().pipe(Layer.provide(MemoryStorage.layer)))))
