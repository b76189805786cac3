/** Each misconfiguration is made at a real server, found, and its cure is named. */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Fs from "node:fs"
import * as Path from "node:path"
import Pg from "pg"
import * as checkup from "../../src/backends/postgres/checkup.js"
import * as PostgresStorage from "../../src/backends/postgres/PostgresStorage.js"
import * as Pgbouncer from "../harness/pgbouncer.js"
import * as Postgres from "../harness/postgres.js"
import { describeServer } from "../harness/server.js"
import { doctor, read } from "../support/doctor.js"

await describeServer("doctor at PostgreSQL", Postgres.own, (server) => {
  const on = (url: string, text: string) =>
    Effect.promise(async () => {
      const client = new Pg.Client(url)
      await client.connect()
      try {
        return await client.query(text)
      } finally {
        await client.end()
      }
    })

  let next = 0
  /** A database with its table, and a role that may use it. */
  const fresh = Effect.gen(function* () {
    const url = yield* server.freshDatabase
    const role = `role_${next++}`
    yield* on(url, `CREATE ROLE ${role} LOGIN; ${PostgresStorage.ddl({ schema: "public" })}`)
    yield* on(url, `GRANT SELECT, INSERT, UPDATE, DELETE ON storage_lock TO ${role}`)
    yield* Effect.addFinalizer(() =>
      Effect.ignore(on(url, `DROP OWNED BY ${role}; DROP ROLE ${role}`).pipe(Effect.timeout("5 seconds")))
    )
    const parsed = new URL(url)
    parsed.username = role
    return { url, role, as: parsed.toString(), database: parsed.pathname.slice(1) }
  })

  const configured = <A, E, R>(name: string, value: string, test: Effect.Effect<A, E, R>) => {
    const reload = "SELECT pg_reload_conf()"
    const isSo = (wanted: string) =>
      Effect.repeat(Effect.delay(server.admin(`SELECT current_setting('${name}') = '${wanted}' AS so`), "20 millis"), {
        until: ([row]) => row.so === true
      })
    return Effect.gen(function* () {
      const [before] = yield* server.admin(`SELECT current_setting('${name}') AS was`)
      yield* server.admin(`ALTER SYSTEM SET ${name} = '${value}'`)
      yield* server.admin(reload)
      yield* isSo(value)
      return yield* Effect.ensuring(
        test,
        Effect.gen(function* () {
          yield* server.admin(`ALTER SYSTEM RESET ${name}`)
          yield* server.admin(reload)
          yield* isSo(before.was)
        })
      )
    })
  }

  it.live("finds nothing where nothing is wrong, and says it in few lines", () =>
    Effect.gen(function* () {
      const { as, url } = yield* fresh
      const well = yield* doctor(url)
      assert.deepStrictEqual(
        well.said.filter(({ severity }) => severity !== "ok"),
        []
      )
      assert.deepStrictEqual([well.code, well.verdict], [0, "nothing is wrong"])
      const text = yield* read(as)
      assert.match(text, /^not checked {2}old transactions +.*pg_read_all_stats/)
      assert.match(text, /\nok +latency +\d+\.\d ms\n/)
      assert.match(text, /\nnothing is wrong \(1 not checked\)\n$/)
    })
  )

  for (const [name, severity] of [
    ["fsync", "error"],
    ["full_page_writes", "warning"],
    ["synchronous_commit", "error"],
    ["autovacuum", "warning"]
  ] as const)
    it.live(`${name} is off`, () =>
      Effect.gen(function* () {
        const { url } = yield* fresh
        const { code, of } = yield* configured(name, "off", doctor(url))
        assert.strictEqual(code, 1)
        const [found, ...more] = of(name)
        assert.deepInclude(found, { severity, wrong: `${name} is off` })
        assert.include(found!.cure, `ALTER SYSTEM SET ${name} = on`)
        // What the layer warns of is not told twice.
        assert.deepStrictEqual([more, of("warns")], [[], []])
      })
    )

  it.live("a setting is mended where it was made: for a role, a database, or in the URL", () =>
    Effect.gen(function* () {
      const { as, database, role, url } = yield* fresh
      const cure = Effect.map(doctor(as), ({ of }) => of("synchronous_commit")[0]?.cure)
      yield* on(url, `ALTER DATABASE ${database} SET synchronous_commit = off`)
      assert.strictEqual(yield* cure, `ALTER DATABASE "${database}" SET synchronous_commit = on;`)
      yield* on(url, `ALTER ROLE ${role} SET synchronous_commit = off`)
      assert.strictEqual(yield* cure, `ALTER ROLE "${role}" SET synchronous_commit = on;`)
      yield* on(url, `ALTER ROLE ${role} SET synchronous_commit = on`)
      assert.strictEqual(yield* cure, undefined)
      const asked = yield* doctor(`${as}?options=-c%20synchronous_commit%3Doff`)
      assert.match(asked.of("synchronous_commit")[0]!.cure!, /out of the URL's options/)
    })
  )

  it.live("time-outs that are too short, and a role that may only read", () =>
    Effect.gen(function* () {
      const { as, role, url } = yield* fresh
      yield* on(url, `ALTER ROLE ${role} SET idle_session_timeout = '5s'`)
      yield* on(url, `ALTER ROLE ${role} SET default_transaction_read_only = on`)
      const { of } = yield* doctor(`${as}?options=-c%20statement_timeout%3D200`)
      assert.deepInclude(of("idle_session_timeout")[0], {
        severity: "warning",
        cure: `ALTER ROLE "${role}" SET idle_session_timeout = 0;`
      })
      assert.deepInclude(of("default_transaction_read_only")[0], {
        severity: "error",
        cure: `ALTER ROLE "${role}" SET default_transaction_read_only = off;`
      })
      assert.deepInclude(of("statement_timeout")[0], { severity: "warning", wrong: "statement_timeout is 200 ms" })
    })
  )

  it.live("a pooler is told, and nothing bounds a statement", () =>
    Effect.gen(function* () {
      const { as, role } = yield* fresh
      const { of } = yield* doctor(as, ["-o", "pooler=true"])
      assert.deepInclude(of("statement_timeout")[0], {
        severity: "warning",
        cure: `ALTER ROLE "${role}" SET statement_timeout = '4s';`
      })
    })
  )

  it.live("a table that is missing, is unlogged, or is somebody else's", () =>
    Effect.gen(function* () {
      const { url } = yield* fresh
      const missing = yield* doctor(url, ["-o", "setup=false", "-o", "table=none"])
      assert.match(missing.of("table")[0]!.wrong!, /"none" does not exist/)
      assert.match(missing.of("table")[0]!.cure!, /storage-lock ddl/)
      assert.deepStrictEqual(missing.of("rights"), [])
      yield* on(url, "ALTER TABLE storage_lock SET UNLOGGED")
      const unlogged = yield* doctor(url)
      assert.deepInclude(unlogged.of("table")[0], {
        severity: "error",
        cure: 'ALTER TABLE "storage_lock" SET LOGGED;'
      })
      yield* on(url, "CREATE TABLE other (id int)")
      assert.match((yield* doctor(url, ["-o", "table=other"])).of("table")[0]!.wrong!, /is not one of locks/)
    })
  )

  it.live("rights that are missing", () =>
    Effect.gen(function* () {
      const { as, role, url } = yield* fresh
      yield* on(url, `REVOKE UPDATE, DELETE ON storage_lock FROM ${role}`)
      const { code, of } = yield* doctor(as)
      assert.strictEqual(code, 1)
      assert.deepStrictEqual(
        of("rights").map(({ cure, severity }) => [severity, cure]),
        [
          ["error", `GRANT UPDATE ON "storage_lock" TO "${role}";`],
          ["warning", `GRANT DELETE ON "storage_lock" TO "${role}";`]
        ]
      )
      yield* on(url, `CREATE SCHEMA app; ${PostgresStorage.ddl({ schema: "app" })}`)
      const schema = yield* doctor(as, ["-o", "schema=app"])
      assert.deepInclude(
        schema.said.find(({ cure }) => cure?.startsWith("GRANT USAGE")),
        { severity: "error", cure: `GRANT USAGE ON SCHEMA "app" TO "${role}";` }
      )
    })
  )

  it.live("too few connections for the role", () =>
    Effect.gen(function* () {
      const { as, role, url } = yield* fresh
      yield* on(url, `ALTER ROLE ${role} CONNECTION LIMIT 3`)
      const { of } = yield* doctor(as)
      assert.deepInclude(of("connections")[0], {
        severity: "warning",
        cure: `ALTER ROLE "${role}" CONNECTION LIMIT -1;`
      })
    })
  )

  it.live("what keeps old versions of rows: a slot that nobody reads, a transaction that is forgotten", () =>
    Effect.gen(function* () {
      const { url } = yield* fresh
      yield* server.admin("SELECT pg_create_physical_replication_slot('forgotten', true)")
      const slot = yield* Effect.ensuring(doctor(url), server.admin("SELECT pg_drop_replication_slot('forgotten')"))
      assert.match(slot.of("old transactions")[0]!.cure!, /pg_drop_replication_slot\('forgotten'\)/)

      const client = new Pg.Client(url)
      yield* Effect.acquireRelease(
        Effect.promise(() => client.connect()),
        () => Effect.promise(() => client.end())
      )
      yield* Effect.promise(() => client.query("BEGIN; SELECT txid_current()"))
      const patient = yield* checkup.open({ oldTransaction: 0 })({ url: Redacted.make(url) })
      const [found] = yield* patient.checks.find(({ name }) => name === "old transactions")!.look
      const pid = (client as unknown as { readonly processID: number }).processID
      assert.include("cure" in found! ? found.cure : "", `SELECT pg_terminate_backend(${pid});`)
    })
  )

  it.live("the clocks differ", () =>
    Effect.gen(function* () {
      const { url } = yield* fresh
      const { code, of } = yield* doctor(url, [], () => Date.now() - 60_000)
      assert.strictEqual(code, 1)
      assert.match(of("clock")[0]!.wrong!, /^this machine's clock is (59|60)\d{3} ms behind the storage's$/)
      assert.include(of("clock")[0]!.cure, "NTP")
    })
  )

  it.live("says no secret", () =>
    Effect.gen(function* () {
      const parsed = new URL(yield* server.freshDatabase)
      parsed.password = "hunter2"
      assert.notInclude(yield* read(parsed.toString()), "hunter2")
    })
  )
})

await describeServer("doctor at a PostgreSQL that is a replica", Postgres.own, (server) => {
  it.live("is told to go to the primary", () =>
    Effect.gen(function* () {
      const url = yield* server.freshDatabase
      yield* Effect.scoped(PostgresStorage.make({ url: Redacted.make(url) }))
      yield* server.stop
      const signal = Path.join(server.dataDir!, "standby.signal")
      Fs.writeFileSync(signal, "")
      yield* server.start
      const { of, said } = yield* doctor(url)
      Fs.rmSync(signal)
      assert.deepInclude(of("primary")[0], { severity: "error", wrong: "the server is a replica" })
      assert.isTrue(said.some(({ check, severity }) => check === "takes a lock" && severity === "error"))
    })
  )
})

for (const [what, more] of [
  ["refuses settings", []],
  ["passes over settings", ["ignore_startup_parameters = options"]]
] as const)
  await describeServer(
    `doctor at a PgBouncer that ${what}`,
    Effect.flatMap(Postgres.own, (server) =>
      Effect.map(Pgbouncer.inFrontOf(server, more), ({ port }) => ({ port, server }))
    ),
    ({ port, server }) => {
      it.live("finds it where nobody has told of it, and is content where somebody has", () =>
        Effect.gen(function* () {
          const url = new URL(yield* server.freshDatabase)
          url.port = String(port)
          const { of, said } = yield* doctor(url.toString())
          if (more.length === 0) assert.match(said[0]!.wrong!, /set `pooler: true`/)
          else assert.deepInclude(of("pooler")[0], { severity: "error" })
          const told = yield* doctor(url.toString(), ["-o", "pooler=true"])
          assert.deepStrictEqual(
            told.said.filter(({ severity }) => severity === "error"),
            []
          )
        })
      )
    }
  )
