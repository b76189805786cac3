/** What a connection must be before it serves, what a server refuses, forgets or half allows, and drivers that give up. */
import { assert, it } from "#harness/vitest"
import * as Cause from "#effect/Cause"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Option from "#effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "#effect/Schedule"
import * as Stream from "#effect/Stream"
import * as logs from "#harness/logs"
import { Redis as Client, type RedisOptions } from "ioredis"
import { randomBytes } from "node:crypto"
import * as Fs from "node:fs"
import * as Net from "node:net"
import { inspect } from "node:util"
import * as RedisStorage from "../../src/backends/redis/RedisStorage.js"
import { rights } from "../../src/backends/redis/errors.js"
import type { StorageError } from "../../src/LockError.js"
import type * as Storage from "../../src/Storage.js"
import * as Proxy from "../harness/proxy.js"
import * as Redis from "../harness/redis.js"
import { describeServer, freePort } from "../harness/server.js"
import * as Process from "../support/process.js"

const hold = () => randomBytes(16).toString("base64url")
const second = 1_000_000

const claim = (storage: Storage.Service, lockId: string, ownerId = "me", holdId = hold(), lease = 30 * second) =>
  Effect.map(storage.claim({ lockId, ownerId, holdId, lease }), (outcome) => ({ outcome, holdId }))

const eventually = <A, E, R>(self: Effect.Effect<A, E, R>, holds: (a: A) => boolean) =>
  Effect.repeat(self, { until: holds, schedule: Schedule.spaced("20 millis") }).pipe(Effect.timeout("4 minutes"))

/** Collects what is logged as a warning while it is used. */
const listeningToWarnings = () => {
  const said: Array<string> = []
  const logger = logs.to(({ level, message }) => {
    if (level === "Warning") said.push(message)
  })
  return { said, heard: logger }
}

const refusal = (made: Effect.Effect<unknown, unknown, any>) =>
  Effect.map(
    Effect.flip(Effect.scoped(made as Effect.Effect<unknown, StorageError>)),
    ({ _tag, applied, isRetryable, message, reason }) => ({ _tag, reason, isRetryable, applied, message })
  )

const client = (url: string, options: RedisOptions = {}) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const client = new Client(url, options)
      client.on("error", () => {})
      return client
    }),
    (client) => Effect.sync(() => client.disconnect())
  )

/** The line of the documentation, as an operator copies it. */
const documented = (user: string, prefix: string): ReadonlyArray<string> => {
  const line = /^ACL SETUSER app .*$/m.exec(Fs.readFileSync("docs/storages/redis.md", "utf8"))![0]
  return line
    .replace(/storage-lock:/g, prefix)
    .split(" ")
    .slice(3)
    .reduce<Array<string>>((all, rule) => [...all, rule], [user])
}

const userOf = (server: Redis.RedisServer, ...rules: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const user = `u${randomBytes(5).toString("hex")}`
    const set = (...rules: ReadonlyArray<string>) => server.admin("ACL", "SETUSER", user, ...rules)
    yield* Effect.acquireRelease(set(...rules), () => server.admin("ACL", "DELUSER", user))
    const url = (password: string, db = "") =>
      Redacted.make(`redis://${user}:${password}@${server.host}:${server.port}${db}`)
    return { user, set, url }
  })

await describeServer("a connection to Redis", Redis.own, (server) => {
  const keys = (db: number, prefix: string) =>
    Effect.gen(function* () {
      const plain = yield* client(`${server.url}/${db}`)
      return (yield* Effect.promise(() => plain.keys(`${prefix}*`))).map((key) => key.slice(prefix.length)).sort()
    }).pipe(Effect.scoped)
  const kill = (user: string) => server.admin("CLIENT", "KILL", "USER", user)

  it("the rights that the documentation and the errors name are the same", () => {
    const line = documented("app", "storage-lock:").join(" ")
    assert.strictEqual(line, `app on >password ~storage-lock:* &storage-lock:* ${rights}`)
  })

  it.live("with the documented rights, word for word, and a database in the URL, everything works there", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const [user, ...rules] = documented(`d${randomBytes(5).toString("hex")}`, prefix)
      yield* Effect.acquireRelease(server.admin("ACL", "SETUSER", user!, ...rules), () =>
        server.admin("ACL", "DELUSER", user!)
      )
      const url = Redacted.make(`redis://${user}:password@${server.host}:${server.port}/3`)
      const { storage, versioned } = yield* RedisStorage.make({ url, prefix })
      const heard: Array<string> = []
      yield* storage.wakeUps.pipe(
        Stream.runForEach((hint) => Effect.sync(() => heard.push(hint))),
        Effect.forkScoped
      )
      yield* eventually(
        Effect.sync(() => heard.length),
        (length) => length === 1
      )
      const one = yield* claim(storage, "a")
      const two = yield* claim(storage, "b")
      assert.strictEqual(
        (yield* storage.renew([{ lockId: "a", holdId: one.holdId, lease: second }]))[0]!._tag,
        "Renewed"
      )
      assert.isTrue(Option.isSome(yield* storage.get("a")))
      assert.strictEqual((yield* Stream.runCollect(storage.list)).length, 2)
      assert.deepStrictEqual(yield* storage.release({ lockId: "a", holdId: one.holdId }), {
        _tag: "Released",
        remaining: 0
      })
      const token = two.outcome._tag === "Claimed" ? two.outcome.record.token : 0
      assert.strictEqual((yield* storage.revoke({ lockId: "b", token, when: "now" }))._tag, "Revoked")
      yield* eventually(
        Effect.sync(() => heard.join()),
        (all) => all === "all,a,b"
      )
      yield* storage.purge(0)
      const record = Option.getOrThrow(yield* versioned.get("a"))
      yield* versioned.update("a", record.version, { ...record, version: record.version + 1 })
      yield* versioned.delete("a", record.version + 1)
      // The other process, with all rights, is in the same database.
      const other = yield* RedisStorage.make({ url: Redacted.make(`${server.url}/3`), prefix })
      yield* claim(storage, "nightly-report")
      assert.strictEqual((yield* claim(other.storage, "nightly-report", "you")).outcome._tag, "Held")
      assert.deepStrictEqual(yield* keys(3, prefix), ["b", "nightly-report"])
      assert.deepStrictEqual(yield* keys(0, prefix), [])
    })
  )

  it.live("a database that the server refuses is an error before the first claim, and no lock is in another one", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const { set, url, user } = yield* userOf(server, "on", ">s3", "+@all", "~*", "&*")
      assert.deepInclude(yield* refusal(RedisStorage.make({ url: Redacted.make(`${server.url}/99`), prefix })), {
        reason: "Schema",
        isRetryable: false,
        applied: "no"
      })
      const theirs = yield* client(server.url)
      yield* Effect.promise(() => theirs.select(99).catch(() => {}))
      assert.deepInclude(yield* refusal(RedisStorage.makeFromClient({ client: theirs, prefix })), {
        reason: "Schema",
        isRetryable: false,
        applied: "no"
      })

      const { storage } = yield* RedisStorage.make({ url: url("s3", "/3"), prefix, operationTimeout: "2 seconds" })
      yield* claim(storage, "a")
      yield* set("-select")
      assert.deepInclude(yield* refusal(RedisStorage.make({ url: url("s3", "/3"), prefix })), {
        reason: "Permission",
        isRetryable: false,
        applied: "no"
      })
      // The same on a connection that comes back.
      yield* kill(user)
      const error = yield* refusal(Effect.repeat(claim(storage, "b"), { times: 2 }))
      assert.strictEqual(error.applied === "no" || error.reason === "Connection", true)
      assert.deepInclude(yield* refusal(claim(storage, "b")), {
        reason: "Permission",
        isRetryable: false,
        applied: "no"
      })
      yield* set("+select")
      yield* eventually(Effect.option(claim(storage, "b")), Option.isSome)
      assert.deepStrictEqual(yield* keys(3, prefix), ["a", "b"])
      for (const db of [0, 9]) assert.deepStrictEqual(yield* keys(db, prefix), [])
    })
  )

  it.live("a client of the program is followed to the database in which it is", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const theirs = yield* client(`${server.url}/2`)
      yield* Effect.promise(() => theirs.select(5))
      const { storage } = yield* RedisStorage.makeFromClient({ client: theirs, prefix })
      yield* claim(storage, "a")
      assert.deepStrictEqual(yield* keys(5, prefix), ["a"])
      // And stays there: two processes that move at different times would have a lock each.
      yield* Effect.promise(() => theirs.select(6))
      yield* server.admin("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
      yield* Effect.retry(claim(storage, "b"), { times: 2 })
      assert.deepStrictEqual(yield* keys(5, prefix), ["a", "b"])
      for (const db of [0, 2, 6]) assert.deepStrictEqual(yield* keys(db, prefix), [])
    })
  )

  it.live("what gives a password is asked for each connection, and the program's client for its present one", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const { set, url, user } = yield* userOf(server, "on", ">token-1", "+@all", "~*", "&*")
      let token = "token-1"
      const theirs = yield* client(server.url, { username: user, password: token })
      const address = Redacted.make(`redis://${user}@${server.host}:${server.port}`)
      const storages = (yield* Effect.all([
        RedisStorage.make({ url: Effect.sync(() => url(token)), prefix }),
        RedisStorage.make({ url: () => url(token), prefix }),
        RedisStorage.make({ url: address, password: () => Promise.resolve(Redacted.make(token)), prefix }),
        RedisStorage.make({
          redis: () => ({ host: server.host, port: server.port, username: user, password: token }),
          prefix
        }),
        RedisStorage.makeFromClient({ client: theirs, prefix })
      ])).map(({ storage }) => storage)
      const heard: Array<string> = []
      for (const storage of storages)
        yield* storage.wakeUps.pipe(
          Stream.runForEach((hint) => Effect.sync(() => heard.push(hint))),
          Effect.forkScoped
        )
      yield* eventually(
        Effect.sync(() => heard.length),
        (length) => length === storages.length
      )
      const { holdId } = yield* claim(storages[0]!, "a")
      yield* set("resetpass", ">token-2")
      token = "token-2"
      theirs.options.password = token
      yield* kill(user)
      for (const storage of storages) {
        const renewed = yield* Effect.retry(storage.renew([{ lockId: "a", holdId, lease: 30 * second }]), { times: 1 })
        assert.strictEqual(renewed[0]!._tag, "Renewed")
      }
      // Listeners as well.
      yield* eventually(
        Effect.sync(() => heard.length),
        (length) => length === 2 * storages.length
      )
      // One that still tells the old one is refused, and told so; nothing of it is shown.
      token = "token-old-secret"
      yield* kill(user)
      const late = yield* Effect.flip(Effect.repeat(storages[0]!.get("a"), { times: 3 }))
      assert.isFalse(inspect(late, { depth: 9 }).includes("secret"))
      assert.deepInclude(yield* refusal(storages[0]!.get("a")), {
        reason: "Permission",
        isRetryable: true,
        applied: "no"
      })
      assert.deepInclude(yield* refusal(RedisStorage.make({ url: url("token-old-secret"), prefix })), {
        reason: "Permission",
        isRetryable: false,
        applied: "no"
      })
      token = "token-2"
      yield* eventually(Effect.option(storages[0]!.get("a")), Option.isSome)
    })
  )

  it.live("a password that cannot be had, or that is nonsense, is worth another try", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const options: ReadonlyArray<RedisStorage.Options> = [
        { url: Effect.fail(new Error("the vault is sealed")) },
        { url: () => Promise.reject(new Error("the vault is sealed")) },
        {
          url: () => {
            throw new Error("the vault is sealed")
          }
        },
        { url: Effect.die("the vault is sealed") },
        { url: () => "redis://me:s3cret@h" as any },
        { url: () => Redacted.make("redis://me:s3cret@h/name") },
        { url: Redacted.make(server.url), password: () => 7 as any },
        { url: Effect.never, operationTimeout: "100 millis" }
      ]
      for (const option of options) {
        const error = yield* Effect.flip(Effect.scoped(RedisStorage.make({ ...option, prefix })))
        assert.deepInclude(error, { _tag: "StorageError", reason: "Connection", isRetryable: true, applied: "no" })
        assert.notMatch(inspect(error, { depth: 9 }), /s3cret/)
      }
      // The keys of a layer stay where they are.
      let db = 3
      const { storage } = yield* RedisStorage.make({ url: () => Redacted.make(`${server.url}/${db}`), prefix })
      yield* claim(storage, "a")
      db = 4
      yield* server.admin("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
      const error = yield* refusal(
        Effect.repeat(
          Effect.catchIf(
            claim(storage, "b"),
            ({ message }) => !message.includes("asked to go"),
            () => Effect.void
          ),
          { times: 50 }
        )
      )
      assert.match(error.message, /in database 3, and a new connection is now asked to go to 4/)
      db = 3
      yield* eventually(Effect.option(claim(storage, "b")), Option.isSome)
      assert.deepStrictEqual([yield* keys(3, prefix), yield* keys(4, prefix)], [["a", "b"], []])
    })
  )

  it.live("a driver that gives up is not the layer's end, whatever its options say", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const proxy = yield* Proxy.make(server, { protocol: "bytes" })
      const theirs = yield* client(proxy.url(server.url), {
        retryStrategy: () => null,
        reconnectOnError: () => 2,
        maxRetriesPerRequest: 0
      })
      const storages = (yield* Effect.all([
        RedisStorage.make({
          url: Redacted.make(proxy.url(server.url)),
          redis: {
            retryStrategy: () => null,
            reconnectOnError: () => 2,
            enableOfflineQueue: true,
            autoResendUnfulfilledCommands: true,
            enableAutoPipelining: true,
            lazyConnect: false,
            enableReadyCheck: true
          },
          prefix
        }),
        RedisStorage.makeFromClient({ client: theirs, prefix })
      ])).map(({ storage }) => storage)
      for (const storage of storages) yield* claim(storage, "a")
      yield* proxy.refuse(true)
      yield* proxy.cut
      for (const storage of storages) {
        for (let i = 0; i < 3; i++) assert.deepInclude(yield* refusal(storage.get("a")), { isRetryable: true })
      }
      yield* proxy.refuse(false)
      for (const storage of storages) {
        yield* Effect.retry(claim(storage, "a"), { times: 2 })
        yield* claim(storage, "a")
      }
    })
  )

  it.live("hints that are refused harm nothing, are warned of once, and come back by themselves", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const { set, url, user } = yield* userOf(server, "on", ">s3", "+@all", "~*", "&*", "-publish", "-subscribe")
      const { heard: warnings, said } = listeningToWarnings()
      yield* Effect.gen(function* () {
        const { storage, versioned } = yield* RedisStorage.make({ url: url("s3"), prefix })
        const heard: Array<string> = []
        yield* storage.wakeUps.pipe(
          Stream.runForEach((hint) => Effect.sync(() => heard.push(hint))),
          Effect.forkScoped
        )
        for (let i = 0; i < 5; i++) {
          const { holdId } = yield* claim(storage, "a")
          assert.deepStrictEqual(yield* storage.release({ lockId: "a", holdId }), { _tag: "Released", remaining: 0 })
        }
        const { outcome } = yield* claim(storage, "b")
        const token = outcome._tag === "Claimed" ? outcome.record.token : 0
        assert.strictEqual((yield* storage.revoke({ lockId: "b", token, when: "now" }))._tag, "Revoked")
        yield* claim(storage, "c")
        const record = Option.getOrThrow(yield* versioned.get("c"))
        yield* versioned.update("c", record.version, { ...record, holds: [], version: record.version + 1 })
        assert.isTrue(Option.isNone(yield* storage.get("c")))
        yield* eventually(
          Effect.sync(() => said.length),
          (length) => length >= 2
        )
        assert.deepStrictEqual(said.map((text) => /cannot be published|no wake-ups for now/.exec(text)?.[0]).sort(), [
          "cannot be published",
          "no wake-ups for now"
        ])
        for (const text of said) assert.match(text, /\+subscribe|\+publish/)
        yield* set("+publish", "+subscribe")
        yield* eventually(
          Effect.sync(() => heard.length),
          (length) => length === 1
        )
        const { holdId } = yield* claim(storage, "d")
        yield* storage.release({ lockId: "d", holdId })
        yield* eventually(
          Effect.sync(() => heard.join()),
          (all) => all === "all,d"
        )
        assert.strictEqual(said.length, 2)
        // And again, once more.
        yield* set("-publish")
        yield* claim(storage, "e").pipe(
          Effect.flatMap(({ holdId }) => storage.release({ lockId: "e", holdId })),
          Effect.repeat({ times: 3 })
        )
        yield* eventually(
          Effect.sync(() => said.length),
          (length) => length === 3
        )
        assert.isTrue((yield* server.admin("CLIENT", "LIST")).includes(`user=${user}`))
      }).pipe(Effect.provide(warnings))
    })
  )

  it.live("a lock that the server has forgotten is lost as vanished, and so is one of an older state", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const { storage } = yield* RedisStorage.make({ url: Redacted.make(server.url), prefix })
      const { locks } = yield* Process.make(storage, {
        leaseExpireAfter: "6 seconds",
        leaseRefreshInterval: "200 millis"
      })
      const flushed = yield* locks.acquire("a", "me")
      yield* server.admin("FLUSHALL")
      assert.strictEqual((yield* Effect.flip(flushed.lost)).reason, "Vanished")
      // A backup of before this hold.
      const before = yield* locks.acquire("b", "me")
      const plain = yield* client(server.url)
      const dump = yield* Effect.promise(() => plain.dumpBuffer(`${prefix}b`))
      yield* before.release
      const lock = yield* locks.acquire("b", "you")
      yield* Effect.promise(() => plain.restore(`${prefix}b`, 0, dump, "REPLACE"))
      assert.strictEqual((yield* Effect.flip(lock.lost)).reason, "Vanished")
    })
  )

  it.live("tokens and versions grow over a clock that steps back", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const { storage, versioned } = yield* RedisStorage.make({ url: Redacted.make(server.url), prefix })
      const now = yield* versioned.time!
      const future = now + 3600 * second
      for (const [lockId, holds, leaseExpireTime] of [
        ["free", [], future],
        ["expired", ["h"], now - second]
      ] as const) {
        yield* versioned.create(lockId, future, {
          lockId,
          kind: "exclusive",
          format: 1,
          ownerId: "me",
          holds,
          token: future,
          version: future,
          lockBeginTime: future,
          leaseExpireTime,
          data: ""
        })
        let token = future
        for (let i = 0; i < 3; i++) {
          const { holdId, outcome } = yield* claim(storage, lockId, `owner-${i}`)
          assert(outcome._tag === "Claimed")
          assert.isAbove(outcome.record.token, token)
          assert.isAbove(outcome.record.version, future)
          token = outcome.record.token
          assert.isAtLeast(outcome.validFor, 29 * second)
          yield* storage.release({ lockId, holdId })
        }
      }
    })
  )

  it.live("Sentinels that are away for long cost no listeners, and are found again", () =>
    Effect.gen(function* () {
      const warned: Array<string> = []
      const hear = (warning: Error) => void warned.push(warning.name)
      process.on("warning", hear)
      yield* Effect.addFinalizer(() => Effect.sync(() => process.off("warning", hear)))
      const port = yield* freePort
      const options: RedisStorage.Options = {
        redis: { sentinels: [{ host: "127.0.0.1", port }], name: "locks", sentinelRetryStrategy: () => 1 },
        prefix: yield* server.freshPrefix,
        operationTimeout: "1 second"
      }
      const error = yield* refusal(RedisStorage.make(options))
      assert.deepInclude(error, { reason: "Connection", isRetryable: true, applied: "no" })
      assert.match(error.message, /no Sentinel answers/)
      // One that knows where the master is.
      const open = new Set<Net.Socket>()
      const sentinel = Net.createServer((socket) => {
        open.add(socket)
        socket.on("error", () => {})
        socket.on("data", (data) => {
          const text = String(data)
          for (const part of text.split(/\*\d+\r\n/).slice(1)) {
            socket.write(
              /get-master/.test(part)
                ? `*2\r\n$9\r\n127.0.0.1\r\n$${String(server.port).length}\r\n${server.port}\r\n`
                : /sentinels/.test(part)
                  ? "*0\r\n"
                  : "+OK\r\n"
            )
          }
        })
      })
      const listen = Effect.callback<void>(
        (resume) => void sentinel.listen(port, "127.0.0.1", () => resume(Effect.void))
      )
      const close = Effect.sync(() => {
        sentinel.close()
        open.forEach((socket) => socket.destroy())
      })
      yield* listen
      yield* Effect.addFinalizer(() => close)
      const { storage } = yield* RedisStorage.make(options)
      yield* claim(storage, "a")
      yield* close
      yield* server.admin("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
      yield* Effect.repeat(Effect.option(storage.get("a")), { times: 30 })
      yield* listen
      yield* eventually(Effect.option(storage.get("a")), Option.isSome)
      assert.deepStrictEqual(warned, [])
    })
  )

  it.live("options that would be passed over are refused by name, before any I/O", () =>
    Effect.gen(function* () {
      const url = Redacted.make("redis://me:s3cret@h:1/3")
      const cases: ReadonlyArray<readonly [RedisStorage.Options, string, RegExp]> = [
        [{ url, redis: { db: 5 } }, "redis.db", /another one/],
        [{ url, redis: { host: "other" } }, "redis.host", /another one/],
        [{ url, redis: { port: 2 } }, "redis.port", /another one/],
        [{ url, redis: { path: "/run/redis.sock" } }, "redis.path", /another one/],
        [{ url, redis: { sentinels: [{ host: "s" }], name: "m" } }, "redis.sentinels", /another one/],
        [{ url, redis: { username: "you" } }, "redis.username", /another one/],
        [{ url, redis: { password: "other-s3cret" } }, "redis.password", /another one/],
        [{ url, redis: { role: "slave" } }, "redis.role", /master/],
        [{ url, redis: { readOnly: true } }, "redis.readOnly", /left out/],
        [{ url, redis: { monitor: true } }, "redis.monitor", /left out/],
        [{ url, redis: { keyPrefix: 7 as any } }, "redis.keyPrefix", /a string/],
        [{ redis: { host: "h", db: -1 } }, "redis.db", /number of a database/],
        [{ redis: { sentinels: [] } }, "redis.sentinels", /Sentinels/],
        [{ redis: { sentinels: [{ host: "s" }] } }, "redis.sentinels", /`name`/],
        [{ url, password: "s3cret" as any }, "password", /Redacted/],
        [{ url: Redacted.make("redis://me:s3cret@h/0?db=5") }, "url", /parameter db/],
        [{ url: Redacted.make("redis://me:s3cret@h/0?ssl=true&family=6") }, "url", /rediss:.*parameter ssl, family/],
        [{ url: Redacted.make("redis://h?sslmode=require") }, "url", /rediss:.*parameter sslmode/],
        [{ url: Redacted.make("redis://h?"), redis: {} }, "url", /parameters/],
        [{ url: () => url, redis: { role: "slave" } }, "redis.role", /master/]
      ]
      for (const [options, field, message] of cases) {
        const error = yield* Effect.flip(Effect.scoped(RedisStorage.make(options)))
        assert.deepInclude(error, { _tag: "InvalidOptions", field }, inspect(options))
        assert.match(error.message, message)
        assert.notMatch(inspect(error, { depth: 9 }), /s3cret/)
      }
    })
  )
})

const kinds: ReadonlyArray<Redis.Release> = ["Redis 6", "Redis", "Redis 8", "Valkey"]
for (const release of kinds) {
  await describeServer(
    `a ${release} that is full`,
    Redis.start(release, ["--maxmemory-policy", "noeviction"]),
    (server) => {
      it.live("keeps and frees what is held, and gives nothing new", () =>
        Effect.gen(function* () {
          const prefix = yield* server.freshPrefix
          const { storage, versioned } = yield* RedisStorage.make({ url: Redacted.make(server.url), prefix })
          const held = yield* Effect.forEach(["a", "b", "c", "d"], (lockId) => claim(storage, lockId))
          const record = (lockId: string) => Effect.map(versioned.get(lockId), Option.getOrThrow)
          yield* Effect.acquireUseRelease(
            server.admin("CONFIG", "SET", "maxmemory", 1),
            () =>
              Effect.gen(function* () {
                assert.deepInclude(yield* refusal(claim(storage, "new")), {
                  reason: "Unknown",
                  isRetryable: true,
                  applied: "no"
                })
                const renewed = yield* storage.renew(
                  ["a", "b", "c"].map((lockId, i) => ({ lockId, holdId: held[i]!.holdId, lease: 60 * second }))
                )
                assert.deepStrictEqual(
                  renewed.map(({ _tag }) => _tag),
                  ["Renewed", "Renewed", "Renewed"]
                )
                assert.deepStrictEqual(yield* storage.release({ lockId: "a", holdId: held[0]!.holdId }), {
                  _tag: "Released",
                  remaining: 0
                })
                const { token } = yield* record("b")
                assert.strictEqual((yield* storage.revoke({ lockId: "b", token, when: "leaseEnd" }))._tag, "Revoked")
                assert.strictEqual((yield* storage.revoke({ lockId: "b", token, when: "now" }))._tag, "Revoked")
                const kept = yield* record("c")
                yield* versioned.update("c", kept.version, {
                  ...kept,
                  version: kept.version + 1,
                  leaseExpireTime: kept.leaseExpireTime + 1
                })
                const freed = yield* record("d")
                yield* versioned.update("d", freed.version, { ...freed, version: freed.version + 1, holds: [] })
                assert.deepStrictEqual(
                  Array.from(yield* Stream.runCollect(storage.list), ({ record }) => record.lockId),
                  ["c"]
                )
                // From a lost reply on, too: the script is not known there any more.
                yield* server.admin("SCRIPT", "FLUSH")
                assert.deepStrictEqual(yield* storage.release({ lockId: "c", holdId: held[2]!.holdId }), {
                  _tag: "Released",
                  remaining: 0
                })
              }),
            () => server.admin("CONFIG", "SET", "maxmemory", 0)
          )
          assert.strictEqual((yield* claim(storage, "new")).outcome._tag, "Claimed")
          assert.strictEqual(yield* server.admin("TTL", `${prefix}a`), -1)
        })
      )
    },
    { optional: release === "Redis 6" }
  )
}

const renamed = [
  "EVAL",
  "EVALSHA",
  "TIME",
  "SELECT",
  "HSET",
  "AUTH",
  "CLIENT",
  "PUBLISH",
  "SUBSCRIBE",
  "CONFIG",
  "ROLE"
] as const
await describeServer(
  "a Redis whose commands have other names",
  Effect.all(
    Object.fromEntries(
      renamed.map((name) => [
        name,
        Redis.start(
          "Redis",
          ["--rename-command", name, `my-${name}`, "--requirepass", name === "AUTH" ? "" : "pa55word"],
          (port) => `redis://:${name === "AUTH" ? "" : "pa55word"}@127.0.0.1:${port}`
        )
      ])
    ) as Record<(typeof renamed)[number], ReturnType<typeof Redis.start>>,
    { concurrency: 2 }
  ),
  (servers) => {
    const withName = (name: (typeof renamed)[number]) => {
      const { host, port } = servers[name]
      return RedisStorage.make({ url: Redacted.make(`redis://:pa55word@${host}:${port}/1`) })
    }
    for (const name of ["EVAL", "EVALSHA", "TIME", "SELECT", "HSET", "AUTH"] as const) {
      it.live(`${name}: a refusal that says so, without the text of scripts and passwords`, () =>
        Effect.gen(function* () {
          const tried = Effect.flatMap(withName(name), ({ storage }) => claim(storage, "a"))
          const error = yield* Effect.flip(tried)
          assert.deepInclude(error, { _tag: "StorageError", reason: "Permission", isRetryable: false, applied: "no" })
          assert.match(error.message, /rename-command|does not take this user or password/)
          assert.isBelow(error.message.length, 600)
          assert.notMatch(inspect(error, { depth: 9, showHidden: true }), /pa55word|redis\.call/)
        })
      )
    }
    it.live("what only helps may be missing", () =>
      Effect.gen(function* () {
        for (const name of ["CLIENT", "PUBLISH", "SUBSCRIBE", "CONFIG", "ROLE"] as const) {
          const { storage } = yield* withName(name)
          yield* storage.wakeUps.pipe(Stream.runDrain, Effect.forkScoped)
          const { holdId } = yield* claim(storage, "a")
          assert.deepStrictEqual(yield* storage.release({ lockId: "a", holdId }), { _tag: "Released", remaining: 0 })
        }
      })
    )
  }
)

const two = Effect.gen(function* () {
  const [first, second] = yield* Effect.all([Redis.own, Redis.own], { concurrency: 2 })
  return { first, second }
})

await describeServer("a name that leads to another Redis", two, ({ first, second: other }) => {
  it.live(
    "the first try after a failover succeeds, whatever the former master says, and what it had not is vanished",
    () =>
      Effect.gen(function* () {
        let target = first.port
        const open = new Set<Net.Socket>()
        const name = yield* Effect.acquireRelease(
          Effect.callback<Net.Server>((resume) => {
            const server = Net.createServer((socket) => {
              const to = Net.connect(target, "127.0.0.1")
              open.add(socket)
              for (const end of [socket, to]) end.on("error", () => {})
              socket.pipe(to).pipe(socket)
            })
            server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
          }),
          (server) =>
            Effect.sync(() => {
              server.close()
              open.forEach((socket) => socket.destroy())
            })
        )
        const { storage } = yield* RedisStorage.make({
          url: Redacted.make(`redis://127.0.0.1:${(name.address() as Net.AddressInfo).port}`)
        })
        const before = yield* claim(storage, "a")
        yield* first.admin("REPLICAOF", other.host, other.port)
        target = other.port
        // READONLY of the old one: the very same call goes to the new one.
        assert.strictEqual((yield* claim(storage, "b")).outcome._tag, "Claimed")
        assert.deepStrictEqual(yield* storage.renew([{ lockId: "a", holdId: before.holdId, lease: second }]), [
          { _tag: "NotHeld" }
        ])
        yield* first.admin("REPLICAOF", "NO", "ONE")
        // NOREPLICAS of one that is cut off.
        yield* other.admin("CONFIG", "SET", "min-replicas-to-write", 1)
        target = first.port
        const kept = yield* claim(storage, "c")
        assert.strictEqual(kept.outcome._tag, "Claimed")
        // There still, it is told as it is.
        target = other.port
        yield* first.admin("CONFIG", "SET", "min-replicas-to-write", 1)
        assert.deepInclude(yield* refusal(claim(storage, "d")), { reason: "Unknown", isRetryable: true, applied: "no" })
        // The one that has the lock does not free it either.
        target = first.port
        yield* refusal(claim(storage, "d"))
        for (const operation of [
          storage.release({ lockId: "c", holdId: kept.holdId }),
          storage.renew([{ lockId: "c", holdId: kept.holdId, lease: second }])
        ]) {
          assert.deepInclude(yield* refusal(operation), { reason: "Unknown", isRetryable: true })
        }
        yield* other.admin("CONFIG", "SET", "min-replicas-to-write", 0)
        target = other.port
        assert.strictEqual((yield* claim(storage, "d")).outcome._tag, "Claimed")
      })
  )
})

await describeServer("something that is no Redis", Effect.void, () => {
  it.live("answers of any shape fail their call, and nothing else", () =>
    Effect.gen(function* () {
      let answer = ":1795844773848706\r\n"
      const open = new Set<Net.Socket>()
      const server = yield* Effect.acquireRelease(
        Effect.callback<Net.Server>((resume) => {
          const server = Net.createServer((socket) => {
            open.add(socket)
            socket.on("error", () => {})
            socket.on("data", (data) => {
              for (const part of String(data).split(/(?=\*\d+\r\n)/)) {
                socket.write(/client|select|auth/.test(part) ? "+OK\r\n" : answer)
              }
            })
          })
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) =>
          Effect.sync(() => {
            server.close()
            open.forEach((socket) => socket.destroy())
          })
      )
      const { storage, versioned } = yield* RedisStorage.make({
        url: Redacted.make(`redis://127.0.0.1:${(server.address() as Net.AddressInfo).port}`),
        operationTimeout: "1 second"
      })
      const calls: Record<string, Effect.Effect<unknown, unknown>> = {
        claim: claim(storage, "a"),
        renew: storage.renew([{ lockId: "a", holdId: "h", lease: second }]),
        release: storage.release({ lockId: "a", holdId: "h" }),
        revoke: storage.revoke({ lockId: "a", token: 1, when: "now" }),
        get: storage.get("a"),
        list: Stream.runCollect(storage.list),
        purge: storage.purge(0),
        create: versioned.create("a", 1, {
          lockId: "a",
          kind: "exclusive",
          format: 1,
          ownerId: "",
          holds: [],
          token: 1,
          version: 1,
          lockBeginTime: 1,
          leaseExpireTime: 1,
          data: ""
        }),
        versioned: versioned.get("a"),
        time: versioned.time!
      }
      const shapes = [
        "+OK\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "*0\r\n",
        ":7\r\n",
        "$0\r\n\r\n",
        "*1\r\n$-1\r\n",
        "*2\r\n+claimed\r\n:1\r\n",
        "*3\r\n$-1\r\n*-1\r\n:1\r\n",
        "*2\r\n+1\r\n*1\r\n:1\r\n",
        "*2\r\n+claimed\r\n*1\r\n*0\r\n",
        "-ERR\r\n",
        "-\r\n",
        "-WEIRD thing\r\n",
        "*2\r\n$1\r\n0\r\n*1\r\n*0\r\n",
        "*2\r\n-ERR inner\r\n-ERR inner\r\n",
        "!bad\r\n"
      ]
      for (const shape of shapes) {
        answer = shape
        for (const [name, call] of Object.entries(calls)) {
          const exit = yield* Effect.exit(call)
          if (Exit.isSuccess(exit)) continue
          const failure = Cause.findErrorOption(exit.cause)
          assert.isTrue(
            Option.isSome(failure),
            `${name} of ${JSON.stringify(shape)} died: ${String(Cause.squash(exit.cause))}`
          )
          assert.include(["StorageError", "VersionMiss"], (Option.getOrThrow(failure) as { _tag: string })._tag, name)
        }
        assert.isTrue(Exit.isFailure(yield* Effect.exit(calls["claim"]!)), JSON.stringify(shape))
      }
    })
  )
})
