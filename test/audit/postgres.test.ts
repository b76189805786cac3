/** The audit in PostgreSQL: in its own connections, and in those of the program. */
import { assert, it } from "#harness/vitest"
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import * as DateTime from "#effect/DateTime"
import * as Layer from "#effect/Layer"
import * as Schedule from "#effect/Schedule"
import * as Stream from "#effect/Stream"
import * as Fs from "node:fs"
import * as Pg from "pg"
import * as Redacted from "effect/Redacted"
import * as PostgresStorage from "../../src/backends/postgres/PostgresStorage.js"
import { resource } from "../harness/resource.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import * as LockAudit from "../../src/LockAudit.js"
import { StorageError } from "../../src/LockError.js"
import * as Storage from "../../src/Storage.js"
import * as StorageLock from "../../src/StorageLock.js"
import * as Proxy from "../harness/proxy.js"
import { rowsOf, suite } from "./suite.js"

await describeServer("the audit in PostgreSQL", Shared.postgres, (server) => {
  const url = resource(server.freshDatabase)
  const query = (text: string) =>
    Effect.acquireUseRelease(
      Effect.promise(async () => {
        const client = new Pg.Client({ connectionString: url() })
        await client.connect()
        return client
      }),
      (client) => Effect.promise(() => client.query(text)),
      (client) => Effect.promise(() => client.end())
    )
  suite({
    name: "PostgreSQL",
    layer: () => PostgresStorage.layer({ url: Redacted.make(url()) }),
    make: (table) => query(PostgresStorage.ddlAudit({ table })),
    destroy: (name) => query(`DROP TABLE "${name}"`)
  })
  suite({
    name: "PostgreSQL, in the program's pool",
    layer: () =>
      Layer.unwrap(
        Effect.map(
          Effect.acquireRelease(
            Effect.sync(() => new Pg.Pool({ connectionString: url(), max: 4 })),
            (pool) => Effect.promise(() => pool.end())
          ),
          (pool) => PostgresStorage.layerFromPool({ pool, table: "locks", schema: "public" })
        )
      ),
    nameOf: (number) => `Pool's "${number}" ${Date.now()}`
  })

  const audited = (options: PostgresStorage.Options, audit: LockAudit.Options) =>
    Effect.map(
      Layer.build(
        LockAudit.layer({ every: "10 millis", ...audit }).pipe(
          Layer.provideMerge(StorageLock.layer()),
          Layer.provide(PostgresStorage.layer(options))
        )
      ),
      (context) => ({
        audit: Context.get(context, LockAudit.LockAudit),
        locks: Context.get(context, StorageLock.StorageLock)
      })
    )
  const until = (audit: LockAudit.Service, holds: (counts: LockAudit.Counts) => boolean) =>
    Effect.repeat(Effect.andThen(Effect.sleep("20 millis"), audit.counts), { while: (counts) => !holds(counts) })
  const use = (locks: StorageLock.Service, times: number) =>
    Effect.forEach(
      Array.from({ length: times }, (_, i) => `order ${i}`),
      (id) => locks.withLock(Effect.void, id),
      {
        discard: true
      }
    )

  it.live(
    "a table that somebody has locked holds up no lock, though its pool has one connection; afterwards all is there",
    () =>
      Effect.gen(function* () {
        const name = `stuck_${Date.now()}`
        const { audit, locks } = yield* audited(
          { url: Redacted.make(url()), poolSize: 1, operationTimeout: "30 seconds" },
          { name, capacity: 100 }
        )
        yield* use(locks, 1)
        yield* until(audit, ({ written }) => written === 2)
        const other = new Pg.Client({ connectionString: url() })
        yield* Effect.promise(() => other.connect())
        yield* Effect.promise(() => other.query(`BEGIN; LOCK TABLE ${name} IN ACCESS EXCLUSIVE MODE`))
        yield* use(locks, 10)
        // By now a batch is on its way, and waits for the table.
        yield* Effect.sleep("100 millis")
        yield* use(locks, 200)
        const stuck = yield* audit.counts
        assert.strictEqual(stuck.written, 2)
        assert.strictEqual(stuck.waiting + stuck.dropped, 420)
        assert.isAbove(stuck.dropped, 0)
        yield* Effect.promise(() => other.query("ROLLBACK"))
        yield* Effect.promise(() => other.end())
        const after = yield* until(audit, ({ waiting }) => waiting === 0)
        assert.strictEqual(after.dropped, stuck.dropped)
        const { rows } = yield* query(
          `SELECT count(*) FILTER (WHERE event <> 'Dropped') AS kept, sum((detail::json->>'count')::int) FILTER (WHERE event = 'Dropped') AS dropped FROM ${name}`
        )
        assert.strictEqual(Number(rows[0].dropped), stuck.dropped)
        assert.strictEqual(Number(rows[0].kept) + stuck.dropped, 422)
      }).pipe(Effect.scoped)
  )

  it.live("a reply that is lost, and a link that is cut, lose and double nothing", () =>
    Effect.gen(function* () {
      const name = `cut_${Date.now()}`
      const proxy = yield* Proxy.make({ host: server.host, port: server.port })
      const direct = yield* Layer.build(PostgresStorage.layer({ url: Redacted.make(url()) }))
      const storage = yield* Layer.build(
        PostgresStorage.layer({ url: Redacted.make(proxy.url(url())), operationTimeout: "1 second" })
      )
      const [there, here] = [direct, storage].map((context) => Context.get(context, Storage.Storage))
      const store = yield* here!.audit!({ name, setup: true, mostEntries: undefined })
      const rows = rowsOf([{ _tag: "Dropped", at: DateTime.makeUnsafe(1), count: 1 }])
      yield* proxy.dropNextReply
      const lost = yield* Effect.flip(store.append(rows))
      assert.instanceOf(lost, StorageError)
      yield* store.append(rows)
      yield* proxy.refuse(true)
      yield* proxy.cut
      assert.instanceOf(yield* Effect.flip(store.append(rows)), StorageError)
      yield* proxy.refuse(false)
      yield* Effect.retry(store.append(rows), { times: 20, schedule: Schedule.spaced("50 millis") })
      const entries = yield* Stream.runCollect((yield* LockAudit.reader(there!, { name })).read())
      assert.strictEqual([...entries].length, 1)
    }).pipe(Effect.scoped)
  )

  it.live("with the documented rights on a table that is there, everything works; and reading needs one", () =>
    Effect.gen(function* () {
      const role = `audit_${Date.now()}`
      const page = Fs.readFileSync("docs/audit.md", "utf8")
      const rights = /^GRANT (.*) ON storage_lock_audit TO app_role;$/m.exec(page)![1]!
      yield* query(PostgresStorage.ddl({ table: "storage_lock" }))
      yield* query(PostgresStorage.ddlAudit())
      yield* Effect.acquireRelease(
        query(
          `CREATE ROLE ${role} LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON storage_lock TO ${role}; GRANT ${rights} ON storage_lock_audit TO ${role}`
        ),
        () => query(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
      )
      const own = new URL(url())
      own.username = role
      own.password = ""
      const { audit, locks } = yield* audited({ url: Redacted.make(own.href) }, { setup: false })
      yield* use(locks, 3)
      yield* until(audit, ({ written }) => written === 6)
      const storage = Context.get(
        yield* Layer.build(PostgresStorage.layer({ url: Redacted.make(own.href) })),
        Storage.Storage
      )
      const store = yield* storage.audit!({ name: undefined, setup: true, mostEntries: undefined })
      yield* Effect.sleep("20 millis")
      yield* store.drop(0)
      yield* query(`REVOKE ALL ON storage_lock_audit FROM ${role}; GRANT SELECT ON storage_lock_audit TO ${role}`)
      const reader = yield* LockAudit.reader(storage)
      assert.strictEqual([...(yield* Stream.runCollect(reader.read()))].length, 0)
      const refused = yield* Effect.flip(
        store.append(rowsOf([{ _tag: "Dropped", at: DateTime.makeUnsafe(1), count: 1 }]))
      )
      assert.strictEqual(refused.reason, "Permission")
    }).pipe(Effect.scoped)
  )
})
