/**
 * Ten workers, each with its own connection, on one lock. Under it each reads a number, thinks, and writes it back plus one: without the lock most of that
 * would be lost.
 */
import { Effect, Layer } from "effect"
import { StorageLock } from "effect-storage-lock"
import * as SqliteStorage from "effect-storage-lock/SqliteStorage"

const Locks = StorageLock.layer({ leaseExpireAfter: "5 seconds" }).pipe(
  Layer.provide(SqliteStorage.layer({ filename: process.env["LOCK_FILE"] ?? "locks.db" }))
)

let total = 0
const tokens: Array<number> = []

const turn = (lock: StorageLock.Lock) =>
  Effect.gen(function* () {
    const read = total
    yield* Effect.sleep("2 millis")
    total = read + 1
    tokens.push(lock.token)
  })

const worker = () =>
  StorageLock.withLock(turn, "must-serial-operation-resource-foo").pipe(
    Effect.repeat({ times: 4 }),
    // Provided here, each worker builds a layer of its own, as processes do.
    Effect.provide(Locks)
  )

await Effect.runPromise(Effect.forEach([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], worker, { concurrency: "unbounded" }))

console.log(`10 workers with 5 turns each: ${total}`)
console.log(`tokens grow from turn to turn: ${tokens.every((token, i) => i === 0 || token > tokens[i - 1]!)}`)
