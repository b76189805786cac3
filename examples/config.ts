/** Options from the environment: `LOCK_LEASE="20 seconds" LOCK_WAIT="1 minute" LOCK_FILE=locks.db`. */
import { Config, DateTime, Duration, Effect, Layer } from "effect"
import { StorageLock } from "effect-storage-lock"
import * as SqliteStorage from "effect-storage-lock/SqliteStorage"

const Locks = StorageLock.layerConfig({
  leaseExpireAfter: Config.duration("LOCK_LEASE").pipe(Config.withDefault(Duration.seconds(30))),
  acquireTimeout: Config.duration("LOCK_WAIT").pipe(Config.withDefault(undefined)),
  namespace: Config.succeed("billing")
}).pipe(
  Layer.provide(
    SqliteStorage.layerConfig({ filename: Config.string("LOCK_FILE").pipe(Config.withDefault("locks.db")) })
  )
)

const program = StorageLock.withLock((lock) => lock.info, "foo").pipe(
  Effect.map((info) =>
    console.log(`a lease of ${Duration.format(DateTime.distanceDuration(info.lockBeginTime, info.leaseExpireTime))}`)
  )
)

await Effect.runPromise(program.pipe(Effect.provide(Locks)))
