import { PgClient } from "@effect/sql-pg"
import { assert, it } from "#harness/vitest"
import * as Array from "effect/Array"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "#effect/Scope"
import * as Stream from "#effect/Stream"
import * as logs from "#harness/logs"
import { randomBytes } from "node:crypto"
import Pg from "pg"
import * as PostgresStorage from "../../src/backends/postgres/PostgresStorage.js"
import type * as LockRecord from "../../src/LockRecord.js"
import type * as Storage from "../../src/Storage.js"
import * as Shared from "../harness/shared.js"
import * as Proxy from "../harness/proxy.js"
import { describeServer } from "../harness/server.js"

const hold = () => randomBytes(16).toString("base64url")
const second = 1_000_000

const claim = (storage: Storage.Service, lockId: string, ownerId: string, holdId = hold(), lease = 30 * second) =>
  Effect.map(storage.claim({ lockId, ownerId, holdId, lease }), (outcome) => ({ outcome, holdId }))

const pgPool = (url: string, max: number) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const pool = new Pg.Pool({ connectionString: url, max })
      pool.on("error", () => {})
      return pool
    }),
    (pool) => Effect.promise(() => pool.end())
  )

await describeServer("PostgresStorage", Shared.postgres, (server) => {
  const fresh = Effect.map(server.freshDatabase, (url) => ({ url, redacted: Redacted.make(url) }))

  const query = (url: string, text: string, values: ReadonlyArray<unknown> = []) =>
    Effect.promise(async () => {
      const client = new Pg.Client(url)
      await client.connect()
      try {
        return (await client.query(text, [...values])).rows as ReadonlyArray<any>
      } finally {
        await client.end()
      }
    })

  it.live("every operation is one round trip, whatever it finds", () =>
    Effect.gen(function* () {
      const { url } = yield* fresh
      const proxy = yield* Proxy.make(server)
      const { storage, versioned } = yield* PostgresStorage.make({ url: Redacted.make(proxy.url(url)), poolSize: 1 })
      const trips = <A, E>(effect: Effect.Effect<A, E>) =>
        Effect.gen(function* () {
          yield* proxy.resetRoundTrips
          const result = yield* effect
          assert.strictEqual(proxy.roundTrips(), 1)
          return result
        })

      const first = yield* trips(claim(storage, "a", "me"))
      assert.strictEqual(first.outcome._tag, "Claimed")
      const deeper = yield* trips(claim(storage, "a", "me"))
      assert.strictEqual(deeper.outcome._tag, "Claimed")
      assert.strictEqual((yield* trips(claim(storage, "a", "me", first.holdId))).outcome._tag, "Claimed")
      assert.strictEqual((yield* trips(claim(storage, "a", "you"))).outcome._tag, "Held")

      yield* claim(storage, "b", "me", hold(), 1_000)
      yield* Effect.sleep(5)
      const takeover = yield* trips(claim(storage, "b", "you"))
      assert.strictEqual(takeover.outcome._tag, "Claimed")

      const outcomes = yield* trips(
        storage.renew([
          { lockId: "b", holdId: takeover.holdId, lease: 40 * second },
          { lockId: "a", holdId: deeper.holdId, lease: 50 * second },
          { lockId: "none", holdId: hold(), lease: 50 * second },
          { lockId: "a", holdId: hold(), lease: 90 * second },
          { lockId: "a", holdId: first.holdId, lease: 60 * second }
        ])
      )
      assert.deepStrictEqual(
        outcomes.map((_) => _._tag),
        ["Renewed", "Renewed", "NotHeld", "NotHeld", "Renewed"]
      )
      // One row, one write, the longest of the leases that were asked for holds that are in.
      assert.strictEqual(outcomes[1]!._tag === "Renewed" && outcomes[1]!.validFor, 60 * second)
      assert.deepStrictEqual(outcomes[1], outcomes[4])

      assert.deepStrictEqual(yield* trips(storage.release({ lockId: "a", holdId: first.holdId })), {
        _tag: "Released",
        remaining: 1
      })
      assert.deepStrictEqual(yield* trips(storage.release({ lockId: "a", holdId: first.holdId })), { _tag: "NotHeld" })
      assert.deepStrictEqual(yield* trips(storage.release({ lockId: "a", holdId: deeper.holdId })), {
        _tag: "Released",
        remaining: 0
      })
      assert.isTrue(Option.isSome(yield* trips(storage.get("b"))))

      const record = Option.getOrThrow(yield* trips(versioned.get("a")))
      yield* trips(versioned.update("a", record.version, { ...record, version: record.version + 1 }))
      yield* trips(versioned.time!)
    })
  )

  it.live("a contended claim, and a repeated one, write nothing", () =>
    Effect.gen(function* () {
      const { redacted, url } = yield* fresh
      const { storage } = yield* PostgresStorage.make({ url: redacted })
      const { holdId } = yield* claim(storage, "a", "me")
      const physical = query(url, "SELECT ctid, xmin, xmax, * FROM storage_lock")
      const before = yield* physical
      const outcomes = yield* Effect.forEach(Array.range(1, 40), () => claim(storage, "a", "you"), { concurrency: 4 })
      assert.isTrue(outcomes.every(({ outcome }) => outcome._tag === "Held"))
      yield* claim(storage, "a", "me", holdId, 90 * second)
      assert.deepStrictEqual(yield* physical, before)
      // The probe sees a write where there is one.
      yield* claim(storage, "a", "me")
      assert.notDeepEqual((yield* physical)[0].ctid, before[0].ctid)
    })
  )

  const race = (storage: Storage.Service, rounds: number) =>
    Effect.gen(function* () {
      let previous: string | undefined
      let answers = 0
      for (let round = 0; round < rounds; round++) {
        // By turns over a lock that was given back, and over a lease that expired under its holder.
        const contenders = Array.makeBy(8, (i) => `owner-${round}-${i}`)
        const results = yield* Effect.forEach(contenders, (owner) => claim(storage, "contended", owner), {
          concurrency: "unbounded"
        })
        const winners = results.filter(({ outcome }) => outcome._tag === "Claimed")
        assert.strictEqual(winners.length, 1)
        const winner = winners[0]!
        const owner = contenders[results.indexOf(winner)]!
        for (const { outcome } of results) {
          answers++
          const named = outcome._tag === "Claimed" ? outcome.record.ownerId : outcome.holder?.ownerId
          assert.strictEqual(named, owner)
          assert.notStrictEqual(named, previous)
        }
        previous = owner
        if (round % 2 === 0) yield* storage.release({ lockId: "contended", holdId: winner.holdId })
        else {
          const { outcome } = winner
          const token = outcome._tag === "Claimed" ? outcome.record.token : 0
          assert.deepStrictEqual(yield* storage.revoke({ lockId: "contended", token, when: "now" }), {
            _tag: "Revoked"
          })
          const last = yield* claim(storage, "contended", "short", hold(), 1_000)
          assert.strictEqual(last.outcome._tag, "Claimed")
          previous = "short"
          yield* Effect.sleep(2)
        }
      }
      return answers
    })

  it.live("races of eight have one winner, always an answer, and never name anybody else", () =>
    Effect.gen(function* () {
      const { redacted } = yield* fresh
      const { storage } = yield* PostgresStorage.make({ url: redacted, poolSize: 8 })
      assert.strictEqual(yield* race(storage, 100), 800)
    })
  )

  for (const isolation of ["repeatable read", "serializable"]) {
    it.live(`races are answered where the database's default isolation is ${isolation}`, () =>
      Effect.gen(function* () {
        const { url } = yield* fresh
        yield* query(
          url,
          `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = ''${isolation}''', current_database()); END $$`
        )
        const pool = yield* pgPool(url, 8)
        const { storage } = yield* PostgresStorage.makeFromPool({ pool })
        assert.strictEqual(yield* race(storage, 25), 200)
      })
    )
  }

  it.live("renewals of the same locks in any order do not block each other", () =>
    Effect.gen(function* () {
      const { redacted } = yield* fresh
      const { storage } = yield* PostgresStorage.make({ url: redacted, poolSize: 8 })
      const held = yield* Effect.forEach(Array.range(0, 39), (i) =>
        Effect.map(claim(storage, `lock-${i}`, "me"), ({ holdId }) => ({ lockId: `lock-${i}`, holdId }))
      )
      yield* Effect.forEach(
        Array.range(1, 80),
        () =>
          Effect.gen(function* () {
            const some = held
              .map((one) => ({ ...one, lease: 30 * second, order: Math.random() }))
              .sort((a, b) => a.order - b.order)
              .slice(0, 25)
            const outcomes = yield* storage.renew(some)
            assert.isTrue(outcomes.every((outcome) => outcome._tag === "Renewed"))
          }),
        { concurrency: 8 }
      )
    })
  )

  it.live("a renewal of an expired or taken hold is refused and names the present holder only", () =>
    Effect.gen(function* () {
      const { redacted } = yield* fresh
      const { storage } = yield* PostgresStorage.make({ url: redacted })
      const { holdId } = yield* claim(storage, "a", "me", hold(), 1_000)
      yield* Effect.sleep(5)
      const [expired] = yield* storage.renew([{ lockId: "a", holdId, lease: second }])
      assert.isTrue(expired!._tag === "NotHeld" && expired!.current?.ownerId === "me")
      yield* claim(storage, "a", "you")
      const [outcome] = yield* storage.renew([{ lockId: "a", holdId, lease: second }])
      assert.isTrue(outcome!._tag === "NotHeld" && outcome!.current?.ownerId === "you")
      assert.deepStrictEqual(yield* storage.renew([]), [])
    })
  )

  it.live("names may hold quotes, dots, spaces and any script", () =>
    Effect.gen(function* () {
      const { redacted, url } = yield* fresh
      const schema = `my "own".schéma`
      yield* query(url, `CREATE SCHEMA ${Pg.escapeIdentifier(schema)}`)
      const table = `lo.cks' "x"; -- 鍵`
      const { storage } = yield* PostgresStorage.make({ url: redacted, schema, table })
      const heard: Array<string> = []
      yield* storage.wakeUps.pipe(
        Stream.runForEach((hint) => Effect.sync(() => heard.push(hint))),
        Effect.forkScoped
      )
      yield* Effect.repeat(Effect.sleep(10), { until: () => heard.length > 0 })
      const lockId = `a "quoted" 'id' \\ {x,y} 鍵\u{1F512}`
      const { holdId } = yield* claim(storage, lockId, `o'wner"\\,{}`)
      assert.deepStrictEqual(
        (yield* storage.renew([{ lockId, holdId, lease: second }])).map((_) => _._tag),
        ["Renewed"]
      )
      assert.deepStrictEqual(yield* storage.release({ lockId, holdId }), { _tag: "Released", remaining: 0 })
      yield* Effect.repeat(Effect.sleep(10), { until: () => heard.length > 1 })
      assert.deepStrictEqual(heard, ["all", lockId])
      const tables = yield* query(
        url,
        "SELECT nspname, relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relname = $1",
        [table]
      )
      assert.deepStrictEqual(tables, [{ nspname: schema, relname: table }])
    })
  )

  it.live("ids are compared byte for byte", () =>
    Effect.gen(function* () {
      const { redacted } = yield* fresh
      const { storage } = yield* PostgresStorage.make({ url: redacted })
      const ids = ["Foo", "foo", "foo ", " foo", "\u00e9", "e\u0301", "ß", "ss", "\u0001", "%", "_"]
      const outcomes = yield* Effect.forEach(ids, (id, i) => claim(storage, id, `owner-${i}`))
      assert.isTrue(outcomes.every(({ outcome }) => outcome._tag === "Claimed"))
      const listed = yield* Stream.runCollect(storage.list)
      assert.sameMembers(
        Array.fromIterable(listed).map(({ record }) => record.lockId),
        ids
      )
    })
  )

  it.live("lists all held locks, over pages, and no free ones", () =>
    Effect.gen(function* () {
      const { redacted, url } = yield* fresh
      const { storage } = yield* PostgresStorage.make({ url: redacted })
      const { outcome } = yield* claim(storage, "seed", "me")
      const now = outcome._tag === "Claimed" ? outcome.record.lockBeginTime : 0
      yield* query(
        url,
        `INSERT INTO storage_lock SELECT 'n' || i, 'exclusive', 1, 'me', CASE WHEN i % 10 = 0 THEN '' ELSE ',h' || i END, i, i, $1, $1 + 3600000000, ''
         FROM generate_series(1, 1300) i`,
        [now]
      )
      const ids = Array.fromIterable(yield* Stream.runCollect(storage.list)).map(({ record }) => record.lockId)
      assert.strictEqual(ids.length, 1 + 1170)
      assert.strictEqual(new Set(ids).size, ids.length)
    })
  )

  it.live("purge drops what ended long ago, at least an hour, and tokens and versions grow over it", () =>
    Effect.gen(function* () {
      const { redacted, url } = yield* fresh
      const { storage, versioned } = yield* PostgresStorage.make({ url: redacted })
      const before = yield* claim(storage, "old", "me")
      yield* storage.release({ lockId: "old", holdId: before.holdId })
      yield* claim(storage, "young", "me", hold(), 1_000)
      yield* claim(storage, "live", "me")
      yield* query(
        url,
        "INSERT INTO storage_lock SELECT 'n' || i, 'exclusive', 1, 'me', '', i, i, 1, 2, '' FROM generate_series(1, 1200) i"
      )
      yield* query(url, "UPDATE storage_lock SET expires = expires - 2 * 3600 * 1000000::bigint WHERE lock_id = 'old'")
      yield* Effect.sleep(5)
      const dropped = yield* Effect.all([storage.purge(0), storage.purge(0)], { concurrency: 2 })
      assert.strictEqual(dropped[0] + dropped[1], 1201)
      assert.strictEqual(yield* storage.purge(0), 0)
      const left = Array.fromIterable(yield* Stream.runCollect(versioned.list)).map((record) => record.lockId)
      assert.sameMembers(left, ["young", "live"])
      const after = yield* claim(storage, "old", "you")
      if (before.outcome._tag !== "Claimed" || after.outcome._tag !== "Claimed") return assert.fail("not claimed")
      assert.isAbove(after.outcome.record.token, before.outcome.record.token)
      assert.isAbove(after.outcome.record.version, before.outcome.record.version)
    })
  )

  it.live("an id is never of two kinds at once, and comes back as exclusive", () =>
    Effect.gen(function* () {
      const { redacted } = yield* fresh
      const { storage, versioned } = yield* PostgresStorage.make({ url: redacted })
      const now = yield* versioned.time!
      const record: LockRecord.LockRecord = {
        lockId: "a",
        kind: "permits",
        format: 1,
        ownerId: "me",
        holds: ["x", "y"],
        token: now,
        version: now,
        lockBeginTime: now,
        leaseExpireTime: now + 60 * second,
        data: `{"\\":"'é"}`
      }
      yield* versioned.create("a", now, record)
      assert.deepStrictEqual(Option.getOrThrow(yield* versioned.get("a")), record)
      assert.strictEqual((yield* Effect.flip(versioned.create("a", now, record)))._tag, "VersionMiss")
      const { outcome } = yield* claim(storage, "a", "me", "x")
      assert.isTrue(outcome._tag === "Held" && outcome.holder?.kind === "permits")
      yield* versioned.update("a", now, { ...record, version: now + 1, holds: [] })
      assert.strictEqual((yield* Effect.flip(versioned.update("a", now, record)))._tag, "VersionMiss")
      const taken = yield* claim(storage, "a", "you")
      if (taken.outcome._tag !== "Claimed") return assert.fail("not claimed")
      assert.deepInclude(taken.outcome.record, { kind: "exclusive", data: "", ownerId: "you", version: now + 2 })
      assert.strictEqual((yield* Effect.flip(versioned.delete("a", now)))._tag, "VersionMiss")
      yield* versioned.delete("a", now + 2)
      assert.isTrue(Option.isNone(yield* versioned.get("a")))
    })
  )

  it.live("a row of a newer format is refused and left alone", () =>
    Effect.gen(function* () {
      const { redacted, url } = yield* fresh
      const { storage } = yield* PostgresStorage.make({ url: redacted })
      const { holdId } = yield* claim(storage, "other", "me")
      yield* query(
        url,
        "INSERT INTO storage_lock VALUES ('a', 'exclusive', 2, 'me', ',h', 1, 1, 1, 2, 'new'), ('b', 'exclusive', 2, 'me', ',h', 1, 1, 1, 9000000000000000, '')"
      )
      const rows = query(url, "SELECT xmin, * FROM storage_lock WHERE format = 2 ORDER BY lock_id")
      const before = yield* rows
      for (const lockId of ["a", "b"]) {
        for (const failing of [claim(storage, lockId, "me"), storage.release({ lockId, holdId: "h" })]) {
          assert.strictEqual((yield* Effect.flip<unknown, any, never>(failing)).reason, "Schema")
        }
      }
      assert.strictEqual((yield* Effect.flip(storage.get("b"))).reason, "Schema")
      assert.strictEqual((yield* Effect.flip(storage.revoke({ lockId: "b", token: 1, when: "now" }))).reason, "Schema")
      assert.strictEqual(
        (yield* Effect.flip(storage.renew([{ lockId: "b", holdId: "h", lease: second }]))).reason,
        "Schema"
      )
      // It does not cost the other holds of the process their renewal.
      const outcomes = yield* storage.renew([
        { lockId: "b", holdId: "h", lease: second },
        { lockId: "other", holdId, lease: second }
      ])
      assert.deepStrictEqual(
        outcomes.map((_) => _._tag),
        ["StorageError", "Renewed"]
      )
      yield* storage.purge(0)
      assert.deepStrictEqual(yield* rows, before)
    })
  )

  it.live("ten layers set up at once", () =>
    Effect.gen(function* () {
      const { redacted, url } = yield* fresh
      const made = yield* Effect.forEach(
        Array.range(1, 10),
        () => PostgresStorage.make({ url: redacted, poolSize: 1 }),
        {
          concurrency: "unbounded"
        }
      )
      const outcomes = yield* Effect.forEach(made, ({ storage }, i) => claim(storage, "a", `owner-${i}`), {
        concurrency: "unbounded"
      })
      assert.strictEqual(outcomes.filter(({ outcome }) => outcome._tag === "Claimed").length, 1)
      assert.strictEqual((yield* query(url, "SELECT 1 FROM pg_class WHERE relname = 'storage_lock'")).length, 1)
    })
  )

  it.live("a role that may only use the table needs no more, with setup on", () =>
    Effect.gen(function* () {
      const { redacted, url } = yield* fresh
      yield* Effect.scoped(PostgresStorage.make({ url: redacted }))
      const role = `locker_${randomBytes(4).toString("hex")}`
      yield* Effect.acquireRelease(query(url, `CREATE ROLE ${role} LOGIN`), () =>
        Effect.andThen(query(url, `DROP OWNED BY ${role}`), query(url, `DROP ROLE ${role}`))
      )
      const theirs = new URL(url)
      theirs.username = role
      const options = { url: Redacted.make(theirs.toString()) }

      const refused = yield* Effect.flip(
        Effect.flatMap(PostgresStorage.make(options), ({ storage }) => claim(storage, "a", "me"))
      )
      assert.deepInclude(refused, { _tag: "StorageError", reason: "Permission", applied: "no", isRetryable: false })
      const cannotCreate = yield* Effect.flip(PostgresStorage.make({ ...options, table: "other" }))
      assert.deepInclude(cannotCreate, { _tag: "StorageError", reason: "Permission" })

      yield* query(url, `GRANT SELECT, INSERT, UPDATE, DELETE ON storage_lock TO ${role}`)
      const { storage } = yield* PostgresStorage.make(options)
      const { holdId, outcome } = yield* claim(storage, "a", "me")
      assert.strictEqual(outcome._tag, "Claimed")
      yield* storage.renew([{ lockId: "a", holdId, lease: second }])
      yield* storage.release({ lockId: "a", holdId })
      yield* storage.purge(0)
    })
  )

  it.live("the printed statements make the table that setup: false finds", () =>
    Effect.gen(function* () {
      const { redacted, url } = yield* fresh
      yield* query(url, "CREATE SCHEMA app")
      const options = { url: redacted, table: "locks", schema: "app", setup: false }
      const missing = yield* Effect.flip(PostgresStorage.make(options))
      assert.deepInclude(missing, { _tag: "StorageError", reason: "Schema", isRetryable: false })
      assert.deepStrictEqual(yield* query(url, "SELECT 1 FROM pg_class WHERE relname = 'locks'"), [])
      const ddl = PostgresStorage.ddl({ table: "locks", schema: "app" })
      assert.match(ddl, /^-- 1\. /)
      yield* query(url, ddl)
      yield* query(url, ddl)
      const { storage } = yield* PostgresStorage.make(options)
      assert.strictEqual((yield* claim(storage, "a", "me")).outcome._tag, "Claimed")
    })
  )

  it.live("a table that is foreign, or newer, or of another collation, is refused", () =>
    Effect.gen(function* () {
      const { redacted, url } = yield* fresh
      yield* query(url, "CREATE TABLE foreign_one (lock_id text PRIMARY KEY, kind text)")
      yield* query(url, PostgresStorage.ddl({ table: "newer" }))
      yield* query(url, "COMMENT ON TABLE newer IS 'effect-storage-lock format 2'")
      yield* query(url, PostgresStorage.ddl({ table: "folding" }).replace('COLLATE "C"', 'COLLATE "ucs_basic"'))
      yield* query(url, PostgresStorage.ddl({ table: "keyless" }).replace("PRIMARY KEY", ""))
      yield* query(url, "CREATE VIEW seen AS SELECT * FROM newer")
      for (const table of ["foreign_one", "newer", "folding", "keyless", "seen"]) {
        const error = yield* Effect.flip(PostgresStorage.make({ url: redacted, table }))
        assert.deepInclude(error, { _tag: "StorageError", reason: "Schema", isRetryable: false })
      }
      const error = yield* Effect.flip(PostgresStorage.make({ url: redacted, schema: "nowhere" }))
      assert.deepInclude(error, { _tag: "StorageError", reason: "Schema" })
    })
  )

  it.live("warns of what weakens its promises", () =>
    Effect.gen(function* () {
      const { url } = yield* fresh
      const weak = new URL(url)
      weak.searchParams.set("options", "-c synchronous_commit=off")
      const said: Array<string> = []
      const logger = logs.to(({ level, message }) => said.push(`${level} ${message}`))
      yield* PostgresStorage.make({ url: Redacted.make(weak.toString()) }).pipe(Effect.provide(logger))
      assert.strictEqual(said.length, 1)
      assert.match(said[0]!, /^Warning .*synchronous_commit is off/)
    })
  )

  const client = (url: Redacted.Redacted, config: Partial<PgClient.PgClientConfig> = {}) =>
    Layer.build(PgClient.layer({ url, ...config }))

  it.live("a rollback of the program's own transaction leaves a claim made inside it", () =>
    Effect.gen(function* () {
      const { redacted, url } = yield* fresh
      const context = yield* client(redacted)
      const { storage } = yield* PostgresStorage.makeFromClient().pipe(Effect.provide(context))
      const sql = yield* Effect.provide(PgClient.PgClient, context)
      yield* sql`CREATE TABLE theirs (n int)`
      const error = yield* Effect.flip(
        sql.withTransaction(
          Effect.gen(function* () {
            yield* sql`INSERT INTO theirs VALUES (1)`
            const { outcome } = yield* claim(storage, "a", "me")
            assert.strictEqual(outcome._tag, "Claimed")
            const inAFork = yield* Effect.forkDetach(claim(storage, "b", "me"))
            yield* Fiber.await(inAFork)
            return yield* Effect.fail("rolled back")
          })
        )
      )
      assert.strictEqual(error, "rolled back")
      assert.deepStrictEqual(yield* query(url, "SELECT * FROM theirs"), [])
      for (const id of ["a", "b"]) assert.isTrue(Option.isSome(yield* storage.get(id)))
    })
  )

  it.live("a full pool of the program ends in time, says so, and loses no connection", () =>
    Effect.gen(function* () {
      const { redacted } = yield* fresh
      const context = yield* client(redacted, { maxConnections: 1 })
      // It may not be ready in that time either.
      const impatient = yield* Effect.retry(PostgresStorage.makeFromClient({ operationTimeout: "300 millis" }), {
        times: 20
      }).pipe(Effect.provide(context))
      const { storage } = yield* Effect.provide(PostgresStorage.makeFromClient(), context)
      const sql = yield* Effect.provide(PgClient.PgClient, context)
      const error = yield* sql.withTransaction(Effect.flip(claim(impatient.storage, "a", "me")))
      assert.deepInclude(error, { _tag: "StorageError", reason: "Timeout", applied: "no", isRetryable: true })
      assert.match(error.message, /no connection was free within 300 ms/)
      assert.isTrue(Option.isNone(yield* storage.get("a")))
      // Interrupted while it waits: it may be done yet, and its connection comes back, too.
      yield* sql.withTransaction(Effect.timeoutOption(claim(storage, "b", "me"), "50 millis"))
      for (let i = 0; i < 3; i++) yield* storage.get("b")
      assert.strictEqual((yield* claim(storage, "a", "me")).outcome._tag, "Claimed")
    })
  )

  it.live("behind a transaction pooler no statement is named and the connection sets nothing", () =>
    Effect.gen(function* () {
      const { redacted, url } = yield* fresh
      const { storage } = yield* PostgresStorage.make({ url: redacted, pooler: true, poolSize: 2 })
      assert.strictEqual((yield* claim(storage, "a", "me")).outcome._tag, "Claimed")
      const bad = yield* Effect.flip(PostgresStorage.make({ url: redacted, pooler: true, notify: true }))
      assert.deepInclude(bad, { _tag: "InvalidOptions", field: "notify" })
      const pool = yield* pgPool(url, 1)
      const prepared = Effect.promise(() => pool.query("SELECT count(*)::int AS n FROM pg_prepared_statements"))
      const plain = yield* PostgresStorage.makeFromPool({ pool, pooler: true })
      yield* claim(plain.storage, "a", "me")
      assert.strictEqual((yield* prepared).rows[0].n, 0)
      const named = yield* PostgresStorage.makeFromPool({ pool })
      yield* claim(named.storage, "a", "me")
      assert.isAbove((yield* prepared).rows[0].n, 0)
    })
  )

  it.live("the scope of the program's pool is the program's", () =>
    Effect.gen(function* () {
      const { url } = yield* fresh
      const pool = yield* pgPool(url, 2)
      const scope = yield* Scope.make()
      const { storage } = yield* Scope.provide(PostgresStorage.makeFromPool({ pool }), scope)
      yield* claim(storage, "a", "me")
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual((yield* Effect.promise(() => pool.query("SELECT 1 AS one"))).rows, [{ one: 1 }])
    })
  )
})
