/** Faults that people met, shown by what stands where a SQL Server should: it speaks the driver's protocol, and runs no SQL. */
import { assert, describe, it } from "#harness/vitest"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as logs from "#harness/logs"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type * as Tedious from "tedious"
import * as MssqlStorage from "../../src/backends/mssql/MssqlStorage.js"
import { StorageLock } from "../../src/index.js"
import * as Storage from "../../src/Storage.js"
import * as Certificates from "../harness/certificates.js"
import * as Tds from "../harness/tds.js"
import * as Locks from "../harness/tdsLocks.js"
import { claim, open, refused } from "../support/tdsStorage.js"

const certificates = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "mssql-tls-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  ),
  (directory) => {
    const { read } = Certificates.make(directory)
    return { ca: read("ca.pem"), cert: read("server.pem"), key: read("server.key") }
  }
)

/** What a driver throws where nobody can catch it. */
const unheard = Effect.acquireRelease(
  Effect.sync(() => {
    const heard: Array<unknown> = []
    const listener = (error: unknown) => void heard.push(error)
    // The runner's own listener would fail the run, and not the case.
    const others = process.listeners("uncaughtException")
    process.removeAllListeners("uncaughtException")
    process.on("uncaughtException", listener)
    return { heard, listener, others }
  }),
  ({ listener, others }) =>
    Effect.sync(() => {
      process.removeListener("uncaughtException", listener)
      for (const other of others) process.on("uncaughtException", other as (error: unknown) => void)
    })
)

describe("a connection serves nothing until the server has confirmed it", () => {
  it.live("the harness is enough of a server", () =>
    Effect.gen(function* () {
      const server = yield* Locks.make()
      const storage = yield* open(server)
      assert.strictEqual((yield* claim(storage))._tag, "Claimed")
      assert.strictEqual((yield* storage.get("b"))._tag, "None")
      assert.strictEqual(server.sessions[0]!.login?.database, "app")
    })
  )

  it.live("another database than the one asked for is refused, and told", () =>
    Effect.gen(function* () {
      const server = yield* Locks.make({ database: () => "master" })
      const error = yield* refused(open(server))
      assert.deepStrictEqual([error.reason, error.isRetryable, error.applied], ["Connection", true, "no"])
      assert.include(error.message, 'opened the database "master", not "app"')
      assert.strictEqual(server.batches.length, 0)
    })
  )

  it.live("the server's own spelling of the database is the same database", () =>
    Effect.gen(function* () {
      const server = yield* Locks.make({ database: () => "App" })
      assert.strictEqual((yield* claim(yield* open(server)))._tag, "Claimed")
      assert.include(server.batches[0]!.text, "DB_NAME() <> N'App' COLLATE")
    })
  )

  it.live("a setting that the server refuses is an error, and not passed over", () =>
    Effect.gen(function* () {
      const server = yield* Locks.make({
        settings: () => Tds.failed(2740, "SET LANGUAGE failed because 'nonsense' is not an official language name.")
      })
      const error = yield* refused(open(server))
      assert.deepStrictEqual([error.reason, error.applied], ["Connection", "no"])
      assert.include(error.message, "refused a setting of the connection: SET LANGUAGE failed")
    })
  )

  it.live("a reconnect that leads elsewhere serves nothing", () =>
    Effect.gen(function* () {
      const server = yield* Locks.make({
        database: ({ number }) => (number === 1 ? "app" : "tenant"),
        answer: ({ session }) => (session.number === 1 ? "close" : undefined)
      })
      const storage = yield* open(server)
      assert.strictEqual((yield* refused(claim(storage))).reason, "Connection")
      const error = yield* refused(claim(storage))
      assert.deepStrictEqual([error.reason, error.applied], ["Connection", "no"])
      assert.include(error.message, 'opened the database "tenant"')
      assert.deepStrictEqual(
        server.batches.map(({ session }) => session.number),
        [1]
      )
    })
  )

  it.live("a connection that was moved to another database is not used again", () =>
    Effect.gen(function* () {
      const server = yield* Locks.make({
        answer: (asked) =>
          asked.values.length === 5 && asked.session.number === 1
            ? Buffer.concat([Tds.databaseChange("tenant"), Locks.claimed(asked)])
            : undefined
      })
      const storage = yield* open(server)
      yield* claim(storage)
      yield* claim(storage)
      assert.deepStrictEqual(
        server.batches.map(({ session }) => session.number),
        [1, 2]
      )
    })
  )

  it.live("a batch that finds itself in another database is done on a new connection", () =>
    Effect.gen(function* () {
      const server = yield* Locks.make({
        answer: ({ session }) => (session.number === 1 ? Tds.failed(50713, "in another database") : undefined)
      })
      const storage = yield* open(server)
      assert.strictEqual((yield* claim(storage))._tag, "Claimed")
      assert.deepStrictEqual(
        server.batches.map(({ session }) => session.number),
        [1, 2]
      )
    })
  )
})

describe("no answer can do more than fail its call", () => {
  const cases: ReadonlyArray<readonly [name: string, options: Locks.Options]> = [
    ["a first answer that is none", { preLogin: Buffer.from("HTTP/1.1 400") }],
    ["an empty first answer", { preLogin: Buffer.alloc(0) }],
    ["a first answer that points beyond itself", { preLogin: Buffer.from([0, 0, 200, 0, 6, 0xff]) }],
    ["nonsense after the login", { login: () => Buffer.from("nonsense nonsense") }],
    ["rows after the login", { login: () => Tds.rows({ a: "text" }, { a: "x" }) }],
    ["nothing after the login", { login: () => Buffer.alloc(0) }],
    ["nonsense after the settings", { settings: () => Buffer.from([0x42, 1, 2, 3]) }],
    ["a login in the middle of things", { settings: () => Tds.loginAck }]
  ]
  for (const [name, options] of cases) {
    it.live(name, () =>
      Effect.gen(function* () {
        const { heard } = yield* unheard
        const server = yield* Locks.make(options)
        const error = yield* refused(open(server, { operationTimeout: "2 seconds" }))
        assert.deepStrictEqual([error.reason, error.isRetryable, error.applied], ["Connection", true, "no"])
        yield* Effect.sleep("20 millis")
        assert.deepStrictEqual(
          heard.map((e) => (e as Error).stack),
          []
        )
      })
    )
  }

  const answers: ReadonlyArray<readonly [name: string, answer: Tds.Answer]> = [
    ["nonsense", Buffer.from([0x42, 1, 2, 3])],
    ["a login", Tds.loginAck],
    ["no rows", Tds.done()],
    ["rows of other columns", Buffer.concat([Tds.rows({ a: "text" }, { a: "x" }), Tds.done()])],
    [
      "nulls",
      Buffer.concat([
        Tds.rows({ lock_id: "bytes", holds: "text", t: "number" }, { lock_id: null, holds: null, t: null }),
        Tds.done()
      ])
    ],
    ["an error without one", Tds.done(2)],
    ["the end", "close"]
  ]
  for (const [name, answer] of answers) {
    it.live(`${name} to a batch`, () =>
      Effect.gen(function* () {
        const { heard } = yield* unheard
        let odd = true
        const server = yield* Locks.make({ answer: () => (odd ? answer : undefined) })
        const storage = yield* open(server, { operationTimeout: "2 seconds" })
        const error = yield* refused(claim(storage))
        assert.strictEqual(error.applied, "unknown")
        yield* refused(storage.renew([{ lockId: "a", holdId: "h".repeat(22), lease: 1_000_000 }]))
        yield* Effect.sleep("20 millis")
        assert.deepStrictEqual(
          heard.map((e) => (e as Error).stack),
          []
        )
        odd = false
        assert.strictEqual((yield* claim(storage))._tag, "Claimed")
      })
    )
  }

  it.live("a set-up that is answered without rows is a typed error", () =>
    Effect.gen(function* () {
      const server = yield* Tds.make({
        answer: ({ kind, text }) => (kind === "call" || !text.includes("SET LOCK_TIMEOUT") ? Tds.done() : Tds.done())
      })
      const error = yield* refused(
        MssqlStorage.make({ url: Redacted.make(`mssql://sa:x@127.0.0.1:${server.port}/app?encrypt=false`) })
      )
      assert.strictEqual(error.reason, "Connection")
      assert.include(error.message, "did not confirm")
    })
  )
})

describe("a server that does not do it any more", () => {
  for (const number of [3906, 3908, 976, 978, 983]) {
    it.live(`${number}: the connection is left, and the first try after the failover succeeds`, () =>
      Effect.gen(function* () {
        let primary = 1
        const server = yield* Locks.make({
          answer: ({ session }) => (session.number < primary ? Tds.failed(number, "not here") : undefined)
        })
        const storage = yield* open(server)
        assert.strictEqual((yield* claim(storage))._tag, "Claimed")
        primary = 2
        assert.strictEqual((yield* claim(storage))._tag, "Claimed")
        while (server.open() > 1) yield* Effect.sleep("5 millis")
        primary = 4
        // Of all that are idle, none is tried one by one.
        const error = yield* refused(claim(storage))
        assert.deepStrictEqual([error.reason, error.isRetryable, error.applied], ["Connection", true, "no"])
        assert.include(error.message, "does the name lead to the primary?")
        assert.strictEqual((yield* claim(storage))._tag, "Claimed")
      })
    )
  }

  it.live("a database that moves is worth another try, and its connection is left", () =>
    Effect.gen(function* () {
      const server = yield* Locks.make({
        answer: ({ session }) => (session.number === 1 ? Tds.failed(40613, "not currently available", 17) : undefined)
      })
      const storage = yield* open(server)
      const error = yield* refused(claim(storage))
      assert.deepStrictEqual([error.reason, error.isRetryable], ["Connection", true])
      assert.strictEqual((yield* claim(storage))._tag, "Claimed")
      assert.deepStrictEqual(
        server.batches.map(({ session }) => session.number),
        [1, 2]
      )
    })
  )

  for (const number of [4060, 40613, 18456, 10928]) {
    it.live(`a login that is refused with ${number} tells the number`, () =>
      Effect.gen(function* () {
        const server = yield* Locks.make({ login: () => Tds.failed(number, "no login", 14) })
        const error = yield* refused(open(server))
        assert.deepStrictEqual(
          [error.reason, error.isRetryable, error.applied],
          number === 18456 ? ["Permission", false, "no"] : ["Connection", true, "no"]
        )
        assert.include(error.message, `(${number})`)
      })
    )
  }

  it.live("a full log fails what writes, keeps the connection, and says what to do", () =>
    Effect.gen(function* () {
      let full = true
      const server = yield* Locks.make({
        answer: () => (full ? Tds.failed(9002, "The transaction log is full", 17) : undefined)
      })
      const storage = yield* open(server)
      const error = yield* refused(storage.release({ lockId: "a", holdId: "h".repeat(22) }))
      assert.deepStrictEqual([error.reason, error.isRetryable, error.applied], ["Unknown", true, "no"])
      assert.include(error.message, "make room")
      full = false
      assert.strictEqual((yield* claim(storage))._tag, "Claimed")
      assert.strictEqual(server.sessions.length, 1)
    })
  )
})

describe("what is given up", () => {
  it.live("a batch that is out of time is cancelled, and its place is free when that is confirmed", () =>
    Effect.gen(function* () {
      let silent = true
      const server = yield* Locks.make({ answer: () => (silent ? "silence" : undefined) })
      const storage = yield* open(server, { poolSize: 1, operationTimeout: "1 seconds" })
      const error = yield* refused(Effect.provideService(claim(storage), Storage.TimeLimit, Duration.millis(100)))
      assert.deepStrictEqual([error.reason, error.applied], ["Timeout", "unknown"])
      // It waits no longer for a lock than the call has time.
      assert.include(server.batches[0]!.text, "SET LOCK_TIMEOUT 50;")
      silent = false
      assert.strictEqual((yield* claim(storage))._tag, "Claimed")
      assert.deepStrictEqual(
        server.sessions.map(({ attentions }) => attentions),
        [1, 0]
      )
      while (server.open() > 1) yield* Effect.sleep("5 millis")
    })
  )

  it.live("what cannot be stopped is at the server twice the pool's size at most, however often it is tried", () =>
    Effect.gen(function* () {
      const server = yield* Locks.make({ answer: () => "silence", attention: () => "silence" })
      const storage = yield* open(server, { poolSize: 2, operationTimeout: "2 seconds" })
      yield* Effect.forEach(
        Array.from({ length: 60 }, (_, i) => i),
        () => Effect.exit(Effect.provideService(claim(storage), Storage.TimeLimit, Duration.millis(60))),
        { concurrency: 8 }
      )
      // The first one of the set-up may be among them, and has an idle end.
      assert.isAtMost(server.sessions.length, 4)
      assert.isAtLeast(server.sessions.length, 2)
    })
  )

  it.live("a session has a lock time-out of its own, for what waits before its batch has set one", () =>
    Effect.gen(function* () {
      const texts: Array<string> = []
      const server = yield* Tds.make({
        answer: ({ text }) => {
          texts.push(text)
          return Tds.done()
        }
      })
      yield* refused(
        MssqlStorage.make({
          url: Redacted.make(`mssql://sa:x@127.0.0.1:${server.port}/app?encrypt=false`),
          operationTimeout: "3 seconds"
        })
      )
      assert.include(texts[1], "SET LOCK_TIMEOUT 2700;")
    })
  )

  it.live("a layer that closes while it connects leaves nothing", () =>
    Effect.gen(function* () {
      const server = yield* Locks.make({ login: () => "silence" })
      const fiber = yield* Effect.forkChild(Effect.scoped(open(server)))
      while (server.sessions[0]?.login === undefined) yield* Effect.sleep("5 millis")
      yield* Fiber.interrupt(fiber)
      while (server.open() > 0) yield* Effect.sleep("5 millis")
    })
  )
})

describe("what changes while a layer lives", () => {
  const rotating = (
    given: (server: Locks.Server, present: () => string) => Partial<MssqlStorage.Options>,
    told: (login: Tds.Login) => string | undefined,
    tls?: Tds.Options["tls"]
  ) =>
    Effect.gen(function* () {
      let valid = "first"
      const server = yield* Locks.make({
        ...(tls === undefined ? {} : { tls, encryption: "required" }),
        login: (login, session) =>
          told(login) === valid
            ? Buffer.concat([Tds.databaseChange(session.database), Tds.loginAck, Tds.done()])
            : Tds.failed(18456, "Login failed", 14),
        answer: ({ session }) => (session.number === 1 && valid === "second" ? "close" : undefined)
      })
      let present = "first"
      const storage = yield* open(
        server,
        given(server, () => present)
      )
      assert.strictEqual((yield* claim(storage))._tag, "Claimed")
      valid = "second"
      yield* refused(claim(storage))
      // The provider is behind.
      assert.deepStrictEqual((yield* refused(claim(storage))).reason, "Permission")
      present = "second"
      assert.strictEqual((yield* claim(storage))._tag, "Claimed")
    })

  it.live("a password is asked for at each connection", () =>
    rotating(
      (server, present) => ({
        url: Redacted.make(server.url().replace(":secret-pw", "")),
        password: () => Promise.resolve(Redacted.make(present()))
      }),
      ({ password }) => password
    )
  )

  it.live("a URL is asked for at each connection", () =>
    rotating(
      (server, present) => ({ url: Effect.sync(() => Redacted.make(server.url().replace("secret-pw", present()))) }),
      ({ password }) => password
    )
  )

  it.live("a connection is asked for at each connection", () =>
    rotating(
      (server, present) => ({
        url: undefined,
        connection: () => ({
          server: "127.0.0.1",
          authentication: { type: "default", options: { userName: "sa", password: present() } },
          options: { port: server.port, database: "app", encrypt: false }
        })
      }),
      ({ password }) => password
    )
  )

  it.live("a token of Microsoft Entra is asked for at each connection, and goes over TLS", () =>
    Effect.gen(function* () {
      const { key, cert } = yield* certificates
      yield* rotating(
        (server, present) => ({
          url: Redacted.make(`mssql://127.0.0.1:${server.port}/app?trustServerCertificate=true`),
          accessToken: Effect.sync(() => Redacted.make(present()))
        }),
        ({ token }) => token,
        { key, cert }
      )
    })
  )

  it.live("what fails or is nonsense when asked is a failure to connect, worth another try", () =>
    Effect.gen(function* () {
      const server = yield* Locks.make()
      for (const [url, told] of [
        [Effect.fail(new Error("the vault is sealed")), "the vault is sealed"],
        [() => Promise.reject(new Error("the vault is sealed")), "the vault is sealed"],
        [() => "mssql://sa:secret-pw@h/d" as never, "not Redacted"],
        [Effect.succeed(Redacted.make("mssql://sa:secret-pw@h/d?encript=true")), "encript"],
        [Effect.die("out"), "out"]
      ] as const) {
        const error = yield* refused(open(server, { url }))
        assert.deepStrictEqual([error.reason, error.isRetryable, error.applied], ["Connection", true, "no"])
        assert.include(error.message, told)
        assert.notInclude(error.message, "secret-pw")
      }
      const error = yield* refused(open(server, { url: Effect.never, operationTimeout: "100 millis" }))
      assert.deepStrictEqual([error.reason, error.applied], ["Timeout", "no"])
      assert.strictEqual(server.sessions.length, 0)
    })
  )
})

describe("encryption", () => {
  it.live("where it was asked for and the server has none, nothing is told it", () =>
    Effect.gen(function* () {
      const server = yield* Locks.make()
      for (const parameters of ["", "encrypt=true", "encrypt=true&trustServerCertificate=true"]) {
        const error = yield* refused(open(server, { url: Redacted.make(server.url(parameters)) }))
        assert.deepStrictEqual([error.reason, error.applied], ["Connection", "no"])
        assert.include(error.message, "offers no encryption")
      }
      assert.deepStrictEqual(
        server.sessions.map(({ login }) => login),
        [undefined, undefined, undefined]
      )
    })
  )

  it.live("a server that wants it says so", () =>
    Effect.gen(function* () {
      const server = yield* Locks.make({ encryption: "required" })
      const error = yield* refused(open(server))
      assert.deepStrictEqual([error.reason, error.isRetryable], ["Permission", false])
      assert.include(error.message, "set `encrypt` to true or strict")
      assert.isUndefined(server.sessions[0]!.login)
    })
  )

  it.live("a certificate is looked at, unless any is trusted; and what is wrong with it is told with what to do", () =>
    Effect.gen(function* () {
      const { ca, cert, key } = yield* certificates
      const server = yield* Locks.make({ encryption: "required", tls: { key, cert } })
      const unknown = yield* refused(open(server, { url: Redacted.make(server.url("")) }))
      assert.include(unknown.message, "name the authority that signed it")
      const connection = (serverName: string): Tedious.ConnectionConfiguration => ({
        server: "127.0.0.1",
        authentication: { type: "default", options: { userName: "sa", password: "secret-pw" } },
        options: { port: server.port, database: "app", serverName, cryptoCredentialsDetails: { ca } }
      })
      const otherName = yield* refused(open(server, { url: undefined, connection: connection("elsewhere.example") }))
      assert.include(otherName.message, "for another name")
      assert.isTrue(server.sessions.every(({ login }) => login === undefined))
      assert.strictEqual(
        (yield* claim(yield* open(server, { url: undefined, connection: connection("localhost") })))._tag,
        "Claimed"
      )
      assert.strictEqual(
        (yield* claim(yield* open(server, { url: Redacted.make(server.url("trustServerCertificate=true")) })))._tag,
        "Claimed"
      )
      assert.deepStrictEqual(
        server.sessions.flatMap(({ login }) => (login === undefined ? [] : [login.encrypted])),
        [true, true]
      )
    })
  )

  it.live("strict is TLS from the first byte on, and trusts nothing unseen", () =>
    Effect.gen(function* () {
      const { ca, cert, key } = yield* certificates
      const server = yield* Locks.make({ tls: { key, cert, strict: true } })
      const unknown = yield* refused(
        open(server, { url: Redacted.make(server.url("encrypt=strict&hostNameInCertificate=localhost")) })
      )
      assert.include(unknown.message, "name the authority that signed it")
      const storage = yield* open(server, {
        url: undefined,
        connection: {
          server: "127.0.0.1",
          authentication: { type: "default", options: { userName: "sa", password: "secret-pw" } },
          options: {
            port: server.port,
            database: "app",
            encrypt: "strict",
            serverName: "localhost",
            cryptoCredentialsDetails: { ca }
          }
        }
      })
      assert.strictEqual((yield* claim(storage))._tag, "Claimed")
      const plain = yield* Locks.make()
      const old = yield* refused(
        open(plain, { url: Redacted.make(plain.url("encrypt=strict")), operationTimeout: "1 seconds" })
      )
      assert.strictEqual(old.applied, "no")
    })
  )
})

describe("the table", () => {
  it.live("of a version before labels is told by its columns, whatever it is called", () =>
    Effect.gen(function* () {
      const before = Object.fromEntries(Object.entries(Locks.types).filter(([name]) => name !== "owner_label"))
      const server = yield* Locks.make({ columns: before })
      const told = yield* refused(open(server, { setup: false, table: "is of a version before owner labels" }))
      assert.strictEqual(told.reason, "Schema")
      assert.include(
        told.message,
        "ALTER TABLE [is of a version before owner labels] ADD owner_label nvarchar(255) COLLATE Latin1_General_BIN2 NOT NULL DEFAULT N''"
      )
      assert.strictEqual(server.batches.length, 0)
      yield* refused(open(server, { setup: true, table: "is of a version before owner labels" }))
      assert.deepStrictEqual(
        server.batches.map(({ text }) => text.includes("sp_getapplock")),
        [true]
      )
    })
  )

  it.live("that is another's, and says the words of an older one, is not altered", () =>
    Effect.gen(function* () {
      const { holds: _, owner_label: __, ...others } = Locks.types
      const server = yield* Locks.make({ columns: others })
      const error = yield* refused(open(server, { setup: true, table: "is of a version before owner labels" }))
      assert.strictEqual(error.reason, "Schema")
      assert.include(error.message, "no column holds nvarchar(max), owner_label nvarchar(255)")
      assert.strictEqual(server.batches.length, 0)
    })
  )

  it.live("of the same name in another schema is warned of, unless a schema is named", () =>
    Effect.gen(function* () {
      const server = yield* Locks.make({ table: { others: 1 } })
      const warned = (options: Partial<MssqlStorage.Options>) =>
        Effect.gen(function* () {
          const lines: Array<string> = []
          const logger = logs.to(({ message }) => void lines.push(message))
          yield* Effect.provide(Effect.scoped(open(server, options)), logger)
          return lines.join("\n")
        })
      assert.include(yield* warned({}), "name `schema`")
      assert.strictEqual(yield* warned({ schema: "dbo" }), "")
    })
  )

  const gone: ReadonlyArray<readonly [name: string, answer: () => Tds.Answer, lost: string]> = [
    ["emptied or recreated", () => Locks.renewed(), "Vanished"],
    ["dropped", () => Tds.failed(208, "Invalid object name"), "Expired"]
  ]
  for (const [name, answer, lost] of gone) {
    it.live(`${name} under a hold: it is lost as ${lost}`, () =>
      Effect.gen(function* () {
        const server = yield* Locks.make({
          answer: ({ text, values }) => (values.length === 3 && text.includes("CROSS APPLY") ? answer() : undefined)
        })
        const locks = StorageLock.layer({ leaseExpireAfter: "1 seconds", clockMargin: "100 millis" }).pipe(
          Layer.provide(MssqlStorage.layer({ url: Redacted.make(server.url()) }))
        )
        const error = yield* Effect.flip(
          Effect.provide(Effect.scoped(Effect.flatMap(StorageLock.acquire("a"), (lock) => lock.lost)), locks)
        )
        assert(error._tag === "LockLost")
        assert.strictEqual(error.reason, lost)
      })
    )
  }
})
