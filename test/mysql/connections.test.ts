/** What becomes of MysqlStorage when its connections do not serve; what it refuses; and locks of processes over it. */
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
import Mysql from "mysql2"
import { execFile } from "node:child_process"
import { randomBytes } from "node:crypto"
import { inspect } from "node:util"
import * as MysqlStorage from "../../src/backends/mysql/MysqlStorage.js"
import * as Storage from "../../src/Storage.js"
import * as VersionedStore from "../../src/VersionedStore.js"
import { query as runOn } from "../harness/mysql.js"
import * as Frames from "../harness/mysqlFrames.js"
import * as Proxy from "../harness/proxy.js"
import { describeServer, freePort } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import * as program from "../support/program.js"
import { interrupting } from "../support/interrupting.js"

const hold = () => randomBytes(16).toString("base64url")
const second = 1_000_000

const claim = (storage: Storage.Service, lockId: string, ownerId: string, holdId = hold()) =>
  storage.claim({ lockId, ownerId, holdId, lease: 30 * second })

const eventually = <E, R>(holds: Effect.Effect<boolean, E, R>) =>
  holds.pipe(Effect.delay("10 millis"), Effect.repeat({ until: (_) => _ }), Effect.timeout("4 minutes"), Effect.orDie)

const query = (url: string, sql: string) => Effect.orDie(runOn(url, sql))

await describeServer("the connections of MysqlStorage", Shared.mysql("mysql8"), (server) => {
  const fresh = Effect.map(server.freshDatabase, (url) => ({ url, redacted: Redacted.make(url) }))
  const linked = Effect.gen(function* () {
    const { url } = yield* fresh
    const proxy = yield* Proxy.make(server, { protocol: Frames.watch })
    return { proxy, redacted: Redacted.make(proxy.url(url)), url }
  })

  /** The other sessions of this database. */
  const sessions = (url: string) =>
    Effect.map(
      query(
        url,
        "SELECT id AS id, command AS command, info AS info FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
      ),
      (rows) => rows as ReadonlyArray<{ readonly id: number; readonly command: string; readonly info: string | null }>
    )

  const transactions =
    "FROM information_schema.innodb_trx JOIN information_schema.processlist p ON p.id = trx_mysql_thread_id WHERE p.db = DATABASE()"

  it.live("hundreds of interruptions harm no other query of the pool, and leak no connection", () =>
    Effect.gen(function* () {
      const { url } = yield* fresh
      const pool = yield* Effect.acquireRelease(
        Effect.sync(() => Mysql.createPool({ uri: url, connectionLimit: 4, multipleStatements: true })),
        (pool) => Effect.promise(() => pool.promise().end())
      )
      const { storage } = yield* MysqlStorage.makeFromPool({ pool })
      const failed: Array<unknown> = []
      let ran = 0
      const bystander = yield* Effect.promise(() =>
        pool
          .promise()
          .query("SELECT SLEEP(0.001)")
          .then(
            () => void ran++,
            (error) => void failed.push(error)
          )
      ).pipe(Effect.forever, Effect.forkChild)
      yield* interrupting({ rounds: 400, concurrency: 8, isEnough: () => ran > 1 }, (i) =>
        claim(storage, `lock-${i % 7}`, `owner-${i % 3}`)
      )
      yield* Fiber.interrupt(bystander)
      assert.deepStrictEqual(failed, [])
      yield* Effect.forEach(Array.range(1, 8), (i) => storage.get(`lock-${i}`), { concurrency: 8 })
      assert.isAtMost((yield* sessions(url)).length, 4)
      assert.strictEqual((yield* query(url, `SELECT COUNT(*) AS n ${transactions} AND trx_query IS NULL`))[0].n, 0)
    })
  )

  it.live("a lost reply is unknown, and the same claim again has the effect of one", () =>
    Effect.gen(function* () {
      const { proxy, redacted } = yield* linked
      const { storage } = yield* MysqlStorage.make({ url: redacted, poolSize: 1 })
      yield* storage.get("warm")
      const holdId = hold()
      yield* proxy.dropNextReply
      const error = yield* Effect.flip(claim(storage, "a", "me", holdId))
      assert.deepInclude(error, {
        reason: "Connection",
        applied: "unknown",
        isRetryable: true,
        operation: "MysqlStorage.claim"
      })
      assert.strictEqual(proxy.dropped(), 1)
      const again = yield* claim(storage, "a", "me", holdId)
      assert.isTrue(again._tag === "Claimed" && again.record.holds.length === 1)
    })
  )

  it.live("a server that does not answer ends in time, and is used again when it does; a closed layer says so", () =>
    Effect.gen(function* () {
      const { proxy, redacted } = yield* linked
      const scope = yield* Scope.make()
      const { storage } = yield* Scope.provide(
        MysqlStorage.make({ url: redacted, operationTimeout: "2 seconds", poolSize: 3 }),
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
      const hung = yield* Effect.flip(
        storage.get("a").pipe(Effect.provideService(Storage.TimeLimit, Duration.millis(300)))
      )
      assert.strictEqual(hung.reason, "Timeout")
      // A layer over a server that is silent closes all the same.
      assert.isTrue(Option.isSome(yield* Effect.timeoutOption(Scope.close(scope, Exit.void), "4 minutes")))
      assert.deepInclude(yield* Effect.flip(storage.get("a")), { reason: "Closed", applied: "no", isRetryable: false })
    })
  )

  it.live("a connection that is not made in the time of who waits for it is given up: others do not wait for it", () =>
    Effect.gen(function* () {
      const { proxy, redacted } = yield* linked
      const { storage } = yield* MysqlStorage.make({ url: redacted, operationTimeout: "1 hour", poolSize: 1 })
      yield* proxy.swallowReplies(true)
      const impatient = storage.get("a").pipe(Effect.provideService(Storage.TimeLimit, Duration.millis(700)))
      // The first loses the connection that there is; the second is never greeted.
      assert.deepInclude(yield* Effect.flip(impatient), { reason: "Timeout", applied: "unknown" })
      // On a busy machine a timer fires early: it counts from the begin of its turn of the event loop.
      const busy = Effect.sync(() => {
        for (const until = performance.now() + 50; performance.now() < until;);
      })
      assert.deepInclude(yield* Effect.flip(Effect.andThen(busy, impatient)), { reason: "Timeout", applied: "no" })
      yield* proxy.swallowReplies(false)
      assert.isTrue(Option.isNone(yield* storage.get("a")))
    })
  )

  it.live("an administrator who ends its sessions harms one operation at most", () =>
    Effect.gen(function* () {
      const { redacted, url } = yield* fresh
      const { storage } = yield* MysqlStorage.make({ url: redacted, poolSize: 3 })
      const killBut = (spared: number | null) =>
        Effect.flatMap(sessions(url), (all) =>
          Effect.forEach(
            all.filter(({ id }) => Number(id) !== spared),
            ({ id }) => Effect.ignore(runOn(url, `KILL ${id}`))
          )
        )
      // Idle ones: gone before anybody asks.
      yield* Effect.forEach([1, 2, 3], (i) => storage.get(`${i}`), { concurrency: 3 })
      yield* killBut(null)
      yield* eventually(Effect.map(sessions(url), (all) => all.length === 0))
      assert.strictEqual((yield* claim(storage, "a", "me"))._tag, "Claimed")

      // One that waits for the row.
      const other = yield* Effect.acquireRelease(
        Effect.sync(() => Mysql.createConnection({ uri: url })),
        (connection) => Effect.sync(() => connection.destroy())
      )
      other.on("error", () => {})
      yield* Effect.promise(() => other.promise().query("START TRANSACTION"))
      yield* Effect.promise(() => other.promise().query("SELECT * FROM storage_lock FOR UPDATE"))
      const fiber = yield* Effect.forkChild(Effect.flip(claim(storage, "a", "me")))
      yield* eventually(
        Effect.map(query(url, `SELECT 1 ${transactions} AND trx_state = 'LOCK WAIT'`), (rows) => rows.length > 0)
      )
      // Not who has the row: one that ended first would let the claim through.
      yield* killBut(other.threadId)
      assert.deepInclude(yield* Fiber.join(fiber), { reason: "Connection", isRetryable: true })
      other.destroy()
      assert.strictEqual((yield* claim(storage, "a", "me"))._tag, "Claimed")
    })
  )

  it.live("speaks TLS where the URL says so", () =>
    Effect.gen(function* () {
      const { url } = yield* fresh
      const accepted = Effect.map(query(url, "SHOW GLOBAL STATUS LIKE 'Ssl_accepts'"), (rows) => Number(rows[0].Value))
      const before = yield* accepted
      const safe = new URL(url)
      safe.searchParams.set("ssl", JSON.stringify({ rejectUnauthorized: false }))
      const { storage } = yield* MysqlStorage.make({ url: Redacted.make(safe.toString()), poolSize: 1 })
      assert.strictEqual((yield* claim(storage, "a", "me"))._tag, "Claimed")
      assert.isAbove(yield* accepted, before)
      const strict = new URL(url)
      strict.searchParams.set("ssl", "{}")
      const error = yield* Effect.flip(MysqlStorage.make({ url: Redacted.make(strict.toString()) }))
      assert.deepInclude(error, { _tag: "StorageError", reason: "Connection", applied: "no" })
    })
  )

  it.live("closing leaves no connection at the server", () =>
    Effect.gen(function* () {
      const { redacted, url } = yield* fresh
      const scope = yield* Scope.make()
      const { storage } = yield* Scope.provide(MysqlStorage.make({ url: redacted }), scope)
      yield* Effect.forEach(Array.range(1, 20), (i) => claim(storage, `lock-${i}`, "me"), { concurrency: 8 })
      yield* eventually(Effect.map(sessions(url), (all) => all.length >= 3))
      // The session that sleeps until a lock is freed is one of them.
      yield* Effect.forkScoped(Stream.runDrain(storage.wakeUps))
      yield* claim(storage, "lock-1", "you")
      yield* eventually(Effect.map(sessions(url), (all) => all.some(({ info }) => info === "DO SLEEP(@esl_z)")))
      yield* Scope.close(scope, Exit.void)
      yield* eventually(Effect.map(sessions(url), (all) => all.length === 0))
    })
  )

  it.live("a refused connection is not applied, and no error shows the password", () =>
    Effect.gen(function* () {
      const secret = "p4ssw0rd-" + randomBytes(6).toString("hex")
      const { url } = yield* fresh
      const nowhere = `mysql://me:${secret}@127.0.0.1:${yield* freePort}/db`
      const wrong = new URL(url)
      wrong.username = "nobody_here"
      wrong.password = secret
      const noDatabase = new URL(url)
      noDatabase.pathname = "/nothing"
      const unnamed = new URL(url)
      unnamed.pathname = "/"
      const errors = yield* Effect.forEach(
        [nowhere, wrong.toString(), noDatabase.toString(), unnamed.toString()],
        (url) => Effect.flip(MysqlStorage.make({ url: Redacted.make(url) }))
      )
      assert.deepStrictEqual(
        errors.map((error) => error._tag === "StorageError" && [error.reason, error.applied, error.isRetryable]),
        [
          ["Connection", "no", true],
          ["Permission", "no", false],
          ["Schema", "no", false],
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
      const base = { url: Redacted.make(`mysql://me@127.0.0.1:${proxy.port}/db`) }
      const cases: ReadonlyArray<readonly [string, unknown]> = [
        ["table", ""],
        ["table", "a\0b"],
        ["table", "x".repeat(65)],
        ["table", "a "],
        ["table", "\u{1F512}"],
        ["table", 7],
        ["table", "\ud800"],
        ["database", ""],
        ["database", "x".repeat(65)],
        ["setup", "yes"],
        ["versionMissRetry", 3],
        ["poolSize", 0],
        ["poolSize", 1.5],
        ["poolSize", Number.NaN],
        ["operationTimeout", 0],
        ["operationTimeout", -5],
        ["operationTimeout", Number.POSITIVE_INFINITY],
        ["operationTimeout", "soon"],
        ["url", "mysql://plain:s3cret@h/db"],
        ["url", undefined],
        ...[
          "",
          "postgres://u:s3cret@h/db",
          "s3cret",
          "mysql://u:s3/cret@h:1/db",
          "mysql://u:1/s3cret@h/db",
          "mysql://u:s3cret#x@h/db",
          "mysql://u:1?s3cret@h/db",
          "mysql://u:s3cret@h:port/db",
          "mysql://u:s3@cret@h/db",
          "mysql://u:s3%cret@h/db",
          "mysql:///db"
        ].map((url) => ["url", Redacted.make(url)] as const)
      ]
      for (const [field, value] of cases) {
        const error = yield* Effect.flip(MysqlStorage.make({ ...base, [field]: value } as any))
        assert.deepInclude(error, { _tag: "InvalidOptions", field }, `${field} ${inspect(value)}`)
        assert.notMatch(inspect(error, { depth: 9, showHidden: true }) + error.message, /s3|cret/)
      }
      assert.throws(() => MysqlStorage.ddl({ table: "" }), /table must be/)
      assert.strictEqual(proxy.accepted(), 0)
    })
  )

  it.live("reads its options from Config, and gives both ports as layers", () =>
    Effect.gen(function* () {
      const { redacted, url } = yield* fresh
      const configured = MysqlStorage.layerConfig({
        url: Config.Redacted("DATABASE_URL"),
        table: Config.String("LOCKS")
      }).pipe(Layer.provide(configs.from({ DATABASE_URL: url, LOCKS: "configured" })))
      const context = yield* Layer.build(
        Layer.merge(configured, MysqlStorage.layerVersioned({ url: redacted, table: "configured" }))
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
    })
  )

  const child = program.bundled(new URL("./child.ts", import.meta.url))
  it.live("processes hand one lock over: no increment is lost, and tokens are given once", () =>
    Effect.gen(function* () {
      const { url } = yield* fresh
      yield* query(url, "CREATE TABLE counter (n INT NOT NULL) SELECT 0 AS n")
      const results = yield* Effect.forEach(
        ["one", "two"],
        (owner) =>
          Effect.callback<{ readonly tokens?: ReadonlyArray<number>; readonly failed?: string }>((resume) => {
            execFile(process.execPath, [child(), url, owner, "20"], { encoding: "utf8" }, (error, out) =>
              resume(error === null ? Effect.succeed(JSON.parse(out.trim())) : Effect.die(error))
            )
          }),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        results.map(({ failed }) => failed),
        [undefined, undefined]
      )
      assert.strictEqual((yield* query(url, "SELECT n FROM counter"))[0].n, 40)
      const tokens = results.flatMap((result) => result.tokens ?? [])
      assert.strictEqual(new Set(tokens).size, 40)
      for (const { tokens } of results)
        assert.deepStrictEqual(
          tokens,
          [...tokens!].sort((a, b) => a - b)
        )
    })
  )
})
