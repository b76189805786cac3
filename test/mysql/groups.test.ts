/** Claims and releases that travel together, on each kind of server that can leave out a locked row. */
import { assert, it } from "#harness/vitest"
import * as Array from "effect/Array"
import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import Mysql from "mysql2"
import { randomBytes } from "node:crypto"
import * as MysqlStorage from "../../src/backends/mysql/MysqlStorage.js"
import type * as Storage from "../../src/Storage.js"
import * as Servers from "../harness/mysql.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"

const hold = () => randomBytes(16).toString("base64url")
const second = 1_000_000

const claim = (storage: Storage.Service, lockId: string, ownerId: string, holdId = hold(), lease = 30 * second) =>
  Effect.map(storage.claim({ lockId, ownerId, holdId, lease, ownerLabel: `é of ${ownerId}` }), (outcome) => ({
    lockId,
    outcome,
    holdId
  }))

/** The first goes alone, and keeps the one connection busy: the rest waits, and goes together. */
const atOnce = <A, E>(effects: ReadonlyArray<Effect.Effect<A, E>>) =>
  Effect.forEach(effects, (effect) => effect, { concurrency: "unbounded" })

for (const name of ["mysql8", "mysql9", "mariadb10", "mariadb11"] as const) {
  await describeServer(
    `what MysqlStorage sends together on ${Shared.kinds[name].server}`,
    // Its own: all its transactions are counted.
    Servers[name],
    (server) => {
      const fresh = Effect.map(server.freshDatabase, (url) => ({ url, redacted: Redacted.make(url) }))

      const transactions = (url: string) =>
        Effect.map(
          Servers.query(url, "SHOW GLOBAL STATUS WHERE Variable_name IN ('Com_begin', 'Com_rollback')"),
          (rows) =>
            // A group that fails rolls back, and its members go alone: that would be no group at all.
            rows.reduce((sum, row) => sum + Number(row.Value) * (row.Variable_name === "Com_begin" ? 1 : 1000), 0)
        )

      it.live("many claims and releases are a few transactions, and each has its own answer", () =>
        Effect.gen(function* () {
          const { redacted, url } = yield* fresh
          const { storage, versioned } = yield* MysqlStorage.make({ url: redacted, poolSize: 1 })
          const held = yield* claim(storage, "held", "you")
          const mine = yield* claim(storage, "mine", "me")
          const before = yield* transactions(url)
          const ids = [
            ...Array.makeBy(150, (i) => `lock-${i}`),
            `a "quoted" 'id' \\ \\' {x,y} ? 鍵\u{1F512}`,
            "é".repeat(255)
          ]
          const claims = yield* atOnce([
            claim(storage, "warm", "me"),
            ...ids.map((id) => claim(storage, id, `owner of ${id.slice(0, 20)}`)),
            claim(storage, "held", "me"),
            claim(storage, "mine", "me"),
            claim(storage, "mine", "me", mine.holdId, 90 * second)
          ])
          // One group is a transaction, and so is nothing else.
          assert.isBelow((yield* transactions(url)) - before, 10)
          assert.isAbove((yield* transactions(url)) - before, 1)
          for (const { holdId, lockId, outcome } of claims.slice(1, 1 + ids.length)) {
            assert.strictEqual(outcome._tag, "Claimed")
            if (outcome._tag !== "Claimed") continue
            const ownerId = `owner of ${lockId.slice(0, 20)}`
            assert.deepInclude(outcome.record, { lockId, ownerId, ownerLabel: `é of ${ownerId}`, holds: [holdId] })
            assert.strictEqual(outcome.validFor, 30 * second)
          }
          const [refused, deeper, again] = claims.slice(1 + ids.length).map(({ outcome }) => outcome)
          assert.strictEqual(refused!._tag === "Held" && refused!.holder?.holds[0], held.holdId)
          assert.strictEqual(deeper!._tag === "Claimed" && deeper!.record.holds.length, 2)
          assert.isTrue(again!._tag === "Claimed" && again!.record.holds.includes(mine.holdId))

          const releases = yield* atOnce([
            storage.release({ lockId: "none", holdId: hold() }),
            ...claims.slice(1, 1 + ids.length).map(({ holdId, lockId }) => storage.release({ lockId, holdId })),
            storage.release({ lockId: "held", holdId: hold() }),
            storage.release({ lockId: "mine", holdId: mine.holdId })
          ])
          assert.strictEqual(releases[0]!._tag, "NotHeld")
          for (const outcome of releases.slice(1, 1 + ids.length))
            assert.deepStrictEqual(outcome, { _tag: "Released", remaining: 0 })
          assert.deepStrictEqual(releases.slice(1 + ids.length), [
            { _tag: "NotHeld" },
            { _tag: "Released", remaining: 1 }
          ])

          // What was free is taken, with a token that grew and a version, too.
          const next = yield* atOnce(["warm", ...ids].map((id) => claim(storage, id, "next")))
          next.slice(1).forEach(({ outcome }, i) => {
            const earlier = claims[1 + i]!.outcome
            assert.isTrue(
              outcome._tag === "Claimed" &&
                earlier._tag === "Claimed" &&
                outcome.record.token > earlier.record.token &&
                outcome.record.version > earlier.record.version &&
                outcome.record.ownerId === "next"
            )
          })
          assert.isTrue((yield* versioned.get(ids[0]!))._tag === "Some")
        })
      )

      it.live("a row that somebody has locked, or of a newer format, holds up and fails nobody else", () =>
        Effect.gen(function* () {
          const { redacted, url } = yield* fresh
          const { storage } = yield* MysqlStorage.make({ url: redacted, poolSize: 3 })
          const free = yield* claim(storage, "locked", "before")
          yield* storage.release({ lockId: "locked", holdId: free.holdId })
          const locked2 = yield* claim(storage, "locked-2", "me")
          yield* claim(storage, "newer", "me")
          yield* Servers.query(url, "UPDATE storage_lock SET format = 1000 WHERE lock_id = 'newer'")
          const other = yield* Effect.acquireRelease(
            Effect.sync(() => Mysql.createConnection({ uri: url })),
            (connection) => Effect.sync(() => connection.destroy())
          )
          const ask = (sql: string) => Effect.promise(() => other.promise().query(sql))
          const lockRows = Effect.andThen(
            ask("START TRANSACTION"),
            ask("SELECT * FROM storage_lock WHERE lock_id LIKE 'locked%' FOR UPDATE")
          )
          /** Gives the rows back when all others are answered. Who wants the rows ends in a time-out, if that comes too late. */
          const others = <A, E>(effects: ReadonlyArray<Effect.Effect<A, E>>) => {
            let left = effects.length
            return effects.map((effect) => Effect.tap(effect, () => (--left === 0 ? ask("ROLLBACK") : Effect.void)))
          }
          // These go alone, and keep the connections busy.
          const fillers = Array.makeBy(3, (i) => Effect.asVoid(claim(storage, `filler-${i}`, "me")))
          yield* lockRows
          const slow = claim(storage, "locked", "me")
          const refused = Effect.flip(claim(storage, "newer", "you"))
          const [, [waited], [error], quick] = yield* Effect.all(
            [
              atOnce(fillers),
              atOnce([slow]),
              atOnce([refused]),
              atOnce(others(Array.makeBy(20, (i) => claim(storage, `quick-${i}`, "me"))))
            ],
            { concurrency: "unbounded" }
          )
          assert.isTrue(quick.every((one) => one.outcome._tag === "Claimed"))
          assert.deepInclude(error, { reason: "Schema", applied: "no" })
          assert.strictEqual(waited?.outcome._tag, "Claimed")

          yield* lockRows
          const released = yield* atOnce([
            ...Array.makeBy(3, (i) => storage.release({ lockId: `none-${i}`, holdId: hold() })),
            storage.release({ lockId: "locked-2", holdId: locked2.holdId }),
            ...others(quick.map(({ holdId, lockId }) => storage.release({ lockId, holdId })))
          ])
          assert.isTrue(released.slice(0, 3).every((one) => one._tag === "NotHeld"))
          for (const one of released.slice(3)) assert.deepStrictEqual(one, { _tag: "Released", remaining: 0 })
        })
      )

      it.live("groups of several pools over the same locks, in any order: one winner each, tokens given once", () =>
        Effect.gen(function* () {
          const { redacted } = yield* fresh
          const all = yield* Effect.forEach(Array.range(1, 3), () => MysqlStorage.make({ url: redacted, poolSize: 2 }))
          const tokens = new Map<string, Array<number>>()
          for (let round = 0; round < 15; round++) {
            const ids = Array.makeBy(40, (i) => `lock-${round % 3}-${i}`)
            const claims = yield* atOnce(
              all.flatMap(({ storage }, i) =>
                ids
                  .map((id) => ({ id, order: Math.random() }))
                  .sort((a, b) => a.order - b.order)
                  .map(({ id }) => Effect.map(claim(storage, id, `owner-${i}`), (one) => ({ ...one, storage })))
              )
            )
            for (const id of ids) {
              const won = claims.filter(({ lockId, outcome }) => lockId === id && outcome._tag === "Claimed")
              assert.strictEqual(won.length, 1)
              const { holdId, outcome } = won[0]!
              if (outcome._tag !== "Claimed") continue
              const given = tokens.get(id) ?? []
              assert.isTrue(given.every((token) => token < outcome.record.token))
              tokens.set(id, [...given, outcome.record.token])
              for (const { lockId, outcome: lost } of claims)
                if (lockId === id && lost._tag === "Held") assert.isTrue(lost.holder?.holds.includes(holdId))
            }
            const released = yield* atOnce(
              claims
                .filter(({ outcome }) => outcome._tag === "Claimed")
                .map(({ holdId, lockId, storage }) => storage.release({ lockId, holdId }))
            )
            assert.isTrue(released.every((outcome) => outcome._tag === "Released" && outcome.remaining === 0))
          }
        })
      )

      for (const setting of [
        "SET character_set_connection = utf16, sql_select_limit = 0, transaction_isolation = 'SERIALIZABLE'",
        "SET time_zone = '-11:00', sql_mode = '', group_concat_max_len = 4, completion_type = 'CHAIN'"
      ]) {
        it.live(`what a session of the program is set to does not matter: ${setting}`, () =>
          Effect.gen(function* () {
            const { url } = yield* fresh
            const pool = yield* Effect.acquireRelease(
              Effect.sync(() => {
                const pool = Mysql.createPool({ uri: url, connectionLimit: 2, multipleStatements: true })
                pool.on("connection", (connection) =>
                  connection.query(
                    name.startsWith("mariadb") ? setting.replace("transaction_isolation", "tx_isolation") : setting,
                    (error) => {
                      if (error) throw error
                    }
                  )
                )
                return pool
              }),
              (pool) => Effect.callback<void>((resume) => pool.end(() => resume(Effect.void)))
            )
            const { storage } = yield* MysqlStorage.makeFromPool({ pool })
            const before = yield* transactions(url)
            const claims = yield* atOnce(Array.makeBy(100, (i) => claim(storage, `${i} é鍵`, `me ${i}`)))
            assert.isTrue(
              claims.every(
                ({ lockId, outcome }) =>
                  outcome._tag === "Claimed" &&
                  outcome.record.lockId === lockId &&
                  outcome.record.ownerId === `me ${parseInt(lockId)}`
              )
            )
            const released = yield* atOnce(claims.map(({ holdId, lockId }) => storage.release({ lockId, holdId })))
            assert.isTrue(released.every((outcome) => outcome._tag === "Released" && outcome.remaining === 0))
            assert.isBelow((yield* transactions(url)) - before, 20)
            assert.isAbove((yield* transactions(url)) - before, 1)
          })
        )
      }
    }
  )
}
