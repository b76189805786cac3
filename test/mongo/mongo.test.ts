/** What the conformance kit does not see of MongoStorage, on a server of its protocol. */
import { assert, it } from "#harness/vitest"
import * as Array from "effect/Array"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as Option from "#effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "#effect/Scope"
import * as Stream from "#effect/Stream"
import * as fibers from "#effect/fibers"
import * as logs from "#harness/logs"
import { spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import * as MongoStorage from "../../src/backends/mongo/MongoStorage.js"
import type * as LockRecord from "../../src/LockRecord.js"
import * as Storage from "../../src/Storage.js"
import * as Mongo from "../harness/mongo.js"
import * as Proxy from "../harness/proxy.js"
import { describeServer, freePort } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import * as Process from "../support/process.js"
import * as program from "../support/program.js"

const hold = () => randomBytes(16).toString("base64url")
const second = 1_000_000

const claim = (storage: Storage.Service, lockId: string, ownerId: string, holdId = hold(), lease = 30 * second) =>
  Effect.map(storage.claim({ lockId, ownerId, holdId, lease }), (outcome) => ({ outcome, holdId }))

/** What is logged meanwhile. */
const logged = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    const logger = logs.to(({ level, message }) => void lines.push(`${level} ${message}`))
    return Effect.map(Effect.provide(effect, logger), (value) => ({ value, lines }))
  })

const until = (what: () => boolean) => Effect.repeat(Effect.sleep(10), { until: what })

/** A link that is watched seldom, so that its connections are those of operations. */
const linked = (server: Mongo.MongoServer) =>
  Effect.gen(function* () {
    const proxy = yield* Proxy.make(server, { protocol: "bytes" })
    return { proxy, url: Redacted.make(Mongo.watchedSeldom(proxy.url(yield* server.freshDatabase))) }
  })

it.effect("a server that is not there is a Connection error, and nothing was applied", () =>
  Effect.gen(function* () {
    const url = `mongodb://app:s3cr3t-pass@127.0.0.1:${yield* freePort}/app`
    const error = yield* Effect.flip(
      Effect.scoped(MongoStorage.make({ url: Redacted.make(url), operationTimeout: "1 second" }))
    )
    assert.deepInclude(error, { _tag: "StorageError", reason: "Connection", isRetryable: true, applied: "no" })
    assert.notInclude(
      JSON.stringify(error) + String(error) + String((error as { cause?: unknown }).cause),
      "s3cr3t-pass"
    )
  })
)

await describeServer("MongoStorage", Shared.mongo, (server) => {
  const fresh = Effect.map(server.freshDatabase, (url) => Redacted.make(url))

  it.live("a server without update pipelines is recognised, and said to be", () =>
    Effect.gen(function* () {
      const url = yield* fresh
      const { lines, value } = yield* logged(MongoStorage.make({ url, wakeUps: false }))
      assert.strictEqual(value.mode, "versioned")
      assert.strictEqual(lines.length, 1)
      assert.match(lines[0]!, /^Warning MongoStorage: this server cannot be trusted to run update pipelines/)
      const told = yield* logged(MongoStorage.make({ url, wakeUps: false, mode: "versioned" }))
      assert.deepStrictEqual(told.lines, [])
      const error = yield* Effect.flip(MongoStorage.make({ url, wakeUps: false, mode: "pipeline" }))
      assert.deepInclude(error, { _tag: "StorageError", reason: "Schema" })
      // The trial left nothing that would be taken for a lock.
      assert.strictEqual(yield* Stream.runCount(value.versioned.list), 0)
    })
  )

  it.live("commands ask for a majority, the primary and a time limit, whatever the program's client is set to", () =>
    Effect.gen(function* () {
      const url = Redacted.value(yield* fresh)
      const client = yield* Mongo.client(url, {
        monitorCommands: true,
        readPreference: "nearest",
        readConcern: { level: "available" },
        writeConcern: { w: 0 },
        retryWrites: true
      })
      const commands: Array<Record<string, any>> = []
      const { storage, versioned } = yield* MongoStorage.makeFromClient({
        client,
        database: client.options.dbName,
        mode: "versioned",
        wakeUps: false
      })
      client.on("commandStarted", ({ command }) => commands.push(command))
      const { holdId } = yield* claim(storage, "a", "me")
      assert.deepStrictEqual(
        commands.map((command) => Object.keys(command)[0]),
        ["find", "isMaster", "insert"]
      )
      yield* claim(storage, "a", "you")
      assert.strictEqual(commands.length, 5)
      yield* storage.renew([{ lockId: "a", holdId, lease: 40 * second }])
      yield* storage.release({ lockId: "a", holdId })
      const record = Option.getOrThrow(yield* versioned.get("a"))
      yield* versioned.delete("a", record.version)
      for (const command of commands) {
        assert.isAbove(command.maxTimeMS, 0)
        assert.isUndefined(command.txnNumber)
        assert.isUndefined(command.autocommit)
        const name = Object.keys(command)[0]!
        if (["insert", "update", "delete"].includes(name))
          assert.deepEqual(command.writeConcern, { w: "majority", j: true })
        if (name === "find") assert.deepEqual(command.readConcern, { level: "local" })
        assert.notInclude(["nearest", "secondary"], command.$readPreference?.mode)
      }
    })
  )

  it.live("64-bit integers are what is stored", () =>
    Effect.gen(function* () {
      const url = yield* fresh
      const { storage } = yield* MongoStorage.make({ url, mode: "versioned", wakeUps: false })
      yield* claim(storage, "a", "me")
      const client = yield* Mongo.client(Redacted.value(url), { promoteValues: false })
      const stored = yield* Effect.promise(() => client.db().collection("storage_lock").findOne({}))
      for (const field of ["token", "version", "began", "expires", "wake"])
        assert.strictEqual(stored![field]._bsontype, "Long", field)
    })
  )

  it.live("races of eight have one winner, always an answer, and never name anybody else", () =>
    Effect.gen(function* () {
      const { storage } = yield* MongoStorage.make({
        url: yield* fresh,
        poolSize: 8,
        mode: "versioned",
        wakeUps: false
      })
      for (let round = 0; round < 30; round++) {
        const contenders = Array.makeBy(8, (i) => `owner-${round}-${i}`)
        const results = yield* Effect.forEach(contenders, (owner) => claim(storage, "contended", owner), {
          concurrency: "unbounded"
        })
        const winners = results.filter(({ outcome }) => outcome._tag === "Claimed")
        assert.strictEqual(winners.length, 1)
        const owner = contenders[results.indexOf(winners[0]!)]!
        for (const { outcome } of results) {
          assert.strictEqual(outcome._tag === "Claimed" ? outcome.record.ownerId : outcome.holder?.ownerId, owner)
        }
        yield* storage.release({ lockId: "contended", holdId: winners[0]!.holdId })
      }
    })
  )

  it.live("many set it up at once, in a database that is not there yet", () =>
    Effect.gen(function* () {
      const url = yield* fresh
      const all = yield* Effect.forEach(
        Array.range(1, 6),
        () => MongoStorage.make({ url, wakeUps: false, mode: "versioned" }),
        { concurrency: "unbounded" }
      )
      const outcomes = yield* Effect.forEach(all, ({ storage }, i) => claim(storage, "a", `owner-${i}`), {
        concurrency: "unbounded"
      })
      assert.strictEqual(outcomes.filter(({ outcome }) => outcome._tag === "Claimed").length, 1)
    })
  )

  it.live("an id is never of two kinds at once, and comes back as exclusive", () =>
    Effect.gen(function* () {
      const { storage, versioned } = yield* MongoStorage.make({ url: yield* fresh, mode: "versioned", wakeUps: false })
      const now = yield* versioned.time!
      const record: LockRecord.LockRecord = {
        lockId: "a",
        kind: "permits",
        format: 1,
        ownerId: "me",
        holds: ["x", "y"],
        token: now,
        version: now,
        lockBeginTime: now,
        leaseExpireTime: now + 60 * second,
        data: `{"$set":"'é"}`
      }
      yield* versioned.create("a", now, record)
      assert.deepStrictEqual(Option.getOrThrow(yield* versioned.get("a")), record)
      assert.strictEqual((yield* Effect.flip(versioned.create("a", now, record)))._tag, "VersionMiss")
      const { outcome } = yield* claim(storage, "a", "me", "x")
      assert.isTrue(outcome._tag === "Held" && outcome.holder?.kind === "permits")
      yield* versioned.update("a", now, { ...record, version: now + 1, holds: [] })
      assert.strictEqual((yield* Effect.flip(versioned.update("a", now, record)))._tag, "VersionMiss")
      assert.strictEqual((yield* Effect.flip(versioned.delete("a", now)))._tag, "VersionMiss")
      const taken = yield* claim(storage, "a", "you")
      assert.isTrue(
        taken.outcome._tag === "Claimed" &&
          taken.outcome.record.kind === "exclusive" &&
          taken.outcome.record.token > now
      )
    })
  )

  it.live("a hung server ends in Timeout within the caller's limit, its connection is closed, and others come", () =>
    Effect.gen(function* () {
      const { proxy, url } = yield* linked(server)
      const { storage } = yield* MongoStorage.make({ url, mode: "versioned", wakeUps: false })
      yield* claim(storage, "a", "me")
      const before = proxy.connections()
      yield* proxy.hang(true)
      const error = yield* claim(storage, "b", "me").pipe(
        Effect.provideService(Storage.TimeLimit, "300 millis" as never),
        Effect.flip
      )
      assert.deepInclude(error, { reason: "Timeout", isRetryable: true, applied: "unknown" })
      yield* proxy.hang(false)
      yield* until(() => proxy.connections() < before)
      const { outcome } = yield* claim(storage, "b", "me")
      assert.strictEqual(outcome._tag, "Claimed")
    })
  )

  it.live("a broken connection is a Connection error of unknown effect, and the next operation has another", () =>
    Effect.gen(function* () {
      const { proxy, url } = yield* linked(server)
      const { storage } = yield* MongoStorage.make({ url, mode: "versioned", wakeUps: false })
      yield* proxy.dropNextReply
      const error = yield* Effect.flip(storage.get("a"))
      assert.deepInclude(error, { reason: "Connection", isRetryable: true, applied: "unknown" })
      assert.isTrue(Option.isNone(yield* storage.get("a").pipe(Effect.retry({ times: 3 }))))
    })
  )

  it.live("when the layer closes, its connections do, and operations end in Closed", () =>
    Effect.gen(function* () {
      const { proxy, url } = yield* linked(server)
      const scope = yield* Scope.make()
      const { storage } = yield* Scope.provide(MongoStorage.make({ url, mode: "versioned" }), scope)
      yield* claim(storage, "a", "me")
      assert.isAbove(proxy.connections(), 0)
      yield* Scope.close(scope, Exit.void)
      yield* until(() => proxy.connections() === 0)
      assert.deepInclude(yield* Effect.flip(storage.get("a")), { reason: "Closed", isRetryable: false, applied: "no" })
      assert.strictEqual(proxy.connections(), 0)
    })
  )

  it.live("the layer closes in time though the server hangs", () =>
    Effect.gen(function* () {
      const { proxy, url } = yield* linked(server)
      const scope = yield* Scope.make()
      const { storage } = yield* Scope.provide(MongoStorage.make({ url, mode: "versioned", wakeUps: false }), scope)
      yield* claim(storage, "a", "me")
      yield* proxy.hang(true)
      const pending = yield* Effect.forkChild(Effect.flip(storage.get("a")))
      yield* Effect.sleep(50)
      yield* Effect.timeout(Scope.close(scope, Exit.void), "4 minutes")
      const error = yield* Fiber.join(pending)
      assert.include(["Closed", "Timeout"], error.reason)
    })
  )

  it.live("the program's client stays open", () =>
    Effect.gen(function* () {
      const client = yield* Mongo.client(Redacted.value(yield* fresh))
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { storage } = yield* MongoStorage.makeFromClient({
            client,
            database: client.options.dbName,
            mode: "versioned"
          })
          yield* claim(storage, "a", "me")
        })
      )
      assert.strictEqual(yield* Effect.promise(() => client.db().collection("storage_lock").countDocuments()), 1)
    })
  )

  const child = program.bundled(new URL("./child.ts", import.meta.url))
  it.live("processes hand a lock over to each other, and nothing that is done under it is lost", () =>
    Effect.gen(function* () {
      const url = Redacted.value(yield* fresh)
      const run = Effect.promise(async () => {
        const started = spawn(process.execPath, [child(), url, "15"], { stdio: ["ignore", "inherit", "inherit"] })
        return (await once(started, "close"))[0] as number
      })
      assert.deepStrictEqual(yield* Effect.all([run, run, run], { concurrency: "unbounded" }), [0, 0, 0])
      const client = yield* Mongo.client(url)
      const counter = yield* Effect.promise(() => client.db().collection("counters").findOne())
      assert.strictEqual(counter!.value, 45)
    })
  )

  it.live(
    "who holds a lock on a server that hangs is told before its lease ends, and another process has it afterwards",
    () =>
      Effect.gen(function* () {
        const { proxy, url } = yield* linked(server)
        const storage = (url: Redacted.Redacted) => MongoStorage.make({ url, mode: "versioned", wakeUps: false })
        const direct = Redacted.make(Mongo.withDatabase(server.url, /\/(\w+)\?/.exec(Redacted.value(url))![1]!))
        const one = yield* Process.make((yield* storage(url)).storage, { leaseExpireAfter: "2 seconds" })
        const other = yield* Process.make((yield* storage(direct)).storage, { leaseExpireAfter: "2 seconds" })
        const lock = yield* one.locks.acquire("a", "one")
        yield* proxy.hang(true)
        const waiting = yield* Effect.forkChild(other.locks.acquire("a", "other"))
        const lost = yield* Effect.flip(lock.lost)
        assert.strictEqual(lost.reason, "Expired")
        assert.isUndefined(fibers.exitOf(waiting))
        const next = yield* Fiber.join(waiting)
        assert.isAbove(next.token, lock.token)
        yield* proxy.hang(false)
      })
  )

  it.live("where there are no change streams nobody is woken, and it is said once", () =>
    Effect.gen(function* () {
      const heard: Array<string> = []
      const { lines } = yield* logged(
        Effect.gen(function* () {
          const { storage } = yield* MongoStorage.make({ url: yield* fresh, mode: "versioned" })
          yield* storage.wakeUps.pipe(
            Stream.runForEach((hint) => Effect.sync(() => heard.push(hint))),
            Effect.forkScoped
          )
          yield* Effect.sleep(800)
        })
      )
      assert.deepStrictEqual(heard, [])
      assert.strictEqual(lines.length, 1)
      assert.match(lines[0]!, /waiters poll/)
    })
  )
})

// It tells changes other than MongoDB does, so what a change means is shown in `mongoPipelines.test.ts`; here it is the life of the stream.
await describeServer("MongoStorage with change streams", Mongo.withChangeStreams, (server) => {
  it.live(
    'the change stream opens at the first wait, heals itself, says "all" after a gap, and ends with the layer',
    () =>
      Effect.gen(function* () {
        const { proxy, url } = yield* linked(server)
        const heard: Array<string> = []
        const scope = yield* Scope.make()
        const { storage } = yield* Scope.provide(MongoStorage.make({ url, mode: "versioned" }), scope)
        yield* claim(storage, "a", "me")
        const idle = proxy.connections()
        const listening = yield* storage.wakeUps.pipe(
          Stream.runForEach((hint) => Effect.sync(() => heard.push(hint))),
          Effect.forkDetach
        )
        yield* until(() => heard.length === 1)
        assert.isAtLeast(proxy.connections(), idle)
        // With the server there, the driver resumes; with the server away, the stream is opened again.
        yield* proxy.cut
        yield* until(() => heard.length >= 2)
        const seen = heard.length
        yield* proxy.refuse(true)
        yield* proxy.cut
        yield* Effect.sleep(300)
        yield* proxy.refuse(false)
        yield* until(() => heard.length > seen)
        assert.deepStrictEqual([...new Set(heard)], ["all"])
        yield* Scope.close(scope, Exit.void)
        yield* until(() => proxy.connections() === 0)
        yield* Effect.sync(() => fibers.interrupt(listening))
      })
  )

  it.live("waiters are woken after the server was away", () =>
    Effect.gen(function* () {
      const heard: Array<string> = []
      const { lines } = yield* logged(
        Effect.gen(function* () {
          const { storage } = yield* MongoStorage.make({
            url: yield* Effect.map(server.freshDatabase, (url) => Redacted.make(url)),
            mode: "versioned"
          })
          yield* claim(storage, "a", "me")
          yield* storage.wakeUps.pipe(
            Stream.runForEach((hint) => Effect.sync(() => heard.push(hint))),
            Effect.forkScoped
          )
          yield* until(() => heard.length === 1)
          yield* server.kill
          yield* Effect.sleep(200)
          yield* server.start
          // This one has no log of changes before the first.
          yield* server.admin((db) => db.collection("x").insertOne({}))
          yield* until(() => heard.length >= 2)
        })
      )
      assert.deepStrictEqual([...new Set(heard)], ["all"])
      assert.isAtMost(lines.length, 1)
    })
  )
})
