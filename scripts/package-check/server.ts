// A program of somebody who installed the package with effect and one driver. For other storages than PostgreSQL the name of the module is exchanged.
import { Effect, Layer, Option, Redacted } from "effect"
import { StorageLock } from "effect-storage-lock"
import * as PostgresStorage from "effect-storage-lock/PostgresStorage"

const service = StorageLock.layer({ leaseExpireAfter: "10 seconds" }).pipe(
  Layer.provide(PostgresStorage.layer({ url: Redacted.make(process.env["DATABASE_URL"] ?? "") }))
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
