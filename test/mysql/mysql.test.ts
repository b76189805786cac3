/** What the conformance kit does not see of MysqlStorage, on each kind of server that has packets of its own. */
import { assert, it } from "#harness/vitest"
import * as Array from "effect/Array"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Option from "#effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "#effect/Stream"
import * as logs from "#harness/logs"
import Mysql from "mysql2"
import { randomBytes } from "node:crypto"
import * as MysqlStorage from "../../src/backends/mysql/MysqlStorage.js"
import type * as LockRecord from "../../src/LockRecord.js"
import type * as Storage from "../../src/Storage.js"
import { query as runOn } from "../harness/mysql.js"
import * as Frames from "../harness/mysqlFrames.js"
import * as Proxy from "../harness/proxy.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"

const hold = () => randomBytes(16).toString("base64url")
const second = 1_000_000
/** Those without a default. */
const columns = "lock_id, kind, format, owner_id, holds, token, version, began, expires, data"

const claim = (storage: Storage.Service, lockId: string, ownerId: string, holdId = hold(), lease = 30 * second) =>
  Effect.map(storage.claim({ lockId, ownerId, holdId, lease }), (outcome) => ({ outcome, holdId }))

const query = (url: string, sql: string, values: ReadonlyArray<unknown> = []) => Effect.orDie(runOn(url, sql, values))

/** A pool of the program's, whose connections have settings of its own. */
const programPool = (url: string, max: number, settings = "DO 0") =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const pool = Mysql.createPool({ uri: url, connectionLimit: max, multipleStatements: true })
      pool.on("connection", (connection) =>
        connection.query(settings, (error) => {
          if (error) throw error
        })
      )
      return pool
    }),
    (pool) => Effect.callback<void>((resume) => pool.end(() => resume(Effect.void)))
  )

const race = (storage: Storage.Service, rounds: number) =>
  Effect.gen(function* () {
    let previous: string | undefined
    let answers = 0
    for (let round = 0; round < rounds; round++) {
      // By turns over a lock that was given back, and over a lease that expired under its holder.
      const contenders = Array.makeBy(8, (i) => `owner-${round}-${i}`)
      const results = yield* Effect.forEach(contenders, (owner) => claim(storage, "contended", owner), {
        concurrency: "unbounded"
      })
      const winners = results.filter(({ outcome }) => outcome._tag === "Claimed")
      assert.strictEqual(winners.length, 1)
      const winner = winners[0]!
      const owner = contenders[results.indexOf(winner)]!
      for (const { outcome } of results) {
        answers++
        const named = outcome._tag === "Claimed" ? outcome.record.ownerId : outcome.holder?.ownerId
        assert.strictEqual(named, owner)
        assert.notStrictEqual(named, previous)
      }
      previous = owner
      if (round % 2 === 0) yield* storage.release({ lockId: "contended", holdId: winner.holdId })
      else {
        const { outcome } = winner
        const token = outcome._tag === "Claimed" ? outcome.record.token : 0
        assert.deepStrictEqual(yield* storage.revoke({ lockId: "contended", token, when: "now" }), { _tag: "Revoked" })
        const last = yield* claim(storage, "contended", "short", hold(), 2_000)
        assert.strictEqual(last.outcome._tag, "Claimed")
        previous = "short"
        yield* Effect.sleep(5)
      }
    }
    return answers
  })

for (const name of ["mysql8", "mariadb11", "tidb"] as const) {
  await describeServer(`MysqlStorage on ${Shared.kinds[name].server}`, Shared.mysql(name), (server) => {
    const fresh = Effect.map(server.freshDatabase, (url) => ({ url, redacted: Redacted.make(url) }))

    it.live("every operation is one packet, whatever it finds", () =>
      Effect.gen(function* () {
        const { url } = yield* fresh
        const proxy = yield* Proxy.make(server, { protocol: Frames.watch })
        const { storage, versioned } = yield* MysqlStorage.make({ url: Redacted.make(proxy.url(url)), poolSize: 1 })
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

        yield* claim(storage, "b", "me", hold(), 2_000)
        yield* Effect.sleep(5)
        const takeover = yield* trips(claim(storage, "b", "you"))
        assert.strictEqual(takeover.outcome._tag, "Claimed")

        const outcomes = yield* trips(
          storage.renew([
            { lockId: "b", holdId: takeover.holdId, lease: 40 * second },
            { lockId: "a", holdId: deeper.holdId, lease: 50 * second },
            { lockId: "none", holdId: hold(), lease: 50 * second },
            { lockId: "a", holdId: hold(), lease: 90 * second },
            { lockId: "a", holdId: first.holdId, lease: 60 * second }
          ])
        )
        assert.deepStrictEqual(
          outcomes.map((_) => _._tag),
          ["Renewed", "Renewed", "NotHeld", "NotHeld", "Renewed"]
        )
        // One row, one write, the longest of the leases that were asked for holds that are in.
        assert.strictEqual(outcomes[1]!._tag === "Renewed" && outcomes[1]!.validFor, 60 * second)
        assert.deepStrictEqual(outcomes[1], outcomes[4])

        assert.deepStrictEqual(yield* trips(storage.release({ lockId: "a", holdId: first.holdId })), {
          _tag: "Released",
          remaining: 1
        })
        assert.deepStrictEqual(yield* trips(storage.release({ lockId: "a", holdId: first.holdId })), {
          _tag: "NotHeld"
        })
        assert.deepStrictEqual(yield* trips(storage.release({ lockId: "a", holdId: deeper.holdId })), {
          _tag: "Released",
          remaining: 0
        })
        assert.isTrue(Option.isSome(yield* trips(storage.get("b"))))

        const record = Option.getOrThrow(yield* trips(versioned.get("a")))
        yield* trips(versioned.update("a", record.version, { ...record, version: record.version + 1 }))
        yield* trips(versioned.time!)
      })
    )

    it.live("a contended claim, and a repeated one, wait for no lock and write nothing", () =>
      Effect.gen(function* () {
        const { redacted, url } = yield* fresh
        const { storage } = yield* MysqlStorage.make({ url: redacted, operationTimeout: "3 seconds" })
        const { holdId, outcome } = yield* claim(storage, "a", "me")
        const other = yield* Effect.acquireRelease(
          Effect.sync(() => Mysql.createConnection({ uri: url })),
          (connection) => Effect.sync(() => connection.destroy())
        )
        const ask = (sql: string) => Effect.promise(() => other.promise().query(sql))
        yield* ask("START TRANSACTION")
        yield* ask("SELECT * FROM storage_lock WHERE lock_id = 'a' FOR UPDATE")
        // The row is locked by somebody else: whoever wanted to lock or write it would wait.
        const contended = yield* Effect.forEach(Array.range(1, 20), () => claim(storage, "a", "you"), {
          concurrency: 4
        })
        assert.isTrue(contended.every((_) => _.outcome._tag === "Held"))
        const again = yield* claim(storage, "a", "me", holdId, 90 * second)
        assert.deepStrictEqual(
          again.outcome._tag === "Claimed" && again.outcome.record,
          outcome._tag === "Claimed" && outcome.record
        )
        // Who must write ends in a time-out that is definite: the server's own comes first.
        const error = yield* Effect.flip(claim(storage, "a", "me"))
        assert.deepInclude(error, {
          reason: "Timeout",
          applied: "no",
          isRetryable: true,
          operation: "MysqlStorage.claim"
        })
        assert.strictEqual((error.cause as { errno?: number }).errno, 1205)
        yield* ask("ROLLBACK")
        assert.strictEqual((yield* claim(storage, "a", "me")).outcome._tag, "Claimed")
      })
    )

    it.live("renewals of the same locks in any order do not block each other", () =>
      Effect.gen(function* () {
        const { redacted } = yield* fresh
        const { storage } = yield* MysqlStorage.make({ url: redacted, poolSize: 8 })
        const held = yield* Effect.forEach(
          Array.range(0, 39),
          (i) => Effect.map(claim(storage, `lock-${i}`, "me"), ({ holdId }) => ({ lockId: `lock-${i}`, holdId })),
          { concurrency: 8 }
        )
        yield* Effect.forEach(
          Array.range(1, 40),
          () =>
            Effect.gen(function* () {
              const some = held
                .map((one) => ({ ...one, lease: 30 * second, order: Math.random() }))
                .sort((a, b) => a.order - b.order)
                .slice(0, 25)
              const outcomes = yield* storage.renew(some)
              assert.isTrue(outcomes.every((outcome) => outcome._tag === "Renewed"))
            }),
          { concurrency: 8 }
        )
      })
    )

    const settings =
      name === "tidb"
        ? [
            "SET time_zone = '+13:00', transaction_isolation = 'READ-COMMITTED'",
            "SET character_set_connection = utf8mb4, sql_select_limit = 0"
          ]
        : [
            `SET time_zone = '+13:00', sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES,NO_UNSIGNED_SUBTRACTION'; SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE`,
            "SET character_set_connection = utf16, sql_select_limit = 0, transaction_isolation = 'SERIALIZABLE'",
            "SET time_zone = '-11:00', sql_mode = '', character_set_results = latin1; SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
            "SET time_zone = 'SYSTEM', sql_mode = 'TRADITIONAL,NO_ZERO_DATE,HIGH_NOT_PRECEDENCE,PIPES_AS_CONCAT', sql_safe_updates = 1, completion_type = 'CHAIN'"
          ]
    for (const setting of settings) {
      it.live(`what a session is set to does not matter: ${setting}`, () =>
        Effect.gen(function* () {
          const { redacted, url } = yield* fresh
          const plain = yield* MysqlStorage.make({ url: redacted, poolSize: 1 })
          const pool = yield* programPool(url, 8, setting)
          const { storage, versioned } = yield* MysqlStorage.makeFromPool({ pool })
          assert.strictEqual(yield* race(storage, 12), 96)
          // One clock, whatever the session's time zone, and the same as everybody's.
          const [theirs, ours] = [yield* versioned.time!, yield* plain.versioned.time!]
          assert.isBelow(Math.abs(theirs - ours), 20 * second)
          assert.isBelow(Math.abs(theirs / 1000 - Date.now()), 20_000)
          // Of the oracle, which counts milliseconds; no server's own clock gives a whole one three times.
          const samples = [theirs, ours, yield* versioned.time!]
          assert.strictEqual(
            samples.every((time) => time % 1000 === 0),
            name === "tidb"
          )
          const lockId = `a "quoted" 'id' \\ \\' -- {x,y} ? :n @t \` 鍵\u{1F512}`
          const ownerId = `o'wner"\\,{} é`
          const { holdId, outcome } = yield* claim(storage, lockId, ownerId)
          assert.deepInclude(outcome._tag === "Claimed" ? outcome.record : {}, { lockId, ownerId, holds: [holdId] })
          assert.isTrue(Option.isSome(yield* plain.storage.get(lockId)))
          assert.deepStrictEqual(
            (yield* storage.renew([{ lockId, holdId, lease: second }])).map((_) => _._tag),
            ["Renewed"]
          )
          assert.deepStrictEqual(yield* storage.release({ lockId, holdId }), { _tag: "Released", remaining: 0 })
          yield* storage.purge(0)
          // All of it is committed: others see it.
          const listed = yield* Stream.runCollect(plain.versioned.list)
          assert.sameMembers(
            Array.fromIterable(listed).map((record) => record.lockId),
            ["contended", lockId]
          )
        })
      )
    }

    it.live("ids are compared byte for byte, and the longest fit", () =>
      Effect.gen(function* () {
        const { redacted } = yield* fresh
        const { storage } = yield* MysqlStorage.make({ url: redacted })
        const long = "鍵".repeat(254)
        const ids = [
          "Foo",
          "foo",
          "foo ",
          " foo",
          "\u00e9",
          "e\u0301",
          "ß",
          "ss",
          "\u0001",
          "%",
          "_",
          `${long}a`,
          `${long}b`
        ]
        const outcomes = yield* Effect.forEach(ids, (id) => claim(storage, id, id))
        assert.isTrue(
          outcomes.every(({ outcome }, i) => outcome._tag === "Claimed" && outcome.record.ownerId === ids[i])
        )
        const listed = yield* Stream.runCollect(storage.list)
        assert.sameMembers(
          Array.fromIterable(listed).map(({ record }) => record.lockId),
          ids
        )
      })
    )

    it.live("lists over pages; purge drops what ended long ago, and tokens and versions grow over it", () =>
      Effect.gen(function* () {
        const { redacted, url } = yield* fresh
        const { storage, versioned } = yield* MysqlStorage.make({ url: redacted })
        const before = yield* claim(storage, "old", "me")
        const now = before.outcome._tag === "Claimed" ? before.outcome.record.lockBeginTime : 0
        const rows = (prefix: string, count: number, expires: (i: number) => number, holds: (i: number) => string) =>
          query(url, `INSERT INTO storage_lock (${columns}) VALUES ?`, [
            Array.makeBy(count, (i) => [`${prefix}${i}`, "exclusive", 1, "me", holds(i), i, i, 1, expires(i), ""])
          ])
        yield* rows(
          "n",
          1300,
          () => now + 3600 * second,
          (i) => (i % 10 === 0 ? "" : `,h${i}`)
        )
        const ids = Array.fromIterable(yield* Stream.runCollect(storage.list)).map(({ record }) => record.lockId)
        assert.strictEqual(ids.length, 1 + 1170)
        assert.strictEqual(new Set(ids).size, ids.length)

        yield* storage.release({ lockId: "old", holdId: before.holdId })
        yield* claim(storage, "young", "me", hold(), 2_000)
        yield* rows(
          "o",
          1200,
          () => 2,
          () => ""
        )
        yield* query(url, "UPDATE storage_lock SET expires = expires - 2 * 3600000000 WHERE lock_id = 'old'")
        const dropped = yield* Effect.all([storage.purge(0), storage.purge(0)], { concurrency: 2 })
        assert.strictEqual(dropped[0] + dropped[1], 1201)
        assert.strictEqual(yield* storage.purge(0), 0)
        // Longer ago than the clock counts.
        assert.strictEqual(yield* storage.purge("80000 days"), 0)
        assert.isTrue(Option.isSome(yield* versioned.get("young")))
        const after = yield* claim(storage, "old", "you")
        if (before.outcome._tag !== "Claimed" || after.outcome._tag !== "Claimed") return assert.fail("not claimed")
        assert.isAbove(after.outcome.record.token, before.outcome.record.token)
        assert.isAbove(after.outcome.record.version, before.outcome.record.version)
      })
    )

    it.live("an id is never of two kinds at once, and comes back as exclusive", () =>
      Effect.gen(function* () {
        const { redacted } = yield* fresh
        const { storage, versioned } = yield* MysqlStorage.make({ url: redacted })
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
          data: `{"\\":"'é"}`
        }
        yield* versioned.create("a", now, record)
        assert.deepStrictEqual(Option.getOrThrow(yield* versioned.get("a")), record)
        assert.strictEqual((yield* Effect.flip(versioned.create("a", now, record)))._tag, "VersionMiss")
        const { outcome } = yield* claim(storage, "a", "me", "x")
        assert.isTrue(outcome._tag === "Held" && outcome.holder?.kind === "permits")
        yield* versioned.update("a", now, { ...record, version: now + 1, holds: [] })
        assert.strictEqual((yield* Effect.flip(versioned.update("a", now, record)))._tag, "VersionMiss")
        const taken = yield* claim(storage, "a", "you")
        if (taken.outcome._tag !== "Claimed") return assert.fail("not claimed")
        assert.deepInclude(taken.outcome.record, { kind: "exclusive", data: "", ownerId: "you", version: now + 2 })
        assert.strictEqual((yield* Effect.flip(versioned.delete("a", now)))._tag, "VersionMiss")
        yield* versioned.delete("a", now + 2)
        assert.isTrue(Option.isNone(yield* versioned.get("a")))
      })
    )

    it.live("a row of a newer format is refused and left alone", () =>
      Effect.gen(function* () {
        const { redacted, url } = yield* fresh
        const { storage } = yield* MysqlStorage.make({ url: redacted })
        const { holdId } = yield* claim(storage, "other", "me")
        yield* query(
          url,
          `INSERT INTO storage_lock (${columns}) VALUES ('a', 'exclusive', 2, 'me', ',h', 1, 1, 1, 2, 'new'), ('b', 'exclusive', 2, 'me', ',h', 1, 1, 1, 9000000000000000, '')`
        )
        const rows = query(
          url,
          "SELECT HEX(CONCAT_WS('-', lock_id, kind, format, owner_id, holds, token, version, began, expires, data)) AS all_of_it FROM storage_lock WHERE format = 2 ORDER BY lock_id"
        )
        const before = yield* rows
        for (const lockId of ["a", "b"]) {
          for (const failing of [claim(storage, lockId, "me"), storage.release({ lockId, holdId: "h" })]) {
            assert.strictEqual((yield* Effect.flip<unknown, any, never>(failing)).reason, "Schema")
          }
        }
        assert.strictEqual((yield* Effect.flip(storage.get("b"))).reason, "Schema")
        assert.strictEqual(
          (yield* Effect.flip(storage.revoke({ lockId: "b", token: 1, when: "now" }))).reason,
          "Schema"
        )
        assert.strictEqual(
          (yield* Effect.flip(storage.renew([{ lockId: "b", holdId: "h", lease: second }]))).reason,
          "Schema"
        )
        // It does not cost the other holds of the process their renewal.
        const outcomes = yield* storage.renew([
          { lockId: "b", holdId: "h", lease: second },
          { lockId: "other", holdId, lease: second }
        ])
        assert.deepStrictEqual(
          outcomes.map((_) => _._tag),
          ["StorageError", "Renewed"]
        )
        yield* storage.purge(0)
        assert.deepStrictEqual(yield* rows, before)
      })
    )

    it.live("ten layers set up at once, and names may hold any character", () =>
      Effect.gen(function* () {
        const { redacted, url } = yield* fresh
        const table = `lo.cks' "x"; -- \` ? 鍵`
        const made = yield* Effect.forEach(
          Array.range(1, 10),
          () => MysqlStorage.make({ url: redacted, table, poolSize: 1 }),
          {
            concurrency: "unbounded"
          }
        )
        const outcomes = yield* Effect.forEach(made, ({ storage }, i) => claim(storage, "a", `owner-${i}`), {
          concurrency: "unbounded"
        })
        assert.strictEqual(outcomes.filter(({ outcome }) => outcome._tag === "Claimed").length, 1)
        assert.deepStrictEqual(
          (yield* query(url, "SHOW TABLES")).map((row) => Object.values(row)[0]),
          [table]
        )
      })
    )

    it.live("a user that may only use the table needs no more, with setup on", () =>
      Effect.gen(function* () {
        const { redacted, url } = yield* fresh
        yield* Effect.scoped(MysqlStorage.make({ url: redacted }))
        const user = `locker_${randomBytes(4).toString("hex")}`
        yield* Effect.acquireRelease(query(url, `CREATE USER '${user}'@'%' IDENTIFIED BY 'p'`), () =>
          query(url, `DROP USER '${user}'@'%'`)
        )
        const theirs = new URL(url)
        theirs.username = user
        theirs.password = "p"
        const options = { url: Redacted.make(theirs.toString()) }

        const refused = yield* Effect.flip(MysqlStorage.make(options))
        assert.deepInclude(refused, { _tag: "StorageError", reason: "Permission", applied: "no", isRetryable: false })
        yield* query(url, `GRANT SELECT, INSERT, UPDATE, DELETE ON storage_lock TO '${user}'@'%'`)
        const cannotCreate = yield* Effect.flip(MysqlStorage.make({ ...options, table: "other" }))
        assert.deepInclude(cannotCreate, { _tag: "StorageError", reason: "Permission" })
        const { storage } = yield* MysqlStorage.make(options)
        const { holdId, outcome } = yield* claim(storage, "a", "me")
        assert.strictEqual(outcome._tag, "Claimed")
        yield* storage.renew([{ lockId: "a", holdId, lease: second }])
        yield* storage.release({ lockId: "a", holdId })
        yield* storage.purge(0)
      })
    )

    it.live(
      "the printed statement makes the table that setup: false finds, in another database too; foreign tables are refused",
      () =>
        Effect.gen(function* () {
          const { redacted } = yield* fresh
          const { url } = yield* fresh
          const database = new URL(url).pathname.slice(1)
          const options = { url: redacted, table: "locks", database, setup: false }
          const missing = yield* Effect.flip(MysqlStorage.make(options))
          assert.deepInclude(missing, { _tag: "StorageError", reason: "Schema", isRetryable: false })
          const ddl = MysqlStorage.ddl({ table: "locks", database })
          yield* query(url, ddl)
          yield* query(url, ddl)
          const { storage } = yield* MysqlStorage.make(options)
          assert.strictEqual((yield* claim(storage, "a", "me")).outcome._tag, "Claimed")

          yield* query(url, "CREATE TABLE foreign_one (lock_id varbinary(1020) PRIMARY KEY, kind int)")
          yield* query(url, MysqlStorage.ddl({ table: "newer" }).replace("format 1'", "format 2'"))
          yield* query(
            url,
            MysqlStorage.ddl({ table: "folding" }).replace("lock_id varbinary(1020)", "lock_id varchar(255)")
          )
          yield* query(url, MysqlStorage.ddl({ table: "keyless" }).replace("PRIMARY KEY (lock_id)", "KEY (format)"))
          yield* query(
            url,
            MysqlStorage.ddl({ table: "prefixed" }).replace("PRIMARY KEY (lock_id)", "PRIMARY KEY (lock_id(20))")
          )
          yield* query(url, MysqlStorage.ddl({ table: "counted" }).replace("token bigint", "token bigint unsigned"))
          yield* query(url, "CREATE VIEW seen AS SELECT * FROM newer")
          // Of the engines without transactions, the one whose keys may be as long as ours.
          if (name === "mariadb11") {
            yield* query(url, MysqlStorage.ddl({ table: "unsafe" }).replace("InnoDB ROW_FORMAT = DYNAMIC", "Aria"))
            const unsafe = yield* Effect.flip(MysqlStorage.make({ url: Redacted.make(url), table: "unsafe" }))
            assert.match(unsafe.message, /must be InnoDB/)
          }
          for (const table of ["foreign_one", "newer", "folding", "keyless", "prefixed", "counted", "seen"]) {
            const error = yield* Effect.flip(MysqlStorage.make({ url: Redacted.make(url), table, setup: false }))
            assert.deepInclude(error, { _tag: "StorageError", reason: "Schema", isRetryable: false }, table)
          }
          const nowhere = yield* Effect.flip(MysqlStorage.make({ url: redacted, database: "nowhere" }))
          assert.deepInclude(nowhere, { _tag: "StorageError", reason: "Schema" })
        })
    )

    it.live(
      "a table from before owner labels gets their column, by many at once; without set-up its ALTER is told",
      () =>
        Effect.gen(function* () {
          const { redacted, url } = yield* fresh
          const old = MysqlStorage.ddl({ table: "old" }).replace(/ {2}owner_label .*\n/, "")
          assert.notInclude(old, "owner_label")
          yield* query(url, old)
          const refused = yield* Effect.flip(MysqlStorage.make({ url: redacted, table: "old", setup: false }))
          assert.match(
            refused.message,
            /run ALTER TABLE `old` ADD COLUMN owner_label varbinary\(1020\) NOT NULL DEFAULT ''/
          )
          const all = yield* Effect.all(
            [1, 2, 3, 4].map(() => MysqlStorage.make({ url: redacted, table: "old" })),
            { concurrency: "unbounded" }
          )
          const request = { lockId: "a", ownerId: "me", holdId: hold(), lease: second, ownerLabel: "the night shift" }
          const outcome = yield* all[0]!.storage.claim(request)
          assert.strictEqual(outcome._tag === "Claimed" && outcome.record.ownerLabel, "the night shift")
          // A process of the older version goes on beside it.
          yield* query(
            url,
            "INSERT INTO old (lock_id, kind, format, owner_id, holds, token, version, began, expires, data) VALUES (x'62', 'exclusive', 1, x'61', '', 1, 1, 1, 1, '')"
          )
        })
    )
  })
}

await describeServer("MysqlStorage on the program's own", Shared.mysql("mysql8"), (server) => {
  const fresh = Effect.map(server.freshDatabase, (url) => ({ url, redacted: Redacted.make(url) }))

  it.live("a deadlock is retried, and leaves no transaction open", () =>
    Effect.gen(function* () {
      const { url } = yield* fresh
      const pool = yield* programPool(url, 2)
      const { storage } = yield* MysqlStorage.makeFromPool({ pool })
      const holds = yield* Effect.forEach(["a", "b"], (id) =>
        Effect.map(claim(storage, id, "me"), ({ holdId }) => ({ lockId: id, holdId, lease: second }))
      )
      const other = yield* Effect.acquireRelease(
        Effect.sync(() => Mysql.createConnection({ uri: url })),
        (connection) => Effect.sync(() => connection.destroy())
      )
      const ask = (sql: string) => Effect.promise(() => other.promise().query(sql))
      yield* ask("START TRANSACTION")
      // Much written, so that the server lets the other one die.
      yield* ask(
        `INSERT INTO storage_lock (${columns}) SELECT CONCAT('x', seq), 'k', 1, '', '', 1, 1, 1, 1, '' FROM (SELECT a.n * 10 + b.n AS seq FROM (SELECT 1 n UNION SELECT 2 UNION SELECT 3) a, (SELECT 0 n UNION SELECT 1 UNION SELECT 2) b) q`
      )
      yield* ask("SELECT * FROM storage_lock WHERE lock_id = 'b' FOR UPDATE")
      const renewal = yield* Effect.forkChild(storage.renew(holds))
      yield* Effect.promise(() =>
        other
          .promise()
          .query(
            "SELECT 1 FROM information_schema.innodb_trx JOIN information_schema.processlist p ON p.id = trx_mysql_thread_id WHERE p.db = DATABASE() AND trx_state = 'LOCK WAIT'"
          )
      ).pipe(
        Effect.delay("10 millis"),
        Effect.repeat({ until: ([rows]) => (rows as ReadonlyArray<unknown>).length > 0 })
      )
      // The renewal has a and waits for b.
      yield* ask("SELECT * FROM storage_lock WHERE lock_id = 'a' FOR UPDATE")
      yield* ask("ROLLBACK")
      assert.deepStrictEqual(
        (yield* Fiber.join(renewal)).map((_) => _._tag),
        ["Renewed", "Renewed"]
      )
      const open = yield* Effect.forEach([1, 2], () =>
        Effect.promise(() =>
          pool
            .promise()
            .query(
              "SELECT COUNT(*) AS n FROM information_schema.innodb_trx WHERE trx_mysql_thread_id = CONNECTION_ID()"
            )
        )
      )
      assert.deepStrictEqual(
        open.map(([rows]) => (rows as ReadonlyArray<any>)[0].n),
        [0, 0]
      )
    })
  )

  it.live(
    "a pool of promises serves too; one without several statements in a packet, or without autocommit, is refused",
    () =>
      Effect.gen(function* () {
        const { url } = yield* fresh
        const pool = yield* programPool(url, 2)
        const { storage } = yield* MysqlStorage.makeFromPool({ pool: pool.promise() })
        assert.strictEqual((yield* claim(storage, "a", "me")).outcome._tag, "Claimed")
        const single = Mysql.createPool({ uri: url })
        assert.deepInclude(yield* Effect.flip(MysqlStorage.makeFromPool({ pool: single })), {
          _tag: "InvalidOptions",
          field: "pool"
        })
        assert.deepInclude(yield* Effect.flip(MysqlStorage.makeFromPool({ pool: {} as never })), {
          _tag: "InvalidOptions",
          field: "pool"
        })
        const manual = yield* programPool(url, 1, "SET autocommit = 0")
        assert.deepInclude(yield* Effect.flip(MysqlStorage.makeFromPool({ pool: manual })), {
          _tag: "StorageError",
          reason: "Schema"
        })
      })
  )

  it.live("warns of what weakens its promises", () =>
    Effect.gen(function* () {
      const { redacted, url } = yield* fresh
      const said: Array<string> = []
      const logger = logs.to(({ level, message }) => said.push(`${level} ${message}`))
      const heard = Effect.provide(logger)
      const start = Effect.scoped(MysqlStorage.make({ url: redacted })).pipe(heard)
      yield* start
      assert.deepStrictEqual(said, [])
      yield* Effect.acquireUseRelease(
        query(url, "SET GLOBAL innodb_flush_log_at_trx_commit = 2"),
        () => start,
        () => query(url, "SET GLOBAL innodb_flush_log_at_trx_commit = 1")
      )
      assert.strictEqual(said.length, 1)
      assert.match(said[0]!, /^Warning .*innodb_flush_log_at_trx_commit is not 1/)

      const user = `reader_${randomBytes(4).toString("hex")}`
      yield* Effect.acquireRelease(
        query(url, `CREATE USER '${user}'@'%'; GRANT SELECT, INSERT, UPDATE, DELETE ON storage_lock TO '${user}'@'%'`),
        () => query(url, `DROP USER '${user}'@'%'`)
      )
      const theirs = new URL(url)
      theirs.username = user
      const error = yield* Effect.acquireUseRelease(
        query(url, "SET GLOBAL read_only = 1"),
        () =>
          Effect.andThen(
            start,
            Effect.scoped(
              Effect.flatMap(MysqlStorage.make({ url: Redacted.make(theirs.toString()) }), ({ storage }) =>
                Effect.flip(claim(storage, "a", "me"))
              )
            ).pipe(heard)
          ),
        () => query(url, "SET GLOBAL read_only = 0")
      )
      assert.match(said[1]!, /^Warning .*the server is read-only/)
      // It may be promoted, and another connection may lead to the one that was.
      assert.deepInclude(error, { reason: "Connection", applied: "no", isRetryable: true })
    })
  )
})
