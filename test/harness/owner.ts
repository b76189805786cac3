/** A process that owns a PostgreSQL, says where, and waits for its end: see harness.test.ts. */
import * as Effect from "#effect/Effect"
import * as Path from "node:path"
import * as Postgres from "./postgres.js"
import * as Processes from "./processes.mjs"

Effect.runFork(
  Effect.scoped(
    Effect.gen(function* () {
      const server = yield* Postgres.own
      const directory = Path.dirname(server.dataDir!)
      process.stdout.write(JSON.stringify({ directory, pids: Processes.members(directory, [server.pid()!]) }) + "\n")
      return yield* Effect.never
    })
  )
)
