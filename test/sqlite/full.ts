/** Runs on a file system of one megabyte, in a process of its own: what a full disk does to claims, renewals and releases. Prints one JSON line. */
import Sqlite from "better-sqlite3"
import * as Effect from "#effect/Effect"
import { appendFileSync } from "node:fs"
import { join } from "node:path"
import * as SqliteStorage from "../../src/backends/sqlite/SqliteStorage.js"
import * as Storage from "../../src/Storage.js"

const directory = process.argv[2]!
const lease = 60_000_000
const hold = (lockId: string) => ({ lockId, holdId: "1".padEnd(22, "0") })

const program = Effect.gen(function* () {
  const storage = yield* Storage.Storage
  const held = Array.from({ length: 20 }, (_, i) => `held ${i}`)
  for (const lockId of held) yield* storage.claim({ ...hold(lockId), ownerId: "me", lease })
  // The pages of these locks are in the database, as SQLite brings them there by itself after some time.
  const another = new Sqlite(join(directory, "locks.db"))
  another.pragma("wal_checkpoint(PASSIVE)")
  another.close()
  for (let size = 65_536; size >= 64;) {
    try {
      appendFileSync(join(directory, "filler"), Buffer.alloc(size))
    } catch {
      size /= 2
    }
  }
  const renewals: Array<string> = []
  // More changes than the log has room for.
  for (let round = 0; round < 100; round++) {
    for (const outcome of yield* storage.renew(held.map((lockId) => ({ ...hold(lockId), lease }))))
      renewals.push(outcome._tag)
  }
  const releases = yield* Effect.forEach(held, (lockId) => storage.release(hold(lockId)))
  let claimed = 0
  const refused = yield* Effect.flip(
    Effect.forever(
      Effect.suspend(() =>
        Effect.map(
          storage.claim({ ...hold(`new ${claimed} ${"x".repeat(200)}`), ownerId: "me", lease }),
          () => void claimed++
        )
      )
    )
  )
  return { refused, renewed: new Set(renewals), releases: releases.map((one) => one._tag) }
}).pipe(Effect.provide(SqliteStorage.layer({ filename: join(directory, "locks.db"), synchronous: "normal" })))

void Effect.runPromise(Effect.result(program)).then((result) => {
  process.stdout.write(
    `${JSON.stringify(
      result._tag === "Success"
        ? {
            ...result.success,
            renewed: [...result.success.renewed],
            refused: {
              tag: result.success.refused._tag,
              ...result.success.refused,
              message: result.success.refused.message,
              cause: undefined
            }
          }
        : { failed: result.failure.message }
    )}\n`
  )
})
