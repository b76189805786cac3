/** The audit in Redis. */
import { assert, it } from "#harness/vitest"
import * as Context from "#effect/Context"
import * as DateTime from "#effect/DateTime"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Schedule from "#effect/Schedule"
import * as Stream from "#effect/Stream"
import * as Fs from "node:fs"
import * as Redacted from "effect/Redacted"
import * as RedisStorage from "../../src/backends/redis/RedisStorage.js"
import * as LockAudit from "../../src/LockAudit.js"
import * as Storage from "../../src/Storage.js"
import * as StorageLock from "../../src/StorageLock.js"
import * as Proxy from "../harness/proxy.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import { rowsOf, suite } from "./suite.js"

await describeServer("the audit in Redis", Shared.redis, (server) => {
  suite({
    name: "Redis",
    layer: () => RedisStorage.layer({ url: Redacted.make(server.url), prefix: "audited:" }),
    nameOf: (number) => `an "audit" of ${number} ${Date.now()}`,
    needsSetup: false,
    counts: true,
    destroy: (name) => server.admin("DEL", name).pipe(Effect.andThen(server.admin("DEL", `{${name}}:writer`)))
  })

  it.live(
    "with the documented rights everything works; a lost reply, and a server that takes nothing for a while, double nothing",
    () =>
      Effect.gen(function* () {
        const lock = /^ACL SETUSER app on .*$/m.exec(Fs.readFileSync("docs/storages/redis.md", "utf8"))![0]
        const audit = /^ACL SETUSER app (~.*)$/m.exec(Fs.readFileSync("docs/audit.md", "utf8"))![1]!
        const user = `audit${Date.now()}`
        const prefix = `${user}:`
        const rules = `${lock} ${audit}`
          .replace(/storage-lock:/g, prefix)
          .replace(/storage-lock-audit/g, `${user}-audit`)
          .split(" ")
          .slice(3)
        yield* Effect.acquireRelease(server.admin("ACL", "SETUSER", user, ...rules), () =>
          server.admin("ACL", "DELUSER", user)
        )
        const proxy = yield* Proxy.make(server, { protocol: "bytes" })
        const url = Redacted.make(proxy.url(`redis://${user}:password@${server.host}:${server.port}`))
        const context = yield* Layer.build(
          LockAudit.layer({ every: "10 millis" }).pipe(
            Layer.provideMerge(StorageLock.layer()),
            Layer.provideMerge(RedisStorage.layer({ url, prefix, operationTimeout: "1 second" }))
          )
        )
        const storage = Context.get(context, Storage.Storage)
        const log = Context.get(context, LockAudit.LockAudit)
        yield* Context.get(context, StorageLock.StorageLock).withLock(Effect.void, "one")
        yield* Effect.repeat(Effect.andThen(Effect.sleep("20 millis"), log.counts), {
          while: ({ written }) => written < 2
        })
        const store = yield* storage.audit!({ name: undefined, setup: true, mostEntries: undefined })
        const rows = rowsOf([{ _tag: "Dropped", at: DateTime.makeUnsafe(1), count: 1 }])
        yield* proxy.dropNextReply
        yield* Effect.flip(store.append(rows))
        yield* Effect.retry(store.append(rows), { times: 40, schedule: Schedule.spaced("50 millis") })
        assert.strictEqual([...(yield* Stream.runCollect(log.read()))].length, 3)
        yield* Effect.sleep("20 millis")
        yield* store.drop(0)
        assert.strictEqual([...(yield* Stream.runCollect(log.read()))].length, 0)
        // The stream stands among no locks.
        assert.strictEqual([...(yield* Stream.runCollect(storage.list))].length, 0)
      }).pipe(Effect.scoped)
  )
})
