/** Locks, and the fence, on the client of Effect's own that a program has. */
import { PgClient } from "@effect/sql-pg"
import { assert, it } from "#harness/vitest"
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as Schedule from "#effect/Schedule"
import type * as Scope from "#effect/Scope"
import * as Stream from "#effect/Stream"
import * as Redacted from "effect/Redacted"
import { randomBytes } from "node:crypto"
import * as PostgresStorage from "../../src/backends/postgres/PostgresStorage.js"
import * as SqlFence from "../../src/backends/sql/SqlFence.js"
import type * as Storage from "../../src/Storage.js"
import * as StorageLock from "../../src/StorageLock.js"
import * as Shared from "../harness/shared.js"
import { describeServer } from "../harness/server.js"

const hold = () => randomBytes(16).toString("base64url")
const second = 1_000_000
const day = 86_400 * second

const claim = (storage: Storage.Service, lockId: string, ownerId: string, lease = 30 * second) => {
  const holdId = hold()
  return Effect.map(storage.claim({ lockId, ownerId, holdId, lease }), (outcome) => ({ outcome, holdId }))
}

await describeServer("PostgresStorage on the program's client", Shared.postgres, (server) => {
  const live = <E>(name: string, test: Effect.Effect<void, E, Scope.Scope>) => it.live(name, () => test)

  const client = (url: string, config: object = {}) =>
    Effect.map(Layer.build(PgClient.layer({ url: Redacted.make(url), ...config })), (context) => ({
      context,
      sql: Context.get(context, PgClient.PgClient)
    }))

  const fresh = (config: object = {}) =>
    Effect.flatMap(server.freshDatabase, (url) => Effect.map(client(url, config), (made) => ({ ...made, url })))

  const table = (sql: PgClient.PgClient) =>
    Effect.map(
      sql`SELECT obj_description(c.oid, 'pg_class') AS comment, (SELECT count(*)::int FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'owner_label') AS labels
          FROM pg_class c WHERE c.relname = 'storage_lock'`,
      (rows) => rows.map((row) => [row.comment, row.labels])
    )

  live(
    "one of many that begin at once makes the table, whole, and all find it",
    Effect.gen(function* () {
      const { context, sql } = yield* fresh({ maxConnections: 8 })
      const made = yield* Effect.all(
        Array.from({ length: 8 }, () => PostgresStorage.makeFromClient()),
        { concurrency: "unbounded" }
      ).pipe(Effect.provide(context))
      const claims = yield* Effect.all(
        made.map(({ storage }, i) => claim(storage, "one", `owner ${i}`)),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(claims.map(({ outcome }) => outcome._tag).sort(), [
        "Claimed",
        ...Array.from({ length: 7 }, () => "Held")
      ])
      assert.deepStrictEqual(yield* table(sql), [["effect-storage-lock format 1", 1]])
    })
  )

  live(
    "what a table of an earlier version lacks is added",
    Effect.gen(function* () {
      const { context, sql } = yield* fresh()
      yield* Effect.provide(PostgresStorage.makeFromClient(), context)
      yield* sql`ALTER TABLE storage_lock DROP COLUMN owner_label`
      const { storage } = yield* Effect.provide(PostgresStorage.makeFromClient(), context)
      assert.strictEqual((yield* claim(storage, "a", "me")).outcome._tag, "Claimed")
      assert.deepStrictEqual(yield* table(sql), [["effect-storage-lock format 1", 1]])
    })
  )

  live(
    "a set-up that is refused half way leaves nothing, and gives its connection back outside any transaction",
    Effect.gen(function* () {
      // With one connection, what comes next has the same one.
      const { context, sql } = yield* fresh({ maxConnections: 1 })
      yield* sql`CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no comments here'' USING ERRCODE = ''42501''; END'`
      yield* sql`CREATE EVENT TRIGGER no_comments ON ddl_command_start WHEN TAG IN ('COMMENT') EXECUTE FUNCTION refuse()`
      const error = yield* Effect.flip(Effect.provide(PostgresStorage.makeFromClient(), context))
      assert.deepInclude(error, { _tag: "StorageError", reason: "Permission", applied: "no" })
      assert.match(error.message, /no comments here/)
      assert.deepStrictEqual(yield* table(sql), [])
      // In a transaction that failed, the server would refuse it.
      assert.deepStrictEqual(yield* sql`SELECT 'yes' AS works`, [{ works: "yes" }])
      yield* sql`DROP EVENT TRIGGER no_comments`
      const { storage } = yield* Effect.provide(PostgresStorage.makeFromClient(), context)
      assert.strictEqual((yield* claim(storage, "a", "me")).outcome._tag, "Claimed")
    })
  )

  live(
    "every operation, with numbers of all sizes in one statement",
    Effect.gen(function* () {
      const { context } = yield* fresh({ maxConnections: 2 })
      const { storage, versioned } = yield* Effect.provide(PostgresStorage.makeFromClient(), context)
      const a = yield* claim(storage, "a", "me")
      const b = yield* claim(storage, "b", "me", 30 * day)
      assert(a.outcome._tag === "Claimed" && b.outcome._tag === "Claimed")
      assert.isAbove(b.outcome.record.token, a.outcome.record.token)
      assert.strictEqual((yield* claim(storage, "a", "you")).outcome._tag, "Held")
      const renewed = yield* storage.renew([
        { lockId: "a", holdId: a.holdId, lease: second * 60 },
        { lockId: "b", holdId: b.holdId, lease: 60 * day },
        { lockId: "c", holdId: hold(), lease: second }
      ])
      assert.deepStrictEqual(
        renewed.map(({ _tag }) => _tag),
        ["Renewed", "Renewed", "NotHeld"]
      )
      const { record } = Option.getOrThrow(yield* storage.get("b"))
      assert.deepInclude(record, { lockId: "b", ownerId: "me", holds: [b.holdId], token: b.outcome.record.token })
      assert.strictEqual(Option.getOrThrow(yield* versioned.get("b")).holds[0], b.holdId)
      assert.isNumber(yield* versioned.time!)
      // More than there are connections travel together, in arrays.
      const leases = Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? second * 30 : 30 * day))
      const many = yield* Effect.all(
        leases.map((lease, i) => claim(storage, `many ${i}`, "me", lease)),
        { concurrency: "unbounded" }
      )
      assert.isTrue(many.every(({ outcome }) => outcome._tag === "Claimed"))
      yield* Effect.all(
        many.map(({ holdId }, i) => storage.release({ lockId: `many ${i}`, holdId })),
        { concurrency: "unbounded" }
      )
      yield* storage.release({ lockId: "a", holdId: a.holdId })
      assert.isNumber(yield* storage.purge("30 days"))
      assert.deepStrictEqual(
        (yield* Stream.runCollect(storage.list)).map(({ record }) => record.lockId),
        ["b"]
      )
    })
  )

  live(
    "an operation that the server refuses says why, with its code",
    Effect.gen(function* () {
      const { context, sql } = yield* fresh()
      const { storage } = yield* Effect.provide(PostgresStorage.makeFromClient(), context)
      yield* sql`DROP TABLE storage_lock`
      const error = yield* Effect.flip(claim(storage, "a", "me"))
      assert.deepInclude(error, { _tag: "StorageError", reason: "Schema", applied: "no" })
      assert.match(error.message, /42P01.*storage_lock/s)
    })
  )

  live(
    "a database that is gone is told as that",
    Effect.gen(function* () {
      const { context, url } = yield* fresh()
      const { storage } = yield* Effect.provide(
        PostgresStorage.makeFromClient({ operationTimeout: "3 seconds" }),
        context
      )
      const { pathname } = new URL(url)
      // With its database go its connections.
      yield* server.admin(`DROP DATABASE ${pathname.slice(1)} WITH (FORCE)`)
      const errors = yield* Effect.all([Effect.flip(claim(storage, "a", "me")), Effect.flip(claim(storage, "b", "me"))])
      // Where the client did not know yet that its connection is gone, it cannot know what became of the statement.
      for (const error of errors) assert.strictEqual(error._tag, "StorageError")
      assert.deepInclude(errors[1], { reason: "Schema", applied: "no" })
      assert.match(errors[1].message, /3D000/)
    })
  )

  live(
    "a rollback of the program's own transaction leaves a claim made inside it",
    Effect.gen(function* () {
      const { context, sql } = yield* fresh()
      const { storage } = yield* Effect.provide(PostgresStorage.makeFromClient(), context)
      yield* sql`CREATE TABLE theirs (n int)`
      const error = yield* Effect.flip(
        sql.withTransaction(
          Effect.gen(function* () {
            yield* sql`INSERT INTO theirs VALUES (1)`
            assert.strictEqual((yield* claim(storage, "a", "me")).outcome._tag, "Claimed")
            return yield* Effect.fail("rolled back")
          })
        )
      )
      assert.strictEqual(error, "rolled back")
      assert.deepStrictEqual(yield* sql`SELECT * FROM theirs`, [])
      assert.isTrue(Option.isSome(yield* storage.get("a")))
    })
  )

  live(
    "the program's transforms of names do not reach the records",
    Effect.gen(function* () {
      const { context } = yield* fresh({
        transformQueryNames: (name: string) => `q_${name}`,
        transformResultNames: (name: string) => name.toUpperCase()
      })
      const { storage } = yield* Effect.provide(PostgresStorage.makeFromClient(), context)
      const { outcome } = yield* claim(storage, "a", "me")
      assert(outcome._tag === "Claimed")
      assert.deepInclude(outcome.record, { lockId: "a", ownerId: "me" })
    })
  )

  live(
    "a full pool of the program ends in time, says so, and loses no connection",
    Effect.gen(function* () {
      const { context, sql } = yield* fresh({ maxConnections: 1 })
      const impatient = yield* Effect.provide(
        // It may not be ready in that time either.
        Effect.retry(PostgresStorage.makeFromClient({ operationTimeout: "300 millis" }), { times: 20 }),
        context
      )
      const { storage } = yield* Effect.provide(PostgresStorage.makeFromClient(), context)
      const error = yield* sql.withTransaction(Effect.flip(claim(impatient.storage, "a", "me")))
      assert.deepInclude(error, { _tag: "StorageError", reason: "Timeout", applied: "no", isRetryable: true })
      assert.match(error.message, /no connection was free within 300 ms/)
      assert.isTrue(Option.isNone(yield* storage.get("a")))
      // Nobody waits for it any more, yet it goes on to its answer: its connection comes back too.
      yield* sql.withTransaction(Effect.timeoutOption(claim(storage, "b", "me"), "50 millis"))
      for (let i = 0; i < 3; i++) assert.isTrue(Option.isSome(yield* storage.get("b")))
      assert.strictEqual((yield* claim(storage, "a", "me")).outcome._tag, "Claimed")
    })
  )

  live(
    "both layers share one table, and a waiter is woken over a connection of its own",
    Effect.gen(function* () {
      const { context, url } = yield* fresh({ maxConnections: 4 })
      const notify = { url: Redacted.make(url) }
      const { versioned } = yield* Effect.provide(PostgresStorage.makeFromClient(), context)
      const locks = StorageLock.layer({ leaseExpireAfter: "1 minute", retry: Schedule.spaced("1 minute") }).pipe(
        Layer.provide(PostgresStorage.layerFromClient({ notify })),
        Layer.provide(Layer.succeedContext(context))
      )
      const [first, second] = yield* Effect.all([Layer.build(Layer.fresh(locks)), Layer.build(Layer.fresh(locks))])
      const start = performance.now()
      const tokens: Array<number> = []
      const work = StorageLock.withLock(
        (lock) =>
          Effect.andThen(
            Effect.sync(() => tokens.push(lock.token)),
            Effect.sleep("500 millis")
          ),
        "shared"
      )
      yield* Effect.all([Effect.provide(work, first), Effect.provide(work, second)], { concurrency: 2 })
      assert.isBelow(performance.now() - start, 30_000)
      assert.strictEqual(tokens.length, 2)
      assert.isAbove(tokens[1]!, tokens[0]!)
      assert.isTrue(Option.isSome(yield* versioned.get("shared")))
    })
  )

  live(
    "the fence takes the token of a lock on the same client, and refuses an older one with all that it wrote",
    Effect.gen(function* () {
      const { context, sql } = yield* fresh({ maxConnections: 4 })
      yield* Effect.provide(SqlFence.setup(), context)
      yield* Effect.provide(SqlFence.setup(), context)
      yield* sql`CREATE TABLE work (n INTEGER)`
      const write = (n: number) => Effect.flatMap(PgClient.PgClient, (sql) => sql`INSERT INTO work VALUES (${n})`)
      const locks = StorageLock.layer({ leaseExpireAfter: "30 seconds" }).pipe(
        Layer.provide(PostgresStorage.layerFromClient())
      )
      const token = yield* Effect.gen(function* () {
        const stale = yield* StorageLock.withLock(
          (lock) => Effect.as(SqlFence.transaction(write(1), "work", lock.token), lock.token),
          "work"
        )
        yield* SqlFence.transaction(write(2), "work", stale + 1)
        const error = yield* Effect.flip(SqlFence.transaction(write(3), "work", stale))
        assert.deepInclude(error, { _tag: "StaleToken", resource: "work", token: stale })
        // A failure of what is protected raises no fence.
        yield* Effect.flip(SqlFence.transaction(Effect.andThen(write(4), Effect.fail("no")), "work", stale + 3))
        yield* SqlFence.transaction(write(5), "work", stale + 2)
        // Of all sizes.
        for (const token of [1, 2 ** 31 - 1, 2 ** 31, Number.MAX_SAFE_INTEGER]) yield* SqlFence.check("other", token)
        assert.strictEqual((yield* Effect.flip(SqlFence.check("other", 2)))._tag, "StaleToken")
        assert.deepInclude(yield* Effect.flip(SqlFence.check("work", 0)), { _tag: "InvalidOptions", field: "token" })
        return stale
      }).pipe(Effect.provide(locks), Effect.provide(context))
      assert.isAbove(token, 0)
      assert.deepStrictEqual(
        (yield* sql`SELECT n FROM work ORDER BY n`).map(({ n }) => n),
        [1, 2, 5]
      )
    })
  )
})
