/** What becomes of MongoStorage when things go wrong around it: failovers, logins and certificates that change, collections that go away, answers and documents of odd shape. */
import { assert, describe, it } from "#harness/vitest"
import * as Cause from "#effect/Cause"
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Fiber from "#effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Schedule from "#effect/Schedule"
import * as Stream from "#effect/Stream"
import * as logs from "#harness/logs"
import type { Db } from "mongodb"
import { mkdtempSync, rmSync } from "node:fs"
import * as Net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Tls from "node:tls"
import * as MongoStorage from "../../src/backends/mongo/MongoStorage.js"
import type { InvalidOptions, LockLost, StorageError } from "../../src/LockError.js"
import * as Certificates from "../harness/certificates.js"
import * as Mongo from "../harness/mongo.js"
import * as Evaluator from "../harness/mongoEvaluator.js"
import * as Wire from "../harness/mongoWire.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import * as Process from "../support/process.js"

const second = 1_000_000
const stubborn = Schedule.max([Schedule.spaced("50 millis"), Schedule.recurs(100)])
const request = { lockId: "a", ownerId: "me", holdId: "h".repeat(22), lease: 30 * second }

/** Commands of the storage, evaluated. */
const evaluated =
  (evaluator: Evaluator.Evaluator) =>
  async (command: Wire.Document): Promise<Wire.Document> => {
    evaluator.clock = Date.now()
    const { $clusterTime: _, $db: __, $readPreference: ___, lsid: ____, maxTimeMS: _____, ...rest } = command
    const exit = await Effect.runPromiseExit(evaluator.run("any", rest, 1_000))
    if (exit._tag === "Success") return { ok: 1, ...exit.value }
    // As MongoDB says it of what it cannot compute with.
    return { ok: 0, code: 17124, errmsg: String(exit.cause) }
  }

const connecting = new Set(["hello", "ismaster", "isMaster"])

/** One member, which is the primary, and answers by the rules of a test, or as a MongoDB. */
const alone = (rule: Wire.Answer) =>
  Effect.gen(function* () {
    const evaluate = evaluated(Evaluator.make())
    const member: Wire.Member = yield* Wire.member(async (command): Promise<Wire.Document | undefined> => {
      const name = Object.keys(command)[0]!
      if (connecting.has(name)) return Wire.hello(member.port, true, [`127.0.0.1:${member.port}`])
      const ruled = await rule(command)
      return ruled?.pass === true ? evaluate(command) : ruled
    })
    return member
  })
const pass = { pass: true }

describe("a failover", () => {
  for (const code of [10107, 13435, 11602, 189, 91, 11600, 10058, 13436]) {
    it.live(`the first try after it succeeds, though the former primary says ${code}`, () =>
      Effect.gen(function* () {
        const evaluate = evaluated(Evaluator.make())
        let primary = 0
        const members: Array<Wire.Member> = []
        const hosts = () => members.map(({ port }) => `127.0.0.1:${port}`)
        for (const index of [0, 1]) {
          members.push(
            yield* Wire.member((command) => {
              const name = Object.keys(command)[0]!
              if (connecting.has(name)) return Wire.hello(members[index]!.port, index === primary, hosts())
              return index === primary ? evaluate(command) : { ok: 0, code, errmsg: "not primary", codeName: "any" }
            })
          )
        }
        const { mode, storage } = yield* MongoStorage.make({
          url: Redacted.make(`mongodb://${hosts().join()}/app?replicaSet=rs0&heartbeatFrequencyMS=600000`),
          wakeUps: false
        })
        assert.strictEqual(mode, "pipeline")
        assert.strictEqual((yield* storage.claim(request))._tag, "Claimed")
        for (const next of [1, 0]) {
          primary = next
          const [renewed] = yield* storage.renew([request])
          assert.strictEqual(renewed!._tag, "Renewed")
          assert.isAbove(members[next]!.heard.length, 0)
        }
        primary = 1
        assert.strictEqual((yield* storage.release(request))._tag, "Released")
      })
    )
  }
})

describe("passwords that change", () => {
  const member = (passwords: { now: string }) =>
    alone((command) => {
      if (!("saslStart" in command)) return pass
      const [, , password] = Buffer.from(command.payload.buffer as Uint8Array)
        .toString("utf8")
        .split("\0")
      return password === passwords.now
        ? { ok: 1, conversationId: 1, done: true, payload: "" }
        : { ok: 0, code: 18, codeName: "AuthenticationFailed", errmsg: "Authentication failed." }
    })
  const urlOf = (port: number, password: string) =>
    Redacted.make(
      `mongodb://app:${password}@127.0.0.1:${port}/app?authMechanism=PLAIN&authSource=$external&replicaSet=rs0`
    )

  it.live("are asked for when a login fails, within the same call", () =>
    Effect.gen(function* () {
      const passwords = { now: "one" }
      const server = yield* member(passwords)
      let known = "one"
      let asked = 0
      const { storage } = yield* MongoStorage.make({
        url: Effect.sync(() => {
          asked++
          return urlOf(server.port, known)
        }),
        wakeUps: false
      })
      yield* storage.claim(request)
      const renew = Effect.map(storage.renew([request]), ([outcome]) => outcome!._tag)
      assert.strictEqual(yield* renew, "Renewed")
      assert.strictEqual(asked, 1)
      passwords.now = known = "two"
      server.cut()
      yield* Effect.retry(renew, { schedule: stubborn, while: (error) => error.reason === "Connection" })
      assert.isAbove(asked, 1)
      // Not told yet: refused; and then it is.
      passwords.now = "three"
      server.cut()
      const error = yield* Effect.flip(
        Effect.retry(renew, { schedule: stubborn, while: (error) => error.reason === "Connection" })
      )
      assert.deepStrictEqual([error.reason, error.isRetryable, error.applied], ["Permission", true, "no"])
      known = "three"
      assert.strictEqual(yield* renew, "Renewed")
      const fixed = yield* Effect.flip(
        MongoStorage.make({ url: urlOf(server.port, "wrong"), wakeUps: false })
      ) as Effect.Effect<StorageError>
      assert.deepStrictEqual([fixed.reason, fixed.isRetryable, fixed.applied], ["Permission", false, "no"])
    })
  )

  it.live("that cannot be asked for, or make no sense, are another try; the database stays that of the start", () =>
    Effect.gen(function* () {
      const server = yield* member({ now: "one" })
      const failing = (url: () => unknown) =>
        Effect.flip(MongoStorage.make({ url: url as never, wakeUps: false })) as Effect.Effect<StorageError>
      const reject = () => Promise.reject(new Error("no vault"))
      for (const url of [() => undefined, () => "mongodb://app:hidden@h/app", () => Redacted.make("hidden"), reject]) {
        const error = yield* failing(url)
        assert.deepStrictEqual([error._tag, error.reason, error.isRetryable], ["StorageError", "Connection", true])
        assert.notInclude(error.message, "hidden")
      }
      const passwords = { now: "one" }
      const other = yield* member(passwords)
      let url = urlOf(other.port, "one")
      const { storage } = yield* MongoStorage.make({ url: () => url, wakeUps: false })
      yield* storage.claim(request)
      passwords.now = "two"
      url = Redacted.make(Redacted.value(urlOf(server.port, "one")).replace("/app?", "/elsewhere?"))
      other.cut()
      const error = yield* Effect.flip(
        Effect.retry(storage.get("a"), {
          schedule: stubborn,
          while: (error) => !error.message.includes("another database")
        })
      ).pipe(Effect.timeout("4 minutes"), Effect.result)
      assert.notInclude(server.heard, "find")
      assert.strictEqual(error._tag, "Success")
    })
  )
})

describe("answers of odd shape", () => {
  it.live("fail the call that they come to, whatever they are", () =>
    Effect.gen(function* () {
      let answer: Wire.Document | undefined
      const server = yield* alone(() => answer ?? pass)
      const { storage, versioned } = yield* MongoStorage.make({
        url: Redacted.make(`mongodb://127.0.0.1:${server.port}/app?replicaSet=rs0`),
        wakeUps: false
      })
      yield* storage.claim(request)
      const odd: ReadonlyArray<Wire.Document> = [
        {},
        { value: 5 },
        { value: [] },
        { value: {} },
        { value: { _id: "a" } },
        { value: { _id: "a", format: "1" } },
        { value: { _id: "a", format: 1, holds: "x" } },
        { value: null, cursor: null },
        { cursor: 5 },
        { cursor: {} },
        { cursor: { firstBatch: 5 } },
        { cursor: { firstBatch: [null, 5] } },
        { cursor: { firstBatch: [{}] } },
        { cursor: { firstBatch: [{ _id: "a", format: 1 }] } },
        { writeErrors: 5 },
        { writeErrors: [null] },
        { writeErrors: [5] },
        { writeConcernError: 5 },
        { n: "many" }
      ]
      for (const shape of odd) {
        answer = { ok: 1, ...shape }
        const calls: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
          storage.claim(request),
          storage.renew([request]),
          storage.renew([request, { ...request, lockId: "b" }]),
          storage.release({ ...request, lockId: "b" }),
          storage.get("a"),
          Stream.runDrain(storage.list),
          versioned.get("a"),
          versioned.delete("b", 1),
          Stream.runDrain(versioned.list)
        ]
        for (const call of calls) {
          const exit = yield* Effect.exit(call)
          if (exit._tag === "Failure")
            assert.isTrue(Option.isSome(Cause.findErrorOption(exit.cause)), JSON.stringify(shape))
        }
        assert.strictEqual((yield* Effect.exit(storage.claim(request)))._tag, "Failure", JSON.stringify(shape))
      }
      answer = undefined
      assert.strictEqual((yield* storage.renew([request]))[0]!._tag, "Renewed")
    })
  )

  it.live("a document that was changed by hand costs no other lock its renewal", () =>
    Effect.gen(function* () {
      const evaluator = Evaluator.make()
      const evaluate = evaluated(evaluator)
      const server: Wire.Member = yield* Wire.member((command) =>
        connecting.has(Object.keys(command)[0]!)
          ? Wire.hello(server.port, true, [`127.0.0.1:${server.port}`])
          : evaluate(command)
      )
      const { storage } = yield* MongoStorage.make({
        url: Redacted.make(`mongodb://127.0.0.1:${server.port}/app?replicaSet=rs0`),
        wakeUps: false
      })
      const mine = { ...request, lockId: "mine" }
      yield* storage.claim(request)
      yield* storage.claim(mine)
      for (const change of [
        { holds: request.holdId },
        { holds: [request.holdId], expires: "soon" },
        { token: "x" },
        { format: "1" },
        { owner: 5 },
        { kind: null }
      ]) {
        evaluator.documents.set("a", { ...evaluator.documents.get("a"), ...change })
        const outcomes = yield* storage.renew([request, mine])
        assert.strictEqual(outcomes[1]!._tag, "Renewed", JSON.stringify(change))
        assert.strictEqual(outcomes[0]!._tag, "StorageError", JSON.stringify(change))
        assert.strictEqual((yield* Effect.flip(storage.get("a")))._tag, "StorageError")
      }
    })
  )
})

describe("settings of the URL", () => {
  const refusal = (query: string) =>
    Effect.map(
      Effect.flip(
        Effect.scoped(MongoStorage.make({ url: Redacted.make(`mongodb://app:sesame@127.0.0.1:1/app?${query}`) }))
      ),
      (error) => {
        assert.strictEqual(error._tag, "InvalidOptions")
        assert.notInclude(error.message, "sesame")
        return error as InvalidOptions
      }
    )
  it.effect("that locks cannot obey, or the driver does not know, are refused by name", () =>
    Effect.gen(function* () {
      for (const [query, name] of [
        ["w=1", "w"],
        ["w=0", "w"],
        ["w=3", "w"],
        ["journal=false", "journal"],
        ["readPreference=secondary", "readPreference"],
        ["readpreference=nearest", "readPreference"],
        ["readConcernLevel=local", "readConcernLevel"],
        ["sslmode=require", "sslmode"],
        ["retryWrites=true&sslMode=require", "sslMode"],
        ["ssl_ca_certs=/x", "ssl_ca_certs"]
      ] as const) {
        const { field, message } = yield* refusal(query)
        assert.strictEqual(field, "url")
        assert.match(message, new RegExp(`\\b${name}\\b`))
      }
    })
  )
  it.live("that agree with what locks need are taken", () =>
    Effect.gen(function* () {
      const query =
        "w=majority&journal=true&readPreference=primary&readConcernLevel=majority&retryWrites=true&serverSelectionTimeoutMS=100"
      const error = yield* Effect.flip(MongoStorage.make({ url: Redacted.make(`mongodb://127.0.0.1:1/app?${query}`) }))
      assert.strictEqual(error._tag, "StorageError")
    })
  )
})

describe("wake-ups without the right to them", () => {
  it.live("are warned of once, with what is missing; releases know nothing of it", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const logger = logs.to(({ level, message }) => void lines.push(`${level} ${message}`))
      const server = yield* alone((command) =>
        "aggregate" in command ? { ok: 0, code: 13, codeName: "Unauthorized", errmsg: "not authorized" } : pass
      )
      const storage = yield* Effect.map(
        MongoStorage.make({ url: Redacted.make(`mongodb://127.0.0.1:${server.port}/app?replicaSet=rs0`) }),
        (_) => _.storage
      ).pipe(
        Effect.tap((storage) => Effect.forkScoped(Stream.runDrain(storage.wakeUps))),
        Effect.provide(logger)
      )
      yield* Effect.repeat(Effect.sleep("20 millis"), {
        until: () => server.heard.filter((name) => name === "aggregate").length > 1
      })
      yield* storage.claim(request)
      assert.strictEqual((yield* storage.release(request))._tag, "Released")
      assert.strictEqual(lines.length, 1)
      assert.match(lines[0]!, /^Warning MongoStorage: .*waiters poll.*changeStream/)
    })
  )
})

await describeServer("a collection that goes away", Shared.mongo, (server) => {
  for (const [name, remove] of [
    ["dropped", (db) => db.collection("storage_lock").drop()],
    ["renamed", (db) => db.collection("storage_lock").rename("former")],
    ["emptied", (db) => db.collection("storage_lock").deleteMany({})],
    ["gone with its database", (db) => db.dropDatabase()]
  ] as ReadonlyArray<readonly [string, (db: Db) => Promise<unknown>]>) {
    it.live(`${name}: the hold is lost at its next renewal, and the next token is higher`, () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        const { storage } = yield* MongoStorage.make({ url: Redacted.make(url), mode: "versioned", wakeUps: false })
        const { locks } = yield* Process.make(storage, { leaseExpireAfter: "30 seconds" })
        const lock = yield* locks.acquire("a", "ada")
        const lost = yield* Effect.forkChild(Effect.flip(lock.lost))
        const client = yield* Mongo.client(url)
        yield* Effect.promise(() => remove(client.db()))
        yield* Effect.ignore(lock.renew)
        const error: LockLost = yield* Fiber.join(lost)
        assert.strictEqual(error.reason, "Vanished")
        const next = yield* storage.claim({ ...request, ownerId: "bob" })
        assert.isAbove(next._tag === "Claimed" ? next.record.token : 0, lock.token)
      })
    )
  }

  it.live("documents of older versions have no label, and one of an odd kind is none", () =>
    Effect.gen(function* () {
      const url = yield* server.freshDatabase
      const { storage } = yield* MongoStorage.make({ url: Redacted.make(url), mode: "versioned", wakeUps: false })
      yield* storage.claim({ ...request, ownerLabel: "host-7" })
      const client = yield* Mongo.client(url)
      const label = Effect.map(storage.get("a"), (found) =>
        found._tag === "Some" ? found.value.record.ownerLabel : "no record"
      )
      assert.strictEqual(yield* label, "host-7")
      for (const change of [
        { $unset: { label: 1 } },
        { $set: { label: 5 } },
        { $set: { label: "" } },
        { $set: { label: null } }
      ] as const) {
        yield* Effect.promise(() =>
          client
            .db()
            .collection<{ _id: string }>("storage_lock")
            .updateOne({ _id: "a" }, change as never)
        )
        assert.strictEqual(yield* label, undefined)
      }
      assert.strictEqual((yield* storage.renew([request]))[0]!._tag, "Renewed")
    })
  )

  it.live("a client that the program closes and uses again is no closing of the layer", () =>
    Effect.gen(function* () {
      const url = yield* server.freshDatabase
      const client = yield* Mongo.client(url)
      const { storage } = yield* MongoStorage.makeFromClient({
        client,
        database: client.options.dbName,
        mode: "versioned",
        wakeUps: false
      })
      yield* storage.claim(request)
      yield* Effect.promise(() => client.close())
      const meanwhile = yield* Effect.flip(storage.get("a"))
      assert.deepStrictEqual([meanwhile.reason, meanwhile.isRetryable, meanwhile.applied], ["Connection", true, "no"])
      yield* Effect.promise(() => client.connect())
      const [outcome] = yield* Effect.retry(storage.renew([request]), stubborn)
      assert.strictEqual(outcome!._tag, "Renewed")
    })
  )
})

/** A server behind TLS that asks for a certificate. */
const encrypted = (server: Mongo.MongoServer, certificates: Certificates.Certificates) =>
  Effect.acquireRelease(
    Effect.callback<Tls.Server>((resume) => {
      const { read } = certificates
      const listener = Tls.createServer(
        {
          cert: read("server.pem"),
          key: read("server.key"),
          ca: read("ca.pem"),
          requestCert: true,
          rejectUnauthorized: true
        },
        (socket) => {
          const behind = Net.connect(server.port, server.host)
          for (const each of [socket, behind]) each.on("error", () => {})
          socket.pipe(behind).pipe(socket)
          socket.on("close", () => behind.destroy())
        }
      )
      listener.on("tlsClientError", () => {})
      listener.listen(0, "127.0.0.1", () => resume(Effect.succeed(listener)))
    }),
    (listener) => Effect.sync(() => listener.close())
  )

await describeServer("MongoStorage over TLS", Shared.mongo, (server) => {
  it.live("verifies the server and shows its certificate, errors say what to do, and renewed files are read", () =>
    Effect.gen(function* () {
      const directory = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "storage-lock-"))),
        (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
      )
      const certificates = Certificates.make(directory)
      const { at, issue, read } = certificates
      const { writeFileSync } = yield* Effect.promise(() => import("node:fs"))
      const pair = (name: string) => writeFileSync(at("pair.pem"), read(`${name}.key`) + read(`${name}.pem`))
      issue("stranger", { authority: "other" })
      pair("client")
      const listener = yield* encrypted(server, certificates)
      const database = /\/(\w+)\?/.exec(yield* server.freshDatabase)![1]!
      const { port } = listener.address() as Net.AddressInfo
      const open = (query: string, host = "localhost") =>
        MongoStorage.make({
          url: Redacted.make(`mongodb://${host}:${port}/${database}?directConnection=true${query}`),
          mode: "versioned",
          wakeUps: false,
          operationTimeout: "4 seconds"
        })
      const ours = `&tls=true&tlsCAFile=${encodeURIComponent(at("ca.pem"))}&tlsCertificateKeyFile=${encodeURIComponent(at("pair.pem"))}`
      for (const [query, hint] of [
        ["", /tls=true/],
        ["&tls=true", /tlsCAFile/],
        [`&ssl=true&tlsCAFile=${encodeURIComponent(at("other.pem"))}`, /tlsCAFile/],
        [`&tls=true&tlsCAFile=${encodeURIComponent(at("ca.pem"))}`, /tlsCertificateKeyFile|tls=true/]
      ] as const) {
        const error = (yield* Effect.flip(open(query))) as StorageError
        assert.deepStrictEqual(
          [error._tag, error.reason, error.applied, error.isRetryable],
          ["StorageError", "Connection", "no", true]
        )
        assert.match(error.message, hint)
      }
      const { storage } = yield* open(ours)
      yield* storage.claim(request)
      const missing = (yield* Effect.flip(
        open(`&tls=true&tlsCAFile=${encodeURIComponent(at("none.pem"))}`)
      )) as StorageError
      assert.strictEqual(missing._tag, "StorageError")
      // A layer that starts while its certificate is out of date has the renewed one as soon as it is there.
      pair("stranger")
      const late = yield* Effect.forkChild(Effect.retry(open(ours), stubborn))
      yield* Effect.sleep("100 millis")
      pair("client")
      const { storage: theirs } = yield* Fiber.join(late)
      assert.strictEqual((yield* theirs.claim({ ...request, ownerId: "you" }))._tag, "Held")
    })
  )
})

await describeServer("a change stream in trouble", Shared.mongo, (server) => {
  it.live("slows nobody's release down and fails none; what it lacks is said once", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const logger = logs.to(({ level, message }) => void lines.push(`${level} ${message}`))
      const storage = yield* Effect.map(
        MongoStorage.make({ url: Redacted.make(yield* server.freshDatabase), mode: "versioned" }),
        (_) => _.storage
      ).pipe(
        Effect.tap((storage) => Effect.forkScoped(Stream.runDrain(storage.wakeUps))),
        Effect.provide(logger)
      )
      yield* Effect.repeat(Effect.sleep("20 millis"), { until: () => lines.length > 0 })
      for (let i = 0; i < 20; i++) {
        yield* storage.claim(request)
        assert.strictEqual((yield* storage.release(request))._tag, "Released")
      }
      assert.strictEqual(lines.length, 1)
      assert.match(lines[0]!, /waiters poll/)
    })
  )
})
