/** Waiters of other processes are woken when a lock is freed, on each kind of server that can. Leases and pauses between polls are so long that only a wake-up can do it. */
import { assert, it } from "#harness/vitest"
import * as Deferred from "#effect/Deferred"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Schedule from "#effect/Schedule"
import * as Stream from "#effect/Stream"
import Mysql from "mysql2"
import { randomBytes } from "node:crypto"
import * as MysqlStorage from "../../src/backends/mysql/MysqlStorage.js"
import type * as Storage from "../../src/Storage.js"
import * as StorageLock from "../../src/StorageLock.js"
import { namesIn, wake } from "../../src/backends/mysql/sleepers.js"
import * as Mysql8 from "../harness/mysql.js"
import { query as runOn } from "../harness/mysql.js"
import * as Frames from "../harness/mysqlFrames.js"
import * as Proxy from "../harness/proxy.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import * as logged from "../support/logged.js"
import * as Process from "../support/process.js"

const query = (url: string, sql: string) => Effect.orDie(runOn(url, sql))
const hold = () => randomBytes(16).toString("base64url")
const hour = 3_600_000_000

/** It would poll, and its lease would end, long after the test. */
const processOf = (storage: Storage.Service) =>
  Process.make(storage, { leaseExpireAfter: "1 hour", retry: Schedule.spaced("1 hour") })

const storageAt = (url: string, options: Partial<MysqlStorage.Options> = {}) =>
  Effect.map(MysqlStorage.make({ url: Redacted.make(url), ...options }), ({ storage }) => storage)

const twoAt = (url: string) => {
  const one = Effect.flatMap(storageAt(url), processOf)
  return Effect.all([one, one])
}

const until = <A, E, R>(look: Effect.Effect<A, E, R>, is: (seen: A) => boolean) =>
  look.pipe(Effect.delay("10 millis"), Effect.repeat({ until: is }))

/** Sessions that are asleep for this database. A server knows only whole sessions: those of its own tests have databases of their own. */
const sleepers = (url: string) =>
  Effect.map(
    query(
      url,
      "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE 'DO SLEEP%' AND command = 'Query'"
    ),
    (rows) => rows.map((row) => Number(row.id ?? row.ID))
  )

/** Sessions that stand behind one that is asleep. */
const queued = (url: string) =>
  query(url, "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE 'SET @esl\\_n%'")

const asleep = (url: string, count = 1) => until(sleepers(url), (ids) => ids.length === count)

const take = (storage: Storage.Service, lockId: string, ownerId = "ada") =>
  Effect.map(
    Effect.tap(storage.claim({ lockId, ownerId, holdId: hold(), lease: hour }), (outcome) =>
      Effect.sync(() => assert.strictEqual(outcome._tag, "Claimed"))
    ),
    (outcome) => ({
      lockId,
      holdId: outcome._tag === "Claimed" ? outcome.record.holds[0]! : "",
      token: outcome._tag === "Claimed" ? outcome.record.token : 0
    })
  )

/** Waits for a lock in a scope of its own; its fiber ends when it has had it. */
const wait = (process: Effect.Success<ReturnType<typeof processOf>>, lockId: string) =>
  Effect.forkScoped(process.run(StorageLock.withLock(Effect.void, lockId)))

/** A round tells what was wrong with it. A machine that is too busy to wake a process in time spoils one, but not every one. */
const inARound = <E, R>(round: (lockId: string) => Effect.Effect<string | undefined, E, R>) =>
  Effect.gen(function* () {
    const wrong: Array<string> = []
    for (let i = 1; i <= 5; i++) {
      const what = yield* round(`round ${i}`)
      if (what === undefined) return
      wrong.push(what)
    }
    assert.fail(wrong.join("\n"))
  })

for (const name of ["mysql8", "mysql9", "mariadb10", "mariadb11"] as const) {
  await describeServer(`wake-ups of MysqlStorage on ${Shared.kinds[name].server}`, Shared.mysql(name), (server) => {
    it.live("a release wakes who waits in another process, each time", () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        const holder = yield* storageAt(url)
        const waiter = yield* processOf(yield* storageAt(url))
        for (let round = 0; round < 5; round++) {
          const held = yield* take(holder, "a")
          const waiting = yield* wait(waiter, "a")
          yield* asleep(url)
          yield* holder.release(held)
          yield* Fiber.join(waiting)
        }
      })
    )

    it.live("so does a revocation, and a release that travels with others", () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        const holder = yield* storageAt(url, { poolSize: 1 })
        const waiter = yield* processOf(yield* storageAt(url))
        const revoked = yield* take(holder, "revoked")
        const together = yield* Effect.forEach(["a", "b", "c", "d"], (lockId) => take(holder, lockId))
        const first = yield* wait(waiter, "revoked")
        yield* asleep(url)
        yield* holder.revoke({ lockId: "revoked", token: revoked.token, when: "now" })
        yield* Fiber.join(first)
        const waiting = yield* Effect.forEach(together, ({ lockId }) => wait(waiter, lockId))
        yield* asleep(url)
        yield* Effect.forEach(together, (held) => holder.release(held), { concurrency: "unbounded" })
        yield* Effect.forEach(waiting, Fiber.join)
      })
    )

    it.live("of many processes that wait, more than have a place, each has its turn", () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        const holder = yield* storageAt(url)
        const held = yield* take(holder, "a")
        const waiting = yield* Effect.forEach([1, 2, 3, 4, 5, 6], () =>
          Effect.flatMap(Effect.flatMap(storageAt(url, { poolSize: 1 }), processOf), (one) => wait(one, "a"))
        )
        yield* until(sleepers(url), (ids) => ids.length > 0)
        yield* holder.release(held)
        yield* Effect.forEach(waiting, Fiber.join)
      })
    )

    it.live("the server keeps those who wait for one lock in a queue, of which one is woken at a time", () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        const holder = yield* storageAt(url)
        const held = yield* take(holder, "a")
        const waiting: Array<Fiber.Fiber<unknown, unknown>> = []
        const came: Array<number> = []
        for (let i = 0; i < 4; i++) {
          waiting.push(yield* wait(yield* Effect.flatMap(storageAt(url), processOf), "a"))
          yield* asleep(url)
          const rows = yield* until(queued(url), (rows) => rows.length === i)
          const ids = [...(yield* sleepers(url)), ...rows.map((row) => Number(row.id ?? row.ID))]
          came.push(ids.find((id) => !came.includes(id))!)
        }
        // Woken, it finds that the lock is held, and stands behind the others.
        const name = `${namesIn(new URL(url).pathname.slice(1), "storage_lock")("a")}0`
        for (let i = 0; i < 6; i++) {
          const [id] = yield* asleep(url)
          assert.strictEqual(id, came[i % 4])
          yield* query(url, wake([name]).statements[0] as string)
          yield* until(sleepers(url), ([next]) => next !== undefined && next !== id)
          yield* until(queued(url), (rows) => rows.length === 3)
        }
        yield* holder.release(held)
        yield* Effect.forEach(waiting, Fiber.join)
      })
    )

    it.live("who has just given it back waits behind those who wait", () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        const [one, other] = yield* twoAt(url)
        const times = (process: typeof one, name: string, lockId: string, had: Array<string>) =>
          process.run(
            StorageLock.withLock(
              Effect.suspend(() => {
                had.push(name)
                return Effect.sleep("5 millis")
              }),
              lockId
            ).pipe(Effect.repeat({ times: 29 }))
          )
        const holder = yield* storageAt(url)
        yield* inARound((lockId) =>
          Effect.gen(function* () {
            const had: Array<string> = []
            const held = yield* take(holder, lockId)
            const both = yield* Effect.forkScoped(
              Effect.all([times(one, "one", lockId, had), times(other, "other", lockId, had)], {
                concurrency: "unbounded"
              })
            )
            yield* asleep(url)
            yield* until(queued(url), (rows) => rows.length === 1)
            yield* holder.release(held)
            yield* Fiber.join(both)
            const turns = had.filter((name, i) => name !== had[i - 1]).length
            return turns > 30 ? undefined : had.join(" ")
          })
        )
      })
    )

    it.live(
      "who has met nobody, and gives it back again and again, lets those go first whom a release of its own has woken",
      () =>
        Effect.gen(function* () {
          const url = yield* server.freshDatabase
          const [one, other] = yield* twoAt(url)
          yield* inARound((lockId) =>
            Effect.gen(function* () {
              const had: Array<string> = []
              const waits = yield* Deferred.make<void>()
              const busy = one.run(
                StorageLock.withLock(
                  Effect.suspend(() => {
                    had.push("one")
                    return had.length === 1 ? Deferred.await(waits) : Effect.sleep("5 millis")
                  }),
                  lockId
                ).pipe(Effect.repeat({ until: () => had.includes("other") || had.length === 100 }))
              )
              const first = yield* Effect.forkScoped(busy)
              yield* until(
                Effect.sync(() => had.length),
                (length) => length === 1
              )
              const second = yield* Effect.forkScoped(
                other.run(
                  StorageLock.withLock(
                    Effect.sync(() => had.push("other")),
                    lockId
                  )
                )
              )
              yield* asleep(url)
              yield* Deferred.succeed(waits, undefined)
              yield* Fiber.join(first)
              yield* Fiber.join(second)
              const at = had.indexOf("other")
              return at < 10 ? undefined : had.join(" ")
            })
          )
        })
    )

    it.live("who waits for many locks is told of the one that was freed, and the table is not blocked meanwhile", () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        const holder = yield* storageAt(url)
        const waiter = yield* storageAt(url)
        const told: Array<string> = []
        const claim = (lockId: string) =>
          Effect.map(waiter.claim({ lockId, ownerId: "bob", holdId: hold(), lease: hour }), (outcome) =>
            assert.strictEqual(outcome._tag, "Held")
          )
        yield* Effect.forkScoped(Stream.runForEach(waiter.wakeUps, (lockId) => Effect.sync(() => told.push(lockId))))
        const [a, b] = yield* Effect.all([take(holder, "a"), take(holder, "b")])
        yield* claim("a")
        yield* asleep(url)
        // It is asleep for another one.
        yield* claim("b")
        yield* until(
          query(url, "SELECT 1 FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE 'DO SLEEP%'"),
          (rows) => rows.length === 1
        )
        yield* query(url, "ALTER TABLE storage_lock COMMENT = 'effect-storage-lock format 1'")
        yield* holder.release(b)
        yield* until(
          Effect.sync(() => told.length),
          (count) => count > 0
        )
        assert.deepStrictEqual(told, ["b"])
        yield* asleep(url)
        yield* holder.release(a)
        yield* until(
          Effect.sync(() => told.length),
          (count) => count > 1
        )
        assert.deepStrictEqual(told, ["b", "a"])
        yield* until(sleepers(url), (ids) => ids.length === 0)
      })
    )

    it.live("where nobody waits nothing more is sent, and there is no further connection", () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        const proxy = yield* Proxy.make(server, { protocol: Frames.watch })
        const holder = yield* storageAt(proxy.url(url), { poolSize: 1 })
        const other = yield* storageAt(url)
        yield* Effect.forkScoped(Stream.runDrain(holder.wakeUps))
        yield* take(holder, "b")
        const held = yield* take(holder, "a")
        // Who only tries does not sleep.
        yield* other.claim({ lockId: "a", ownerId: "bob", holdId: hold(), lease: hour })
        yield* proxy.resetRoundTrips
        yield* holder.release(held)
        yield* holder.get("a")
        assert.strictEqual(proxy.roundTrips(), 2)
        assert.strictEqual(proxy.connections(), 1)
      })
    )

    it.live("without the right to wake another user's session waiters poll, and one warning says so", () =>
      logged.heard((lines) =>
        Effect.gen(function* () {
          const url = yield* server.freshDatabase
          const names = yield* Effect.acquireRelease(
            Effect.sync(() => [1, 2].map(() => `u${randomBytes(6).toString("hex")}`)),
            (names) => Effect.ignore(runOn(url, `DROP USER ${names.join(", ")}`))
          )
          const database = new URL(url).pathname.slice(1)
          const urls = yield* Effect.forEach(names, (user) =>
            Effect.gen(function* () {
              yield* query(url, `CREATE USER ${user} IDENTIFIED BY 'secret'; GRANT ALL ON ${database}.* TO ${user}`)
              const theirs = new URL(url)
              theirs.username = user
              theirs.password = "secret"
              return theirs.toString()
            })
          )
          const holder = yield* storageAt(urls[0]!)
          const storage = yield* storageAt(urls[1]!)
          const waiter = yield* Process.make(storage, {
            leaseExpireAfter: "1 hour",
            retry: Schedule.spaced("300 millis")
          })
          for (let round = 0; round < 2; round++) {
            const held = yield* take(holder, "a")
            const waiting = yield* wait(waiter, "a")
            yield* asleep(url)
            yield* holder.release(held)
            yield* Fiber.join(waiting)
          }
          yield* until(
            Effect.sync(() => lines.filter(({ message }) => /cannot be woken, and poll/.test(String(message))).length),
            (count) => count > 0
          )
          assert.strictEqual(logged.at(lines, "Warning").length, 1)
        })
      )
    )

    it.live("a connection that is killed comes back", () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        const holder = yield* storageAt(url)
        const waiter = yield* processOf(yield* storageAt(url))
        const held = yield* take(holder, "a")
        const waiting = yield* wait(waiter, "a")
        const [id] = yield* asleep(url)
        yield* query(url, `KILL ${id}`)
        yield* until(sleepers(url), ([other]) => other !== undefined && other !== id)
        yield* holder.release(held)
        yield* Fiber.join(waiting)
      })
    )

    it.live("the end of a layer ends its sleep, though somebody still waits", () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        const holder = yield* storageAt(url)
        yield* take(holder, "a")
        yield* Effect.scoped(
          Effect.gen(function* () {
            const waiter = yield* processOf(yield* storageAt(url))
            yield* wait(waiter, "a")
            yield* asleep(url)
          })
        )
        assert.deepStrictEqual(yield* sleepers(url), [])
      })
    )

    it.live("with `notify: false` nobody sleeps, and nobody is told", () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        const quiet = yield* storageAt(url, { notify: false })
        assert.strictEqual((yield* Stream.runCollect(quiet.wakeUps)).length, 0)
      })
    )

    it.live("a pool of the program's wakes others, and its process is woken by a connection of its own", () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        const pool = yield* Effect.acquireRelease(
          Effect.sync(() => Mysql.createPool({ uri: url, connectionLimit: 2, multipleStatements: true })),
          (pool) => Effect.callback<void>((resume) => pool.end(() => resume(Effect.void)))
        )
        const shared = yield* MysqlStorage.makeFromPool({ pool, notify: { url: Redacted.make(url) } })
        const [one, other] = [yield* storageAt(url), shared.storage]
        for (const [holder, waiting] of [
          [one, other],
          [other, one]
        ] as const) {
          const held = yield* take(holder, "a")
          const fiber = yield* wait(yield* processOf(waiting), "a")
          yield* asleep(url)
          yield* holder.release(held)
          yield* Fiber.join(fiber)
        }
        const silent = yield* MysqlStorage.makeFromPool({ pool })
        assert.strictEqual((yield* Stream.runCollect(silent.storage.wakeUps)).length, 0)
      })
    )

    it.live("whoever has the name no longer, and everybody else, is left alone", () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        const holder = yield* storageAt(url)
        const name = `${namesIn(new URL(url).pathname.slice(1), "storage_lock")("a")}0`
        const session = Effect.acquireRelease(
          Effect.sync(() => {
            const one = Mysql.createConnection({ uri: url, multipleStatements: true })
            one.on("error", () => {})
            return one
          }),
          (one) => Effect.sync(() => one.destroy())
        )
        const ask = (one: Mysql.Connection, sql: string) =>
          Effect.callback<any, unknown>((resume) => {
            one.query(sql, (error, rows) => resume(error === null ? Effect.succeed(rows) : Effect.fail(error)))
          })

        // Of the same user, so that each of them could be woken.
        let ended = 0
        let asked = 0
        const victim = Effect.gen(function* () {
          const one = yield* session
          while (true) {
            const [{ s }] = yield* ask(one, "SELECT SLEEP(0.02) AS s")
            asked++
            if (s !== 0) ended++
          }
        })
        yield* Effect.forEach([1, 2, 3], () =>
          Effect.forkScoped(Effect.catch(victim, () => Effect.sync(() => ended++)))
        )

        for (let round = 0; round < 40; round++) {
          const held = yield* take(holder, "a")
          // It has the name when the release looks, and is gone, or awake, before it could be woken.
          const one = yield* session
          const [{ got, id }] = yield* ask(one, `SELECT GET_LOCK('${name}', 5) AS got, CONNECTION_ID() AS id`)
          assert.strictEqual(Number(got), 1)
          // The session that has the name may be woken in the very statement that gives it away.
          const awake = Effect.retry(ask(one, `DO RELEASE_ALL_LOCKS()`), { times: 5 })
          const away = round % 2 === 0 ? query(url, `KILL ${id}`) : awake
          yield* Effect.all([holder.release(held), away], { concurrency: "unbounded" })
        }
        const free = yield* Effect.flip(
          Effect.andThen(query(url, "DO 0"), runOn(url, wake([name]).statements[0] as string))
        )
        assert.strictEqual((free as { readonly errno?: unknown }).errno, 1094)
        const before = asked
        yield* until(
          Effect.sync(() => asked),
          (count) => count > before + 6
        )
        assert.strictEqual(ended, 0)
      })
    )
  })
}

/** A write that asks who waits cannot be told to a replica as a statement. */
const statements = Mysql8.mysql8With(["--server-id=1", "--log-bin=log", "--binlog-format=STATEMENT"])

await describeServer("wake-ups of MysqlStorage, with a binary log of statements", statements, (server) => {
  it.live("are none: a warning says so, and waiters poll", () =>
    logged.heard((lines) =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        const holder = yield* storageAt(url)
        assert.deepStrictEqual(
          logged.at(lines, "Warning").filter(({ message }) => /no wake-ups.*binlog_format is STATEMENT/.test(message))
            .length,
          1
        )
        const storage = yield* storageAt(url, { notify: false })
        assert.strictEqual(logged.at(lines, "Warning").filter(({ message }) => /no wake-ups/.test(message)).length, 1)
        const waiter = yield* Process.make(storage, { leaseExpireAfter: "1 hour", retry: Schedule.spaced("20 millis") })
        const held = yield* take(holder, "a")
        const waiting = yield* wait(waiter, "a")
        yield* holder.release(held)
        yield* Fiber.join(waiting)
        assert.strictEqual((yield* Stream.runCollect(holder.wakeUps)).length, 0)
      })
    )
  )
})
