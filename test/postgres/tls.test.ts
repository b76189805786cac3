/** TLS and passwords that change, with a real server of our own: what a URL asks for is what there is, or it is refused; and what is said of it. */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Stream from "#effect/Stream"
import { randomBytes } from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as PostgresStorage from "../../src/backends/postgres/PostgresStorage.js"
import type * as Storage from "../../src/Storage.js"
import * as Certificates from "../harness/certificates.js"
import * as Postgres from "../harness/postgres.js"
import { describeServer } from "../harness/server.js"

const made = Effect.gen(function* () {
  const certificates = yield* Certificates.scoped("PostgreSQL", ({ issue }) => {
    issue("stranger", { authority: "other" })
    issue("expired", { days: -1 })
    issue("elsewhere", { names: "DNS:elsewhere.example" })
  })
  const server = yield* Postgres.own
  const { gid, uid } = Fs.statSync(server.dataDir!)
  const owned = (name: string, text: string) => {
    const path = Path.join(server.dataDir!, name)
    Fs.writeFileSync(path, text, { mode: 0o600 })
    Fs.chownSync(path, uid, gid)
    return path
  }
  for (const name of ["server", "stranger", "expired", "elsewhere"]) {
    for (const kind of ["pem", "key"]) owned(`${name}.${kind}`, certificates.read(`${name}.${kind}`))
  }
  const reload = (check: string, value: string) =>
    server.admin("SELECT pg_reload_conf()").pipe(
      Effect.andThen(
        Effect.repeat(Effect.delay(server.admin(check), "20 millis"), {
          until: (rows) => String(Object.values(rows[0])[0]) === value
        })
      ),
      Effect.asVoid
    )
  /** From now on new connections are served with this certificate, or in the clear alone. */
  const present = (name: string | undefined) =>
    Effect.gen(function* () {
      if (name !== undefined) {
        yield* server.admin(`ALTER SYSTEM SET ssl_cert_file = '${name}.pem'`)
        yield* server.admin(`ALTER SYSTEM SET ssl_key_file = '${name}.key'`)
      }
      yield* server.admin(`ALTER SYSTEM SET ssl = ${name === undefined ? "off" : "on"}`)
      yield* reload(
        "SELECT current_setting('ssl') || CASE WHEN current_setting('ssl') = 'on' THEN current_setting('ssl_cert_file') ELSE '' END",
        name === undefined ? "off" : `on${name}.pem`
      )
    })
  /** Who may come, and how; the superuser of the tests always. */
  const letIn = (...rules: ReadonlyArray<string>) =>
    Effect.sync(() => owned("pg_hba.conf", ["host all postgres 127.0.0.1/32 trust", ...rules, ""].join("\n"))).pipe(
      Effect.andThen(reload("SELECT count(*) FROM pg_hba_file_rules WHERE error IS NULL", String(rules.length + 1)))
    )
  return { certificates, server, present, letIn }
})

const hold = () => randomBytes(16).toString("base64url")
const claim = (storage: Storage.Service, lockId: string, holdId = hold()) =>
  storage.claim({ lockId, ownerId: "me", holdId, lease: 30_000_000 })

await describeServer("PostgresStorage over TLS", made, ({ certificates, letIn, present, server }) => {
  const ca = certificates.at("ca.pem")
  const at = (
    url: string,
    parameters: Record<string, string>,
    user?: { readonly name: string; readonly password: string }
  ) => {
    const parsed = new URL(url)
    for (const [name, value] of Object.entries(parameters)) parsed.searchParams.set(name, value)
    if (user !== undefined) {
      parsed.username = user.name
      parsed.password = user.password
    }
    return Redacted.make(parsed.toString())
  }
  const everybody = letIn("host all all 127.0.0.1/32 trust")
  const role = (url: string) =>
    Effect.acquireRelease(
      Effect.gen(function* () {
        const user = { name: `app_${randomBytes(4).toString("hex")}`, password: hold() }
        const database = new URL(url).pathname.slice(1)
        yield* server.admin(`CREATE ROLE ${user.name} LOGIN PASSWORD '${user.password}'`)
        yield* server.admin(`ALTER DATABASE ${database} OWNER TO ${user.name}`)
        return user
      }),
      ({ name }) => server.admin(`ALTER ROLE ${name} NOLOGIN`)
    )
  /** Connections of this database, and how many of them are encrypted. */
  const sessions = (url: string) =>
    Effect.map(
      server.admin(
        "SELECT count(*)::int AS all, count(*) FILTER (WHERE ssl)::int AS encrypted FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE datname = $1",
        [new URL(url).pathname.slice(1)]
      ),
      ([row]) => row as { readonly all: number; readonly encrypted: number }
    )
  const cut = (url: string) =>
    server.admin("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", [
      new URL(url).pathname.slice(1)
    ])

  it.live("what a URL asks for is what there is, for the listener, too", () =>
    Effect.gen(function* () {
      yield* everybody
      yield* present("server")
      const asking: ReadonlyArray<readonly [Record<string, string>, boolean]> = [
        [{ sslmode: "verify-full", sslrootcert: ca }, true],
        [{ sslmode: "require", sslrootcert: ca }, true],
        [{ sslmode: "no-verify" }, true],
        [{ ssl: "no-verify" }, true],
        [{ sslmode: "require", uselibpqcompat: "true" }, true],
        [{}, false],
        [{ sslmode: "disable" }, false]
      ]
      for (const [parameters, encrypted] of asking) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const url = yield* server.freshDatabase
            const { storage } = yield* PostgresStorage.make({ url: at(url, parameters), poolSize: 1 })
            const heard: Array<string> = []
            yield* storage.wakeUps.pipe(
              Stream.runForEach((hint) => Effect.sync(() => heard.push(hint))),
              Effect.forkScoped
            )
            assert.strictEqual((yield* claim(storage, "a"))._tag, "Claimed")
            // The first hint says that somebody listens.
            yield* Effect.repeat(
              Effect.delay(
                Effect.sync(() => heard.length),
                "10 millis"
              ),
              { until: (length) => length > 0 }
            )
            const seen = yield* sessions(url)
            assert.isAtLeast(seen.all, 2)
            assert.strictEqual(seen.encrypted, encrypted ? seen.all : 0, JSON.stringify(parameters))
          })
        )
      }
    })
  )

  it.live("what is wrong is told, with what to do, and nothing goes in the clear", () =>
    Effect.gen(function* () {
      yield* everybody
      const verify = { sslmode: "verify-full", sslrootcert: ca }
      const cases: ReadonlyArray<readonly [string | undefined, Record<string, string>, RegExp]> = [
        ["server", { sslmode: "verify-full" }, /Name the authority that signed it by `sslrootcert=/],
        ["server", { ssl: "true" }, /Name the authority/],
        ["stranger", verify, /Name the authority/],
        ["elsewhere", verify, /for another name/],
        ["expired", verify, /has expired: renew it/],
        [undefined, verify, /does not support SSL/],
        [undefined, { sslmode: "no-verify" }, /does not support SSL/]
      ]
      const url = yield* server.freshDatabase
      for (const [name, parameters, message] of cases) {
        yield* present(name)
        const error = yield* Effect.flip(Effect.scoped(PostgresStorage.make({ url: at(url, parameters) })))
        assert.deepInclude(
          error,
          { _tag: "StorageError", reason: "Connection", applied: "no" },
          `${name} ${JSON.stringify(parameters)}`
        )
        assert.match(error.message, message, `${name} ${JSON.stringify(parameters)}`)
      }
      yield* present("elsewhere")
      yield* Effect.scoped(
        Effect.flatMap(
          PostgresStorage.make({ url: at(url, { sslmode: "verify-ca", sslrootcert: ca, uselibpqcompat: "true" }) }),
          ({ storage }) => storage.get("a")
        )
      )
    })
  )

  it.live("a server that takes encrypted connections only says what to add", () =>
    Effect.gen(function* () {
      yield* present("server")
      const url = yield* server.freshDatabase
      const user = yield* role(url)
      yield* letIn("hostssl all all 127.0.0.1/32 scram-sha-256")
      const error = yield* Effect.flip(Effect.scoped(PostgresStorage.make({ url: at(url, {}, user) })))
      assert.deepInclude(error, { _tag: "StorageError", reason: "Permission", applied: "no", isRetryable: false })
      assert.match(error.message, /not without TLS: then add `sslmode=verify-full` to the URL/)
      const { storage } = yield* PostgresStorage.make({
        url: at(url, { sslmode: "verify-full", sslrootcert: ca }, user)
      })
      assert.strictEqual((yield* claim(storage, "a"))._tag, "Claimed")
    })
  )

  it.live("a new authority in the file that the URL names is used by the next connection", () =>
    Effect.gen(function* () {
      yield* everybody
      yield* present("server")
      const url = yield* server.freshDatabase
      const file = certificates.at("present.pem")
      Fs.copyFileSync(ca, file)
      const { storage } = yield* PostgresStorage.make({
        url: at(url, { sslmode: "verify-full", sslrootcert: file }),
        poolSize: 1
      })
      yield* storage.get("a")
      yield* present("stranger")
      yield* cut(url)
      const refused = yield* Effect.flip(Effect.repeat(storage.get("a"), { times: 2 }))
      assert.match(refused.message, /Name the authority|terminat/)
      Fs.copyFileSync(certificates.at("other.pem"), file)
      yield* Effect.retry(storage.get("a"), { times: 20 })
    })
  )

  it.live("a password that is rotated is asked for at each connection, by the listener, too", () =>
    Effect.gen(function* () {
      yield* letIn("host all all 127.0.0.1/32 scram-sha-256")
      const url = yield* server.freshDatabase
      const { name, password: first } = yield* role(url)
      let password = first
      const { storage } = yield* PostgresStorage.make({ url: Effect.sync(() => at(url, {}, { name, password })) })
      const heard: Array<string> = []
      yield* storage.wakeUps.pipe(
        Stream.runForEach((hint) => Effect.sync(() => heard.push(hint))),
        Effect.forkScoped
      )
      const held = hold()
      yield* claim(storage, "a", held)
      yield* Effect.repeat(
        Effect.delay(
          Effect.sync(() => heard.length),
          "10 millis"
        ),
        { until: (length) => length > 0 }
      )
      for (let round = 0; round < 3; round++) {
        password = hold()
        yield* server.admin(`ALTER ROLE ${name} PASSWORD '${password}'`)
        yield* cut(url)
        const [renewed] = yield* Effect.retry(storage.renew([{ lockId: "a", holdId: held, lease: 30_000_000 }]), {
          times: 3
        })
        assert.strictEqual(renewed!._tag, "Renewed")
        const before = heard.length
        // Whoever frees a lock is heard again, once the listener is back.
        yield* Effect.suspend(() => {
          const one = hold()
          return Effect.andThen(claim(storage, "b", one), storage.release({ lockId: "b", holdId: one }))
        }).pipe(
          Effect.andThen(Effect.sleep("50 millis")),
          Effect.repeat({ until: () => heard.slice(before).includes("b") })
        )
      }
      const other = yield* Effect.flip(
        Effect.scoped(PostgresStorage.make({ url: at(url, {}, { name, password: first }) }))
      )
      assert.deepInclude(other, { _tag: "StorageError", reason: "Permission", applied: "no" })
      assert.notInclude(other.message, first)
    })
  )
})
