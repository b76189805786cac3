/** At most N at once in all processes: twelve renderings with four permits, of which a big one takes two. Each process is a layer of its own over one storage. */
import { Effect, Layer } from "effect"
import { MemoryStorage, StorageSemaphore, VersionedStore } from "effect-storage-lock"

const main = Effect.gen(function* () {
  const { storage, versioned } = yield* MemoryStorage.makePorts()
  const process = StorageSemaphore.layer().pipe(
    Layer.provide(Layer.succeed(VersionedStore.VersionedStore, versioned)),
    // Each time it is provided it is another one.
    Layer.fresh
  )

  let inUse = 0
  let most = 0
  const render = (permits: number) =>
    Effect.gen(function* () {
      inUse += permits
      most = Math.max(most, inUse)
      yield* Effect.sleep("20 millis")
      inUse -= permits
    }).pipe(StorageSemaphore.withPermits("renderers", { limit: 4, permits, acquireTimeout: "30 seconds" }))

  yield* Effect.forEach(
    [1, 2, 3],
    () =>
      Effect.provide(Effect.all([render(1), render(1), render(2), render(1)], { concurrency: "unbounded" }), process),
    { concurrency: "unbounded" }
  )
  console.log(`never more than four permits at once: ${most <= 4}`)
  console.log(`more than one at once: ${most > 1}`)

  const wrong = yield* Effect.flip(render(5)).pipe(Effect.provide(process))
  console.log(wrong.message)

  // An operator sees who has them.
  yield* Effect.scoped(
    Effect.gen(function* () {
      yield* StorageSemaphore.acquire("renderers", { limit: 4, permits: 3 })
      const record = yield* storage.get("renderers")
      console.log(`the storage has a record of the kind: ${record._tag === "Some" && record.value.record.kind}`)
    })
  ).pipe(Effect.provide(process))
})

await Effect.runPromise(main)
