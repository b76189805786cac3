/** A candidate in a process of its own. While it leads it writes down its process and its token, again and again, for as long as it surely leads. */
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import { appendFileSync } from "node:fs"
import * as PostgresStorage from "../../src/backends/postgres/PostgresStorage.js"
import * as SqliteStorage from "../../src/backends/sqlite/SqliteStorage.js"
import * as LeaderElection from "../../src/LeaderElection.js"
import * as StorageLock from "../../src/StorageLock.js"

const [kind, place, log, election] = process.argv.slice(2) as [string, string, string, string]

const storage =
  kind === "sqlite"
    ? SqliteStorage.layer({ filename: place })
    : PostgresStorage.layer({ url: Redacted.make(place), table: "leaders" })

const body = ({ lock, resign, token }: LeaderElection.Term) => {
  process.once("SIGUSR2", () => void Effect.runFork(resign))
  return Effect.forever(
    Effect.andThen(
      Effect.sync(() => {
        if (lock.unsafeRemainingMillis() > 0) appendFileSync(log, `${process.pid} ${token}\n`)
      }),
      Effect.sleep("10 millis")
    )
  )
}

const locks = StorageLock.layer({ leaseExpireAfter: "2 seconds" }).pipe(Layer.provide(storage))

process.stdout.write("ready\n")
Effect.runFork(Effect.provide(LeaderElection.run(election, body, { afterResign: "1 hour" }), locks))
