/** What a failover does to MySQL and MariaDB, as far as one server can show it, and what the storage does then: whatever pool or client it stands on. */
import { assert } from "#harness/vitest"
import * as Array from "effect/Array"
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "#effect/Scope"
import { randomBytes } from "node:crypto"
import * as MysqlStorage from "../../src/backends/mysql/MysqlStorage.js"
import type * as Storage from "../../src/Storage.js"
import type * as Servers from "../harness/mysql.js"

export const hold = () => randomBytes(16).toString("base64url")

export const claim = (storage: Storage.Service, lockId: string, ownerId: string, holdId = hold()) =>
  storage.claim({ lockId, ownerId, holdId, lease: 30_000_000, ownerLabel: "host pid 7" })

export const databaseOf = (url: string) => new URL(url).pathname.slice(1)

/** A user of this server, who may use one database. */
export const user = (server: Servers.MysqlServer, url: string, password = "p") =>
  Effect.gen(function* () {
    const name = `u_${randomBytes(4).toString("hex")}`
    yield* Effect.acquireRelease(
      server.admin(
        `CREATE USER '${name}'@'%' IDENTIFIED BY '${password}'; GRANT ALL ON ${databaseOf(url)}.* TO '${name}'@'%'`
      ),
      () => server.admin(`DROP USER '${name}'@'%'`)
    )
    const theirs = new URL(url)
    theirs.username = name
    theirs.password = password
    return { name, url: theirs.toString() }
  })

export const sessions = (server: Servers.MysqlServer, where: string) =>
  Effect.map(server.admin(`SELECT COUNT(*) AS n FROM information_schema.processlist WHERE ${where}`), (rows) =>
    Number(rows[0].n)
  )

/** A storage with a pool of three for this user. */
export type Made = Effect.Effect<MysqlStorage.Ports, unknown, Scope.Scope>
export type Way = (theirs: string) => Made

/** What connections lead to: this server when it is read-only stands for the old primary, and writable for the new one. */
export const firstTryAfterFailover = (server: Servers.MysqlServer, ...ways: ReadonlyArray<Way>) =>
  Effect.gen(function* () {
    const url = yield* server.freshDatabase
    const { name, url: theirs } = yield* user(server, url)
    const made = yield* Effect.forEach(ways, (way) => way(theirs))
    for (const { storage } of made) {
      const holdId = hold()
      yield* Effect.forEach([1, 2, 3], () => storage.get("x"), { concurrency: 3 })
      yield* claim(storage, "kept", "me", holdId)
      yield* sessions(server, `user = '${name}'`).pipe(Effect.repeat({ until: (n) => n >= 3 }))
      // A session of before stays read-only; what connects again may write.
      yield* Effect.forEach(Array.range(1, 3), () => storage.get("x"), { concurrency: 3 })
      yield* server.admin("SET GLOBAL read_only = 1")
      const error = yield* Effect.flip(claim(storage, "a", "me"))
      assert.deepInclude(error, { reason: "Connection", applied: "no", isRetryable: true })
      assert.match(error.message, /read-only/)
      const renewal = yield* Effect.flip(storage.renew([{ lockId: "kept", holdId, lease: 1_000_000 }]))
      assert.deepInclude(renewal, { reason: "Connection", applied: "no" })
      yield* server.admin("SET GLOBAL read_only = 0")
      assert.strictEqual((yield* claim(storage, "a", "me"))._tag, "Claimed")
      yield* storage.release({ lockId: "kept", holdId })
      const { token } = Option.getOrThrow(yield* storage.get("a")).record
      assert.strictEqual((yield* storage.revoke({ lockId: "a", token, when: "now" }))._tag, "Revoked")
    }
  }).pipe(Effect.ensuring(server.admin("SET GLOBAL read_only = 0")))

export const connectionsOfBefore = (server: Servers.MysqlServer, ...ways: ReadonlyArray<Way>) =>
  Effect.gen(function* () {
    const url = yield* server.freshDatabase
    const { url: theirs } = yield* user(server, url)
    yield* Effect.scoped(MysqlStorage.make({ url: Redacted.make(url) }))
    const old = (made: Made) =>
      Effect.acquireUseRelease(
        server.admin("SET GLOBAL init_connect = 'SET SESSION TRANSACTION READ ONLY'"),
        () =>
          Effect.tap(made, ({ storage }) =>
            Effect.gen(function* () {
              assert.deepInclude(yield* Effect.flip(claim(storage, "none", "me")), {
                reason: "Connection",
                applied: "no",
                isRetryable: true
              })
              // All that the pool may have stand idle in it.
              yield* Effect.forEach(Array.range(1, 12), () => storage.get("x"), { concurrency: 12 })
            })
          ),
        () => server.admin("SET GLOBAL init_connect = ''")
      )
    for (const [i, way] of ways.entries()) {
      const { storage } = yield* old(way(theirs))
      assert.strictEqual((yield* claim(storage, `lock-${i}`, "me"))._tag, "Claimed")
    }
  })
