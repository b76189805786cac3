import { PgClient } from "@effect/sql-pg"
import { assert, it } from "#harness/vitest"
import * as Array from "effect/Array"
import * as Config from "#harness/Config"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "#effect/Scope"
import * as Stream from "#effect/Stream"
import * as configs from "#harness/configs"
import { randomBytes } from "node:crypto"
import { inspect } from "node:util"
import Pg from "pg"
import * as PostgresStorage from "../../src/backends/postgres/PostgresStorage.js"
import * as Storage from "../../src/Storage.js"
import * as VersionedStore from "../../src/VersionedStore.js"
import * as Shared from "../harness/shared.js"
import { ask, connected } from "../support/pgClient.js"
import { interrupting } from "../support/interrupting.js"
import * as Proxy from "../harness/proxy.js"
import { describeServer, freePort } from "../harness/server.js"

const hold = () => randomBytes(16).toString("base64url")
const second = 1_000_000

const claim = (storage: Storage.Service, lockId: string, ownerId: string, holdId = hold()) =>
  storage.claim({ lockId, ownerId, holdId, lease: 30 * second })

const eventually = <E, R>(holds: Effect.Effect<boolean, E, R>) =>
  holds.pipe(Effect.delay("10 millis"), Effect.repeat({ until: (_) => _ }), Effect.timeout("4 minutes"), Effect.orDie)

await describeServer("the connections of PostgresStorage", Shared.postgres, (server) => {
  const fresh = Effect.map(server.freshDatabase, (url) => ({ url, redacted: Redacted.make(url) }))

  const others =
    "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"

  /** Bystanders of a pool, that fail if anybody cancels them. */
  const bystanders = (pool: Pg.Pool, counts: { ran: number; failed: Array<unknown> }) =>
    Effect.forever(
      Effect.promise(() =>
        pool.query("SELECT pg_sleep(0.001), $1::int", [counts.ran]).then(
          () => void counts.ran++,
          (error) => void counts.failed.push(error)
        )
      )
    )

  it.live("a thousand interruptions harm no other query of the pool, and leak no connection", () =>
    Effect.gen(function* () {
      const { url } = yield* fresh
      const pool = yield* Effect.acquireRelease(
        Effect.sync(() => new Pg.Pool({ connectionString: url, max: 4 }).on("error", () => {})),
        (pool) => Effect.promise(() => pool.end())
      )
      const { storage } = yield* PostgresStorage.makeFromPool({ pool })
      const counts = { ran: 0, failed: [] as Array<unknown> }
      const standing = yield* Effect.forEach([1, 2], () => Effect.forkChild(bystanders(pool, counts)))
      yield* interrupting({ rounds: 1000, concurrency: 8 }, (i) => claim(storage, `lock-${i % 7}`, `owner-${i % 3}`))
      // The pool has what was given up to finish first.
      yield* eventually(Effect.sync(() => counts.ran > 10))
      yield* Effect.forEach(standing, Fiber.interrupt)
      assert.deepStrictEqual(counts.failed, [])
      assert.isAtMost(pool.totalCount, 4)
      yield* eventually(Effect.sync(() => pool.idleCount === pool.totalCount && pool.waitingCount === 0))
      yield* Effect.forEach(Array.range(1, 8), (i) => storage.get(`lock-${i}`), { concurrency: 8 })
    })
  )

  it.live("interruptions on the program's PgClient cancel nothing and leak no connection", () =>
    Effect.gen(function* () {
      const { redacted } = yield* fresh
      const context = yield* Layer.build(PgClient.layer({ url: redacted, maxConnections: 2 }))
      const { storage } = yield* PostgresStorage.makeFromClient().pipe(Effect.provide(context))
      const sql = yield* Effect.provide(PgClient.PgClient, context)
      const failed: Array<unknown> = []
      let ran = 0
      const bystander = yield* sql`SELECT pg_sleep(0.001)`.pipe(
        Effect.uninterruptible,
        Effect.matchCause({ onFailure: (cause) => void failed.push(cause), onSuccess: () => void ran++ }),
        Effect.forever,
        Effect.forkChild
      )
      yield* interrupting({ rounds: 600, concurrency: 4, isEnough: () => ran > 10 }, (i) =>
        claim(storage, `lock-${i % 7}`, `owner-${i % 3}`)
      )
      yield* Fiber.interrupt(bystander)
      assert.deepStrictEqual(failed, [])
      yield* Effect.forEach(Array.range(1, 4), (i) => storage.get(`lock-${i}`), { concurrency: 4 })
    })
  )

  it.live("a lost reply is unknown, and the same claim again has the effect of one", () =>
    Effect.gen(function* () {
      const { url } = yield* fresh
      const proxy = yield* Proxy.make(server)
      const { storage } = yield* PostgresStorage.make({
        url: Redacted.make(proxy.url(url)),
        notify: false,
        poolSize: 1
      })
      yield* storage.get("warm")
      const holdId = hold()
      yield* proxy.dropNextReply
      const error = yield* Effect.flip(claim(storage, "a", "me", holdId))
      assert.deepInclude(error, {
        reason: "Connection",
        applied: "unknown",
        isRetryable: true,
        operation: "PostgresStorage.claim"
      })
      assert.strictEqual(proxy.dropped(), 1)
      const again = yield* claim(storage, "a", "me", holdId)
      assert.isTrue(again._tag === "Claimed" && again.record.holds.length === 1)
    })
  )

  it.live("a storage that does not answer ends in time, and is used again when it does", () =>
    Effect.gen(function* () {
      const { url } = yield* fresh
      const proxy = yield* Proxy.make(server)
      const scope = yield* Scope.make()
      const { storage } = yield* Scope.provide(
        PostgresStorage.make({ url: Redacted.make(proxy.url(url)), operationTimeout: "2 seconds", poolSize: 3 }),
        scope
      )
      // Three idle connections, which all die in silence.
      yield* Effect.forEach([1, 2, 3], (i) => storage.get(`${i}`), { concurrency: 3 })
      yield* proxy.swallowReplies(true)
      const error = yield* Effect.flip(claim(storage, "a", "me"))
      assert.deepInclude(error, { reason: "Timeout", applied: "unknown", isRetryable: true })
      yield* proxy.swallowReplies(false)
      // The other two are as old, and are not tried one by one.
      assert.isTrue(Option.isSome(yield* storage.get("a")))

      yield* proxy.hang(true)
      const hung = yield* Effect.flip(storage.get("a"))
      assert.strictEqual(hung.reason, "Timeout")
      // A layer over a server that is silent closes all the same.
      assert.isTrue(Option.isSome(yield* Effect.timeoutOption(Scope.close(scope, Exit.void), "4 minutes")))
      const closed = yield* Effect.flip(storage.get("a"))
      assert.deepInclude(closed, { reason: "Closed", applied: "no", isRetryable: false })
    })
  )

  it.live("TimeLimit shortens an operation", () =>
    Effect.gen(function* () {
      const { url } = yield* fresh
      const proxy = yield* Proxy.make(server)
      const { storage } = yield* PostgresStorage.make({
        url: Redacted.make(proxy.url(url)),
        operationTimeout: "1 hour",
        notify: false
      })
      yield* proxy.hang(true)
      const error = yield* Effect.flip(
        storage.get("a").pipe(Effect.provideService(Storage.TimeLimit, Duration.millis(100)))
      )
      assert.strictEqual(error.reason, "Timeout")
      yield* proxy.hang(false)
    })
  )

  it.live("an administrator who ends its sessions harms one operation at most", () =>
    Effect.gen(function* () {
      const { redacted, url } = yield* fresh
      const { storage } = yield* PostgresStorage.make({ url: redacted, poolSize: 3 })
      const admin = yield* connected(url)
      // Idle ones: gone before anybody asks.
      yield* Effect.forEach([1, 2, 3], (i) => storage.get(`${i}`), { concurrency: 3 })
      assert.isAtLeast((yield* ask(admin, `SELECT pg_terminate_backend(pid) ${others}`)).length, 3)
      yield* eventually(Effect.map(ask(admin, `SELECT 1 ${others}`), (rows) => rows.length === 0))
      assert.strictEqual((yield* claim(storage, "a", "me"))._tag, "Claimed")

      // One that waits for the row.
      yield* ask(admin, "BEGIN")
      yield* ask(admin, "SELECT * FROM storage_lock FOR UPDATE")
      const fiber = yield* Effect.forkChild(Effect.flip(claim(storage, "a", "me")))
      yield* eventually(
        Effect.map(ask(admin, `SELECT 1 ${others} AND wait_event_type = 'Lock'`), (rows) => rows.length === 1)
      )
      yield* ask(admin, `SELECT pg_terminate_backend(pid) ${others}`)
      assert.deepInclude(yield* Fiber.join(fiber), { reason: "Connection", applied: "unknown", isRetryable: true })
      yield* ask(admin, "COMMIT")
      assert.strictEqual((yield* claim(storage, "a", "me"))._tag, "Claimed")
    })
  )

  for (const order of ["the first", "the last"] as const) {
    it.live(`a renewal that waits while ${order} of the holds it asks for is given back renews the others`, () =>
      Effect.gen(function* () {
        const { redacted, url } = yield* fresh
        const { storage } = yield* PostgresStorage.make({ url: redacted })
        const outer = hold()
        const inner = hold()
        for (const holdId of [outer, inner])
          assert.strictEqual((yield* claim(storage, "a", "me", holdId))._tag, "Claimed")
        const admin = yield* connected(url)
        yield* ask(admin, "BEGIN")
        yield* ask(admin, `UPDATE storage_lock SET holds = replace(holds, ',${inner}', ''), version = version + 1`)
        const holds = order === "the first" ? [inner, outer] : [outer, inner]
        const fiber = yield* Effect.forkChild(
          storage.renew(holds.map((holdId) => ({ lockId: "a", holdId, lease: 30_000_000 })))
        )
        yield* eventually(
          Effect.map(ask(admin, `SELECT 1 ${others} AND wait_event_type = 'Lock'`), (rows) => rows.length === 1)
        )
        yield* ask(admin, "COMMIT")
        const answers = yield* Fiber.join(fiber)
        assert.deepStrictEqual(
          answers.map(({ _tag }) => _tag),
          holds.map((holdId) => (holdId === inner ? "NotHeld" : "Renewed"))
        )
      })
    )
  }

  it.live("a row that is locked by somebody else ends in a definite time-out", () =>
    Effect.gen(function* () {
      const { redacted, url } = yield* fresh
      const { storage } = yield* PostgresStorage.make({ url: redacted, operationTimeout: "1 second" })
      yield* claim(storage, "a", "me")
      const admin = yield* connected(url)
      yield* ask(admin, "BEGIN")
      yield* ask(admin, "SELECT * FROM storage_lock FOR UPDATE")
      const error = yield* Effect.flip(claim(storage, "a", "me"))
      assert.deepInclude(error, { reason: "Timeout", applied: "no", isRetryable: true })
      assert.strictEqual((error.cause as { code?: string }).code, "55P03")
      // Somebody else's claim only reads.
      assert.strictEqual((yield* claim(storage, "a", "you"))._tag, "Held")
      yield* ask(admin, "ROLLBACK")
    })
  )

  it.live('wake-ups tell of a freed lock, and say "all" whenever their connection comes back', () =>
    Effect.gen(function* () {
      const { redacted, url } = yield* fresh
      const { storage, versioned } = yield* PostgresStorage.make({ url: redacted })
      const admin = yield* connected(url)
      const listening = Effect.map(ask(admin, `SELECT pid ${others} AND query LIKE 'LISTEN%'`), (rows) =>
        rows.map(({ pid }) => pid as number)
      )
      assert.deepStrictEqual(yield* listening, [])
      const heard: Array<string> = []
      yield* storage.wakeUps.pipe(
        Stream.runForEach((hint) => Effect.sync(() => heard.push(hint))),
        Effect.forkScoped
      )
      const second: Array<string> = []
      yield* storage.wakeUps.pipe(
        Stream.runForEach((hint) => Effect.sync(() => second.push(hint))),
        Effect.forkScoped
      )
      const hears = (hints: ReadonlyArray<string>) => eventually(Effect.sync(() => heard.join() === hints.join()))
      yield* hears(["all"])
      assert.strictEqual((yield* listening).length, 1)

      // Another process over the same table, which names its schema.
      const other = yield* PostgresStorage.make({ url: redacted, schema: "public" })
      const [one, two] = [hold(), hold()]
      yield* claim(other.storage, "a", "me", one)
      yield* claim(other.storage, "a", "me", two)
      yield* other.storage.release({ lockId: "a", holdId: one })
      yield* other.storage.release({ lockId: "a", holdId: two })
      yield* hears(["all", "a"])

      const [pid] = yield* listening
      yield* ask(admin, "SELECT pg_terminate_backend($1)", [pid])
      yield* hears(["all", "a", "all"])
      const forced = yield* claim(storage, "b", "me")
      yield* storage.revoke({ lockId: "b", token: forced._tag === "Claimed" ? forced.record.token : 0, when: "now" })
      yield* hears(["all", "a", "all", "b"])

      const now = yield* versioned.time!
      const record = {
        lockId: "c",
        kind: "permits",
        format: 1,
        ownerId: "",
        holds: ["x", "y"],
        token: now,
        version: now,
        lockBeginTime: now,
        leaseExpireTime: now,
        data: ""
      }
      yield* versioned.create("c", now, record)
      yield* versioned.update("c", now, { ...record, version: now + 1, data: "same holds" })
      yield* versioned.update("c", now + 1, { ...record, version: now + 2, holds: ["y"] })
      yield* hears(["all", "a", "all", "b", "c"])
      assert.deepStrictEqual(second.slice(-4), heard.slice(-4))
    })
  )

  it.live("with notify: false nothing listens and nothing is sent", () =>
    Effect.gen(function* () {
      const { redacted } = yield* fresh
      const loud = yield* PostgresStorage.make({ url: redacted })
      const heard: Array<string> = []
      yield* loud.storage.wakeUps.pipe(
        Stream.runForEach((hint) => Effect.sync(() => heard.push(hint))),
        Effect.forkScoped
      )
      yield* eventually(Effect.sync(() => heard.length === 1))
      const quiet = yield* PostgresStorage.make({ url: redacted, notify: false })
      assert.deepStrictEqual(Array.fromIterable(yield* Stream.runCollect(quiet.storage.wakeUps)), [])
      for (const [storage, id] of [
        [quiet.storage, "quiet"],
        [loud.storage, "loud"]
      ] as const) {
        const holdId = hold()
        yield* claim(storage, id, "me", holdId)
        yield* storage.release({ lockId: id, holdId })
      }
      yield* eventually(Effect.sync(() => heard.length === 2))
      assert.deepStrictEqual(heard, ["all", "loud"])
    })
  )

  it.live("a listener that cannot connect goes on trying, and its stream does not end", () =>
    Effect.gen(function* () {
      const { redacted, url } = yield* fresh
      const proxy = yield* Proxy.make(server)
      yield* proxy.refuse(true)
      const context = yield* Layer.build(PgClient.layer({ url: redacted }))
      const { storage } = yield* PostgresStorage.makeFromClient({
        notify: { url: Redacted.make(proxy.url(url)) }
      }).pipe(Effect.provide(context))
      const heard: Array<string> = []
      yield* storage.wakeUps.pipe(
        Stream.runForEach((hint) => Effect.sync(() => heard.push(hint))),
        Effect.forkScoped
      )
      yield* Effect.sleep("200 millis")
      assert.deepStrictEqual(heard, [])
      yield* proxy.refuse(false)
      yield* eventually(Effect.sync(() => heard.length === 1))
      yield* proxy.cut
      yield* eventually(Effect.sync(() => heard.length === 2))
      const holdId = hold()
      yield* claim(storage, "a", "me", holdId)
      yield* storage.release({ lockId: "a", holdId })
      yield* eventually(Effect.sync(() => heard.length === 3))
      assert.deepStrictEqual(heard, ["all", "all", "a"])
    })
  )

  it.live("closing leaves no connection at the server", () =>
    Effect.gen(function* () {
      const { redacted, url } = yield* fresh
      const admin = yield* connected(url)
      const scope = yield* Scope.make()
      const { storage } = yield* Scope.provide(PostgresStorage.make({ url: redacted }), scope)
      const heard: Array<string> = []
      const fiber = yield* storage.wakeUps.pipe(
        Stream.runForEach((hint) => Effect.sync(() => heard.push(hint))),
        Effect.forkChild
      )
      yield* eventually(Effect.sync(() => heard.length === 1))
      yield* Effect.forEach(Array.range(1, 20), (i) => claim(storage, `lock-${i}`, "me"), { concurrency: 8 })
      assert.isAtLeast((yield* ask(admin, `SELECT 1 ${others} AND application_name = 'effect-storage-lock'`)).length, 3)
      // One in flight.
      yield* ask(admin, "BEGIN")
      yield* ask(admin, "SELECT * FROM storage_lock FOR UPDATE")
      const pending = yield* Effect.forkChild(Effect.exit(claim(storage, "lock-1", "me")))
      yield* eventually(
        Effect.map(ask(admin, `SELECT 1 ${others} AND wait_event_type = 'Lock'`), (rows) => rows.length === 1)
      )
      yield* Scope.close(scope, Exit.void)
      yield* ask(admin, "COMMIT")
      assert.isTrue(Exit.isFailure(yield* Fiber.join(pending)))
      yield* eventually(Effect.map(ask(admin, `SELECT 1 ${others}`), (rows) => rows.length === 0))
      yield* Fiber.interrupt(fiber)
    })
  )

  it.live("a refused connection is not applied, and no error shows the password", () =>
    Effect.gen(function* () {
      const secret = "p4ssw0rd-" + randomBytes(6).toString("hex")
      const { url } = yield* fresh
      const nowhere = `postgres://me:${secret}@127.0.0.1:${yield* freePort}/db`
      const wrong = new URL(url)
      wrong.username = "nobody_here"
      wrong.password = secret
      const noDatabase = new URL(url)
      noDatabase.pathname = "/nothing"
      noDatabase.password = secret
      const errors = yield* Effect.forEach([nowhere, wrong.toString(), noDatabase.toString()], (url) =>
        Effect.flip(PostgresStorage.make({ url: Redacted.make(url) }))
      )
      assert.deepStrictEqual(
        errors.map((error) => error._tag === "StorageError" && [error.reason, error.applied, error.isRetryable]),
        [
          ["Connection", "no", true],
          ["Permission", "no", false],
          ["Schema", "no", false]
        ]
      )
      for (const error of errors) {
        const everything = inspect(error, { depth: 20, showHidden: true }) + String(error) + JSON.stringify(error)
        assert.notInclude(everything, secret)
      }
    })
  )

  it.live("options that make no sense are refused before any I/O, and a URL is never shown", () =>
    Effect.gen(function* () {
      const proxy = yield* Proxy.make(server)
      const base = { url: Redacted.make(`postgres://me@127.0.0.1:${proxy.port}/db`) }
      const cases: ReadonlyArray<readonly [string, unknown]> = [
        ["table", ""],
        ["table", "a\0b"],
        ["table", "x".repeat(64)],
        ["table", "鍵".repeat(22)],
        ["table", 7],
        ["table", "\ud800"],
        ["schema", ""],
        ["schema", "x".repeat(64)],
        ["setup", "yes"],
        ["pooler", 1],
        ["notify", "on"],
        ["versionMissRetry", 3],
        ["poolSize", 0],
        ["poolSize", 1.5],
        ["poolSize", Number.NaN],
        ["operationTimeout", 0],
        ["operationTimeout", -5],
        ["operationTimeout", Number.POSITIVE_INFINITY],
        ["operationTimeout", "soon"],
        ["url", "postgres://plain:s3cret@h/db"],
        ["url", undefined],
        ...[
          "",
          "mysql://u:s3cret@h/db",
          "s3cret",
          "postgres://u:s3/cret@h:1/db",
          "postgres://u:1/s3cret@h/db",
          "postgres://u:s3cret#x@h/db",
          "postgres://u:1?s3cret@h/db",
          "postgres://u:s3cret@h:port/db"
        ].map((url) => ["url", Redacted.make(url)] as const)
      ]
      for (const [field, value] of cases) {
        const error = yield* Effect.flip(PostgresStorage.make({ ...base, [field]: value } as any))
        assert.deepInclude(error, { _tag: "InvalidOptions", field }, `${field} ${inspect(value)}`)
        assert.notMatch(inspect(error, { depth: 9, showHidden: true }) + error.message, /s3|cret/)
      }
      assert.strictEqual(proxy.accepted(), 0)
      assert.throws(() => PostgresStorage.ddl({ table: "" }), /table must be/)
      assert.strictEqual(proxy.accepted(), 0)
    })
  )

  it.live("reads its options from Config, and gives both ports as layers", () =>
    Effect.gen(function* () {
      const { redacted, url } = yield* fresh
      const configured = PostgresStorage.layerConfig({
        url: Config.Redacted("DATABASE_URL"),
        table: Config.String("LOCKS")
      }).pipe(Layer.provide(configs.from({ DATABASE_URL: url, LOCKS: "configured" })))
      const context = yield* Layer.build(
        Layer.merge(configured, PostgresStorage.layerVersioned({ url: redacted, table: "configured" }))
      )
      const outcome = yield* Storage.Storage.pipe(
        Effect.flatMap((storage) => claim(storage, "a", "me")),
        Effect.provide(context)
      )
      assert.strictEqual(outcome._tag, "Claimed")
      const found = yield* VersionedStore.VersionedStore.pipe(
        Effect.flatMap((store) => store.get("a")),
        Effect.provide(context)
      )
      assert.strictEqual(Option.getOrThrow(found).ownerId, "me")
      assert.strictEqual(PgClient.PgClient.key, "@effect/sql-pg/PgClient")
      const client = yield* Layer.build(
        Layer.merge(
          PostgresStorage.layerFromClient({ table: "configured" }),
          PostgresStorage.layerVersionedFromClient({ table: "configured" })
        ).pipe(Layer.provide(PgClient.layer({ url: redacted })))
      )
      const same = yield* Storage.Storage.pipe(
        Effect.flatMap((storage) => storage.get("a")),
        Effect.provide(client)
      )
      assert.isTrue(Option.isSome(same))
    })
  )
})
