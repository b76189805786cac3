/**
 * Oracle Database in detail: a table of one's own, made by a migration, a password that is asked for at each connection, and every option of the storage. Needs `ORACLE_CONNECT_STRING`, `ORACLE_USER` and `ORACLE_PASSWORD`, and
 * `npm i oracledb@26 @effect/platform-node@0.108`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Effect, Layer, Option, Redacted } from "effect"
import { StorageLock } from "effect-storage-lock"
import * as OracleStorage from "effect-storage-lock/OracleStorage"

/** As Oracle writes names that are created without quotes. */
const where = { table: "APP_LOCKS" }

/** In earnest: a file among the program's other migrations, run by a user that may create. */
console.log(OracleStorage.ddl(where))

/** Asked for at each new connection: in earnest, from where passwords are kept. */
const connection = Effect.gen(function* () {
  return {
    connectString: yield* Config.string("ORACLE_CONNECT_STRING"),
    user: yield* Config.string("ORACLE_USER"),
    password: Redacted.value(yield* Config.redacted("ORACLE_PASSWORD"))
  }
})

const Locks = StorageLock.layer({ leaseExpireAfter: "30 seconds", clockMargin: "2 seconds" }).pipe(
  Layer.provide(
    OracleStorage.layer({
      ...where,
      connection,
      // The user needs no more than SELECT, INSERT, UPDATE and DELETE on the table.
      setup: false,
      poolSize: 4,
      operationTimeout: "3 seconds"
    })
  )
)

const program = Effect.gen(function* () {
  const done = yield* StorageLock.withLockIfAvailable((lock) => lock.info, "nightly-report")
  console.log(
    Option.match(done, {
      onNone: () => "another process has it",
      onSome: (info) => `${info.ownerLabel} held ${info.lockId}`
    })
  )
})

NodeRuntime.runMain(Effect.provide(program, Locks))
