/** Whether a connection leads to a session of its own: a pooler tells a client a number that no session of the server has. */
import * as Effect from "#effect/Effect"
import * as Pg from "pg"
import type { StorageError } from "../../LockError.js"
import type { Source } from "./connection.js"
import * as errors from "./errors.js"

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
          const { rows } = await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid")
          return rows[0]?.pid !== (client as unknown as { readonly processID?: unknown }).processID
        } finally {
          await client.end()
        }
      },
      catch: (error) => errors.fromDriver("checkup", error, "connecting")
    })
  )
