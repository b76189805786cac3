/** TLS with a real server and real certificates: what works, what is refused, and what is said of it. */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Stream from "#effect/Stream"
import { Redis as Client, type RedisOptions } from "ioredis"
import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import * as RedisStorage from "../../src/backends/redis/RedisStorage.js"
import * as Certificates from "../harness/certificates.js"
import * as Redis from "../harness/redis.js"
import { describeServer, freePort } from "../harness/server.js"

const encrypted = Effect.gen(function* () {
  const certificates = yield* Certificates.scoped("Redis", ({ issue }, directory) => {
    issue("stranger", { authority: "other" })
    const openssl = (...args: ReadonlyArray<string>) =>
      execFileSync("openssl", args, { cwd: directory, stdio: "ignore" })
    openssl(
      "req",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:prime256v1",
      "-nodes",
      "-subj",
      "/CN=expired",
      "-keyout",
      "expired.key",
      "-out",
      "expired.csr"
    )
    openssl(
      "x509",
      "-req",
      "-in",
      "expired.csr",
      "-signkey",
      "expired.key",
      "-days",
      "-1",
      "-extfile",
      "ext",
      "-out",
      "expired.pem"
    )
  })
  const start = (name: string, clients: "yes" | "no") =>
    Effect.gen(function* () {
      const port = yield* freePort
      const { at } = certificates
      const server = yield* Redis.start("Redis", [
        "--tls-port",
        String(port),
        "--tls-cert-file",
        at(`${name}.pem`),
        "--tls-key-file",
        at(`${name}.key`),
        "--tls-ca-cert-file",
        at("ca.pem"),
        "--tls-auth-clients",
        clients
      ])
      return { ...server, tlsPort: port, tlsUrl: Redacted.make(`rediss://127.0.0.1:${port}/2`) }
    })
  const [open, mutual, expired] = yield* Effect.all(
    [start("server", "no"), start("server", "yes"), start("expired", "no")],
    { concurrency: 2 }
  )
  return { certificates, open, mutual, expired }
})

const claim = (storage: Effect.Success<ReturnType<typeof RedisStorage.make>>["storage"], lockId: string) =>
  storage.claim({ lockId, ownerId: "me", holdId: randomBytes(16).toString("base64url"), lease: 30_000_000 })

await describeServer("RedisStorage over TLS", encrypted, ({ certificates, expired, mutual, open }) => {
  const ca = certificates.read("ca.pem")
  const pair = (name: string) => ({ cert: certificates.read(`${name}.pem`), key: certificates.read(`${name}.key`) })
  const works = (made: ReturnType<typeof RedisStorage.make>) =>
    Effect.gen(function* () {
      const { storage } = yield* made
      const heard: Array<string> = []
      yield* storage.wakeUps.pipe(
        Stream.runForEach((hint) => Effect.sync(() => heard.push(hint))),
        Effect.forkScoped
      )
      assert.strictEqual((yield* claim(storage, "a"))._tag, "Claimed")
      yield* Effect.sync(() => heard.length).pipe(
        Effect.delay("10 millis"),
        Effect.repeat({ until: (length) => length > 0 }),
        Effect.timeout("4 minutes")
      )
    }).pipe(Effect.scoped)
  const refused = (options: RedisStorage.Options) =>
    Effect.map(
      Effect.flip(Effect.scoped(RedisStorage.make({ operationTimeout: "2 seconds", ...options }))),
      (error) => {
        assert.deepInclude(error, { _tag: "StorageError", applied: "no", isRetryable: true })
        return error.message
      }
    )

  it.live("by rediss:// and the certificate of its authority, by `redis` alone, and beside the program's client", () =>
    Effect.scoped(
      Effect.gen(function* () {
        yield* works(RedisStorage.make({ url: open.tlsUrl, redis: { tls: { ca } }, prefix: "a:" }))
        const plain: RedisOptions = { host: "127.0.0.1", port: open.tlsPort, tls: { ca } }
        yield* works(RedisStorage.make({ redis: plain, prefix: "b:" }))
        yield* works(
          RedisStorage.make({
            url: Redacted.make(`redis://127.0.0.1:${open.tlsPort}`),
            redis: { tls: { ca } },
            prefix: "c:"
          })
        )
        const client = yield* Effect.acquireRelease(
          Effect.sync(() => new Client(plain)),
          (client) => Effect.sync(() => client.disconnect())
        )
        yield* works(RedisStorage.makeFromClient({ client, prefix: "d:" }))
        yield* works(RedisStorage.make({ url: mutual.tlsUrl, redis: { tls: { ca, ...pair("client") } }, prefix: "e:" }))
      })
    )
  )

  it.live("what is wrong with a certificate is told, with what to do", () =>
    Effect.gen(function* () {
      const cases: ReadonlyArray<readonly [RedisStorage.Options, RegExp]> = [
        [{ url: open.tlsUrl }, /certificate of the authority/],
        [{ url: open.tlsUrl, redis: { tls: { ca: certificates.read("other.pem") } } }, /certificate of the authority/],
        [{ url: open.tlsUrl, redis: { tls: { ca, servername: "elsewhere.example" } } }, /for another name/],
        [{ url: expired.tlsUrl, redis: { tls: { ca: certificates.read("expired.pem") } } }, /has expired/],
        [{ url: mutual.tlsUrl, redis: { tls: { ca } } }, /certificate of ours|our certificate/],
        [{ url: mutual.tlsUrl, redis: { tls: { ca, ...pair("stranger") } } }, /certificate of ours|our certificate/],
        // Who speaks TLS to a server that does not, and the other way round.
        [
          { url: Redacted.make(`rediss://127.0.0.1:${open.port}`), redis: { tls: { ca } } },
          /does not speak TLS|silent about TLS/
        ],
        [{ url: Redacted.make(`redis://127.0.0.1:${open.tlsPort}`) }, /rediss:/]
      ]
      for (const [options, message] of cases) assert.match(yield* refused(options), message)
    })
  )

  it.live("a certificate that is renewed is used by the next connection", () =>
    Effect.scoped(
      Effect.gen(function* () {
        let present = pair("client")
        const { storage } = yield* RedisStorage.make({
          url: mutual.tlsUrl,
          redis: () => ({ tls: { ca, ...present } }),
          prefix: "f:",
          operationTimeout: "2 seconds"
        })
        assert.strictEqual((yield* claim(storage, "a"))._tag, "Claimed")
        const cut = mutual.admin("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        present = pair("stranger")
        yield* cut
        const failures = yield* Effect.forEach([1, 2, 3], () => Effect.result(storage.get("a")))
        assert.isTrue(failures.some(({ _tag }) => _tag === "Failure"))
        present = pair("client")
        yield* Effect.retry(storage.get("a"), { times: 20 })
      })
    )
  )
})
