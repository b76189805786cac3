/** Every option of the lock service, over a memory storage that several services share: each service stands for a process. */
import { Duration, Effect, Layer, Schedule } from "effect"
import { MemoryStorage, Storage, StorageLock } from "effect-storage-lock"

const options: StorageLock.Options = {
  // How long a dead holder keeps the lock.
  leaseExpireAfter: "10 seconds",
  // How often a living one renews it. Default: a third of the lease.
  leaseRefreshInterval: "2 seconds",
  // How long `acquire` and `withLock` wait. Default: for ever.
  acquireTimeout: "5 seconds",
  // When to ask again, if nothing tells sooner.
  retry: Schedule.jittered(Schedule.spaced("200 millis")),
  // How long before the end of its lease a hold counts as lost.
  clockMargin: "1 second",
  // How long a hold may last, though it is renewed. Default: for ever.
  holdAtMost: "10 minutes",
  // What a body ends in that nothing could stop, and whose hold was over at its end: "fail" (the default) in `LockLost` with its result, "succeed" in its result.
  lostAtEnd: "fail",
  // Who a holder is, for people. Default: host and process id.
  ownerLabel: "billing on host-1",
  // Keeps applications apart that share a storage.
  namespace: "billing"
}

const program = Effect.gen(function* () {
  const storage = yield* MemoryStorage.make()
  const process = (options: StorageLock.Options) =>
    Effect.provide(StorageLock.layer(options).pipe(Layer.provide(Layer.succeed(Storage.Storage, storage))))

  yield* Effect.scoped(
    Effect.gen(function* () {
      // An option of one acquire goes over that of its layer.
      const lock = yield* StorageLock.acquire("invoices", { leaseExpireAfter: "20 seconds" })
      const left = yield* lock.check
      console.log(`surely held for more than the 10 seconds of the layer: ${Duration.toSeconds(left) > 10}`)
      console.log(`in the same namespace: ${yield* process(options)(StorageLock.isLocked("invoices"))}`)
      console.log(`in another: ${yield* process({ namespace: "shipping" })(StorageLock.isLocked("invoices"))}`)
    })
  ).pipe(process(options))

  // Nonsense is refused, never repaired.
  const refused = yield* Effect.flip(
    Effect.provide(
      Effect.void,
      StorageLock.layer({ leaseExpireAfter: "1 second", leaseRefreshInterval: "2 seconds" }).pipe(
        Layer.provide(MemoryStorage.layer)
      )
    )
  )
  console.log(refused.message)
})

await Effect.runPromise(program)
