/** What a session of our own prepares, and what becomes of it where that cannot be. */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import { randomBytes } from "node:crypto"
import * as errors from "../../src/backends/mysql/errors.js"
import * as MysqlStorage from "../../src/backends/mysql/MysqlStorage.js"
import type * as Storage from "../../src/Storage.js"
import * as Mysql from "../harness/mysql.js"
import { describeServer } from "../harness/server.js"

const hold = () => randomBytes(16).toString("base64url")

const cycle = (storage: Storage.Service, lockId: string) =>
  Effect.gen(function* () {
    const holdId = hold()
    const claimed = yield* storage.claim({ lockId, ownerId: "me", holdId, lease: 30_000_000 })
    assert.strictEqual(claimed._tag, "Claimed")
    assert.deepStrictEqual(yield* storage.release({ lockId, holdId }), { _tag: "Released", remaining: 0 })
  })

for (const [name, own] of [
  ["MySQL 8.0", Mysql.mysql8],
  ["MariaDB 11.8", Mysql.mariadb11]
] as const) {
  await describeServer(`what MysqlStorage prepares on ${name}`, own, (server) => {
    const numbers = (pattern: string) =>
      Effect.map(
        server.admin(`SHOW GLOBAL STATUS LIKE '${pattern}'`),
        (rows) => new Map(rows.map((row) => [String(row.Variable_name), Number(row.Value)]))
      )

    it.live("a claim and a release begin no transaction, and are parsed once by each session", () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        const { storage } = yield* MysqlStorage.make({ url: Redacted.make(url), poolSize: 1 })
        const rounds = 20
        const before = yield* numbers("Com\\_%")
        for (let i = 0; i < rounds; i++) yield* cycle(storage, `lock-${i % 5}`)
        const after = yield* numbers("Com\\_%")
        const counted = (command: string) => (after.get(`Com_${command}`) ?? 0) - (before.get(`Com_${command}`) ?? 0)
        assert.strictEqual(counted("begin"), 0)
        assert.strictEqual(counted("commit"), 0)
        assert.strictEqual(counted("prepare_sql"), 3)
        assert.strictEqual(counted("execute_sql"), 3 * rounds)
      })
    )

    it.live("a row that is too long to be told is nobody's claim", () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        yield* Effect.acquireRelease(server.admin("SET GLOBAL max_allowed_packet = 1048576"), () =>
          server.admin("SET GLOBAL max_allowed_packet = DEFAULT")
        )
        const { storage } = yield* MysqlStorage.make({ url: Redacted.make(url), poolSize: 1 })
        yield* cycle(storage, "other")
        yield* Mysql.query(
          url,
          `INSERT INTO storage_lock (lock_id, kind, format, owner_id, holds, token, version, began, expires, data)
SELECT 'a', 'other', 1, 'you', ',h', 1, 1, 1, expires + 3600000000, REPEAT('x', 600000) FROM storage_lock`
        )
        const claimed = yield* Effect.flip(
          storage.claim({ lockId: "a", ownerId: "me", holdId: hold(), lease: 30_000_000 })
        )
        assert.strictEqual((claimed as { readonly reason?: string }).reason, "Unknown")
        const [row] = yield* Mysql.query(url, "SELECT holds, token FROM storage_lock WHERE lock_id = 'a'")
        assert.deepStrictEqual([String(row.holds), Number(row.token)], [",h", 1])
      })
    )

    it.live("a server that has no room for another prepared statement is asked in plain text", () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        const { storage } = yield* MysqlStorage.make({ url: Redacted.make(url), poolSize: 2 })
        yield* Effect.acquireUseRelease(
          server.admin("SET GLOBAL max_prepared_stmt_count = 0"),
          () => Effect.forEach(["a", "b", "c", "a"], (lockId) => cycle(storage, lockId)),
          () => server.admin("SET GLOBAL max_prepared_stmt_count = DEFAULT")
        )
      })
    )
  })
}

it("a session that lost what it had prepared did nothing, and is not used again", () => {
  const error = Object.assign(new Error("Unknown prepared statement handler"), { errno: 1243 })
  assert.deepInclude(errors.fromDriver("claim", error, "executing"), {
    reason: "Conflict",
    isRetryable: true,
    applied: "no"
  })
  assert.isFalse(errors.keepsConnection(error))
})
