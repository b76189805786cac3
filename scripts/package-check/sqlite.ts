// A program of somebody who installed the package with effect and the SQLite driver.
import { Effect, Layer, Option } from "effect"
import { StorageLock } from "effect-storage-lock"
import * as SqliteStorage from "effect-storage-lock/SqliteStorage"

const service = StorageLock.layer({ leaseExpireAfter: "10 seconds" }).pipe(
  Layer.provide(SqliteStorage.layer({ filename: "locks.db" }))
)

const hold = (owner: string) =>
  Effect.map(
    StorageLock.tryAcquire("a", owner),
    Option.map((lock) => lock.token)
  )

// Two layers, as in two processes.
const other = hold("two").pipe(Effect.scoped, Effect.provide(service))
const [first, meanwhile] = await Effect.runPromise(
  Effect.all([hold("one"), other]).pipe(Effect.scoped, Effect.provide(service))
)
const after = await Effect.runPromise(other)

if (Option.isNone(first) || Option.isSome(meanwhile) || Option.isNone(after) || !(after.value > first.value)) {
  throw new Error(JSON.stringify({ first, meanwhile, after }))
}
