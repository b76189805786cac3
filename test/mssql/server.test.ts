/** What the kit does not see of SQL Server. Runs where the environment names a server. */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "#effect/Stream"
import * as logs from "#harness/logs"
import { randomBytes } from "node:crypto"
import * as MssqlStorage from "../../src/backends/mssql/MssqlStorage.js"
import { StorageLock } from "../../src/index.js"
import type * as Storage from "../../src/Storage.js"
import * as Mssql from "../harness/mssql.js"
import * as Proxy from "../harness/proxy.js"
import { describeServer } from "../harness/server.js"

const hold = () => randomBytes(16).toString("base64url")
const second = 1_000_000

const claim = (storage: Storage.Service, lockId: string, ownerId: string, holdId = hold(), lease = 30 * second) =>
  Effect.map(storage.claim({ lockId, ownerId, holdId, lease }), (outcome) => ({ outcome, holdId }))

await describeServer(
  "MssqlStorage on a server",
  Mssql.scoped,
  (server) => {
    const fresh = Effect.map(server.freshDatabase(), (url) => ({ url, redacted: Redacted.make(url) }))

    it.live("every operation is one round trip, whatever it finds", () =>
      Effect.gen(function* () {
        const { url } = yield* fresh
        const proxy = yield* Proxy.make(server, { protocol: server.protocol })
        const { storage, versioned } = yield* MssqlStorage.make({ url: Redacted.make(proxy.url(url)), poolSize: 1 })
        const trips = <A, E>(effect: Effect.Effect<A, E>) =>
          Effect.gen(function* () {
            yield* proxy.resetRoundTrips
            const result = yield* effect
            assert.strictEqual(proxy.roundTrips(), 1)
            return result
          })
        const first = yield* trips(claim(storage, "a", "me"))
        assert.strictEqual(first.outcome._tag, "Claimed")
        const deeper = yield* trips(claim(storage, "a", "me"))
        assert.strictEqual(deeper.outcome._tag, "Claimed")
        assert.strictEqual((yield* trips(claim(storage, "a", "me", first.holdId))).outcome._tag, "Claimed")
        assert.strictEqual((yield* trips(claim(storage, "a", "you"))).outcome._tag, "Held")
        yield* claim(storage, "b", "me", hold(), 20_000)
        yield* Effect.sleep(60)
        assert.strictEqual((yield* trips(claim(storage, "b", "you"))).outcome._tag, "Claimed")
        const outcomes = yield* trips(
          storage.renew([
            { lockId: "a", holdId: deeper.holdId, lease: 50 * second },
            { lockId: "none", holdId: hold(), lease: 50 * second },
            { lockId: "a", holdId: hold(), lease: 90 * second },
            { lockId: "a", holdId: first.holdId, lease: 40 * second }
          ])
        )
        assert.deepStrictEqual(
          outcomes.map(({ _tag }) => _tag),
          ["Renewed", "NotHeld", "NotHeld", "Renewed"]
        )
        const stranger = outcomes[2]!
        assert(stranger._tag === "NotHeld")
        assert.strictEqual(stranger.current?.ownerId, "me")
        assert.strictEqual(
          (yield* trips(
            storage.renew(Array.from({ length: 900 }, (_, i) => ({ lockId: `n${i}`, holdId: hold(), lease: second })))
          )).length,
          900
        )
        assert.deepStrictEqual(yield* trips(storage.release({ lockId: "a", holdId: first.holdId })), {
          _tag: "Released",
          remaining: 1
        })
        assert.deepStrictEqual(yield* trips(storage.release({ lockId: "a", holdId: first.holdId })), {
          _tag: "NotHeld"
        })
        const found = yield* trips(storage.get("a"))
        assert.deepStrictEqual(Option.getOrThrow(found).record.holds, [deeper.holdId])
        assert.deepStrictEqual(
          yield* trips(storage.revoke({ lockId: "a", token: Option.getOrThrow(found).record.token, when: "leaseEnd" })),
          { _tag: "Revoked" }
        )
        assert.strictEqual((yield* trips(claim(storage, "a", "me"))).outcome._tag, "Held")
        assert.strictEqual(yield* trips(storage.purge("1 hour")), 0)
        assert.isAbove(yield* trips(versioned.time!), 1_700_000_000 * second)
      })
    )

    it.live("ids are bytes: no collation folds, pads or cuts them", () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase("COLLATE Latin1_General_CI_AI")
        const { storage } = yield* MssqlStorage.make({ url: Redacted.make(url) })
        const ids = [
          "Foo",
          "foo",
          "foo ",
          "foo  ",
          "\u00e9",
          "e\u0301",
          "ß",
          "ss",
          "'; --",
          "[x]",
          "%",
          "\u{1F512}",
          "漢".repeat(255),
          `${"漢".repeat(254)}字`
        ]
        for (const id of ids)
          assert.strictEqual((yield* claim(storage, id, `owner of ${id}`.slice(0, 255))).outcome._tag, "Claimed", id)
        const listed = yield* Stream.runCollect(storage.list)
        assert.deepStrictEqual([...listed].map(({ record }) => record.lockId).sort(), [...ids].sort())
        assert.strictEqual((yield* claim(storage, "foo", "owner of FOO")).outcome._tag, "Held")
      })
    )

    it.live("hold ids that differ in case alone are different holds", () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase("COLLATE Latin1_General_CI_AI")
        const { storage } = yield* MssqlStorage.make({ url: Redacted.make(url) })
        const lower = "a".repeat(22)
        yield* claim(storage, "x", "me", lower)
        const upper = yield* claim(storage, "x", "me", lower.toUpperCase())
        assert(upper.outcome._tag === "Claimed")
        assert.deepStrictEqual(upper.outcome.record.holds, [lower, lower.toUpperCase()])
        yield* storage.release({ lockId: "x", holdId: lower.toUpperCase() })
        assert.deepStrictEqual(Option.getOrThrow(yield* storage.get("x")).record.holds, [lower])
      })
    )

    it.live("on a table with triggers", () =>
      Effect.gen(function* () {
        const { redacted, url } = yield* fresh
        const { storage } = yield* MssqlStorage.make({ url: redacted })
        yield* server.query(url, "CREATE TABLE audit (n int)")
        yield* server.query(
          url,
          "CREATE TRIGGER heard ON storage_lock AFTER INSERT, UPDATE AS INSERT INTO audit SELECT 1 FROM inserted; INSERT INTO audit SELECT 2 WHERE 1 = 0"
        )
        const { holdId, outcome } = yield* claim(storage, "a", "me")
        assert.strictEqual(outcome._tag, "Claimed")
        const [renewed] = yield* storage.renew([{ lockId: "a", holdId, lease: 40 * second }])
        assert.strictEqual(renewed!._tag, "Renewed")
        assert.deepStrictEqual(yield* storage.release({ lockId: "a", holdId }), { _tag: "Released", remaining: 0 })
        assert.strictEqual((yield* server.query(url, "SELECT COUNT(*) AS n FROM audit"))[0]!.n, 3)
      })
    )

    it.live("many set-ups at once make one table, in a name of any characters", () =>
      Effect.gen(function* () {
        const { redacted, url } = yield* fresh
        yield* server.query(url, "CREATE SCHEMA [a.b]")
        const where = { schema: "a.b", table: 'lo]ck\'s "x"' }
        const made = yield* Effect.all(
          Array.from({ length: 12 }, () => MssqlStorage.make({ url: redacted, poolSize: 1, ...where })),
          { concurrency: "unbounded" }
        )
        assert.strictEqual((yield* claim(made[0]!.storage, "x", "me")).outcome._tag, "Claimed")
        assert.strictEqual((yield* claim(made[11]!.storage, "x", "you")).outcome._tag, "Held")
        yield* server.query(url, MssqlStorage.ddl(where))
        yield* MssqlStorage.make({ url: redacted, setup: false, ...where })
      })
    )

    it.live("a table of a newer format, a foreign one and none at all are told", () =>
      Effect.gen(function* () {
        const { redacted, url } = yield* fresh
        const reasonOf = (options: Partial<MssqlStorage.Options>) =>
          Effect.map(Effect.flip(Effect.scoped(MssqlStorage.make({ url: redacted, ...options }))), (error) =>
            error._tag === "StorageError" ? error.reason : error._tag
          )
        assert.strictEqual(yield* reasonOf({ setup: false }), "Schema")
        assert.strictEqual(yield* reasonOf({ schema: "nowhere" }), "Permission")
        yield* server.query(url, "CREATE TABLE foreigner (lock_id int PRIMARY KEY)")
        assert.strictEqual(yield* reasonOf({ table: "foreigner" }), "Schema")
        yield* server.query(url, MssqlStorage.ddl())
        yield* server.query(
          url,
          "EXEC sys.sp_updateextendedproperty N'effect-storage-lock format', N'2', N'SCHEMA', N'dbo', N'TABLE', N'storage_lock'"
        )
        assert.strictEqual(yield* reasonOf({}), "Schema")
      })
    )

    it.live("four rights on the table are enough", () =>
      Effect.gen(function* () {
        const { url } = yield* fresh
        yield* server.query(url, MssqlStorage.ddl({ schema: "dbo" }))
        const name = `lock_user_${randomBytes(4).toString("hex")}`
        const password = `Pw-${randomBytes(12).toString("hex")}!`
        yield* server.query(url, `CREATE LOGIN ${name} WITH PASSWORD = N'${password}'`)
        yield* Effect.addFinalizer(() => Effect.ignore(server.query(url, `DROP USER ${name}; DROP LOGIN ${name}`)))
        yield* server.query(
          url,
          `CREATE USER ${name} FOR LOGIN ${name}; GRANT SELECT, INSERT, UPDATE, DELETE ON dbo.storage_lock TO ${name}`
        )
        const theirs = new URL(url)
        theirs.username = name
        theirs.password = password
        yield* Effect.scoped(
          Effect.gen(function* () {
            const { storage } = yield* MssqlStorage.make({ url: Redacted.make(theirs.toString()) })
            const { holdId, outcome } = yield* claim(storage, "a", "me")
            assert.strictEqual(outcome._tag, "Claimed")
            yield* storage.renew([{ lockId: "a", holdId, lease: 40 * second }])
            yield* storage.release({ lockId: "a", holdId })
            yield* storage.purge("1 hour")
          })
        )
        yield* server.query(url, `REVOKE INSERT, UPDATE ON dbo.storage_lock FROM ${name}`)
        const refused = yield* Effect.flip(
          Effect.scoped(
            Effect.flatMap(MssqlStorage.make({ url: Redacted.make(theirs.toString()) }), ({ storage }) =>
              claim(storage, "b", "me")
            )
          )
        )
        assert(refused._tag === "StorageError")
        assert.deepStrictEqual([refused.reason, refused.applied], ["Permission", "no"])
      })
    )

    it.live("a read-only database and delayed durability are warned of", () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase("", "SET DELAYED_DURABILITY = FORCED")
        yield* server.query(url, MssqlStorage.ddl())
        const warned = (target: string) =>
          Effect.gen(function* () {
            const lines: Array<string> = []
            const logger = logs.to(({ message }) => void lines.push(message))
            yield* Effect.provide(Effect.scoped(MssqlStorage.make({ url: Redacted.make(target) })), logger)
            return lines.join("\n")
          })
        assert.include(yield* warned(url), "delayed durability")
        yield* server.query(
          url,
          "DECLARE @n sysname = DB_NAME(); EXEC(N'ALTER DATABASE [' + @n + N'] SET READ_ONLY WITH ROLLBACK IMMEDIATE')"
        )
        assert.include(yield* warned(url), "read-only")
        const refused = yield* Effect.flip(
          Effect.scoped(
            Effect.flatMap(MssqlStorage.make({ url: Redacted.make(url) }), ({ storage }) => claim(storage, "a", "me"))
          )
        )
        assert(refused._tag === "StorageError")
        assert.deepStrictEqual([refused.reason, refused.applied], ["Connection", "no"])
      })
    )

    it.live(
      "a wrong password is Permission, a database that is not there is Connection, and neither shows the password",
      () =>
        Effect.gen(function* () {
          const { url } = yield* fresh
          const wrong = new URL(url)
          wrong.password = "not-the-password"
          const nowhere = new URL(url)
          nowhere.pathname = "/nowhere_at_all"
          for (const [target, reason] of [
            [wrong, "Permission"],
            [nowhere, "Connection"]
          ] as const) {
            const error = yield* Effect.flip(
              Effect.scoped(MssqlStorage.make({ url: Redacted.make(target.toString()) }))
            )
            assert(error._tag === "StorageError")
            assert.strictEqual(error.reason, reason)
            assert.notInclude(error.message, target.password)
          }
        })
    )

    it.live("renewals and claims of the same locks by many do not fail", () =>
      Effect.gen(function* () {
        const { redacted } = yield* fresh
        const [a, b] = yield* Effect.all([MssqlStorage.make({ url: redacted }), MssqlStorage.make({ url: redacted })])
        const ids = Array.from({ length: 40 }, (_, i) => `lock-${i}`)
        const holds = yield* Effect.forEach(ids, (id) =>
          Effect.map(claim(a.storage, id, "me"), ({ holdId }) => ({ lockId: id, holdId, lease: 30 * second }))
        )
        const renewing = (storage: Storage.Service, requests: typeof holds) =>
          Effect.repeat(
            Effect.tap(storage.renew(requests), (outcomes) =>
              Effect.sync(() => assert.isTrue(outcomes.every(({ _tag }) => _tag === "Renewed")))
            ),
            { times: 20 }
          )
        yield* Effect.all(
          [
            renewing(a.storage, holds),
            renewing(b.storage, [...holds].reverse()),
            Effect.forEach(ids, (id) => claim(b.storage, id, "you"), { concurrency: 4 }),
            Effect.forEach(ids, (id) => claim(b.storage, `fresh-${id}`, "you"), { concurrency: 4 })
          ],
          { concurrency: "unbounded" }
        )
      })
    )

    for (const [how, lost, ...sql] of [
      ["emptied", "Vanished", "DELETE FROM storage_lock"],
      ["truncated", "Vanished", "TRUNCATE TABLE storage_lock"],
      ["recreated", "Vanished", "DROP TABLE storage_lock", MssqlStorage.ddl()],
      ["dropped", "Expired", "DROP TABLE storage_lock"]
    ] as const) {
      it.live(`a table that is ${how} under a hold loses it as ${lost}`, () =>
        Effect.gen(function* () {
          const { redacted, url } = yield* fresh
          const locks = StorageLock.layer({ leaseExpireAfter: "3 seconds" }).pipe(
            Layer.provide(MssqlStorage.layer({ url: redacted }))
          )
          const error = yield* StorageLock.acquire("a").pipe(
            Effect.tap(() => Effect.forEach(sql, (text) => server.query(url, text))),
            Effect.flatMap((lock) => Effect.flip(lock.lost)),
            Effect.scoped,
            Effect.provide(locks)
          )
          assert(error._tag === "LockLost")
          assert.strictEqual(error.reason, lost)
        })
      )
    }

    it.live("a long reader and an ALTER that waits leave few sessions of ours, and none after them", () =>
      Effect.gen(function* () {
        const { redacted, url } = yield* fresh
        const { storage } = yield* MssqlStorage.make({ url: redacted, poolSize: 2, operationTimeout: "1 seconds" })
        yield* claim(storage, "a", "me")
        const reader = yield* Effect.forkChild(
          server.query(
            url,
            "BEGIN TRANSACTION; SELECT COUNT(*) AS n FROM storage_lock WITH (HOLDLOCK, TABLOCK); WAITFOR DELAY '00:00:08'; COMMIT"
          )
        )
        yield* Effect.sleep("500 millis")
        const altering = yield* Effect.forkChild(server.query(url, "ALTER TABLE storage_lock ADD extra int NULL"))
        yield* Effect.sleep("500 millis")
        yield* Effect.forEach(
          Array.from({ length: 20 }, (_, i) => i),
          () => Effect.exit(claim(storage, "a", "you")),
          { concurrency: 8 }
        )
        const [row] = yield* server.query(
          url,
          "SELECT COUNT(*) AS n FROM sys.dm_exec_sessions WHERE program_name = N'effect-storage-lock' AND database_id = DB_ID()"
        )
        assert.isAtMost(Number(row!.n), 4)
        yield* Fiber.join(reader)
        yield* Fiber.join(altering)
        assert.strictEqual((yield* claim(storage, "a", "you")).outcome._tag, "Held")
      })
    )

    it.live("StorageLock hands over from one process's connections to another's", () =>
      Effect.gen(function* () {
        const { redacted } = yield* fresh
        const locks = StorageLock.layer({ leaseExpireAfter: "5 seconds" }).pipe(
          Layer.provide(MssqlStorage.layer({ url: redacted }))
        )
        let inside = 0
        const body = Effect.acquireUseRelease(
          Effect.sync(() => assert.strictEqual(++inside, 1)),
          () => Effect.sleep("20 millis"),
          () => Effect.sync(() => inside--)
        )
        const worker = Effect.provide(Effect.repeat(StorageLock.withLock(body, "shared"), { times: 4 }), locks)
        yield* Effect.all([worker, worker, worker], { concurrency: "unbounded" })
      })
    )
  },
  { optional: true }
)
