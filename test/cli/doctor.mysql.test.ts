/** Each misconfiguration is made at a real server, found, and its cure is named. */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import Mysql from "mysql2/promise"
import * as checkup from "../../src/backends/mysql/checkup.js"
import * as MysqlStorage from "../../src/backends/mysql/MysqlStorage.js"
import * as Servers from "../harness/mysql.js"
import { describeServer } from "../harness/server.js"
import { doctor, read } from "../support/doctor.js"

for (const [kind, server] of [
  ["MySQL", Servers.mysql8With(["--log-bin=binlog", "--sync-binlog=1"])],
  ["MariaDB", Servers.mariadb11With(["--log-bin=binlog", "--sync-binlog=1"])]
] as const)
  await describeServer(`doctor at ${kind}`, server, (server) => {
    const on = (url: string, text: string) => Effect.orDie(Servers.query(url, text))

    let next = 0
    /** A database with its table, and a user who may use it. */
    const fresh = Effect.gen(function* () {
      const url = yield* server.freshDatabase
      const user = `user_${next++}`
      const database = new URL(url).pathname.slice(1)
      yield* on(url, MysqlStorage.ddl())
      yield* on(url, `CREATE USER ${user}; GRANT SELECT, INSERT, UPDATE, DELETE ON ${database}.storage_lock TO ${user}`)
      yield* Effect.addFinalizer(() => on(server.url, `DROP USER ${user}`))
      const parsed = new URL(url)
      parsed.username = user
      return { url, user, database, as: parsed.toString() }
    })

    const configured = <A, E, R>(name: string, value: string, test: Effect.Effect<A, E, R>) =>
      Effect.gen(function* () {
        const [before] = yield* server.admin(`SELECT @@GLOBAL.${name} AS was`)
        yield* server.admin(`SET GLOBAL ${name} = ${value}`)
        return yield* Effect.ensuring(test, server.admin(`SET GLOBAL ${name} = ${JSON.stringify(before.was)}`))
      })

    const cured = (name: string, value: string) =>
      kind === "MySQL" ? `SET PERSIST ${name} = ${value};` : `SET GLOBAL ${name} = ${value}; and`

    it.live("finds nothing where nothing is wrong", () =>
      Effect.gen(function* () {
        const { as, url } = yield* fresh
        const well = yield* doctor(url)
        assert.deepStrictEqual(
          well.said.filter(({ severity }) => severity !== "ok"),
          []
        )
        assert.strictEqual(well.code, 0)
        // Rights to look are missing, which is told.
        assert.match(yield* read(as), /not checked +\w.*GRANT PROCESS[^]*\nnothing is wrong \(2 not checked\)\n$/)
      })
    )

    for (const [name, bad, good, severity, check] of [
      ["innodb_flush_log_at_trx_commit", "2", "1", "error", "innodb_flush_log_at_trx_commit"],
      ["sync_binlog", "0", "1", "error", "sync_binlog"],
      ["wait_timeout", "5", "28800", "warning", "wait_timeout"],
      ["transaction_read_only", "1", "OFF", "error", "transaction_read_only"],
      ["read_only", "1", "OFF", "error", "primary"],
      ["max_connections", "10", "20", "warning", "connections"]
    ] as const)
      it.live(`${name} is ${bad}`, () =>
        Effect.gen(function* () {
          const { url } = yield* fresh
          const { code, of } = yield* configured(
            name,
            bad,
            name === "max_connections" ? Effect.flatMap(crowd(url, 7), () => doctor(url)) : doctor(url)
          )
          assert.strictEqual(code, 1)
          const [found, ...more] = of(check)
          assert.strictEqual(found?.severity, severity)
          if (name !== "max_connections") assert.include(found!.cure, cured(name, good))
          // What the layer warns of is not told twice.
          assert.deepStrictEqual([more, of("warns")], [[], []])
        })
      )

    /** Connections that are there, and one with a transaction open. */
    const crowd = (url: string, size: number) =>
      Effect.forEach(Array.from({ length: size }), () =>
        Effect.acquireRelease(
          Effect.promise(() => Mysql.createConnection(url)),
          (connection) => Effect.promise(() => connection.end())
        )
      )

    it.live("a table that is missing, or not kept by InnoDB", () =>
      Effect.gen(function* () {
        const { database, url } = yield* fresh
        const missing = yield* doctor(url, ["-o", "setup=false", "-o", "table=none"])
        assert.match(missing.of("table")[0]!.wrong!, /`none` does not exist/)
        // Of MySQL no other engine has keys that are long enough.
        if (kind === "MySQL") return
        yield* on(url, "ALTER TABLE storage_lock ENGINE = Aria")
        const { of } = yield* doctor(url, ["-o", `database=${database}`])
        assert.deepInclude(of("table")[0], {
          severity: "error",
          cure: `ALTER TABLE \`${database}\`.\`storage_lock\` ENGINE = InnoDB;`
        })
      })
    )

    it.live("rights that are missing", () =>
      Effect.gen(function* () {
        const { as, database, url, user } = yield* fresh
        yield* on(url, `REVOKE UPDATE, DELETE ON ${database}.storage_lock FROM ${user}`)
        const { of } = yield* doctor(as)
        assert.deepStrictEqual(
          of("rights").map(({ cure, severity }) => [severity, cure]),
          [
            ["error", `GRANT UPDATE ON \`storage_lock\` TO '${user}'@'%';`],
            ["warning", `GRANT DELETE ON \`storage_lock\` TO '${user}'@'%';`]
          ]
        )
        assert.strictEqual((yield* server.admin(`SELECT COUNT(*) AS n FROM ${database}.storage_lock`))[0].n, 0)
      })
    )

    it.live("too few connections for the user", () =>
      Effect.gen(function* () {
        const { as, url, user } = yield* fresh
        yield* on(url, `ALTER USER ${user} WITH MAX_USER_CONNECTIONS 3`)
        const { of } = yield* doctor(as)
        assert.include(of("connections")[0]?.cure, `ALTER USER '${user}'@'%' WITH MAX_USER_CONNECTIONS 0`)
      })
    )

    it.live("a transaction that is forgotten", () =>
      Effect.gen(function* () {
        const { url } = yield* fresh
        const [connection] = yield* crowd(url, 1)
        yield* Effect.promise(() => connection!.query("START TRANSACTION"))
        yield* Effect.promise(() => connection!.query("SELECT * FROM storage_lock FOR UPDATE"))
        const patient = yield* checkup.open({ oldTransaction: 0 })({ url: Redacted.make(url) })
        const [found] = yield* patient.checks.find(({ name }) => name === "old transactions")!.look
        assert.strictEqual("cure" in found! ? found.cure : "", `KILL ${connection!.threadId};`)
      })
    )

    it.live("the clocks differ, whatever the time zone", () =>
      Effect.gen(function* () {
        const { url } = yield* fresh
        yield* configured(
          "time_zone",
          "'+05:00'",
          Effect.gen(function* () {
            assert.deepStrictEqual((yield* doctor(url)).of("clock"), [])
            const { of } = yield* doctor(url, [], () => Date.now() + 60_000)
            assert.match(of("clock")[0]!.wrong!, /is (59|60|61)\d{3} ms ahead of/)
          })
        )
      })
    )
  })
