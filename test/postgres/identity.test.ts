/** What becomes of locks when their table is emptied, recreated, restored, moved, or found elsewhere by a later connection. */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import { randomBytes } from "node:crypto"
import * as PostgresStorage from "../../src/backends/postgres/PostgresStorage.js"
import type * as LockError from "../../src/LockError.js"
import type * as StorageLock from "../../src/StorageLock.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import { ask, connected } from "../support/pgClient.js"
import * as Process from "../support/process.js"

await describeServer("the identity of PostgresStorage's table", Shared.postgres, (server) => {
  const start = Effect.gen(function* () {
    const url = yield* server.freshDatabase
    const admin = yield* connected(url)
    const { storage } = yield* PostgresStorage.make({ url: Redacted.make(url), notify: false })
    const { locks } = yield* Process.make(storage, { leaseExpireAfter: "6 seconds" })
    return { url, admin, storage, locks }
  })
  const why = (lock: StorageLock.Lock) =>
    Effect.map(Effect.flip(lock.lost), (error: LockError.LockLost) => error.reason)

  const emptied = "TRUNCATE storage_lock"
  const ways: ReadonlyArray<readonly [how: string, text: string, reason: LockError.LostReason]> = [
    ["is emptied", emptied, "Vanished"],
    ["is dropped and recreated", `DROP TABLE storage_lock; ${PostgresStorage.ddl()}`, "Vanished"],
    ["is restored from before the hold", `${emptied}; INSERT INTO storage_lock SELECT * FROM backup`, "Vanished"]
  ]
  for (const [how, text, reason] of ways) {
    it.live(`a hold is lost as ${reason} when its table ${how}, and the next token is greater`, () =>
      Effect.gen(function* () {
        const { admin, locks } = yield* start
        yield* locks.withLock(() => Effect.void, "a", "before")
        yield* ask(admin, "CREATE TABLE backup AS SELECT * FROM storage_lock")
        const lock = yield* locks.acquire("a", "me")
        yield* ask(admin, text)
        assert.strictEqual(yield* why(lock), reason)
        const next = yield* locks.acquire("a", "you")
        assert.isAbove(next.token, lock.token)
      })
    )
  }

  it.live("a table that is gone loses its holds by their deadline, and says what is missing", () =>
    Effect.gen(function* () {
      const { admin, locks, storage } = yield* start
      const lock = yield* locks.acquire("a", "me")
      yield* ask(admin, "DROP TABLE storage_lock")
      const error = yield* Effect.flip(storage.get("a"))
      assert.deepInclude(error, { reason: "Schema", isRetryable: false })
      assert.include(error.message, "PostgresStorage.ddl")
      assert.strictEqual(yield* why(lock), "Expired")
    })
  )

  it.live("a search_path that changes leads no connection to another table", () =>
    Effect.gen(function* () {
      const { admin, storage, url } = yield* start
      const claim = (ownerId: string) =>
        storage.claim({ lockId: "a", ownerId, holdId: randomBytes(16).toString("base64url"), lease: 60_000_000 })
      assert.strictEqual((yield* claim("me"))._tag, "Claimed")
      yield* ask(admin, `CREATE SCHEMA tenant; SET search_path = tenant; ${PostgresStorage.ddl()} RESET search_path`)
      yield* ask(admin, `ALTER DATABASE ${new URL(url).pathname.slice(1)} SET search_path = tenant`)
      yield* ask(
        admin,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
      )
      const outcomes = yield* Effect.forEach([1, 2, 3, 4], (n) => Effect.retry(claim(`you ${n}`), { times: 5 }), {
        concurrency: 4
      })
      assert.deepStrictEqual(
        outcomes.map((outcome) => outcome._tag),
        ["Held", "Held", "Held", "Held"]
      )
      assert.deepStrictEqual(yield* ask(admin, "SELECT count(*)::int AS n FROM tenant.storage_lock"), [{ n: 0 }])
    })
  )
})
