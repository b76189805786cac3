/** Fills the NOTIFY queue of a PostgreSQL server: a session that listens sits in a transaction, and another notifies until the server refuses. */
import * as Effect from "#effect/Effect"
import * as Scope from "#effect/Scope"
import type { PostgresServer } from "../harness/postgres.js"
import { connected } from "./pgClient.js"

/** From release 17 on the queue can be made so small that it is full at once: 64 pages. Takes effect with a restart. */
export const makeSmall = (server: PostgresServer): Effect.Effect<void> =>
  Effect.orDie(
    server
      .admin("ALTER SYSTEM SET max_notify_queue_pages = 64")
      .pipe(Effect.andThen(server.kill), Effect.andThen(server.start))
  )

/** Runs the effect while every NOTIFY on the server fails. */
export const whileFull =
  (url: string) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.scopedWith((scope) =>
      Effect.gen(function* () {
        const [stuck, filler] = yield* Effect.provideService(
          Effect.all([connected(url), connected(url)]),
          Scope.Scope,
          scope
        )
        yield* Effect.promise(async () => {
          await stuck.query("LISTEN others")
          await stuck.query("BEGIN")
          await stuck.query("SELECT 1")
          for (let size = 7000; size > 0; size = Math.floor(size / 10)) {
            for (let n = 0; ; n++) {
              const full = await filler
                .query("SELECT pg_notify('others', repeat('x', $1) || $2::text)", [size, n])
                .then(
                  () => false,
                  () => true
                )
              if (full) break
            }
          }
        })
        // The queue is emptied when somebody asks how full it is.
        return yield* Effect.ensuring(
          effect,
          Effect.promise(async () => {
            await stuck.query("ROLLBACK")
            await stuck.query("UNLISTEN *")
            await filler.query("SELECT pg_notification_queue_usage()")
          })
        )
      })
    )
