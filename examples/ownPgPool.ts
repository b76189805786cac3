/** Locks on the program's own `Pool` of `pg`, which stays open when the layer closes. Needs `DATABASE_URL`, and `npm i pg@8`. */
import { Effect, Layer } from "effect"
import { StorageLock } from "effect-storage-lock"
import * as PostgresStorage from "effect-storage-lock/PostgresStorage"
import * as Pg from "pg"

// Bound what a statement may take: a program's pool is configured by the program.
const pool = new Pg.Pool({ connectionString: process.env["DATABASE_URL"], max: 5, statement_timeout: 4000 })

const Locks = StorageLock.layer().pipe(Layer.provide(PostgresStorage.layerFromPool({ pool })))

const program = Effect.sync(() => console.log("held")).pipe(StorageLock.withLock("foo"))

await Effect.runPromise(program.pipe(Effect.provide(Locks)))
console.log(`the pool still serves: ${(await pool.query<{ one: number }>("SELECT 1 AS one")).rows[0]?.one}`)
await pool.end()
