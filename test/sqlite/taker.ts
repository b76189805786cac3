/** Another process: it tries to take one lock of a file, says whether it got it, and keeps it, and the file, until its input ends. */
import * as Effect from "#effect/Effect"
import * as SqliteStorage from "../../src/backends/sqlite/SqliteStorage.js"
import * as Storage from "../../src/Storage.js"

const [filename, lockId] = process.argv.slice(2) as [string, string]

const program = Effect.gen(function* () {
  const storage = yield* Storage.Storage
  const outcome = yield* storage.claim({ lockId, ownerId: "taker", holdId: "taker".padEnd(22, "0"), lease: 60_000_000 })
  process.stdout.write(`${outcome._tag}\n`)
  yield* Effect.promise(() => new Promise((resolve) => process.stdin.once("end", resolve).resume()))
}).pipe(Effect.provide(SqliteStorage.layer({ filename })))

void Effect.runPromise(program)
