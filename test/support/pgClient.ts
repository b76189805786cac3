/** A session of a test's own on a PostgreSQL server, beside those of the storage. */
import * as Effect from "#effect/Effect"
import Pg from "pg"

export const connected = (url: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const client = new Pg.Client(url)
      client.on("error", () => {})
      await client.connect()
      return client
    }),
    (client) => Effect.promise(() => client.end())
  )

export const ask = (client: Pg.Client | Pg.Pool, text: string, values: ReadonlyArray<unknown> = []) =>
  Effect.promise(async () => (await client.query(text, [...values])).rows as ReadonlyArray<any>)
