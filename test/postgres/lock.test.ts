/** What a lock promises, kept on a real PostgreSQL, under real faults. */
import { PgClient } from "@effect/sql-pg"
import { assert, it } from "#harness/vitest"
import * as Cause from "#effect/Cause"
import * as Context from "#effect/Context"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as Random from "#harness/Random"
import * as Redacted from "effect/Redacted"
import * as Schedule from "#effect/Schedule"
import * as Scope from "#effect/Scope"
import * as Stream from "#effect/Stream"
import * as fibers from "#effect/fibers"
import * as PostgresStorage from "../../src/backends/postgres/PostgresStorage.js"
import * as Storage from "../../src/Storage.js"
import * as StorageLock from "../../src/StorageLock.js"
import * as Postgres from "../harness/postgres.js"
import * as Shared from "../harness/shared.js"
import * as Proxy from "../harness/proxy.js"
import { describeServer } from "../harness/server.js"
import * as Process from "../support/process.js"

const storageOf = (url: string, options: Partial<PostgresStorage.Options> = {}) =>
  Effect.map(Layer.build(PostgresStorage.layer({ url: Redacted.make(url), ...options })), Context.get(Storage.Storage))

const processOf = (url: string, options?: StorageLock.Options, storage?: Partial<PostgresStorage.Options>) =>
  Effect.flatMap(storageOf(url, storage), (_) => Process.make(_, options))

const held = (storage: Storage.Service) => Stream.runCollect(storage.list)

const eventually = <A, E, R>(self: Effect.Effect<A, E, R>, holds: (a: A) => boolean) =>
  Effect.repeat(self, { until: holds, schedule: Schedule.spaced("20 millis") }).pipe(Effect.timeout("4 minutes"))

await describeServer("locks on a PostgreSQL that is stopped", Postgres.own, (server) => {
  it.live(
    "lost fires, and withLock interrupts its body, while the server is stopped and nobody else can have the lock",
    () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        const options = { leaseExpireAfter: "2 seconds" } as const
        const a = yield* processOf(url, options)
        // The waiter is patient for a lease of its own.
        const b = yield* processOf(url, { leaseExpireAfter: "30 seconds" })
        let bodyEnded = false
        const lock = yield* a.locks.acquire("kept", "a")
        const lost = yield* Effect.forkChild(Effect.flip(lock.lost))
        const body = yield* Effect.forkChild(
          Effect.exit(
            a.run(
              StorageLock.withLock(
                Effect.onInterrupt(Effect.never, () => Effect.sync(() => (bodyEnded = true))),
                "foo",
                "a"
              )
            )
          )
        )
        yield* eventually(b.locks.isLocked("foo"), (locked) => locked)
        const other = yield* Effect.forkChild(
          Effect.scoped(
            Effect.andThen(
              b.locks.acquire("foo", "b"),
              // What the first holder knew at the moment when the second one had it.
              Effect.sync(() => ({ bodyEnded, remaining: lock.unsafeRemainingMillis() }))
            )
          )
        )
        yield* Effect.acquireUseRelease(
          server.suspend,
          () =>
            Effect.gen(function* () {
              // Both end although no answer comes.
              assert.strictEqual((yield* Fiber.join(lost)).reason, "Expired")
              yield* eventually(
                Effect.sync(() => bodyEnded),
                (ended) => ended
              )
              assert.isTrue(fibers.exitOf(other) === undefined)
            }),
          () => server.resume
        )
        const exit = yield* Fiber.join(body)
        const error = Exit.isFailure(exit) ? Cause.findErrorOption(exit.cause) : Option.none()
        assert(Option.isSome(error) && error.value._tag === "LockLost")
        assert.strictEqual(error.value.reason, "Expired")
        assert.deepStrictEqual(yield* Fiber.join(other), { bodyEnded: true, remaining: 0 })
      })
  )

  it.live("a restart of the server loses no lock, no token goes back, and holders go on", () =>
    Effect.gen(function* () {
      const url = yield* server.freshDatabase
      const a = yield* processOf(url, { leaseExpireAfter: "20 seconds", leaseRefreshInterval: "200 millis" })
      const lock = yield* a.locks.acquire("foo", "a")
      yield* server.kill
      yield* server.start
      const b = yield* processOf(url)
      assert.isTrue(
        Option.isNone(yield* Effect.scoped(b.locks.tryAcquire("foo", "b", { acquireTimeout: "20 seconds" })))
      )
      yield* eventually(Effect.option(lock.renew), Option.isSome)
      yield* lock.release
      const next = yield* b.locks.acquire("foo", "b")
      assert.isAbove(next.token, lock.token)
    })
  )
})

await describeServer("locks on PostgreSQL", Shared.postgres, (server) => {
  it.live("a lost reply at any operation, repeated among sibling holds, has the effect of one", () =>
    Effect.gen(function* () {
      const url = yield* server.freshDatabase
      const direct = yield* storageOf(url)
      const proxy = yield* Proxy.make({ host: server.host, port: server.port })
      const storage = yield* storageOf(proxy.url(url), { notify: false })
      const id = (name: string) => name.padEnd(22, "x")
      const lease = 60_000_000
      const record = Effect.map(
        direct.get("foo"),
        Option.map((_) => _.record)
      )

      /** The reply is lost; then it is asked again, twice: once through the broken link, once more for good measure. */
      const lossy = <A>(operation: Effect.Effect<A, unknown>) =>
        Effect.gen(function* () {
          yield* proxy.dropNextReply
          const error = yield* Effect.flip(operation)
          assert.deepInclude(error as object, { _tag: "StorageError", applied: "unknown", isRetryable: true })
          const applied = yield* record
          const first = yield* operation
          const second = yield* operation
          assert.deepStrictEqual(second, first)
          const after = yield* record
          assert.deepStrictEqual(
            Option.map(after, (_) => [_.holds, _.token, _.ownerId]),
            Option.map(applied, (_) => [_.holds, _.token, _.ownerId])
          )
          return first
        })

      for (const sibling of ["before", "after"]) {
        yield* storage.claim({ lockId: "foo", ownerId: "me", holdId: id(sibling), lease })
        const claimed = yield* lossy(
          Effect.map(storage.claim({ lockId: "foo", ownerId: "me", holdId: id("one"), lease }), (outcome) => {
            assert(outcome._tag === "Claimed")
            return [outcome.record.holds, outcome.record.token, outcome.record.version]
          })
        )
        assert.deepStrictEqual(claimed[0], [id(sibling), id("one")])
        assert.isAbove(
          (yield* Effect.flip(
            Effect.andThen(proxy.dropNextReply, storage.renew([{ lockId: "foo", holdId: id("one"), lease }]))
          ))._tag.length,
          0
        )
        const [renewed] = yield* storage.renew([{ lockId: "foo", holdId: id("one"), lease }])
        assert.strictEqual(renewed!._tag, "Renewed")
        const released = yield* lossy(storage.release({ lockId: "foo", holdId: id("one") }))
        assert.strictEqual(released._tag, "NotHeld")
        assert.deepStrictEqual(Option.getOrThrow(yield* record).holds, [id(sibling)])
        yield* storage.release({ lockId: "foo", holdId: id(sibling) })
        assert.isTrue(Option.isNone(yield* record))
      }
      assert.strictEqual(proxy.dropped(), 6)
    })
  )

  it.live("locks live through lost replies: nobody waits for a lease, nobody shares", () =>
    Effect.gen(function* () {
      const url = yield* server.freshDatabase
      const direct = yield* storageOf(url)
      const proxy = yield* Proxy.make({ host: server.host, port: server.port })
      const options = { leaseExpireAfter: "20 seconds", leaseRefreshInterval: "50 millis" } as const
      const processes = yield* Effect.all([processOf(proxy.url(url), options), processOf(proxy.url(url), options)])
      let inside = 0
      let ran = 0
      const losing = yield* Effect.forkChild(
        Effect.forever(Effect.andThen(Effect.sleep("120 millis"), proxy.dropNextReply))
      )
      yield* Effect.forEach(
        Array.from({ length: 60 }, (_, i) => i),
        (i) =>
          processes[i % 2]!.run(
            StorageLock.withLock(
              Effect.acquireUseRelease(
                Effect.sync(() => assert.strictEqual(++inside, 1)),
                () => Effect.sleep(Duration.millis(i % 4 === 0 ? 90 : 5)),
                () =>
                  Effect.sync(() => {
                    inside--
                    ran++
                  })
              ),
              "foo",
              `owner ${i}`
            )
          ),
        { concurrency: 8 }
      )
      yield* Fiber.interrupt(losing)
      assert.strictEqual(ran, 60)
      assert.isAbove(proxy.dropped(), 5)
      yield* eventually(held(direct), (all) => all.length === 0)
    })
  )

  it.live("a thousand interruptions leave no row held, no connection, no listener, and cancel nobody's query", () =>
    Effect.gen(function* () {
      const url = yield* server.freshDatabase
      const direct = yield* storageOf(url, { notify: false })
      const database = new URL(url).pathname.slice(1)
      const connections = Effect.map(
        server.admin("SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = $1", [database]),
        (rows) => rows[0].n as number
      )
      yield* held(direct)
      const before = yield* connections
      let ran = 0
      let bystanders = 0
      yield* Effect.scoped(
        Effect.gen(function* () {
          const context = yield* Layer.build(PgClient.layer({ url: Redacted.make(url), maxConnections: 4 }))
          const sql = Context.get(context, PgClient.PgClient)
          const onClient = yield* Effect.map(
            Layer.build(PostgresStorage.layerFromClient({})),
            Context.get(Storage.Storage)
          ).pipe(Effect.provide(context))
          const options = { leaseExpireAfter: "20 seconds", leaseRefreshInterval: "20 millis" } as const
          const processes = yield* Effect.all([processOf(url, options), Process.make(onClient, options)])

          const bystander = yield* Effect.forkChild(
            Effect.forever(Effect.tap(sql`SELECT pg_sleep(0.002)`, () => Effect.sync(() => bystanders++)))
          )
          yield* Effect.forEach(
            Array.from({ length: 1000 }, (_, i) => i),
            (i) =>
              Effect.gen(function* () {
                const fiber = yield* Effect.forkChild(
                  processes[i % 2]!.run(
                    StorageLock.withLock(
                      Effect.andThen(
                        Effect.sync(() => ran++),
                        Effect.sleep("30 millis")
                      ),
                      `lock ${i % 16}`
                    )
                  )
                )
                yield* Effect.sleep(yield* Random.nextIntBetween(0, 60))
                yield* Fiber.interrupt(fiber)
              }),
            { concurrency: 12 }
          )
          assert.isTrue(fibers.exitOf(bystander) === undefined, "a bystander's query was cancelled")
          yield* eventually(held(direct), (all) => all.length === 0)
          yield* Fiber.interrupt(bystander)
          // How many bodies ran is a matter of the machine's load; that every lock can be had now is not.
          for (let i = 0; i < 16; i++)
            yield* processes[i % 2]!.run(
              StorageLock.withLock(
                Effect.sync(() => ran++),
                `lock ${i}`
              )
            )
          yield* eventually(held(direct), (all) => all.length === 0)
          // All that the client may have can be had at once.
          yield* Effect.all(
            Array.from({ length: 4 }, () => Effect.scoped(Effect.andThen(sql.reserve, Effect.sleep("10 millis")))),
            { concurrency: "unbounded" }
          )
        }).pipe(Random.withSeed("thousand"))
      )
      assert.isAtLeast(ran, 16)
      assert.isAbove(bystanders, 0)
      yield* eventually(connections, (n) => n <= before)
    })
  )

  it.live("a lock acquired in the program's own transaction, which rolls back, stays held", () =>
    Effect.gen(function* () {
      const url = yield* server.freshDatabase
      const context = yield* Layer.build(PgClient.layer({ url: Redacted.make(url), maxConnections: 4 }))
      const sql = Context.get(context, PgClient.PgClient)
      const storage = yield* Effect.map(
        Layer.build(PostgresStorage.layerFromClient({})),
        Context.get(Storage.Storage)
      ).pipe(Effect.provide(context))
      const a = yield* Process.make(storage)
      const b = yield* processOf(url)
      yield* sql`CREATE TABLE work (n int)`
      yield* Effect.scoped(
        Effect.gen(function* () {
          const scope = yield* Effect.scope
          const error = yield* Effect.flip(
            sql.withTransaction(
              Effect.gen(function* () {
                yield* sql`INSERT INTO work VALUES (1)`
                // Into a scope that outlives the transaction.
                yield* Scope.provide(a.locks.acquire("foo", "a"), scope)
                return yield* Effect.fail("rolled back")
              })
            )
          )
          assert.strictEqual(error, "rolled back")
          assert.deepStrictEqual(yield* sql`SELECT * FROM work`, [])
          assert.strictEqual(Option.getOrThrow(yield* b.locks.get("foo")).ownerId, "a")
          assert.isTrue(
            Option.isNone(yield* Effect.scoped(b.locks.tryAcquire("foo", "b", { acquireTimeout: "20 seconds" })))
          )
        })
      )
      assert.isFalse(yield* b.locks.isLocked("foo"))
    })
  )

  it.live("where the program's transactions fill its pool, acquire ends in time and says so", () =>
    Effect.gen(function* () {
      const url = yield* server.freshDatabase
      const context = yield* Layer.build(PgClient.layer({ url: Redacted.make(url), maxConnections: 1 }))
      const sql = Context.get(context, PgClient.PgClient)
      const storage = yield* Effect.map(
        // It may not be ready in that time either.
        Effect.retry(Layer.build(PostgresStorage.layerFromClient({ operationTimeout: "300 millis" })), { times: 20 }),
        Context.get(Storage.Storage)
      ).pipe(Effect.provide(context))
      const a = yield* Process.make(storage, { leaseExpireAfter: "2 seconds" })
      const error = yield* sql.withTransaction(
        Effect.andThen(sql`SELECT 1`, Effect.flip(Effect.scoped(a.locks.acquire("foo", "a"))))
      )
      assert(error._tag === "StorageError")
      assert.strictEqual(error.reason, "Timeout")
      assert.strictEqual(error.applied, "no")
      assert.match(error.message, /connection.*transaction|transaction.*connection/)
      // Afterwards it works, and nothing was lost.
      yield* Effect.scoped(a.locks.acquire("foo", "a"))
    })
  )

  it.live(
    "a waiter is woken by the release in another process, and when its listener was killed it still gets the lock",
    () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        const never = { retry: Schedule.spaced("1 hour"), leaseExpireAfter: "10 minutes" } as const
        const a = yield* processOf(url, never)
        const b = yield* processOf(url, never)
        const waitAndHand = Effect.gen(function* () {
          const lock = yield* a.locks.acquire("foo", "a")
          const waiter = yield* Effect.forkChild(Effect.scoped(b.locks.acquire("foo", "b")))
          return { lock, waiter }
        })
        const listeners = Effect.map(
          server.admin("SELECT pid FROM pg_stat_activity WHERE datname = $1 AND query LIKE 'LISTEN%'", [
            new URL(url).pathname.slice(1)
          ]),
          (rows) => rows.map((row) => row.pid as number)
        )
        const first = yield* waitAndHand
        yield* eventually(listeners, (pids) => pids.length > 0)
        yield* first.lock.release
        yield* Fiber.join(first.waiter)

        const second = yield* waitAndHand
        const [pid] = yield* listeners
        yield* server.admin("SELECT pg_terminate_backend($1)", [pid])
        yield* second.lock.release
        // No poll would come in time: what wakes it is the listener, back, saying that hints may have been missed.
        yield* Fiber.join(second.waiter)
        yield* eventually(listeners, (pids) => pids.length > 0 && !pids.includes(pid!))
      })
  )
})
