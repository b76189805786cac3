/** A task that runs once in a fleet: three processes have the same schedule, with starts that differ, and each tick is run by one of them. Then `once`, for timers of your own. */
import { DateTime, Deferred, Effect, Layer, Option } from "effect"
import { FleetSchedule, MemoryStorage, Storage, StorageLock, VersionedStore } from "effect-storage-lock"

const main = Effect.gen(function* () {
  const { storage, versioned } = yield* MemoryStorage.makePorts()
  const Store = Layer.merge(
    Layer.succeed(Storage.Storage, storage),
    Layer.succeed(VersionedStore.VersionedStore, versioned)
  )
  const process = Layer.merge(FleetSchedule.layer(), StorageLock.layer()).pipe(Layer.provide(Store), Layer.fresh)

  const ran: Array<number> = []
  const done = yield* Deferred.make<void>()
  const task = (tick: FleetSchedule.Tick) =>
    Effect.suspend(() => {
      ran.push(DateTime.toEpochMillis(tick.time))
      return ran.length === 3 ? Deferred.succeed(done, undefined) : Effect.void
    })

  yield* Effect.scoped(
    Effect.gen(function* () {
      for (const late of [0, 150, 300]) {
        const schedule = FleetSchedule.run("report", { every: "1 second" }, task)
        yield* Effect.forkScoped(Effect.delay(Effect.provide(schedule, process), late))
      }
      yield* Deferred.await(done)
    })
  )
  console.log(`each tick ran once: ${new Set(ran).size === ran.length}`)

  // A process whose timer is late finds the lock held, though the task is done.
  const cleanUp = Effect.succeed("cleaned up").pipe(StorageLock.once("clean-up", { holdAtLeast: "1 minute" }))
  const first = yield* Effect.provide(cleanUp, process)
  const late = yield* Effect.provide(cleanUp, process)
  console.log(`${Option.getOrElse(first, () => "nothing")}; the late one: ${late._tag}`)
})

await Effect.runPromise(main)
