import { assert, it } from "#harness/vitest"
import * as Array from "effect/Array"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "#effect/Stream"
import { Redis as Client, type RedisOptions } from "ioredis"
import { randomBytes } from "node:crypto"
import * as RedisStorage from "../../src/backends/redis/RedisStorage.js"
import type { StorageError } from "../../src/LockError.js"
import type * as LockRecord from "../../src/LockRecord.js"
import type * as Storage from "../../src/Storage.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"

const hold = () => randomBytes(16).toString("base64url")
const second = 1_000_000

const claim = (storage: Storage.Service, lockId: string, ownerId: string, holdId = hold(), lease = 30 * second) =>
  Effect.map(storage.claim({ lockId, ownerId, holdId, lease }), (outcome) => ({ outcome, holdId }))

const eventually = (holds: () => boolean) =>
  Effect.sync(holds).pipe(
    Effect.delay("10 millis"),
    Effect.repeat({ until: (_) => _ }),
    Effect.timeout("4 minutes"),
    Effect.orDie
  )

await describeServer("RedisStorage", Shared.redis, (server) => {
  const redacted = Redacted.make(server.url)
  const fresh = Effect.flatMap(server.freshPrefix, (prefix) =>
    Effect.map(RedisStorage.make({ url: redacted, prefix }), (ports) => ({ ...ports, prefix }))
  )
  const client = (options: RedisOptions = {}) =>
    Effect.acquireRelease(
      Effect.sync(() => new Client(server.url, options)),
      (client) => Effect.sync(() => client.disconnect())
    )
  const hash = (key: string) =>
    Effect.map(
      server.admin("HGETALL", key),
      (pairs: ReadonlyArray<string>) => Object.fromEntries(Array.chunksOf(pairs, 2)) as Record<string, string>
    )

  it.live("a record is a hash that never expires, and its numbers have all their digits", () =>
    Effect.gen(function* () {
      const { prefix, storage } = yield* fresh
      const year = 365 * 24 * 3600 * second
      const { holdId, outcome } = yield* claim(storage, "a", "me", hold(), year)
      assert(outcome._tag === "Claimed")
      const { record } = outcome
      assert.deepStrictEqual(yield* hash(`${prefix}a`), {
        kind: "exclusive",
        format: "1",
        owner: "me",
        holds: `,${holdId}`,
        token: `${record.token}`,
        version: `${record.version}`,
        began: `${record.lockBeginTime}`,
        expires: `${record.lockBeginTime + year}`,
        data: "",
        label: ""
      })
      assert.strictEqual(record.token, record.lockBeginTime)
      assert.strictEqual(outcome.validFor, year)
      assert.strictEqual(yield* server.admin("TTL", `${prefix}a`), -1)
      // Not a clock of milliseconds: of many samples, some are between.
      const times = yield* Effect.forEach(Array.range(1, 20), (i) =>
        Effect.map(claim(storage, `t${i}`, "me"), ({ outcome }) =>
          outcome._tag === "Claimed" ? outcome.record.lockBeginTime : 0
        )
      )
      assert.isTrue(times.some((time) => time % 1000 !== 0))
      yield* storage.release({ lockId: "a", holdId })
      assert.deepInclude(yield* hash(`${prefix}a`), { holds: "", token: `${record.token}` })
      assert.strictEqual(yield* server.admin("TTL", `${prefix}a`), -1)
    })
  )

  it.live(
    "lock ids are any bytes of text, and never more than a key: braces, patterns, line ends, other locks' keys",
    () =>
      Effect.gen(function* () {
        const base = yield* server.freshPrefix
        // A prefix that, taken for a pattern, would find others.
        const prefix = `${base}[x*]?\\`
        const { storage } = yield* RedisStorage.make({ url: redacted, prefix })
        const bystander = yield* RedisStorage.make({ url: redacted, prefix: `${base}xyz` })
        yield* claim(bystander.storage, "bystander", "me")
        const ids = [
          "{a}",
          "{}",
          "}{",
          "{",
          "}",
          "{a}{b}",
          "a}b{c",
          `${prefix}{a}`,
          "Foo",
          "foo",
          "foo ",
          " foo",
          "\u00e9",
          "e\u0301",
          "*",
          "?",
          "[a]",
          "\\",
          "a\r\nb",
          "\u0001",
          "%s",
          "鍵\u{1F512}",
          "'",
          '"',
          "x".repeat(255),
          "鍵".repeat(255)
        ]
        const outcomes = yield* Effect.forEach(ids, (id, i) => claim(storage, id, `o'wner {${i}}\n`), {
          concurrency: 8
        })
        assert.isTrue(outcomes.every(({ outcome }) => outcome._tag === "Claimed"))
        const listed = Array.fromIterable(yield* Stream.runCollect(storage.list))
        assert.deepStrictEqual(listed.map(({ record }) => record.lockId).sort(), [...ids].sort())
        assert.deepStrictEqual(
          listed.map(({ record }) => record.ownerId).sort(),
          ids.map((_, i) => `o'wner {${i}}\n`).sort()
        )
        const heard: Array<string> = []
        yield* storage.wakeUps.pipe(
          Stream.runForEach((hint) => Effect.sync(() => heard.push(hint))),
          Effect.forkScoped
        )
        yield* eventually(() => heard.length === 1)
        const renewals = yield* storage.renew(
          ids.map((lockId, i) => ({ lockId, holdId: outcomes[i]!.holdId, lease: second }))
        )
        assert.isTrue(renewals.every(({ _tag }) => _tag === "Renewed"))
        for (const [i, lockId] of ids.entries()) {
          assert.deepStrictEqual(yield* storage.release({ lockId, holdId: outcomes[i]!.holdId }), {
            _tag: "Released",
            remaining: 0
          })
        }
        yield* eventually(() => heard.length === ids.length + 1)
        assert.deepStrictEqual(heard, ["all", ...ids])
      })
  )

  const revoke = (storage: Storage.Service, outcome: LockRecord.ClaimOutcome) =>
    storage.revoke({ lockId: "a", token: outcome._tag === "Claimed" ? outcome.record.token : 0, when: "now" })

  it.live("races of eight have one winner, always an answer, and never name anybody else", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const processes = yield* Effect.forEach(
        Array.range(1, 8),
        () => RedisStorage.make({ url: redacted, prefix, notify: false }),
        { concurrency: 8 }
      )
      const first = processes[0]
      for (let round = 0; round < 60; round++) {
        const results = yield* Effect.forEach(processes, ({ storage }, i) => claim(storage, "a", `${round}-${i}`), {
          concurrency: "unbounded"
        })
        const winner = results.findIndex(({ outcome }) => outcome._tag === "Claimed")
        for (const [i, { outcome }] of results.entries()) {
          assert.strictEqual(outcome._tag, i === winner ? "Claimed" : "Held")
          assert.strictEqual(
            outcome._tag === "Held" ? outcome.holder?.ownerId : outcome.record.ownerId,
            `${round}-${winner}`
          )
        }
        const { holdId, outcome } = results[winner]!
        if (round % 2 === 0) yield* processes[(winner + 1) % 8]!.storage.release({ lockId: "a", holdId })
        else {
          yield* revoke(first.storage, outcome)
          yield* claim(first.storage, "a", "short", hold(), 1_000)
          yield* Effect.sleep(2)
        }
      }
    })
  )

  it.live("lists what is held over many pages, each once, and passes over what is not a lock", () =>
    Effect.gen(function* () {
      const { prefix, storage, versioned } = yield* fresh
      yield* server.admin(
        "EVAL",
        `local now = redis.call('TIME')[1]
         for i = 1, 2300 do
           local holds = ',h' .. i
           if i % 10 == 0 then holds = '' end
           redis.call('HSET', ARGV[1] .. 'n' .. i, 'kind', 'exclusive', 'format', '1', 'owner', 'me', 'holds', holds, 'token', i, 'version', i,
             'began', now .. '000000', 'expires', (now + 3600) .. '000000', 'data', '')
         end
         redis.call('SET', ARGV[1] .. 'text', 'x')
         redis.call('HSET', ARGV[1] .. 'other', 'field', 'x')`,
        0,
        prefix
      )
      const ids = Array.fromIterable(yield* Stream.runCollect(storage.list)).map(({ record }) => record.lockId)
      assert.strictEqual(ids.length, 2070)
      assert.strictEqual(new Set(ids).size, ids.length)
      assert.strictEqual((yield* Stream.runCollect(versioned.list)).length, 2300)
      // What others keep there is neither taken nor dropped.
      for (const lockId of ["text", "other"]) {
        const holdId = hold()
        const failing: ReadonlyArray<Effect.Effect<unknown, StorageError>> = [
          claim(storage, lockId, "me", holdId),
          storage.release({ lockId, holdId }),
          storage.revoke({ lockId, token: 1, when: "now" })
        ]
        for (const operation of failing) {
          const error = yield* Effect.flip(operation)
          assert.deepInclude(error, { _tag: "StorageError", reason: "Schema", isRetryable: false, applied: "no" })
          assert.match(error.message, /choose another `prefix`/)
        }
        assert.isTrue(Option.isNone(yield* storage.get(lockId)))
      }
      assert.strictEqual(yield* storage.purge(0), 0)
      assert.strictEqual(yield* server.admin("GET", `${prefix}text`), "x")
      assert.deepStrictEqual(yield* hash(`${prefix}other`), { field: "x" })
    })
  )

  it.live("purge drops what ended long ago, at least an hour, and tokens and versions grow over it", () =>
    Effect.gen(function* () {
      const { prefix, storage, versioned } = yield* fresh
      const before = yield* claim(storage, "old", "me")
      yield* storage.release({ lockId: "old", holdId: before.holdId })
      yield* claim(storage, "young", "me", hold(), 1_000)
      yield* claim(storage, "live", "me")
      const expires = Number((yield* hash(`${prefix}old`))["expires"]) - 2 * 3600 * second
      yield* server.admin(
        "EVAL",
        `for i = 1, 1200 do
           redis.call('HSET', ARGV[1] .. 'n' .. i, 'kind', 'exclusive', 'format', '1', 'owner', 'me', 'holds', '', 'token', i, 'version', i, 'began', 1, 'expires', 2, 'data', '')
         end
         redis.call('HSET', ARGV[1] .. 'old', 'expires', ARGV[2])`,
        0,
        prefix,
        expires
      )
      yield* Effect.sleep(5)
      const dropped = yield* Effect.all([storage.purge(0), storage.purge(0)], { concurrency: 2 })
      assert.strictEqual(dropped[0] + dropped[1], 1201)
      assert.strictEqual(yield* storage.purge("1 hour"), 0)
      assert.strictEqual(yield* storage.purge(Infinity), 0)
      const left = Array.fromIterable(yield* Stream.runCollect(versioned.list)).map((record) => record.lockId)
      assert.sameMembers(left, ["young", "live"])
      const after = yield* claim(storage, "old", "you")
      assert(before.outcome._tag === "Claimed" && after.outcome._tag === "Claimed")
      assert.isAbove(after.outcome.record.token, before.outcome.record.token)
      assert.isAbove(after.outcome.record.version, before.outcome.record.version)
    })
  )

  it.live("an id is never of two kinds at once, and comes back as exclusive", () =>
    Effect.gen(function* () {
      const { storage, versioned } = yield* fresh
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
        data: `{"\\":"'é\r\n"}`
      }
      yield* versioned.create("a", now, record)
      assert.deepStrictEqual(Option.getOrThrow(yield* versioned.get("a")), record)
      assert.strictEqual((yield* Effect.flip(versioned.create("a", now, record)))._tag, "VersionMiss")
      const { outcome } = yield* claim(storage, "a", "me", "x")
      assert.isTrue(outcome._tag === "Held" && outcome.holder?.kind === "permits")
      yield* versioned.update("a", now, { ...record, version: now + 1, holds: [] })
      assert.strictEqual((yield* Effect.flip(versioned.update("a", now, record)))._tag, "VersionMiss")
      const taken = yield* claim(storage, "a", "you")
      assert(taken.outcome._tag === "Claimed")
      assert.deepInclude(taken.outcome.record, { kind: "exclusive", data: "", ownerId: "you", version: now + 2 })
      assert.strictEqual((yield* Effect.flip(versioned.delete("a", now)))._tag, "VersionMiss")
      yield* versioned.delete("a", now + 2)
      assert.isTrue(Option.isNone(yield* versioned.get("a")))
      assert.strictEqual((yield* Effect.flip(versioned.delete("a", now + 2)))._tag, "VersionMiss")
    })
  )

  it.live("a record of a newer format is refused and left alone", () =>
    Effect.gen(function* () {
      const { prefix, storage, versioned } = yield* fresh
      const { holdId } = yield* claim(storage, "other", "me")
      const newer = [
        "kind",
        "exclusive",
        "format",
        "2",
        "owner",
        "me",
        "holds",
        ",h",
        "token",
        "1",
        "version",
        "1",
        "began",
        "1",
        "data",
        "new"
      ]
      yield* server.admin("HSET", `${prefix}a`, ...newer, "expires", "2")
      yield* server.admin("HSET", `${prefix}b`, ...newer, "expires", "9000000000000000", "more", "field")
      const both = Effect.all([hash(`${prefix}a`), hash(`${prefix}b`)])
      const before = yield* both
      const refused = (failing: Effect.Effect<unknown, StorageError>) =>
        Effect.map(Effect.flip(failing), (error) =>
          assert.deepInclude(error, { _tag: "StorageError", reason: "Schema", applied: "no" })
        )
      for (const lockId of ["a", "b"]) {
        yield* refused(claim(storage, lockId, "me"))
        yield* refused(storage.release({ lockId, holdId: "h" }))
        yield* refused(storage.revoke({ lockId, token: 1, when: "now" }))
        yield* refused(storage.renew([{ lockId, holdId: "h", lease: second }]))
        yield* refused(storage.get(lockId))
        assert.strictEqual(Option.getOrThrow(yield* versioned.get(lockId)).format, 2)
      }
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
      assert.deepStrictEqual(yield* both, before)
    })
  )

  it.live("scripts that the server has forgotten are sent again, once", () =>
    Effect.gen(function* () {
      const { storage } = yield* fresh
      const { holdId } = yield* claim(storage, "a", "me")
      yield* server.admin("SCRIPT", "FLUSH")
      const all = yield* Effect.forEach(Array.range(1, 20), () => storage.get("a"), { concurrency: 20 })
      assert.isTrue(all.every(Option.isSome))
      assert.strictEqual((yield* storage.renew([{ lockId: "a", holdId, lease: second }]))[0]!._tag, "Renewed")
    })
  )

  it.live("by the program's client, whatever it is doing and however it is set", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const theirs = yield* client({
        keyPrefix: prefix,
        stringNumbers: true,
        enableAutoPipelining: true,
        db: 3,
        connectionName: "theirs"
      })
      const { storage } = yield* RedisStorage.makeFromClient({ client: theirs, prefix: "locks:" })
      const heard: Array<string> = []
      yield* storage.wakeUps.pipe(
        Stream.runForEach((hint) => Effect.sync(() => heard.push(hint))),
        Effect.forkScoped
      )
      yield* eventually(() => heard.length === 1)
      const works = Effect.gen(function* () {
        const { holdId, outcome } = yield* claim(storage, "a", "me")
        assert(outcome._tag === "Claimed" && outcome.validFor === 30 * second)
        assert.deepStrictEqual(yield* storage.release({ lockId: "a", holdId }), { _tag: "Released", remaining: 0 })
      })
      // It waits for what never comes.
      const blocked = theirs.blpop("nothing", 0)
      yield* works
      const plain = yield* client({ db: 3 })
      yield* Effect.promise(() => plain.lpush(`${prefix}nothing`, "something"))
      yield* Effect.promise(() => blocked)
      yield* Effect.promise(() => theirs.multi({ pipeline: false }))
      yield* works
      yield* Effect.promise(() => theirs.discard())
      yield* Effect.promise(() => theirs.subscribe("something"))
      yield* works
      yield* eventually(() => heard.length === 4)
      assert.deepStrictEqual(heard, ["all", "a", "a", "a"])
      // Where it is: the client's prefix, then ours, in the client's database.
      assert.strictEqual(yield* Effect.promise(() => plain.hget(`${prefix}locks:a`, "owner")), "me")
      yield* Effect.promise(() => plain.del(`${prefix}locks:a`))
      // Another database is another set of locks.
      const same = yield* RedisStorage.make({ url: redacted, prefix: `${prefix}locks:` })
      const { holdId } = yield* claim(storage, "b", "me")
      assert.strictEqual((yield* claim(same.storage, "b", "you")).outcome._tag, "Claimed")
      yield* storage.release({ lockId: "b", holdId })
      yield* Effect.promise(() => plain.del(`${prefix}locks:b`))
      assert.strictEqual(theirs.status, "ready")
    })
  )

  it.live("a user with few rights needs no more, and without them is told which", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const user = `locker_${randomBytes(4).toString("hex")}`
      const set = (...rules: ReadonlyArray<string>) => server.admin("ACL", "SETUSER", user, ...rules)
      yield* Effect.acquireRelease(set("reset", "on", ">s3cret"), () => server.admin("ACL", "DELUSER", user))
      const url = new URL(server.url)
      url.username = user
      url.password = "s3cret"
      const options = { url: Redacted.make(url.toString()), prefix }
      const refused = yield* Effect.flip(RedisStorage.make(options))
      assert.deepInclude(refused, { _tag: "StorageError", reason: "Permission", applied: "no", isRetryable: false })

      yield* set(
        "+evalsha",
        "+eval",
        "+time",
        "+hmget",
        "+hget",
        "+hset",
        "+exists",
        "+del",
        "+publish",
        "+scan",
        "+subscribe",
        "+ping",
        `~${prefix}*`,
        `&${prefix}*`
      )
      const { storage, versioned } = yield* RedisStorage.make(options)
      const heard: Array<string> = []
      yield* storage.wakeUps.pipe(
        Stream.runForEach((hint) => Effect.sync(() => heard.push(hint))),
        Effect.forkScoped
      )
      yield* eventually(() => heard.length === 1)
      const { holdId, outcome } = yield* claim(storage, "a", "me")
      assert.strictEqual(outcome._tag, "Claimed")
      yield* storage.renew([{ lockId: "a", holdId, lease: second }])
      assert.strictEqual((yield* Stream.runCollect(storage.list)).length, 1)
      yield* storage.release({ lockId: "a", holdId })
      yield* eventually(() => heard.length === 2)
      yield* storage.purge(0)
      const { version } = Option.getOrThrow(yield* versioned.get("a"))
      yield* versioned.delete("a", version)

      // Without the right to tell, what was to be done is done.
      yield* set("-publish")
      const again = yield* claim(storage, "a", "me")
      assert.deepStrictEqual(yield* storage.release({ lockId: "a", holdId: again.holdId }), {
        _tag: "Released",
        remaining: 0
      })
      yield* set("-hset")
      const error = yield* Effect.flip(claim(storage, "a", "me"))
      // Before 7.2 the server has no code for this.
      assert.include(["Permission", "Unknown"], error.reason)
      assert.deepInclude(error, { applied: "no", isRetryable: false })
      assert.isTrue(Option.isNone(yield* storage.get("a")))
    })
  )

  it.live("both ports as layers over one record", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const theirs = yield* client()
      const layers = Layer.mergeAll(
        RedisStorage.layerFromClient({ client: theirs, prefix }),
        RedisStorage.layerVersionedFromClient({ client: theirs, prefix })
      )
      yield* Layer.build(layers)
      assert.strictEqual(theirs.status, "ready")
    })
  )
})
