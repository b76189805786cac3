/** TLS with real servers and real certificates: what a URL asks for is what there is, or it is refused; and what is said of it. */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as MysqlStorage from "../../src/backends/mysql/MysqlStorage.js"
import * as Certificates from "../harness/certificates.js"
import * as Mysql from "../harness/mysql.js"
import { describeServer } from "../harness/server.js"

const made = Certificates.scoped("MySQL", (_certificates, directory) => {
  const openssl = (...args: ReadonlyArray<string>) => execFileSync("openssl", args, { cwd: directory, stdio: "ignore" })
  // These servers are old, or their libraries are: keys of RSA for all.
  const issue = (name: string, alternative: string, days: string) => {
    Fs.writeFileSync(Path.join(directory, `${name}.ext`), `subjectAltName=${alternative}\n`)
    openssl(
      "req",
      "-newkey",
      "rsa:2048",
      "-nodes",
      "-subj",
      `/CN=${name}`,
      "-keyout",
      `${name}.key`,
      "-out",
      `${name}.csr`
    )
    openssl(
      "x509",
      "-req",
      "-in",
      `${name}.csr`,
      "-CA",
      "ca.pem",
      "-CAkey",
      "ca.key",
      "-CAcreateserial",
      "-days",
      days,
      "-extfile",
      `${name}.ext`,
      "-out",
      `${name}.pem`
    )
    openssl("rsa", "-in", `${name}.key`, "-traditional", "-out", `${name}.key`)
  }
  openssl(
    "req",
    "-x509",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-days",
    "2",
    "-subj",
    "/CN=authority",
    "-keyout",
    "ca.key",
    "-out",
    "ca.pem"
  )
  issue("server", "IP:127.0.0.1", "2")
  issue("elsewhere", "DNS:localhost,DNS:elsewhere.example", "2")
  issue("expired", "IP:127.0.0.1", "-1")
})

const settings = (certificates: Certificates.Certificates, name: string) => [
  `--ssl-ca=${certificates.at("ca.pem")}`,
  `--ssl-cert=${certificates.at(`${name}.pem`)}`,
  `--ssl-key=${certificates.at(`${name}.key`)}`
]

const kinds = [
  { name: "MySQL 8.0", start: Mysql.mysql8With },
  { name: "MariaDB 11.8", start: Mysql.mariadb11With }
] as const

for (const { name, start } of kinds) {
  const servers = Effect.flatMap(made, (certificates) =>
    Effect.map(
      Effect.all(
        {
          good: start(settings(certificates, "server")),
          elsewhere: start(settings(certificates, "elsewhere")),
          expired: start(settings(certificates, "expired")),
          plain: start(["--skip-ssl"])
        },
        { concurrency: 2 }
      ),
      (all) => ({ certificates, ...all })
    )
  )

  await describeServer(
    `MysqlStorage over TLS, ${name}`,
    servers,
    ({ certificates, elsewhere, expired, good, plain }) => {
      const ca = certificates.at("ca.pem")
      const at = (server: Mysql.MysqlServer, parameters: Record<string, string>) =>
        Effect.map(server.freshDatabase, (text) => {
          const url = new URL(text)
          for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
          return Redacted.make(url.toString())
        })
      const accepts = (server: Mysql.MysqlServer) =>
        Effect.map(server.admin("SHOW GLOBAL STATUS LIKE 'Ssl_finished_accepts'"), (rows) => Number(rows[0].Value))
      const claim = (made: ReturnType<typeof MysqlStorage.make>) =>
        Effect.flatMap(made, ({ storage }) =>
          storage.claim({
            lockId: "a",
            ownerId: "me",
            holdId: randomBytes(16).toString("base64url"),
            lease: 30_000_000
          })
        )
      /** Whether it went over TLS. */
      const encrypts = (options: MysqlStorage.Options) =>
        Effect.scoped(
          Effect.gen(function* () {
            const before = yield* accepts(good)
            assert.strictEqual((yield* claim(MysqlStorage.make({ poolSize: 1, ...options })))._tag, "Claimed")
            return (yield* accepts(good)) > before
          })
        )
      const refused = (server: Mysql.MysqlServer, parameters: Record<string, string>, tls?: MysqlStorage.TlsOptions) =>
        Effect.scoped(
          Effect.gen(function* () {
            const error = yield* Effect.flip(MysqlStorage.make({ url: yield* at(server, parameters), tls }))
            assert.strictEqual(error._tag, "StorageError")
            assert.strictEqual(error._tag === "StorageError" && error.applied, "no")
            return error.message
          })
        )

      it.live("what a URL asks for is what there is", () =>
        Effect.gen(function* () {
          const asking: ReadonlyArray<Record<string, string>> = [
            { "ssl-mode": "REQUIRED" },
            { sslmode: "require" },
            { tls: "skip-verify" },
            { ssl: '{"rejectUnauthorized":false}' },
            { "ssl-mode": "VERIFY_CA", "ssl-ca": ca },
            { "ssl-mode": "VERIFY_IDENTITY", "ssl-ca": ca },
            { sslmode: "verify-full", sslca: ca },
            { "ssl-ca": ca }
          ]
          for (const parameters of asking)
            assert.isTrue(yield* encrypts({ url: yield* at(good, parameters) }), JSON.stringify(parameters))
          assert.isTrue(yield* encrypts({ url: yield* at(good, {}), tls: { ca: certificates.read("ca.pem") } }))
          for (const parameters of [{}, { "ssl-mode": "DISABLED" }, { ssl: "false" }, { tls: "false" }]) {
            assert.isFalse(yield* encrypts({ url: yield* at(good, parameters) }), JSON.stringify(parameters))
          }
          // Of the authority, and of another name: only who asks for the name is refused.
          assert.strictEqual(
            (yield* claim(MysqlStorage.make({ url: yield* at(elsewhere, { "ssl-mode": "VERIFY_CA", "ssl-ca": ca }) })))
              ._tag,
            "Claimed"
          )
        })
      )

      it.live("what is wrong is told, with what to do", () =>
        Effect.gen(function* () {
          const own = { ca: certificates.read("ca.pem") }
          const cases: ReadonlyArray<
            readonly [Mysql.MysqlServer, Record<string, string>, MysqlStorage.TlsOptions | undefined, RegExp]
          > = [
            [good, { ssl: "true" }, undefined, /Name the authority that signed it by `ssl-ca=/],
            [good, { "ssl-mode": "VERIFY_IDENTITY" }, undefined, /Name the authority/],
            [good, {}, {}, /Name the authority/],
            [elsewhere, { "ssl-mode": "VERIFY_IDENTITY", "ssl-ca": ca }, undefined, /for another name/],
            [elsewhere, {}, own, /for another name/],
            [expired, { "ssl-mode": "VERIFY_CA", "ssl-ca": ca }, undefined, /has expired: renew it/],
            [plain, { "ssl-mode": "REQUIRED" }, undefined, /the server has none/]
          ]
          for (const [server, parameters, tls, message] of cases)
            assert.match(yield* refused(server, parameters, tls), message, JSON.stringify(parameters))
        })
      )

      it.live(
        "a server that takes encrypted connections only says what to add",
        () =>
          Effect.acquireUseRelease(
            good.admin("SET GLOBAL require_secure_transport = ON"),
            () =>
              Effect.gen(function* () {
                const url = new URL(good.url)
                url.pathname = "/mysql"
                const error = yield* Effect.flip(
                  Effect.scoped(MysqlStorage.make({ url: Redacted.make(url.toString()) }))
                )
                assert.deepInclude(error, {
                  _tag: "StorageError",
                  reason: "Permission",
                  applied: "no",
                  isRetryable: false
                })
                assert.match(error.message, /encrypted connections only: add `ssl-mode=VERIFY_IDENTITY` to the URL/)
              }),
            () =>
              Effect.orDie(
                Mysql.query(`${good.url}?ssl={"rejectUnauthorized":false}`, "SET GLOBAL require_secure_transport = OFF")
              )
          ),
        60_000
      )

      it.live("certificates are asked for again at each connection", () =>
        Effect.gen(function* () {
          let authority = certificates.read("ca.pem")
          const url = yield* good.freshDatabase
          const { storage } = yield* MysqlStorage.make({
            url: Redacted.make(url),
            tls: () => ({ ca: authority }),
            poolSize: 1
          })
          const cut = Effect.flatMap(
            good.admin("SELECT id AS id FROM information_schema.processlist WHERE db = ?", [
              new URL(url).pathname.slice(1)
            ]),
            (rows) => Effect.forEach(rows, ({ id }) => Effect.exit(good.admin(`KILL ${id}`)))
          )
          yield* storage.get("a")
          authority = certificates.read("other.pem")
          yield* cut
          yield* Effect.flip(Effect.repeat(storage.get("a"), { times: 2 }))
          authority = certificates.read("ca.pem")
          yield* Effect.retry(storage.get("a"), { times: 20 })
        })
      )
    }
  )
}
