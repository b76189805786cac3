/** For operators: what is held and by whom, taking a lock away, and dropping what has long been free. */
import { Effect, Layer, Option, Stream } from "effect"
import { MemoryStorage, Storage, StorageLock } from "effect-storage-lock"

const Locks = StorageLock.layer({ leaseExpireAfter: "900 millis" }).pipe(Layer.provideMerge(MemoryStorage.layer))

const program = Effect.scoped(
  Effect.gen(function* () {
    const lock = yield* StorageLock.acquire("foo", { ownerLabel: "worker-1" })
    yield* StorageLock.acquire("bar", { ownerLabel: "worker-2" })

    const held = yield* Stream.runCollect(StorageLock.list)
    console.log(
      Array.from(held, ({ lockId, ownerLabel }) => `${lockId} by ${ownerLabel}`)
        .sort()
        .join(", ")
    )

    // Safe: others are kept out until the lease ends, and the holder has noticed by then.
    const info = Option.getOrThrow(yield* StorageLock.get("foo"))
    yield* StorageLock.forceRelease("foo", { token: info.token, when: "leaseEnd" })
    const lost = yield* Effect.flip(lock.lost)
    console.log(`worker-1 is told: ${lost.reason}`)
    const next = yield* StorageLock.acquire("foo", { ownerLabel: "worker-3" })
    console.log(`worker-3 has a greater token: ${next.token > lock.token}`)

    // The token says which hold is meant: one that is over is not hit, nor its successor.
    console.log(`again: ${yield* StorageLock.forceRelease("foo", { token: info.token, when: "now" })}`)

    // A free lock keeps its row, which remembers the token. Rows that have been free for long may go: once a day is plenty.
    const storage = yield* Storage.Storage
    console.log(`purged: ${yield* storage.purge("30 days")}`)
  })
)

await Effect.runPromise(program.pipe(Effect.provide(Locks)))
