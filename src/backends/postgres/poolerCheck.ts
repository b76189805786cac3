/** Whether a connection leads to a session of its own: a pooler tells a client a number that no session of the server has. */
import * as Effect from "#effect/Effect"
import * as Pg from "pg"
import type { StorageError } from "../../LockError.js"
import type { Source } from "./connection.js"
import * as errors from "./errors.js"

/** Asks a session for its number. */
export const numberOfSession = "SELECT pg_backend_pid() AS pid"

/** Whether the session that answered `numberOfSession` is the one that the client was told of when it connected. */
export const isTold = (client: object, rows: ReadonlyArray<unknown> | undefined): boolean => {
  const answered = rows?.[0] as { readonly pid?: unknown } | undefined
  return typeof answered?.pid === "number" && answered.pid === (client as { readonly processID?: unknown }).processID
}

/** How long it may take, in milliseconds. */
const patience = 5_000

/** Whether there is a pooler in between. */
export const pooled = (source: Source): Effect.Effect<boolean, StorageError> =>
  Effect.flatMap(source.now, ({ config }) =>
    Effect.tryPromise({
      try: async () => {
        const client = new Pg.Client({ ...config, connectionTimeoutMillis: patience, query_timeout: patience })
        // One that nobody hears ends the process.
        client.on("error", () => {})
        try {
          await client.connect()
          return !isTold(client, (await client.query(numberOfSession)).rows)
        } finally {
          await client.end()
        }
      },
      catch: (error) => errors.fromDriver("checkup", error, "connecting")
    })
  )
