import { assert, it } from "#harness/vitest"
import * as Config from "#harness/Config"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Exit from "#effect/Exit"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "#effect/Scope"
import * as Stream from "#effect/Stream"
import * as configs from "#harness/configs"
import * as logs from "#harness/logs"
import { Cluster, Redis as Client } from "ioredis"
import { randomBytes } from "node:crypto"
import { inspect } from "node:util"
import * as RedisStorage from "../../src/backends/redis/RedisStorage.js"
import * as Storage from "../../src/Storage.js"
import * as VersionedStore from "../../src/VersionedStore.js"
import * as Proxy from "../harness/proxy.js"
import * as Redis from "../harness/redis.js"
import { describeServer, freePort } from "../harness/server.js"
import { interrupting } from "../support/interrupting.js"

const hold = () => randomBytes(16).toString("base64url")
const second = 1_000_000

const claim = (storage: Storage.Service, lockId: string, ownerId: string, holdId = hold(), lease = 30 * second) =>
  storage.claim({ lockId, ownerId, holdId, lease })

const eventually = <E, R>(holds: Effect.Effect<boolean, E, R>) =>
  holds.pipe(Effect.delay("10 millis"), Effect.repeat({ until: (_) => _ }), Effect.timeout("4 minutes"), Effect.orDie)

const listening = (storage: Storage.Service) =>
  Effect.gen(function* () {
    const heard: Array<string> = []
    yield* storage.wakeUps.pipe(
      Stream.runForEach((hint) => Effect.sync(() => heard.push(hint))),
      Effect.forkScoped
    )
    return {
      heard,
      hears: (hints: ReadonlyArray<string>) => eventually(Effect.sync(() => heard.join() === hints.join()))
    }
  })

/** What was logged meanwhile, as warnings. */
const warnings = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const said: Array<string> = []
    const logger = logs.to(({ level, message }) => {
      if (level === "Warning") said.push(message)
    })
    yield* effect.pipe(Effect.provide(logger))
    return said
  })

await describeServer("the connections of RedisStorage", Redis.own, (server) => {
  const fresh = Effect.map(server.freshPrefix, (prefix) => ({ url: Redacted.make(server.url), prefix }))
  const through = Effect.gen(function* () {
    const proxy = yield* Proxy.make(server, { protocol: "bytes" })
    const prefix = yield* server.freshPrefix
    return { proxy, options: { url: Redacted.make(proxy.url(server.url)), prefix } }
  })

  /** What the server has been sent of scripts, and how often its data changed. */
  const counted = Effect.gen(function* () {
    const commands = String(yield* server.admin("INFO", "commandstats"))
    const calls = (name: string) => Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(commands)?.[1] ?? 0)
    const persistence = String(yield* server.admin("INFO", "persistence"))
    return {
      scripts: calls("evalsha") + calls("eval"),
      changes: Number(/rdb_changes_since_last_save:(\d+)/.exec(persistence)?.[1])
    }
  })

  it.live("every operation is one script and one round trip, and a contended or repeated claim writes nothing", () =>
    Effect.gen(function* () {
      const { options, proxy } = yield* through
      const { storage, versioned } = yield* RedisStorage.make({ ...options, notify: false })
      const trip = <A, E>(effect: Effect.Effect<A, E>, changes: boolean) =>
        Effect.gen(function* () {
          const before = yield* counted
          yield* proxy.resetRoundTrips
          const result = yield* effect
          assert.strictEqual(proxy.roundTrips(), 1)
          const after = yield* counted
          assert.strictEqual(after.scripts - before.scripts, 1)
          assert.strictEqual(after.changes > before.changes, changes)
          return result
        })
      const [one, two, three] = [hold(), hold(), hold()]
      const warm = yield* claim(storage, "warm", "me", hold(), 1_000)
      assert.strictEqual(warm._tag, "Claimed")
      assert.strictEqual((yield* trip(claim(storage, "a", "me", one), true))._tag, "Claimed")
      assert.strictEqual((yield* trip(claim(storage, "a", "me", two), true))._tag, "Claimed")
      assert.strictEqual((yield* trip(claim(storage, "a", "me", one, 90 * second), false))._tag, "Claimed")
      assert.strictEqual((yield* trip(claim(storage, "a", "you"), false))._tag, "Held")
      yield* Effect.sleep(5)
      assert.strictEqual((yield* trip(claim(storage, "warm", "you", three), true))._tag, "Claimed")
      yield* storage.renew([])
      yield* storage.renew([{ lockId: "none", holdId: one, lease: second }])
      const outcomes = yield* trip(
        storage.renew([
          { lockId: "warm", holdId: three, lease: 40 * second },
          { lockId: "a", holdId: two, lease: 50 * second },
          { lockId: "none", holdId: one, lease: 50 * second },
          { lockId: "a", holdId: three, lease: 90 * second },
          { lockId: "a", holdId: one, lease: 60 * second }
        ]),
        true
      )
      assert.deepStrictEqual(
        outcomes.map((_) => _._tag),
        ["Renewed", "Renewed", "NotHeld", "NotHeld", "Renewed"]
      )
      assert.isTrue(outcomes[3]!._tag === "NotHeld" && outcomes[3]!.current?.ownerId === "me")
      assert.isTrue(outcomes[4]!._tag === "Renewed" && outcomes[4]!.validFor === 60 * second)
      yield* storage.release({ lockId: "none", holdId: one })
      assert.deepStrictEqual(yield* trip(storage.release({ lockId: "a", holdId: one }), true), {
        _tag: "Released",
        remaining: 1
      })
      assert.deepStrictEqual(yield* trip(storage.release({ lockId: "a", holdId: one }), false), { _tag: "NotHeld" })
      assert.isTrue(Option.isSome(yield* storage.get("a")))
      assert.isTrue(Option.isSome(yield* trip(storage.get("a"), false)))
      const record = Option.getOrThrow(yield* versioned.get("a"))
      yield* versioned.update("a", record.version, { ...record, version: record.version + 1 })
      yield* trip(versioned.update("a", record.version + 1, { ...record, version: record.version + 2 }), true)
      yield* trip(versioned.time!, false)
    })
  )

  it.live("a lost reply is unknown, and the same claim again has the effect of one", () =>
    Effect.gen(function* () {
      const { options, proxy } = yield* through
      const { storage } = yield* RedisStorage.make({ ...options, notify: false })
      const holdId = hold()
      yield* claim(storage, "warm", "me")
      yield* proxy.dropNextReply
      const error = yield* Effect.flip(claim(storage, "a", "me", holdId))
      assert.deepInclude(error, {
        reason: "Connection",
        applied: "unknown",
        isRetryable: true,
        operation: "RedisStorage.claim"
      })
      assert.strictEqual(proxy.dropped(), 1)
      const again = yield* claim(storage, "a", "me", holdId)
      assert.isTrue(again._tag === "Claimed" && again.record.holds.length === 1)
    })
  )

  it.live(
    "a server that does not answer ends in time, is used again when it does, and its layer closes all the same",
    () =>
      Effect.gen(function* () {
        const { options, proxy } = yield* through
        const scope = yield* Scope.make()
        const { storage } = yield* Scope.provide(RedisStorage.make({ ...options, operationTimeout: "1 second" }), scope)
        yield* storage.get("warm")
        yield* proxy.swallowReplies(true)
        const error = yield* Effect.flip(claim(storage, "a", "me"))
        assert.deepInclude(error, { reason: "Timeout", applied: "unknown", isRetryable: true })
        yield* proxy.swallowReplies(false)
        // The silent connection would be silent for ever: there is a new one.
        assert.isTrue(Option.isSome(yield* storage.get("a")))
        assert.strictEqual(proxy.accepted(), 2)

        yield* proxy.hang(true)
        assert.deepInclude(yield* Effect.flip(storage.get("a")), { reason: "Timeout", applied: "unknown" })
        // Now it is not even sent: that is certain.
        assert.deepInclude(yield* Effect.flip(claim(storage, "b", "me")), { reason: "Timeout", applied: "no" })
        const late = yield* Effect.flip(
          claim(storage, "c", "me").pipe(Effect.provideService(Storage.TimeLimit, Duration.millis(50)))
        )
        assert.deepInclude(late, { reason: "Timeout", applied: "no" })
        yield* proxy.hang(false)
        yield* Effect.retry(storage.get("b"), { times: 10 })
        for (const id of ["b", "c"]) assert.isTrue(Option.isNone(yield* storage.get(id)))
        yield* proxy.hang(true)
        assert.isTrue(Option.isSome(yield* Effect.timeoutOption(Scope.close(scope, Exit.void), "4 minutes")))
        assert.deepInclude(yield* Effect.flip(storage.get("a")), {
          reason: "Closed",
          applied: "no",
          isRetryable: false
        })
      })
  )

  it.live("a thousand interruptions harm nobody", () =>
    Effect.gen(function* () {
      const { storage } = yield* RedisStorage.make(yield* fresh)
      yield* interrupting({ rounds: 1000, concurrency: 8 }, (i) =>
        Effect.andThen(claim(storage, `lock-${i % 7}`, `owner-${i % 3}`), storage.get(`lock-${i % 7}`))
      )
      assert.deepStrictEqual((yield* storage.release({ lockId: "lock-1", holdId: hold() }))._tag, "NotHeld")
    })
  )

  it.live("who had too little time to wait for a connection is told why there was none", () =>
    Effect.gen(function* () {
      const { options, proxy } = yield* through
      const { storage } = yield* RedisStorage.make(options)
      yield* claim(storage, "a", "me")
      yield* proxy.refuse(true)
      yield* proxy.cut
      const failure = Effect.flip(Effect.provideService(storage.get("a"), Storage.TimeLimit, Duration.millis(1)))
      const short = yield* Effect.repeat(Effect.delay(failure, "1 millis"), {
        until: ({ message }) => message.startsWith("there was no connection") && message.includes(":")
      }).pipe(Effect.timeout("4 minutes"))
      assert.match(short.message, /^there was no connection to Redis within 1 ms: .*(ECONN|closed|hang up)/)
      assert.deepStrictEqual([short.reason, short.isRetryable, short.applied], ["Timeout", true, "no"])
    })
  )

  it.live("an administrator who ends its connections harms one operation at most", () =>
    Effect.gen(function* () {
      const { storage } = yield* RedisStorage.make(yield* fresh)
      const { hears } = yield* listening(storage)
      yield* hears(["all"])
      yield* server.admin("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
      yield* Effect.retry(claim(storage, "a", "me"), { times: 1 })
      assert.strictEqual((yield* claim(storage, "a", "me"))._tag, "Claimed")
      yield* server.admin("CLIENT", "KILL", "TYPE", "pubsub")
      yield* hears(["all", "all"])
    })
  )

  it.live('wake-ups tell of a freed lock, over one connection, and say "all" whenever it comes back', () =>
    Effect.gen(function* () {
      const options = yield* fresh
      const { storage, versioned } = yield* RedisStorage.make(options)
      const named = Effect.map(
        server.admin("CLIENT", "LIST"),
        (text) => String(text).split("name=effect-storage-lock:wake-ups ").length - 1
      )
      assert.strictEqual(yield* named, 0)
      const first = yield* listening(storage)
      yield* first.hears(["all"])
      const second = yield* listening(storage)
      assert.strictEqual(yield* named, 1)

      const other = yield* RedisStorage.make({ ...options, notify: true })
      const [one, two] = [hold(), hold()]
      yield* claim(other.storage, "a", "me", one)
      yield* claim(other.storage, "a", "me", two)
      yield* other.storage.release({ lockId: "a", holdId: one })
      yield* other.storage.release({ lockId: "a", holdId: two })
      yield* first.hears(["all", "a"])
      const quiet = yield* RedisStorage.make({ ...options, notify: false })
      assert.strictEqual((yield* Stream.runCollect(quiet.storage.wakeUps)).length, 0)
      yield* claim(quiet.storage, "q", "me", one)
      yield* quiet.storage.release({ lockId: "q", holdId: one })

      yield* server.kill
      yield* server.start
      yield* first.hears(["all", "a", "all"])
      const forced = yield* Effect.retry(claim(storage, "b", "me"), { times: 3 })
      yield* storage.revoke({ lockId: "b", token: forced._tag === "Claimed" ? forced.record.token : 0, when: "now" })
      yield* first.hears(["all", "a", "all", "b"])

      const now = yield* versioned.time!
      const record = {
        lockId: "c",
        kind: "permits",
        format: 1,
        ownerId: "",
        holds: ["x", "y"],
        token: now,
        version: now,
        lockBeginTime: now,
        leaseExpireTime: now,
        data: ""
      }
      yield* versioned.create("c", now, record)
      yield* versioned.update("c", now, { ...record, version: now + 1, data: "same holds" })
      yield* versioned.update("c", now + 1, { ...record, version: now + 2, holds: ["y"] })
      yield* first.hears(["all", "a", "all", "b", "c"])
      assert.deepStrictEqual(second.heard.slice(-4), first.heard.slice(-4))
    })
  )

  it.live("closing leaves no connection at the server", () =>
    Effect.gen(function* () {
      const connections = Effect.map(
        server.admin("CLIENT", "LIST"),
        (text) => String(text).split("name=effect-storage-lock").length - 1
      )
      yield* eventually(Effect.map(connections, (count) => count === 0))
      const scope = yield* Scope.make()
      const { storage } = yield* Scope.provide(RedisStorage.make(yield* fresh), scope)
      const { hears } = yield* listening(storage)
      yield* hears(["all"])
      assert.strictEqual(yield* connections, 2)
      yield* Scope.close(scope, Exit.void)
      yield* eventually(Effect.map(connections, (count) => count === 0))
      assert.strictEqual((yield* Effect.flip(claim(storage, "a", "me"))).reason, "Closed")
    })
  )

  it.live("what the server refuses is told by its code, and is not applied", () =>
    Effect.gen(function* () {
      const options = yield* fresh
      const { storage } = yield* RedisStorage.make(options)
      yield* claim(storage, "held", "me")
      const set = (name: string, value: string | number) => server.admin("CONFIG", "SET", name, value)
      const refused = (name: string, value: string | number, back: string | number, error: object) =>
        Effect.acquireUseRelease(
          set(name, value),
          () =>
            Effect.map(Effect.flip(claim(storage, "a", "me")), (found) =>
              assert.deepInclude(found, { _tag: "StorageError", applied: "no", ...error })
            ),
          () => set(name, back)
        )
      yield* refused("maxmemory", "1", "0", { reason: "Unknown", isRetryable: true })
      yield* refused("min-replicas-to-write", 1, 0, { reason: "Unknown", isRetryable: true })
      assert.isTrue(Option.isNone(yield* storage.get("a")))

      // Somebody's script that does not end.
      yield* set("lua-time-limit", 20)
      const busy = yield* Effect.forkScoped(Effect.sandbox(server.admin("EVAL", "while true do end", 0)))
      yield* Effect.sleep("200 millis")
      const error = yield* Effect.flip(claim(storage, "a", "me"))
      yield* server.admin("SCRIPT", "KILL").pipe(Effect.sandbox, Effect.retry({ times: 5 }))
      yield* Fiber.await(busy)
      assert.deepInclude(error, { reason: "Conflict", applied: "no", isRetryable: true })

      // Demoted: reads still are answered, by what it has.
      yield* server.admin("REPLICAOF", "127.0.0.1", 1)
      assert.strictEqual((yield* claim(storage, "held", "you"))._tag, "Held")
      assert.deepInclude(yield* Effect.flip(claim(storage, "a", "me")), {
        reason: "Permission",
        applied: "no",
        isRetryable: true
      })
      const said = yield* warnings(RedisStorage.make(options))
      assert.match(said.join("\n"), /the server is a replica/)
      yield* server.admin("REPLICAOF", "NO", "ONE")
      assert.strictEqual((yield* claim(storage, "a", "me"))._tag, "Claimed")
    })
  )

  it.live("warns of what weakens its promises, and of nothing else", () =>
    Effect.gen(function* () {
      const options = yield* fresh
      const said = (settings: Record<string, string>) =>
        Effect.gen(function* () {
          for (const [name, value] of Object.entries(settings)) yield* server.admin("CONFIG", "SET", name, value)
          return yield* warnings(RedisStorage.make(options))
        })
      assert.deepStrictEqual(yield* said({}), [])
      // Nothing of ours is volatile; and without a limit nothing is evicted.
      assert.deepStrictEqual(yield* said({ "maxmemory-policy": "volatile-lru", maxmemory: "100mb" }), [])
      assert.match(
        (yield* said({ "maxmemory-policy": "allkeys-lfu" })).join("\n"),
        /^RedisStorage: maxmemory-policy is allkeys-lfu[^\n]*$/
      )
      assert.deepStrictEqual(yield* said({ maxmemory: "0" }), [])
      assert.match(
        (yield* said({ "maxmemory-policy": "noeviction", appendfsync: "everysec" })).join("\n"),
        /^RedisStorage: appendfsync is everysec[^\n]*$/
      )
      assert.match(
        (yield* said({ appendonly: "no", appendfsync: "always" })).join("\n"),
        /^RedisStorage: appendonly is off[^\n]*$/
      )
      yield* said({ appendonly: "yes" })
    })
  )

  it.live("a refused connection is not applied, and no error shows the password", () =>
    Effect.gen(function* () {
      const secret = "p4ssw0rd-" + randomBytes(6).toString("hex")
      const user = `u${randomBytes(4).toString("hex")}`
      yield* Effect.acquireRelease(server.admin("ACL", "SETUSER", user, "on", ">another", "+@all", "~*"), () =>
        server.admin("ACL", "DELUSER", user)
      )
      const nowhere = yield* freePort
      const errors = yield* Effect.forEach(
        [
          { url: Redacted.make(`redis://me:${secret}@127.0.0.1:${nowhere}`) },
          { url: Redacted.make(`redis://${user}:${secret}@127.0.0.1:${server.port}`) },
          { redis: { host: "127.0.0.1", port: server.port, username: user, password: secret } }
        ],
        (options) => Effect.flip(RedisStorage.make(options))
      )
      assert.deepStrictEqual(
        errors.map((error) => error._tag === "StorageError" && [error.reason, error.applied, error.isRetryable]),
        [
          ["Connection", "no", true],
          ["Permission", "no", false],
          ["Permission", "no", false]
        ]
      )
      for (const error of errors) {
        assert.notInclude(
          inspect(error, { depth: 20, showHidden: true }) + String(error) + JSON.stringify(error),
          secret
        )
      }
    })
  )

  it.live("options that make no sense are refused before any I/O, and a URL is never shown", () =>
    Effect.gen(function* () {
      const proxy = yield* Proxy.make(server, { protocol: "bytes" })
      const base = { url: Redacted.make(`redis://127.0.0.1:${proxy.port}`) }
      const cases: ReadonlyArray<readonly [string, unknown, string?]> = [
        ["prefix", ""],
        ["prefix", "a\0b"],
        ["prefix", "x".repeat(129)],
        ["prefix", 7],
        ["prefix", "\ud800"],
        ["notify", "on"],
        ["redis", 7],
        ["redis", null],
        ["operationTimeout", 0],
        ["operationTimeout", -5],
        ["operationTimeout", Number.POSITIVE_INFINITY],
        ["operationTimeout", "soon"],
        ["wait", 1],
        ["wait", { replicas: 0, timeout: 10 }, "wait.replicas"],
        ["wait", { replicas: 1.5, timeout: 10 }, "wait.replicas"],
        ["wait", { replicas: 1, timeout: 0 }, "wait.timeout"],
        ["wait", { replicas: 1, timeout: "5 seconds" }, "wait.timeout"],
        ["wait", { replicas: 1 }, "wait.timeout"],
        ["url", "redis://plain:s3cret@h/0"],
        ["url", undefined],
        ["url", null],
        ["url", Redacted.make(7)],
        ...[
          "",
          "mysql://u:s3cret@h/db",
          "s3cret",
          "redis://u:s3/cret@h:1/0",
          "redis://u:1/s3cret@h/0",
          "redis://u:s3cret#x@h/0",
          "redis://",
          "redis://u:1?s3cret@h/0",
          "redis://u:s3cret@h:port/0",
          "redis://u:s3cret@h/name",
          "redis://u:s3cret@h/0?db=1",
          "redis://u:s3cret%@h/0"
        ].map((url) => ["url", Redacted.make(url)] as const)
      ]
      for (const [field, value, shown] of cases) {
        const error = yield* Effect.flip(RedisStorage.make({ ...base, [field]: value } as any))
        assert.deepInclude(error, { _tag: "InvalidOptions", field: shown ?? field }, `${field} ${inspect(value)}`)
        assert.notMatch(inspect(error, { depth: 9, showHidden: true }) + error.message, /s3|cret/)
      }
      const cluster = new Cluster([{ host: "127.0.0.1", port: proxy.port }], { lazyConnect: true })
      for (const options of [
        { client: undefined },
        { client: {} },
        { client: cluster, wait: { replicas: 1, timeout: 10 } }
      ]) {
        assert.strictEqual((yield* Effect.flip(RedisStorage.makeFromClient(options as any)))._tag, "InvalidOptions")
      }
      // It would not be obeyed there.
      const wait = { replicas: 1, timeout: "1 second" }
      const versioned = RedisStorage.layerVersioned({ ...base, wait } as any)
      assert.deepInclude(yield* Effect.flip(Layer.build(versioned)), { _tag: "InvalidOptions", field: "wait" })
      assert.strictEqual(proxy.accepted(), 0)
    })
  )

  it.live("reads its options from Config, with the database of the URL", () =>
    Effect.gen(function* () {
      const { prefix } = yield* fresh
      const configured = RedisStorage.layerConfig({
        url: Config.Redacted("REDIS_URL"),
        prefix: Config.String("LOCKS")
      }).pipe(Layer.provide(configs.from({ REDIS_URL: `${server.url}/5`, LOCKS: prefix })))
      const context = yield* Layer.build(
        Layer.merge(
          configured,
          RedisStorage.layerVersioned({ redis: { host: server.host, port: server.port, db: 5 }, prefix })
        )
      )
      const outcome = yield* Storage.Storage.pipe(
        Effect.flatMap((storage) => claim(storage, "a", "me")),
        Effect.provide(context)
      )
      assert.strictEqual(outcome._tag, "Claimed")
      const store = yield* Effect.provide(VersionedStore.VersionedStore, context)
      const record = Option.getOrThrow(yield* store.get("a"))
      assert.strictEqual(record.ownerId, "me")
      yield* store.delete("a", record.version)
    })
  )

  it.live("a Cluster that is closed by its program is told so, and one that cannot be reached is not applied", () =>
    Effect.gen(function* () {
      const cluster = new Cluster([{ host: "127.0.0.1", port: yield* freePort }], {
        lazyConnect: true,
        clusterRetryStrategy: () => 50
      })
      const error = yield* Effect.flip(RedisStorage.makeFromClient({ client: cluster, operationTimeout: "1 second" }))
      assert.deepInclude(error, { _tag: "StorageError", reason: "Connection", applied: "no", isRetryable: true })
      cluster.disconnect()
      // One whose driver has given up is tried again; only its program ends it.
      const given = new Cluster([{ host: "127.0.0.1", port: yield* freePort }], {
        lazyConnect: true,
        clusterRetryStrategy: () => null
      })
      yield* Effect.forEach([1, 2, 3], () =>
        Effect.map(Effect.flip(RedisStorage.makeFromClient({ client: given, operationTimeout: "1 second" })), (error) =>
          assert.deepInclude(error, { _tag: "StorageError", reason: "Connection", applied: "no", isRetryable: true })
        )
      )
      const elsewhere = new Cluster([{ host: "127.0.0.1", port: server.port }], {
        lazyConnect: true,
        redisOptions: { db: 3 }
      })
      assert.deepInclude(yield* Effect.flip(RedisStorage.makeFromClient({ client: elsewhere })), {
        _tag: "InvalidOptions",
        field: "client"
      })
      const slave = new Client(server.url, { lazyConnect: true, role: "slave" })
      assert.deepInclude(yield* Effect.flip(RedisStorage.makeFromClient({ client: slave })), {
        _tag: "InvalidOptions",
        field: "client"
      })
      const closed = new Cluster([{ host: "127.0.0.1", port: server.port }], { lazyConnect: true })
      closed.disconnect()
      yield* eventually(Effect.sync(() => (closed.status as string) === "end"))
      assert.deepInclude(yield* Effect.flip(RedisStorage.makeFromClient({ client: closed })), {
        reason: "Closed",
        applied: "no"
      })
      // One that has ended is no hindrance: a connection beside it is made.
      const ended = new Client(server.url, { lazyConnect: true })
      ended.disconnect()
      const { storage } = yield* RedisStorage.makeFromClient({ client: ended, prefix: (yield* fresh).prefix })
      assert.strictEqual((yield* claim(storage, "a", "me"))._tag, "Claimed")
    })
  )
})
