/** What the kit does not see of the blocks, on MariaDB in Oracle mode. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import { randomBytes } from "node:crypto"
import * as OracleStorage from "../../src/backends/oracle/OracleStorage.js"
import * as statements from "../../src/backends/oracle/statements.js"
import type { StorageError } from "../../src/LockError.js"
import type * as Storage from "../../src/Storage.js"
import * as Mysql from "../harness/mysql.js"
import * as OnMariadb from "../harness/oracleOnMariadb.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import * as Oracle from "../support/oracleStorage.js"

const second = 1_000_000
const hold = () => randomBytes(16).toString("base64url")

const claim = (storage: Storage.Service, lockId: string, ownerId: string, holdId = hold(), lease = 30 * second) =>
  Effect.map(storage.claim({ lockId, ownerId, holdId, lease }), (outcome) => ({ outcome, holdId }))

const told = ({ applied, isRetryable, reason }: StorageError) => [reason, isRetryable, applied]

describe("what of the text MariaDB did not run", () => {
  it("is what the rewritings name, and no more: each of them is used", () => {
    const { claim, list, purge } = statements.make('"T"', 4)
    const all = [claim("a").text, list.text, purge.text, OracleStorage.ddl()].join("\n")
    for (const { from, lacks } of OnMariadb.rewritings)
      assert.isTrue(typeof from === "string" ? all.includes(from) : new RegExp(from).test(all), lacks)
    const left = OnMariadb.rewritten(all)
    for (const word of ["SYSTIMESTAMP", "INTERVAL", "WAIT", "WRITE", "COMMENT ON", " BYTE"])
      assert.notInclude(left, word)
  })
})

await describeServer("OracleStorage's blocks on MariaDB 11.8", Shared.mysql("mariadb11"), (server) => {
  it.live("every operation is one call, whatever it finds; renewals of many, too", () =>
    Effect.gen(function* () {
      let calls = 0
      const fake = yield* Oracle.fresh(server, { onCall: () => calls++ })
      const { storage, versioned } = yield* Oracle.own(fake, { poolSize: 1 })
      const once = <A, E>(effect: Effect.Effect<A, E>) =>
        Effect.gen(function* () {
          calls = 0
          const result = yield* effect
          assert.strictEqual(calls, 1)
          return result
        })
      const first = yield* once(claim(storage, "a", "me"))
      assert.strictEqual(first.outcome._tag, "Claimed")
      const deeper = yield* once(claim(storage, "a", "me"))
      assert.strictEqual(deeper.outcome._tag, "Claimed")
      assert.strictEqual((yield* once(claim(storage, "a", "me", first.holdId))).outcome._tag, "Claimed")
      assert.strictEqual((yield* once(claim(storage, "a", "you"))).outcome._tag, "Held")
      yield* claim(storage, "b", "me", hold(), 20_000)
      yield* Effect.sleep(60)
      assert.strictEqual((yield* once(claim(storage, "b", "you"))).outcome._tag, "Claimed")
      const renewals = yield* once(
        storage.renew([
          { lockId: "none", holdId: hold(), lease: 50 * second },
          { lockId: "a", holdId: deeper.holdId, lease: 50 * second },
          { lockId: "a", holdId: hold(), lease: 90 * second },
          { lockId: "a", holdId: first.holdId, lease: 40 * second }
        ])
      )
      assert.deepStrictEqual(
        renewals.map(({ _tag }) => _tag),
        ["NotHeld", "Renewed", "NotHeld", "Renewed"]
      )
      const stranger = renewals[2]!
      assert(stranger._tag === "NotHeld")
      assert.strictEqual(stranger.current?.ownerId, "me")
      const many = Array.from({ length: 1000 }, (_, i) => ({ lockId: `n${i}`, holdId: hold(), lease: second }))
      assert.lengthOf(yield* once(storage.renew(many)), 1000)
      assert.deepStrictEqual(yield* once(storage.release({ lockId: "a", holdId: first.holdId })), {
        _tag: "Released",
        remaining: 1
      })
      assert.deepStrictEqual(yield* once(storage.release({ lockId: "a", holdId: first.holdId })), { _tag: "NotHeld" })
      const { token } = Option.getOrThrow(yield* once(storage.get("a"))).record
      assert.strictEqual((yield* once(storage.revoke({ lockId: "a", token, when: "leaseEnd" })))._tag, "Revoked")
      assert.strictEqual((yield* once(claim(storage, "a", "me"))).outcome._tag, "Held")
      assert.strictEqual(yield* once(storage.purge("1 hour")), 0)
      assert.isAbove(yield* once(versioned.time!), 1_700_000_000 * second)
    })
  )

  it.live("a transaction that the program left open is refused, never joined, and another connection serves", () =>
    Effect.gen(function* () {
      const fake = yield* Oracle.fresh(server)
      yield* Mysql.query(fake.url, "CREATE TABLE theirs (n int) ENGINE = InnoDB")
      yield* Oracle.own(fake)
      const open = OnMariadb.make(fake.url, fake.url, { session: ["INSERT INTO theirs VALUES (1)"] })
      const error = yield* Effect.flip(
        Effect.asVoid(Effect.flatMap(Oracle.onPool(open, 2), ({ storage }) => claim(storage, "a", "me")))
      )
      assert(error._tag === "StorageError")
      assert.deepStrictEqual(told(error), ["Connection", true, "no"])
      assert.include(error.message, "left a transaction open")
      assert.lengthOf(yield* Mysql.query(fake.url, "SELECT n FROM theirs"), 0)
    })
  )

  it.live("the isolation level of a session does not matter", () =>
    Effect.gen(function* () {
      const fake = yield* Oracle.fresh(server, { session: ["SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE"] })
      const { storage } = yield* Oracle.onPool(fake, 8)
      const outcomes = yield* Effect.forEach(
        Array.from({ length: 16 }, (_, i) => i),
        (i) => claim(storage, "a", `owner ${i}`),
        { concurrency: "unbounded" }
      )
      assert.lengthOf(
        outcomes.filter(({ outcome }) => outcome._tag === "Claimed"),
        1
      )
    })
  )

  it.live("an error in the middle of many renewals undoes all of them, and the connection is as good as before", () =>
    Effect.gen(function* () {
      const fake = yield* Oracle.fresh(server)
      const { storage } = yield* Oracle.own(fake, { poolSize: 1 })
      const held = yield* Effect.forEach(["a", "b", "c"], (lockId) =>
        Effect.map(claim(storage, lockId, "me"), ({ holdId }) => ({ lockId, holdId, lease: 90 * second }))
      )
      const before = yield* Effect.forEach(held, ({ lockId }) => storage.get(lockId))
      yield* Mysql.query(
        fake.url,
        "CREATE TRIGGER bad BEFORE UPDATE ON STORAGE_LOCK FOR EACH ROW IF NEW.lock_id = 'c' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'; END IF"
      )
      const error = yield* Effect.flip(storage.renew(held))
      assert.strictEqual(error.applied, "no")
      yield* Mysql.query(fake.url, "DROP TRIGGER bad")
      const after = yield* Effect.forEach(held, ({ lockId }) => storage.get(lockId))
      assert.deepStrictEqual(
        after.map((one) => Option.getOrThrow(one).record.version),
        before.map((one) => Option.getOrThrow(one).record.version)
      )
      assert.deepStrictEqual(
        (yield* storage.renew(held)).map(({ _tag }) => _tag),
        ["Renewed", "Renewed", "Renewed"]
      )
    })
  )

  it.live("a row that somebody has locked is waited for within the limit, and the block that waits is stopped", () =>
    Effect.gen(function* () {
      const fake = yield* Oracle.fresh(server)
      const { storage } = yield* Oracle.own(fake, { operationTimeout: "1 second" })
      const { holdId } = yield* claim(storage, "a", "me")
      const link = yield* Effect.promise(() => fake.driver.getConnection({}))
      yield* Effect.addFinalizer(() => Effect.promise(() => link.close()))
      // As by hand: a block that takes the row's lock and does not commit.
      const other = OnMariadb.make(fake.url, fake.url, { session: ["SELECT token FROM STORAGE_LOCK FOR UPDATE"] })
      const locker = yield* Effect.promise(() => other.driver.getConnection({}))
      const error = yield* Effect.flip(storage.release({ lockId: "a", holdId }))
      assert.deepStrictEqual([error.reason, error.isRetryable], ["Timeout", true])
      // A contended claim only reads, and waits for nobody.
      assert.strictEqual((yield* claim(storage, "a", "you")).outcome._tag, "Held")
      assert.strictEqual(yield* storage.purge("1 hour"), 0)
      yield* Effect.promise(() => locker.close())
      assert.strictEqual((yield* storage.release({ lockId: "a", holdId }))._tag, "Released")
    })
  )

  it.live("a table that was emptied, dropped or recreated is noticed", () =>
    Effect.gen(function* () {
      const fake = yield* Oracle.fresh(server)
      const { storage } = yield* Oracle.own(fake)
      const renewed = (holdId: string) =>
        Effect.map(storage.renew([{ lockId: "a", holdId, lease: second }]), ([one]) => one!)
      const { holdId } = yield* claim(storage, "a", "me")
      yield* Mysql.query(fake.url, "DELETE FROM STORAGE_LOCK")
      assert.deepStrictEqual(yield* renewed(holdId), { _tag: "NotHeld" } as never)
      const again = yield* claim(storage, "a", "me")
      yield* Mysql.query(fake.url, "DROP TABLE STORAGE_LOCK")
      const error = yield* Effect.flip(renewed(again.holdId))
      assert.deepStrictEqual(told(error), ["Schema", false, "no"])
      yield* Oracle.own(fake)
      assert.strictEqual((yield* renewed(again.holdId))._tag, "NotHeld")
    })
  )

  it.live("a lock has room for 88 nested holds; one more is refused, and changes nothing", () =>
    Effect.gen(function* () {
      const fake = yield* Oracle.fresh(server)
      const { storage } = yield* Oracle.own(fake)
      for (let i = 0; i < 88; i++) yield* claim(storage, "a", "me")
      const error = yield* Effect.flip(claim(storage, "a", "me"))
      assert.deepStrictEqual(told(error), ["Unknown", false, "no"])
      assert.include(error.message, "nested holds")
      assert.lengthOf(Option.getOrThrow(yield* storage.get("a")).record.holds, 88)
    })
  )

  it.live("many set-ups at once make one table, in a name of many characters; a foreign and a newer one are told", () =>
    Effect.gen(function* () {
      const fake = yield* Oracle.fresh(server)
      const table = "lo.ck's x"
      const made = yield* Effect.forEach(Array.from({ length: 8 }), () => Oracle.own(fake, { table, poolSize: 1 }), {
        concurrency: "unbounded"
      })
      assert.strictEqual((yield* claim(made[0]!.storage, "x", "me")).outcome._tag, "Claimed")
      assert.strictEqual((yield* claim(made[7]!.storage, "x", "you")).outcome._tag, "Held")
      yield* Oracle.own(fake, { table, setup: false })
      const refused = (options: OracleStorage.CommonOptions) =>
        Effect.map(Effect.flip(Effect.asVoid(Oracle.own(fake, options))), (error) => {
          assert(error._tag === "StorageError")
          assert.deepStrictEqual(told(error), ["Schema", false, "no"])
          return error.message
        })
      assert.include(yield* refused({ table: "NONE", setup: false }), "does not exist")
      yield* Mysql.query(fake.url, "CREATE TABLE FOREIGNER (lock_id int PRIMARY KEY)")
      assert.include(yield* refused({ table: "FOREIGNER" }), "not one of locks")
      yield* Mysql.query(fake.url, "CREATE TABLE NOKEY LIKE `lo.ck's x`; ALTER TABLE NOKEY DROP PRIMARY KEY")
      assert.include(yield* refused({ table: "NOKEY" }), "primary key")
      yield* Mysql.query(fake.url, "ALTER TABLE `lo.ck's x` COMMENT = 'effect-storage-lock format 2'")
      assert.include(yield* refused({ table }), "newer than 1")
    })
  )

  it.live("a later connection that leads to another database serves nothing", () =>
    Effect.gen(function* () {
      const fake = yield* Oracle.fresh(server)
      let connections = 0
      const driver = {
        ...fake.driver,
        getConnection: async () => {
          const connection = await fake.driver.getConnection({})
          if (++connections === 1) return connection
          const { execute } = connection
          return Object.assign(Object.create(connection) as typeof connection, {
            execute: async (...args: Parameters<typeof execute>) =>
              /DB_NAME/.test(args[0]) ? { rows: [{ database: "OTHER", container: "OTHER" }] } : execute(...args)
          })
        }
      }
      const { storage } = yield* Oracle.own({ driver }, { poolSize: 2 })
      const [one, other] = yield* Effect.forEach(["a", "b"], (lockId) => Effect.result(claim(storage, lockId, "me")), {
        concurrency: 2
      })
      const failed = [one!, other!].filter(({ _tag }) => _tag === "Failure")
      assert.lengthOf(failed, 1)
      assert.include(String((failed[0] as { failure: StorageError }).failure.message), "opened in")
    })
  )

  it.live("four rights on the table are enough", () =>
    Effect.gen(function* () {
      const fake = yield* Oracle.fresh(server)
      const { storage: first } = yield* Oracle.own(fake)
      const use = (storage: Storage.Service) =>
        Effect.gen(function* () {
          const { holdId } = yield* claim(storage, "a", "me")
          yield* storage.renew([{ lockId: "a", holdId, lease: 40 * second }])
          yield* storage.release({ lockId: "a", holdId })
          yield* storage.purge("1 hour")
        })
      // So that the blocks are there: they are procedures of the test's, with the rights of who calls them.
      yield* use(first)
      const user = `esl_${randomBytes(4).toString("hex")}`
      const database = new URL(fake.url).pathname.slice(1)
      yield* Effect.addFinalizer(() => Effect.ignore(Mysql.query(fake.url, `DROP USER ${user}`)))
      yield* Mysql.query(
        fake.url,
        `CREATE USER ${user}; GRANT EXECUTE ON ${database}.* TO ${user}; GRANT SELECT, INSERT, UPDATE, DELETE ON ${database}.STORAGE_LOCK TO ${user};
${["ALL_TABLES", "ALL_TAB_COMMENTS", "ALL_TAB_COLUMNS", "ALL_CONSTRAINTS", "ALL_CONS_COLUMNS"].map((view) => `GRANT SELECT ON ${database}.${view} TO ${user};`).join("\n")}`
      )
      const theirs = new URL(fake.url)
      theirs.username = user
      const mine = OnMariadb.make(theirs.toString(), fake.url)
      yield* Effect.scoped(Effect.flatMap(Oracle.own(mine), ({ storage }) => use(storage)))
      yield* Mysql.query(fake.url, `REVOKE INSERT ON ${database}.STORAGE_LOCK FROM ${user}`)
      const error = yield* Effect.flip(
        Effect.scoped(Effect.flatMap(Oracle.own(mine), ({ storage }) => claim(storage, "new", "me")))
      )
      assert(error._tag === "StorageError")
      assert.deepStrictEqual(told(error), ["Permission", false, "no"])
    })
  )
})
