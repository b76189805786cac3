/** Faults that people met, on MySQL and MariaDB: each must harm no more than what it hits, and be told. */
import { assert, it } from "#harness/vitest"
import * as Array from "effect/Array"
import * as Duration from "#effect/Duration"
import * as Cause from "#effect/Cause"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Option from "#effect/Option"
import * as Exit from "#effect/Exit"
import * as Redacted from "effect/Redacted"
import type * as Scope from "#effect/Scope"
import * as Stream from "#effect/Stream"
import * as logs from "#harness/logs"
import Mysql from "mysql2"
import * as MysqlStorage from "../../src/backends/mysql/MysqlStorage.js"
import * as Storage from "../../src/Storage.js"
import * as StorageLock from "../../src/StorageLock.js"
import * as Servers from "../harness/mysql.js"
import * as Proxy from "../harness/proxy.js"
import { describeServer } from "../harness/server.js"
import * as Failover from "../support/mysqlFailover.js"
import { claim, databaseOf, hold, user } from "../support/mysqlFailover.js"

const connected = (url: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const connection = Mysql.createConnection({ uri: url, multipleStatements: true })
      connection.on("error", () => {})
      return connection
    }),
    (connection) => Effect.sync(() => connection.destroy())
  )

const ask = (connection: Mysql.Connection, sql: string) =>
  Effect.promise(() =>
    connection
      .promise()
      .query(sql)
      .then(([rows]) => rows as ReadonlyArray<any>)
  )

const programPool = (url: string, connectionLimit: number): Effect.Effect<Mysql.Pool, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => Mysql.createPool({ uri: url, connectionLimit, multipleStatements: true })),
    (pool) => Effect.callback<void>((resume) => pool.end(() => resume(Effect.void)))
  )

for (const [name, kind] of [
  ["MySQL 8.0", Servers.mysql8],
  ["MariaDB 11.8", Servers.mariadb11]
] as const) {
  await describeServer(`faults around MysqlStorage on ${name}`, kind, (server) => {
    const sessions = (where: string) => Failover.sessions(server, where)

    it.live("a parameter that is not honoured is refused by name, before any I/O", () =>
      Effect.gen(function* () {
        const proxy = yield* Proxy.make(server)
        const cases = [
          "useSSL=true",
          "requireSSL=true",
          "sslaccept=strict",
          "ssl-mode=PREFERRED",
          "sslMode=maybe",
          "ssl-verify-server-cert=true",
          "ssl=maybe",
          "tls=preferred",
          "tls=custom",
          "ssl-cipher=x",
          "ssl=true&ssl-mode=DISABLED",
          "ssl-mode=DISABLED&ssl-mode=REQUIRED",
          "ssl-ca=/nowhere.pem",
          "ssl-mode=DISABLED&ssl-ca=/etc/hosts",
          "charset=utf16",
          "charset=latin1",
          "flags=-FOUND_ROWS",
          "compress=true",
          "multipleStatements=false",
          "connection_limit=5",
          "connectionLimit=5",
          "socket=/x",
          "user=me",
          "password=x",
          "database=x",
          "serverTimezone=UTC",
          "allowPublicKeyRetrieval=true",
          "autoReconnect=true",
          "connectTimeout=soon",
          "rowsAsArray=true",
          "typeCast=false",
          "enableCleartextPlugin=true",
          "pool_timeout=3"
        ]
        for (const parameters of cases) {
          const error = yield* Effect.flip(
            MysqlStorage.make({ url: Redacted.make(`mysql://u:s3cret@127.0.0.1:${proxy.port}/db?${parameters}`) })
          )
          assert.deepInclude(error, { _tag: "InvalidOptions", field: "url" }, parameters)
          assert.isTrue(
            error.message.includes(parameters.split("=")[0]!) || /ssl-ca/.test(error.message),
            `${parameters}: ${error.message}`
          )
          assert.notInclude(error.message, "s3cret")
        }
        for (const several of ["mysql://u@a:1,b:2/db", "mysql://u:p@a,b/db", "mysql://u@127.0.0.1:3306,127.0.0.1/db"]) {
          assert.match(
            (yield* Effect.flip(MysqlStorage.make({ url: Redacted.make(several) }))).message,
            /several hosts/
          )
        }
        const tls = yield* Effect.flip(
          MysqlStorage.make({ url: Redacted.make(`mysql://u@127.0.0.1:${proxy.port}/db`), tls: { caa: "x" } as never })
        )
        assert.deepInclude(tls, { _tag: "InvalidOptions", field: "tls.caa" })
        const twice = yield* Effect.flip(
          MysqlStorage.make({ url: Redacted.make(`mysql://u@127.0.0.1:${proxy.port}/db?ssl=true`), tls: {} })
        )
        assert.deepInclude(twice, { _tag: "InvalidOptions", field: "tls" })
        assert.strictEqual(proxy.accepted(), 0)
      })
    )

    it.live("parameters that are honoured", () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        for (const parameters of [
          "charset=utf8mb4",
          "charset=UTF8MB4_BIN",
          "connectTimeout=3000",
          "compress=false",
          "timezone=Z&dateStrings=true",
          "multipleStatements=true&supportBigNumbers=true"
        ]) {
          const { storage } = yield* MysqlStorage.make({ url: Redacted.make(`${url}?${parameters}`), poolSize: 1 })
          assert.strictEqual((yield* claim(storage, parameters, "me"))._tag, "Claimed", parameters)
        }
      })
    )

    it.live("no shape of an answer does more than fail that call", () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        const pool = yield* programPool(url, 2)
        const { storage, versioned } = yield* MysqlStorage.makeFromPool({ pool })
        yield* claim(storage, "a", "me")
        let shape: (given: unknown) => unknown = (given) => given
        const core = pool as any
        const known = new WeakMap<object, any>()
        const getConnection = core.getConnection.bind(pool)
        core.getConnection = (done: (error: unknown, connection?: unknown) => void) =>
          getConnection((error: unknown, connection: any) => {
            if (error) return done(error)
            const patched = known.get(connection) ?? Object.create(connection)
            known.set(connection, patched)
            patched.query = (options: unknown, then: (error: unknown, results?: unknown) => void) =>
              connection.query(options, (error: unknown, results: unknown) => then(error, shape(results)))
            patched.release = () => connection.release()
            patched.destroy = () => connection.destroy()
            done(null, patched)
          })
        const shapes: ReadonlyArray<(given: any) => unknown> = [
          () => undefined,
          () => null,
          () => [],
          () => "text",
          () => ({}),
          () => 7,
          () => [[]],
          () => [[[]]],
          (given) => [...given, ...given],
          (given) => given.map(() => []),
          (given) => given.map(() => [null]),
          (given) => given.map(() => [{}]),
          (given) => given.map(() => ({ affectedRows: 1 })),
          (given) => given.map(() => [{ lock_id: 3, t: "x", holds: {}, renewed: "never", dropped: null, seen: "many" }])
        ]
        const operations: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
          claim(storage, "a", "you"),
          storage.renew([{ lockId: "a", holdId: "h", lease: 1_000_000 }]),
          storage.release({ lockId: "a", holdId: "h" }),
          storage.revoke({ lockId: "a", token: 1, when: "now" }),
          storage.get("a"),
          Stream.runCollect(storage.list),
          storage.purge("1 hour"),
          versioned.get("a"),
          versioned.time!,
          versioned.delete("a", 1)
        ]
        for (const one of shapes) {
          shape = one
          for (const operation of operations) {
            const exit = yield* Effect.exit(operation)
            if (Exit.isFailure(exit))
              assert.isTrue(Option.isSome(Cause.findErrorOption(exit.cause)), String(exit.cause))
          }
          assert.strictEqual((yield* Effect.flip(claim(storage, "a", "you"))).reason, "Unknown")
        }
        shape = (given) => given
        assert.strictEqual((yield* claim(storage, "a", "you"))._tag, "Held")
      })
    )

    it.live("a server whose sessions give no rows by themselves (sql_select_limit) gives them to us", () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        yield* Effect.acquireUseRelease(
          server.admin("SET GLOBAL sql_select_limit = 0"),
          () =>
            Effect.scoped(
              Effect.gen(function* () {
                const one = yield* MysqlStorage.make({ url: Redacted.make(url) })
                const two = yield* MysqlStorage.makeFromPool({ pool: yield* programPool(url, 2) })
                const holdId = hold()
                assert.strictEqual((yield* claim(one.storage, "a", "me", holdId))._tag, "Claimed")
                assert.strictEqual((yield* claim(two.storage, "a", "you"))._tag, "Held")
                assert.strictEqual((yield* claim(two.storage, "b", "you"))._tag, "Claimed")
                assert.strictEqual(
                  (yield* two.storage.renew([{ lockId: "a", holdId, lease: 1_000_000 }]))[0]!._tag,
                  "Renewed"
                )
                assert.strictEqual((yield* Stream.runCollect(two.storage.list)).length, 2)
                assert.deepStrictEqual(yield* two.storage.release({ lockId: "a", holdId }), {
                  _tag: "Released",
                  remaining: 0
                })
              })
            ),
          () => server.admin("SET GLOBAL sql_select_limit = DEFAULT")
        )
      })
    )

    for (const way of ["layer", "layerFromPool"] as const) {
      it.live(
        `a reader and a migration that wait for each other cost the server a few sessions, not all (${way})`,
        () =>
          Effect.gen(function* () {
            const url = yield* server.freshDatabase
            const { name, url: theirs } = yield* user(server, url)
            const made =
              way === "layer"
                ? yield* MysqlStorage.make({ url: Redacted.make(theirs), operationTimeout: "2 seconds" })
                : yield* MysqlStorage.makeFromPool({
                    pool: yield* programPool(theirs, 4),
                    operationTimeout: "2 seconds"
                  })
            yield* claim(made.storage, "warm", "me")
            const reader = yield* connected(url)
            const migration = yield* connected(url)
            yield* ask(reader, "START TRANSACTION; SELECT COUNT(*) FROM storage_lock")
            const altered = yield* Effect.forkScoped(
              ask(migration, "ALTER TABLE storage_lock ADD COLUMN note INT NULL")
            )
            yield* sessions("state LIKE '%metadata lock%'").pipe(Effect.repeat({ until: (n) => n > 0 }))
            const worker = (i: number) =>
              Effect.forever(
                Effect.ignore(
                  StorageLock.withLock(Effect.sleep("10 millis"), `job-${i}`, { acquireTimeout: "1 second" })
                )
              )
            yield* Effect.forEach(Array.range(1, 8), worker, { concurrency: 8, discard: true }).pipe(
              Effect.provide(StorageLock.layer({ leaseExpireAfter: "3 seconds" })),
              Effect.provideService(Storage.Storage, made.storage),
              logs.atLeast("None"),
              Effect.forkScoped
            )
            let most = 0
            let failed = 0
            for (let i = 0; i < 15; i++) {
              const impatient = Effect.provideService(
                claim(made.storage, "warm", "you"),
                Storage.TimeLimit,
                Duration.millis(300)
              )
              if (Exit.isFailure(yield* Effect.exit(impatient))) failed++
              // One that has hung up stands in the list a moment longer.
              const first = yield* sessions(`user = '${name}'`)
              most = Math.max(
                most,
                first <= 8 ? first : yield* Effect.delay(sessions(`user = '${name}'`), "200 millis")
              )
            }
            assert.isAtLeast(failed, 1)
            // Its pool, and as many that nobody waits for.
            assert.isAtMost(most, 8)
            yield* ask(reader, "COMMIT")
            yield* Fiber.await(altered)
            yield* Effect.retry(claim(made.storage, "after", "me"), { times: 50 })
          })
      )
    }

    const pools: ReadonlyArray<Failover.Way> = [
      (theirs) => MysqlStorage.make({ url: Redacted.make(theirs), poolSize: 3 }),
      (theirs) => Effect.flatMap(programPool(theirs, 3), (pool) => MysqlStorage.makeFromPool({ pool }))
    ]

    it.live("the first try after a failover succeeds, with a pool of our own and with the program's", () =>
      Failover.firstTryAfterFailover(server, ...pools)
    )

    it.live("connections from before a failover, which stay and cannot write, cost no operation its first try", () =>
      Failover.connectionsOfBefore(server, ...pools)
    )

    it.live("a connection that is not in the database of the URL, or not as it was set, serves nothing", () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        const other = databaseOf(yield* server.freshDatabase)
        const { name, url: theirs } = yield* user(server, url)
        yield* server.admin(`GRANT ALL ON ${other}.* TO '${name}'@'%'`)
        const options = { url: Redacted.make(theirs), poolSize: 1 }
        const { storage } = yield* MysqlStorage.make(options)
        yield* claim(storage, "a", "me")
        yield* Effect.acquireUseRelease(
          server.admin(`SET GLOBAL init_connect = 'USE ${other}'`),
          () =>
            Effect.gen(function* () {
              const error = yield* Effect.flip(Effect.scoped(MysqlStorage.make(options)))
              assert.deepInclude(error, { _tag: "StorageError", reason: "Connection", applied: "no" })
              assert.match(error.message, /two tables/)
              // A connection that is opened again, too.
              yield* cut(server, name)
              assert.match(
                (yield* Effect.flip(Effect.repeat(claim(storage, "a", "you"), { times: 2 }))).message,
                /two tables|closed|killed|EPIPE|ECONNRESET|lost/i
              )
            }),
          () => server.admin("SET GLOBAL init_connect = ''")
        )
        assert.strictEqual((yield* Effect.retry(claim(storage, "a", "you"), { times: 3 }))._tag, "Held")
        // What is set for all sessions is set back for ours.
        yield* Effect.acquireUseRelease(
          server.admin(
            "SET GLOBAL init_connect = 'SET autocommit = 0, sql_mode = ANSI, innodb_lock_wait_timeout = 1000'"
          ),
          () =>
            Effect.scoped(
              Effect.gen(function* () {
                const one = yield* MysqlStorage.make({ ...options, table: "own" })
                assert.strictEqual((yield* claim(one.storage, "a", "me"))._tag, "Claimed")
                assert.deepStrictEqual(yield* server.admin(`SELECT COUNT(*) AS n FROM ${databaseOf(url)}.own`), [
                  { n: 1 }
                ])
              })
            ),
          () => server.admin("SET GLOBAL init_connect = ''")
        )
      })
    )

    it.live("what a pool resets when a connection is given back does not matter", () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        const pool = yield* Effect.acquireRelease(
          Effect.sync(() =>
            Mysql.createPool({
              uri: url,
              connectionLimit: 2,
              multipleStatements: true,
              resetOnRelease: true
            } as Mysql.PoolOptions)
          ),
          (pool) => Effect.callback<void>((resume) => pool.end(() => resume(Effect.void)))
        )
        const { storage } = yield* MysqlStorage.makeFromPool({ pool })
        const holdId = hold()
        yield* claim(storage, "a", "me", holdId)
        // From now on a session that was reset commits nothing by itself.
        yield* Effect.acquireUseRelease(
          server.admin("SET GLOBAL autocommit = 0"),
          () =>
            Effect.gen(function* () {
              yield* storage.get("a")
              yield* storage.get("a")
              assert.strictEqual((yield* claim(storage, "b", "me"))._tag, "Claimed")
              assert.strictEqual(
                (yield* storage.renew([{ lockId: "a", holdId, lease: 90_000_000 }]))[0]!._tag,
                "Renewed"
              )
            }),
          () => server.admin("SET GLOBAL autocommit = 1")
        )
        const rows = yield* server.admin(
          `SELECT lock_id AS id, expires - began > 60000000 AS renewed FROM ${databaseOf(url)}.storage_lock ORDER BY lock_id`
        )
        assert.deepStrictEqual(
          rows.map(({ id, renewed }) => [String(id), renewed]),
          [
            ["a", 1],
            ["b", 0]
          ]
        )
      })
    )

    it.live("a password that is rotated is asked for at each new connection", () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        const { name, url: theirs } = yield* user(server, url, "first")
        let password = "first"
        const present = Effect.sync(() => {
          const now = new URL(theirs)
          now.password = password
          return Redacted.make(now.toString())
        })
        const made = yield* MysqlStorage.make({ url: present, poolSize: 2 })
        const holdId = hold()
        yield* claim(made.storage, "a", "me", holdId)
        yield* server.admin(`ALTER USER '${name}'@'%' IDENTIFIED BY 'second'`)
        yield* cut(server, name)
        const refused = yield* Effect.flip(Effect.repeat(claim(made.storage, "b", "me"), { times: 3 }))
        assert.isTrue(refused.isRetryable)
        password = "second"
        assert.strictEqual(
          (yield* Effect.retry(made.storage.renew([{ lockId: "a", holdId, lease: 1_000_000 }]), { times: 5 }))[0]!._tag,
          "Renewed"
        )
        const failing = yield* Effect.flip(MysqlStorage.make({ url: () => Promise.reject(new Error("no token")) }))
        assert.deepInclude(failing, { _tag: "StorageError", reason: "Connection", isRetryable: true })
        const nonsense = yield* Effect.flip(MysqlStorage.make({ url: () => Redacted.make("s3cret") }))
        assert.deepInclude(nonsense, { _tag: "StorageError", reason: "Connection", isRetryable: true })
        assert.notInclude(nonsense.message, "s3cret")
        const silent = yield* Effect.flip(MysqlStorage.make({ url: Effect.never, operationTimeout: "300 millis" }))
        assert.deepInclude(silent, { _tag: "StorageError", applied: "no", isRetryable: true })
      })
    )

    it.live("a password is not looked for in what is said", () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        const { name, url: theirs } = yield* user(server, url, "o")
        const wrong = new URL(theirs)
        wrong.pathname = "/nosuch"
        const error = yield* Effect.flip(MysqlStorage.make({ url: Redacted.make(wrong.toString()) }))
        assert.notInclude(error.message, "redacted")
        wrong.password = "word"
        const denied = yield* Effect.flip(MysqlStorage.make({ url: Redacted.make(wrong.toString()) }))
        assert.match(denied.message, /using password: YES/)
        assert.include(denied.message, name)
      })
    )

    it.live("where there is no room for another row, what is held is kept and given back", () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        const admin = yield* connected(url)
        const { storage } = yield* MysqlStorage.make({ url: Redacted.make(url), poolSize: 1 })
        const holdId = hold()
        yield* claim(storage, "a", "me", holdId)
        const connections = yield* sessions(`db = '${databaseOf(url)}'`)
        for (const errno of [1021, 1114]) {
          // As the server says it of a full disk or table; these servers themselves end when their tablespace is full.
          yield* ask(
            admin,
            `CREATE TRIGGER full BEFORE INSERT ON storage_lock FOR EACH ROW SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = ${errno}, MESSAGE_TEXT = 'no room'`
          )
          const failed = yield* Effect.flip(claim(storage, "b", "me"))
          assert.deepInclude(failed, { reason: "Unknown", applied: "no", isRetryable: true })
          assert.match(failed.message, /has no room left/)
          assert.strictEqual((yield* storage.renew([{ lockId: "a", holdId, lease: 60_000_000 }]))[0]!._tag, "Renewed")
          yield* ask(admin, "DROP TRIGGER full")
        }
        assert.deepStrictEqual(yield* storage.release({ lockId: "a", holdId }), { _tag: "Released", remaining: 0 })
        assert.strictEqual((yield* claim(storage, "b", "me"))._tag, "Claimed")
        // The connection was as good as before.
        assert.strictEqual(yield* sessions(`db = '${databaseOf(url)}'`), connections)
      })
    )

    it.live("what a table that was emptied, recreated, dropped or restored shows to who holds", () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        const admin = yield* connected(url)
        const { storage } = yield* MysqlStorage.make({ url: Redacted.make(url) })
        const renew = (lockId: string, holdId: string) => storage.renew([{ lockId, holdId, lease: 30_000_000 }])
        const holdId = hold()
        const again = claim(storage, "a", "me", holdId)
        for (const loss of [
          "TRUNCATE TABLE storage_lock",
          `DROP TABLE storage_lock; ${MysqlStorage.ddl()}`,
          "DELETE FROM storage_lock"
        ]) {
          yield* again
          yield* ask(admin, loss)
          // There is no record: it is not said that somebody took it.
          assert.deepStrictEqual(yield* renew("a", holdId), [{ _tag: "NotHeld" }], loss)
          assert.deepStrictEqual(yield* storage.release({ lockId: "a", holdId }), { _tag: "NotHeld" }, loss)
        }
        // As of before the claim, when another had it.
        const other = yield* claim(storage, "r", "you")
        yield* ask(admin, "CREATE TABLE backup SELECT * FROM storage_lock")
        yield* storage.release({ lockId: "r", holdId: other._tag === "Claimed" ? other.record.holds[0]! : "" })
        yield* claim(storage, "r", "me", holdId)
        yield* ask(admin, "DELETE FROM storage_lock; INSERT INTO storage_lock SELECT * FROM backup")
        const [restored] = yield* renew("r", holdId)
        assert.strictEqual(restored?._tag === "NotHeld" && restored.current?.ownerId, "you")
        yield* ask(admin, "DROP TABLE storage_lock")
        assert.deepInclude(
          yield* Effect.flip(Effect.flatMap(renew("r", holdId), () => Effect.fail("renewed" as never))),
          { reason: "Schema", applied: "unknown" }
        )
        assert.match((yield* Effect.flip(claim(storage, "r", "me"))).message, /does not exist \(any more\)/)
      })
    )
  })
}

const cut = (server: Servers.MysqlServer, name: string) =>
  Effect.flatMap(server.admin("SELECT id AS id FROM information_schema.processlist WHERE user = ?", [name]), (rows) =>
    Effect.forEach(rows, ({ id }) => Effect.map(Effect.exit(server.admin(`KILL ${id}`)), Exit.isSuccess))
  )
