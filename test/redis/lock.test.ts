/** What a lock promises, kept on a real Redis: over restarts, with replicas, under Sentinel, and between processes. */
import { assert, it } from "#harness/vitest"
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "#effect/Schedule"
import * as fibers from "#effect/fibers"
import { spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import * as RedisStorage from "../../src/backends/redis/RedisStorage.js"
import * as Storage from "../../src/Storage.js"
import type * as StorageLock from "../../src/StorageLock.js"
import * as StorageReadWriteLock from "../../src/StorageReadWriteLock.js"
import { VersionedStore } from "../../src/VersionedStore.js"
import * as Redis from "../harness/redis.js"
import { describeServer } from "../harness/server.js"
import * as Process from "../support/process.js"

const hold = () => randomBytes(16).toString("base64url")
const second = 1_000_000

const storageOf = (options: RedisStorage.Options) =>
  Effect.map(Layer.build(RedisStorage.layer(options)), Context.get(Storage.Storage))

const processOf = (url: string, options?: StorageLock.Options) =>
  Effect.flatMap(storageOf({ url: Redacted.make(url) }), (_) => Process.make(_, options))

const eventually = <A, E, R>(self: Effect.Effect<A, E, R>, holds: (a: A) => boolean) =>
  Effect.repeat(self, { until: holds, schedule: Schedule.spaced("20 millis") }).pipe(Effect.timeout("4 minutes"))

const field = (info: unknown, name: string) => new RegExp(`^${name}:(.*?)\\r?$`, "m").exec(String(info))?.[1]

await describeServer("locks on a Redis that is stopped", Redis.own, (server) => {
  it.live("lost fires while the server is stopped, and nobody else has the lock before", () =>
    Effect.gen(function* () {
      const a = yield* processOf(server.url, { leaseExpireAfter: "2 seconds" })
      const b = yield* processOf(server.url, { leaseExpireAfter: "30 seconds" })
      const lock = yield* a.locks.acquire("kept", "a")
      const other = yield* Effect.forkChild(
        Effect.scoped(
          Effect.andThen(
            b.locks.acquire("kept", "b"),
            // What the first holder knew at the moment when the second one had it.
            Effect.sync(() => lock.unsafeRemainingMillis())
          )
        )
      )
      yield* Effect.acquireUseRelease(
        server.suspend,
        () =>
          Effect.gen(function* () {
            assert.strictEqual((yield* Effect.flip(lock.lost)).reason, "Expired")
            assert.isTrue(fibers.exitOf(other) === undefined)
          }),
        () => server.resume
      )
      assert.strictEqual(yield* Fiber.join(other), 0)
    })
  )

  it.live("a power cut loses no lock, no token goes back, and holders and waiters go on", () =>
    Effect.gen(function* () {
      const a = yield* processOf(server.url, { leaseExpireAfter: "20 seconds", leaseRefreshInterval: "200 millis" })
      const b = yield* processOf(server.url)
      const lock = yield* a.locks.acquire("foo", "a")
      const waiting = yield* Effect.forkChild(
        Effect.scoped(Effect.map(b.locks.acquire("foo", "b"), ({ token }) => token))
      )
      yield* Effect.sleep("100 millis")
      yield* server.kill
      yield* server.start
      const c = yield* processOf(server.url)
      assert.isTrue(
        Option.isNone(yield* Effect.scoped(c.locks.tryAcquire("foo", "c", { acquireTimeout: "20 seconds" })))
      )
      yield* eventually(Effect.option(lock.renew), Option.isSome)
      yield* lock.release
      assert.isAbove(yield* Fiber.join(waiting), lock.token)
    })
  )

  it.live("a process of the operating system that dies is succeeded, and one that ends hands over", () =>
    Effect.gen(function* () {
      const code = `
        import { Effect, Layer, Redacted } from "effect"
        import * as StorageLock from "./src/StorageLock.ts"
        import * as RedisStorage from "./src/backends/redis/RedisStorage.ts"
        const locks = StorageLock.layer({ leaseExpireAfter: "2 seconds" }).pipe(Layer.provide(RedisStorage.layer({ url: Redacted.make(process.env.URL) })))
        const ended = Effect.promise(() => new Promise((resolve) => process.stdin.once("data", resolve)))
        await Effect.runPromise(StorageLock.withLock((lock) => Effect.andThen(Effect.sync(() => console.log(lock.token)), ended), "between", "child").pipe(Effect.provide(locks)))
        process.exit(0)`
      const child = Effect.acquireRelease(
        Effect.sync(() =>
          spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", code], {
            env: { ...process.env, URL: server.url },
            stdio: ["pipe", "pipe", "inherit"]
          })
        ),
        (child) => Effect.sync(() => child.kill("SIGKILL"))
      )
      const told = (process: Effect.Success<typeof child>) =>
        Effect.promise(async () => Number(String((await once(process.stdout, "data"))[0])))
      const here = yield* processOf(server.url)
      const succeed = (end: (process: Effect.Success<typeof child>) => void) =>
        Effect.scoped(
          Effect.gen(function* () {
            const process = yield* child
            const token = yield* told(process)
            const next = yield* Effect.forkChild(Effect.scoped(here.locks.acquire("between", "here")))
            yield* Effect.sleep("200 millis")
            assert.isTrue(fibers.exitOf(next) === undefined)
            end(process)
            assert.isAbove((yield* Fiber.join(next)).token, token)
          })
        )
      yield* succeed((process) => process.stdin.write("end\n"))
      yield* succeed((process) => process.kill("SIGKILL"))
    })
  )
})

const pair = Effect.gen(function* () {
  const master = yield* Redis.own
  const replica = yield* Redis.start("Redis", [
    "--replicaof",
    master.host,
    String(master.port),
    "--repl-diskless-sync-delay",
    "0"
  ])
  yield* Effect.orDie(
    eventually(master.admin("INFO", "replication"), (info) => /slave0:.*state=online/.test(String(info)))
  )
  return { master, replica }
})

await describeServer("locks on a Redis with a replica", pair, ({ master, replica }) => {
  it.live("with wait, what a replica does not have is not had, even when it is repeated over a new connection", () =>
    Effect.gen(function* () {
      const prefix = yield* master.freshPrefix
      const options = { url: Redacted.make(master.url), prefix, wait: { replicas: 1, timeout: 300 } }
      const storage = yield* storageOf(options)
      const request = { lockId: "a", ownerId: "me", holdId: hold(), lease: 60 * second }
      assert.strictEqual((yield* storage.claim(request))._tag, "Claimed")
      assert.strictEqual(yield* replica.admin("HGET", `${prefix}a`, "owner"), "me")
      assert.strictEqual((yield* storage.renew([request]))[0]!._tag, "Renewed")
      yield* Effect.acquireUseRelease(
        replica.suspend,
        () =>
          Effect.gen(function* () {
            const few = { _tag: "StorageError", reason: "Timeout", applied: "unknown", isRetryable: true } as const
            const again = yield* storageOf(options)
            assert.deepInclude(yield* Effect.flip(again.claim(request)), few)
            assert.deepInclude(yield* Effect.flip(storage.renew([request])), few)
            const other = { ...request, lockId: "b" }
            const error = yield* Effect.flip(storage.claim(other))
            assert.deepInclude(error, few)
            assert.match(error.message, /0 of the 1 replicas/)
            // Who does not get it needs no replica, and who gives it back neither.
            assert.strictEqual((yield* storage.claim({ ...request, ownerId: "you", holdId: hold() }))._tag, "Held")
            assert.deepStrictEqual(yield* storage.release(other), { _tag: "Released", remaining: 0 })
            const { locks } = yield* Process.make(storage)
            const tried = yield* Effect.result(Effect.scoped(locks.tryAcquire("c", "me")))
            assert.isTrue(tried._tag === "Failure" && tried.failure._tag === "StorageError")
            // The core gives it back.
            yield* eventually(storage.get("c"), Option.isNone)
          }),
        () => replica.resume
      )
      assert.strictEqual((yield* Effect.retry(storage.claim(request), { times: 10 }))._tag, "Claimed")
    })
  )

  it.live("with wait there are exclusive locks alone: a write that does not wait for replicas is refused", () =>
    Effect.gen(function* () {
      const prefix = yield* master.freshPrefix
      const { versioned } = yield* RedisStorage.make({
        url: Redacted.make(master.url),
        prefix,
        wait: { replicas: 1, timeout: 300 }
      })
      const locks = yield* Effect.provideService(StorageReadWriteLock.make(), VersionedStore, versioned)
      const error = yield* Effect.flip(locks.read("a"))
      assert.deepInclude(error, { _tag: "StorageError", reason: "Schema", isRetryable: false })
      assert.match(error.message, /exclusive locks alone/)
    })
  )

  it.live("a replica that is promoted without the last claim lets another in, whose token is the higher one", () =>
    Effect.gen(function* () {
      const prefix = yield* master.freshPrefix
      const before = yield* storageOf({ url: Redacted.make(master.url), prefix })
      const old = yield* before.claim({ lockId: "a", ownerId: "before", holdId: hold(), lease: second })
      assert(old._tag === "Claimed")
      yield* eventually(replica.admin("EXISTS", `${prefix}a`), (count) => count === 1)
      yield* Effect.sleep("1 second")
      yield* replica.admin("REPLICAOF", "NO", "ONE")
      const lost = yield* before.claim({ lockId: "a", ownerId: "me", holdId: hold(), lease: 60 * second })
      const after = yield* storageOf({ url: Redacted.make(replica.url), prefix })
      const next = yield* after.claim({ lockId: "a", ownerId: "you", holdId: hold(), lease: 60 * second })
      assert(lost._tag === "Claimed" && next._tag === "Claimed", "what was not replicated is lost")
      assert.isAbove(next.record.token, lost.record.token)
      assert.isAbove(lost.record.token, old.record.token)
    })
  )
})

const guarded = Effect.gen(function* () {
  const { master, replica } = yield* pair
  const sentinel = yield* Redis.sentinel("Redis", [
    `sentinel monitor locks ${master.host} ${master.port} 1`,
    "sentinel down-after-milliseconds locks 500",
    "sentinel failover-timeout locks 3000"
  ])
  yield* Effect.orDie(eventually(sentinel.admin("INFO", "sentinel"), (info) => String(info).includes("slaves=1")))
  return { master, replica, sentinel }
})

await describeServer("locks on a Redis under Sentinel", guarded, ({ master, replica, sentinel }) => {
  it.live("a failover is followed: the hold goes on, and so do wake-ups", () =>
    Effect.gen(function* () {
      const storage = yield* storageOf({
        redis: { sentinels: [{ host: sentinel.host, port: sentinel.port }], name: "locks" },
        wait: { replicas: 1, timeout: "1 second" }
      })
      const alone = yield* storageOf({
        redis: { sentinels: [{ host: sentinel.host, port: sentinel.port }], name: "locks" }
      })
      const { locks } = yield* Process.make(alone, {
        leaseExpireAfter: "30 seconds",
        leaseRefreshInterval: "300 millis"
      })
      // Surely on the replica, too.
      const request = { lockId: "a", ownerId: "me", holdId: hold(), lease: 120 * second }
      const first = yield* storage.claim(request)
      const lock = yield* locks.acquire("b", "me")
      yield* eventually(replica.admin("EXISTS", "storage-lock:b"), (count) => count === 1)
      const waiting = yield* Effect.forkChild(
        Effect.scoped(
          (yield* Process.make(
            yield* storageOf({
              redis: { sentinels: [{ host: sentinel.host, port: sentinel.port }], name: "locks" }
            })
          )).locks.acquire("b", "you")
        )
      )
      yield* master.kill
      // A Sentinel ends the connections to the one that it promotes, ours among them.
      yield* eventually(
        Effect.exit(replica.admin("INFO", "replication")),
        (exit) => Exit.isSuccess(exit) && field(exit.value, "role") === "master"
      )
      yield* eventually(Effect.result(alone.renew([request])), (result) => result._tag === "Success")
      assert.strictEqual((yield* alone.renew([request]))[0]!._tag, "Renewed")
      assert.isTrue(first._tag === "Claimed")
      yield* eventually(Effect.option(lock.renew), Option.isSome)
      yield* lock.release
      assert.isAbove((yield* Fiber.join(waiting)).token, lock.token)
    })
  )
})
