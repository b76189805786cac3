/** What the conformance kit does not see of etcd: trips, keys, options, errors, wake-ups, and how leases are observed. */
import { assert, it } from "#harness/vitest"
import * as Context from "#effect/Context"
import * as Deferred from "#effect/Deferred"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Layer from "#effect/Layer"
import * as Queue from "#effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Schedule from "#effect/Schedule"
import * as Scope from "#effect/Scope"
import * as Stream from "#effect/Stream"
import * as logs from "#harness/logs"
import { randomBytes } from "node:crypto"
import * as EtcdStorage from "../../src/backends/etcd/EtcdStorage.js"
import type { InvalidOptions, StorageError } from "../../src/LockError.js"
import type * as LockRecord from "../../src/LockRecord.js"
import * as Storage from "../../src/Storage.js"
import * as Etcd from "../harness/etcd.js"
import * as Proxy from "../harness/proxy.js"
import { describeServer, freePort } from "../harness/server.js"
import * as Shared from "../harness/shared.js"

const hold = () => randomBytes(16).toString("base64url")
const second = 1_000_000

const claim = (storage: Storage.Service, lockId: string, ownerId: string, lease = 30 * second, holdId = hold()) =>
  Effect.map(storage.claim({ lockId, ownerId, holdId, lease }), (outcome) => ({ outcome, holdId }))

const tokenOf = (outcome: LockRecord.ClaimOutcome): number => {
  assert.strictEqual(outcome._tag, "Claimed")
  return outcome._tag === "Claimed" ? outcome.record.token : Number.NaN
}

/** A value that is a record. */
const whole = {
  kind: "exclusive",
  format: 1,
  ownerId: "you",
  holds: ["x"],
  token: 7,
  version: 7,
  lockBeginTime: 0,
  leaseExpireTime: second,
  data: ""
}

const open = (server: { readonly url: string }, prefix: string, more: Partial<EtcdStorage.Options> = {}) =>
  EtcdStorage.make({ url: Redacted.make(server.url), prefix, ...more })

await describeServer("EtcdStorage", Shared.etcd, (server) => {
  it.live("ids are keys under the prefix, byte for byte, and the values are told from foreign ones", () =>
    Effect.gen(function* () {
      const prefix = `${yield* server.freshPrefix}鍵 "x"/`
      const { storage } = yield* open(server, prefix)
      for (const lockId of ["a/b", "é", "e\u0301", "🔒".repeat(127), "\u0001\uffff", `'; "\\`]) {
        yield* claim(storage, lockId, "me")
        const { count } = yield* server.admin("kv/range", { key: Etcd.base64(prefix + lockId), count_only: true })
        assert.strictEqual(Number(count), 1)
      }
      const listed = yield* Stream.runCollect(storage.list)
      assert.strictEqual(listed.length, 6)

      const put = (lockId: string, value: string) =>
        server.admin("kv/put", { key: Etcd.base64(prefix + lockId), value: Etcd.base64(value) })
      for (const [lockId, value] of [
        ["text", "hello"],
        ["null", "null"],
        ["shape", `{"format":1}`],
        ...[
          { holds: "x" },
          { holds: [5] },
          { holds: null },
          { token: "7" },
          { token: 1.5 },
          { token: 2 ** 60 },
          { leaseExpireTime: null },
          { ownerId: 5 },
          { kind: null },
          { format: "1" }
        ].map((change, i) => [`odd-${i}`, JSON.stringify({ ...whole, ...change })] as const),
        ["newer", `{"format":2,"more":true}`]
      ] as const) {
        yield* put(lockId, value)
        const attempts: ReadonlyArray<Effect.Effect<unknown, StorageError>> = [
          claim(storage, lockId, "me"),
          storage.get(lockId),
          storage.release({ lockId, holdId: hold() })
        ]
        for (const attempt of attempts) {
          const error = yield* Effect.flip(attempt)
          assert.deepStrictEqual([error.reason, error.applied, error.isRetryable], ["Schema", "no", false])
          assert.strictEqual(error.message.includes("update effect-storage-lock"), lockId === "newer")
        }
        // And it costs no other hold its renewal.
        const { holdId } = yield* claim(storage, "mine", "me")
        const outcomes = yield* storage.renew([
          { lockId, holdId, lease: second },
          { lockId: "mine", holdId, lease: second }
        ])
        assert.deepStrictEqual(
          outcomes.map((_) => _._tag),
          ["StorageError", "Renewed"]
        )
        assert.strictEqual((yield* Effect.flip(storage.renew([{ lockId, holdId, lease: second }]))).reason, "Schema")
        yield* storage.release({ lockId: "mine", holdId })
      }
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(storage.list))).reason, "Schema")
    })
  )

  it.live("a label of an odd kind is none, and decides nothing", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const { storage } = yield* open(server, prefix)
      for (const [lockId, ownerLabel, told] of [
        ["a", 5, undefined],
        ["b", "", undefined],
        ["c", null, undefined],
        ["d", "host-7", "host-7"]
      ] as const) {
        yield* server.admin("kv/put", {
          key: Etcd.base64(prefix + lockId),
          value: Etcd.base64(JSON.stringify({ ...whole, ownerLabel }))
        })
        const { outcome } = yield* claim(storage, lockId, "me")
        assert.isTrue(outcome._tag === "Held" && outcome.holder?.ownerLabel === told)
      }
    })
  )

  it.live("a list is read in pages, past five hundred", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const { storage, versioned } = yield* open(server, prefix)
      const ids = Array.from({ length: 1203 }, (_, i) => `lock-${String(i).padStart(4, "0")}`)
      yield* Effect.forEach(ids, (id) => claim(storage, id, "me"), { concurrency: 32 })
      const seen = Array.from(yield* Stream.runCollect(storage.list), ({ record }) => record.lockId)
      assert.deepStrictEqual(seen, ids)
      assert.strictEqual((yield* Stream.runCollect(versioned.list)).length, ids.length)
    })
  )

  it.live(
    "tokens and versions grow over keys that were deleted by hand, in any process that has heard of the deletion",
    () =>
      Effect.gen(function* () {
        const prefix = yield* server.freshPrefix
        const one = yield* open(server, prefix)
        let last = 0
        for (let i = 0; i < 3; i++) {
          const { outcome } = yield* claim(one.storage, "a", "me")
          assert.isAbove(tokenOf(outcome), last)
          last = tokenOf(outcome)
          yield* server.admin("kv/deleterange", Etcd.under(prefix))
          yield* one.storage.get("a")
        }
        const other = yield* open(server, prefix)
        const { outcome } = yield* claim(other.storage, "a", "you")
        assert.isAbove(tokenOf(outcome), last)
        assert.isAbove(outcome._tag === "Claimed" ? outcome.record.version : 0, last)
      })
  )

  it.live("a key that was recreated is observed from scratch, though its record counts from the same version", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const { storage } = yield* open(server, prefix)
      const record = {
        kind: "exclusive",
        format: 1,
        ownerId: "you",
        holds: [hold()],
        token: 7,
        version: 7,
        lockBeginTime: 0,
        leaseExpireTime: second / 2,
        data: ""
      }
      const put = server.admin("kv/put", { key: Etcd.base64(`${prefix}a`), value: Etcd.base64(JSON.stringify(record)) })
      yield* put
      assert.strictEqual((yield* claim(storage, "a", "me")).outcome._tag, "Held")
      yield* Effect.sleep("600 millis")
      yield* put
      const again = (yield* claim(storage, "a", "me")).outcome
      assert.strictEqual(again._tag, "Held")
      assert.isAbove((again._tag === "Held" ? again.retryAfter : undefined) ?? 0, 0.9 * record.leaseExpireTime)
    })
  )

  it.live(
    "who comes late to a dead holder's lock waits for one whole lease; who watches has seen it from its last renewal",
    () =>
      Effect.gen(function* () {
        const prefix = yield* server.freshPrefix
        const [dead, watcher, late] = yield* Effect.all([
          open(server, prefix),
          open(server, prefix),
          open(server, prefix)
        ])
        const began = yield* Deferred.make<void>()
        yield* watcher.storage.wakeUps.pipe(
          Stream.runForEach(() => Deferred.succeed(began, undefined)),
          Effect.forkScoped
        )
        const { holdId } = yield* claim(dead.storage, "a", "dead")
        yield* claim(watcher.storage, "a", "watcher")
        yield* Deferred.await(began)
        yield* dead.storage.renew([{ lockId: "a", holdId, lease: 30 * second }])
        // Its watch tells it the renewal without being asked.
        yield* Effect.sleep("1500 millis")
        const left = (outcome: LockRecord.ClaimOutcome) => (outcome._tag === "Held" ? outcome.retryAfter! : 0)
        const seen = left((yield* claim(watcher.storage, "a", "watcher")).outcome)
        const unseen = left((yield* claim(late.storage, "a", "late")).outcome)
        assert.isBelow(seen, 28.8 * second)
        assert.isAbove(unseen, 29.9 * second)
      })
  )

  it.live("a hold that is over for an observer is not taken if it was renewed meanwhile", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const [holder, other] = yield* Effect.all([open(server, prefix), open(server, prefix)])
      const { holdId } = yield* claim(holder.storage, "a", "holder", second / 2)
      assert.strictEqual((yield* claim(other.storage, "a", "other")).outcome._tag, "Held")
      yield* Effect.sleep("300 millis")
      const renewed = yield* holder.storage.renew([{ lockId: "a", holdId, lease: 30 * second }])
      assert.strictEqual(renewed[0]!._tag, "Renewed")
      yield* Effect.sleep("400 millis")
      // What it remembers is over: so it tries, and is told.
      const { outcome } = yield* claim(other.storage, "a", "other")
      assert.strictEqual(outcome._tag === "Held" && outcome.holder?.ownerId, "holder")
    })
  )

  it.live("a lock of another kind over the smaller port keeps exclusive ones out, and its changes wake who waits", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const [one, other] = yield* Effect.all([open(server, prefix), open(server, prefix)])
      const heard = yield* Queue.unbounded<string>()
      yield* other.storage.wakeUps.pipe(
        Stream.runForEach((hint) => Queue.offer(heard, hint)),
        Effect.forkScoped
      )
      yield* Effect.repeat(Queue.take(heard), { until: (hint) => hint === "all" })
      const permits = (version: number, holds: ReadonlyArray<string>): LockRecord.LockRecord => ({
        lockId: "a",
        kind: "permits",
        format: 1,
        ownerId: "",
        holds,
        token: 1,
        version,
        lockBeginTime: 0,
        leaseExpireTime: 30 * second,
        data: "[]"
      })
      const [first, last] = [hold(), hold()]
      yield* one.versioned.create("a", 1, permits(1, [first, last]))
      assert.strictEqual((yield* claim(other.storage, "a", "")).outcome._tag, "Held")
      assert.strictEqual((yield* claim(one.storage, "a", "me")).outcome._tag, "Held")
      yield* one.versioned.update("a", 1, permits(2, [last]))
      yield* Effect.repeat(Queue.take(heard), { until: (hint) => hint === "a" }).pipe(Effect.timeout("4 minutes"))
      assert.strictEqual((yield* claim(one.storage, "a", "me")).outcome._tag, "Held")
      yield* one.versioned.update("a", 2, permits(3, []))
      tokenOf((yield* claim(other.storage, "a", "me")).outcome)
      assert.strictEqual((yield* Effect.flip(one.versioned.update("a", 3, permits(4, [first]))))._tag, "VersionMiss")
    })
  )

  it.live("bad options are told before any I/O, and say nothing of secrets", () =>
    Effect.gen(function* () {
      const refuse = (options: unknown, field: string) =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(EtcdStorage.make(options as EtcdStorage.Options))
          assert.strictEqual(error._tag, "InvalidOptions")
          assert.strictEqual((error as InvalidOptions).field, field)
          assert.notInclude(error.message, "sesame")
        })
      const url = Redacted.make("etcd://127.0.0.1:1")
      for (const text of [
        "",
        "localhost:2379",
        "etcd://",
        "mysql://a",
        "etcd://u@h",
        "etcd://:sesame@h",
        "etcd://u:se/same@h",
        "etcd://u:sesame@x@h",
        "etcd://u:%zz@h",
        "etcd://h:0",
        "etcd://h:99999",
        "etcd://a,,b",
        "etcd://h/path",
        "etcd://h?sesame"
      ]) {
        yield* refuse({ url: Redacted.make(text) }, "url")
      }
      for (const parameter of ["tls", "sslmode", "ca-file"]) {
        const error = yield* Effect.flip(
          EtcdStorage.make({ url: Redacted.make(`etcd://u:sesame@h:2379/?${parameter}=true`) })
        )
        assert.include(error.message, `"${parameter}"`)
        assert.notInclude(error.message, "sesame")
      }
      yield* refuse({}, "url")
      const user = { name: "u", password: Redacted.make("sesame") }
      yield* refuse({ url: Redacted.make("etcd://u:sesame@h"), user }, "user")
      for (const bad of [5, { name: "u" }, { name: "", password: user.password }, { name: "u", password: "sesame" }])
        yield* refuse({ url, user: bad }, "user")
      yield* refuse({ url, tls: () => ({}) }, "tls")
      yield* refuse({ url: "etcd://u:sesame@h" }, "url")
      for (const prefix of ["", "a\0b", "\ud800", "x".repeat(256), 5]) yield* refuse({ url, prefix }, "prefix")
      for (const operationTimeout of [0, -1, Number.NaN, "soon", "2 days"])
        yield* refuse({ url, operationTimeout }, "operationTimeout")
      yield* refuse({ url, versionMissRetry: 3 }, "versionMissRetry")
      yield* refuse({ url, tls: {} }, "tls")
      const tls = Redacted.make("etcds://127.0.0.1:1")
      yield* refuse({ url: tls, tls: { ca: 5 } }, "tls.ca")
      yield* refuse({ url: tls, tls: { cert: "x" } }, "tls")
      yield* refuse({ url: tls, tls: { cert: "x", key: "sesame" } }, "tls.key")
      yield* refuse({ url: tls, tls: { cert: "x", key: Redacted.make("sesame") } }, "tls")
      const noChannel = yield* Effect.flip(EtcdStorage.makeFromChannel({ channel: {} as never }))
      assert.strictEqual((noChannel as InvalidOptions).field, "channel")
    })
  )

  it.live("a server that cannot be reached is told soon, and certainly has applied nothing", () =>
    Effect.gen(function* () {
      const port = yield* freePort
      const error = yield* Effect.flip(
        EtcdStorage.make({ url: Redacted.make(`etcd://user:sesame@127.0.0.1:${port}`) })
      ) as Effect.Effect<StorageError>
      assert.deepStrictEqual(
        [error._tag, error.reason, error.isRetryable, error.applied],
        ["StorageError", "Connection", true, "no"]
      )
      assert.notInclude(JSON.stringify(error) + String(error.cause), "sesame")
      // Another endpoint of the list serves.
      const { storage } = yield* EtcdStorage.make({
        url: Redacted.make(`etcd://127.0.0.1:${port},localhost:${yield* freePort},${server.host}:${server.port}`),
        prefix: yield* server.freshPrefix
      })
      tokenOf((yield* claim(storage, "a", "me")).outcome)
    })
  )

  it.live("where authentication is not enabled, a user and password do no harm", () =>
    Effect.gen(function* () {
      const { storage } = yield* EtcdStorage.make({
        url: Redacted.make(`etcd://nobody:se%2Fsame@${server.host}:${server.port}`),
        prefix: yield* server.freshPrefix
      })
      tokenOf((yield* claim(storage, "a", "me")).outcome)
    })
  )

  it.live("a connection that is dead without a word is given up after one time-out", () =>
    Effect.gen(function* () {
      const proxy = yield* Proxy.make(server, { protocol: Etcd.grpc })
      const { storage } = yield* open({ url: `etcd://127.0.0.1:${proxy.port}` }, yield* server.freshPrefix, {
        operationTimeout: "500 millis"
      })
      const holdId = hold()
      yield* Effect.retry(storage.claim({ lockId: "a", ownerId: "me", holdId, lease: 60 * second }), { times: 20 })
      yield* proxy.halfOpen
      const error = yield* Effect.flip(storage.renew([{ lockId: "a", holdId, lease: second }]))
      assert.deepStrictEqual([error.reason, error.isRetryable, error.applied], ["Timeout", true, "unknown"])
      const [outcome] = yield* Effect.retry(storage.renew([{ lockId: "a", holdId, lease: second }]), { times: 20 })
      assert.strictEqual(outcome!._tag, "Renewed")
      assert.strictEqual(proxy.accepted(), 2)
    })
  )

  it.live("a reply that is lost leaves the outcome unknown, and the repeat has the effect of one", () =>
    Effect.gen(function* () {
      const proxy = yield* Proxy.make(server, { protocol: Etcd.grpc })
      const { storage } = yield* open({ url: `etcd://127.0.0.1:${proxy.port}` }, yield* server.freshPrefix)
      const request = { lockId: "a", ownerId: "me", holdId: hold(), lease: 30 * second }
      yield* proxy.dropNextReply
      const error = yield* Effect.flip(storage.claim(request))
      assert.deepStrictEqual(
        [error.reason, error.isRetryable, error.applied, proxy.dropped()],
        ["Connection", true, "unknown", 1]
      )
      const outcome = yield* Effect.retry(storage.claim(request), { schedule: Schedule.spaced("50 millis"), times: 20 })
      tokenOf(outcome)
      assert.deepStrictEqual(outcome._tag === "Claimed" && outcome.record.holds, [request.holdId])
    })
  )

  it.live("a closed layer says so", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const prefix = yield* server.freshPrefix
      const context = yield* Layer.buildWithScope(EtcdStorage.layer({ url: Redacted.make(server.url), prefix }), scope)
      const storage = Context.get(context, Storage.Storage)
      yield* claim(storage, "a", "me")
      yield* Scope.close(scope, Exit.void)
      const error = yield* Effect.flip(claim(storage, "a", "me"))
      assert.deepStrictEqual([error.reason, error.isRetryable, error.applied], ["Closed", false, "no"])
    })
  )

  it.live("with nobody to try again, a race that is lost is a conflict", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const both = yield* Effect.all(
        [1, 2, 3].map(() => open(server, prefix, { versionMissRetry: Schedule.recurs(0) }))
      )
      const errors: Array<StorageError> = []
      for (let i = 0; i < 200 && errors.length === 0; i++) {
        const results = yield* Effect.forEach(both, ({ storage }) => Effect.result(claim(storage, "a", "me")), {
          concurrency: "unbounded"
        })
        for (const result of results) if (result._tag === "Failure") errors.push(result.failure)
      }
      assert.deepStrictEqual([errors[0]!.reason, errors[0]!.isRetryable, errors[0]!.applied], ["Conflict", true, "no"])
    })
  )
})

const counted =
  (server: Etcd.EtcdServer) =>
  <A, E>(effect: Effect.Effect<A, E>) =>
    Effect.gen(function* () {
      const before = yield* server.handled
      const result = yield* effect
      const after = yield* server.handled
      const of = (method: string) => (after[method] ?? 0) - (before[method] ?? 0)
      return { result, trips: { Range: of("Range"), Txn: of("Txn") } }
    })

const read = { Range: 1, Txn: 0 }
const written = { Range: 0, Txn: 1 }

// Others would be counted too on the shared one.
await describeServer("EtcdStorage on a server of its own", Etcd.own("etcd 3.4", ["--max-txn-ops=24"]), (server) => {
  it.live("claims, contended or not, renewals of many and releases are one round trip, counted at the server", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const { storage } = yield* open(server, prefix)
      const { storage: theirs } = yield* open(server, prefix)
      const trips = counted(server)
      const expect = <A, E>(what: string, wanted: { Range: number; Txn: number }, effect: Effect.Effect<A, E>) =>
        Effect.map(trips(effect), ({ result, trips }) => {
          assert.deepStrictEqual(trips, wanted, what)
          return result
        })
      const first = yield* expect("a new lock", written, claim(storage, "a", "me"))
      assert.strictEqual(
        (yield* expect("held, seen for the first time", written, claim(theirs, "a", "you"))).outcome._tag,
        "Held"
      )
      assert.strictEqual(
        (yield* expect("held, seen before: it only reads", read, claim(theirs, "a", "you"))).outcome._tag,
        "Held"
      )
      yield* expect("a repeat", written, claim(storage, "a", "me", 30 * second, first.holdId))
      const inner = yield* expect("deeper", written, claim(storage, "a", "me"))
      const others = yield* Effect.forEach([1, 2, 3, 4, 5], (i) => claim(storage, `b${i}`, "me"))
      const renewals = [
        { lockId: "a", holdId: first.holdId, lease: 40 * second },
        ...others.map(({ holdId }, i) => ({ lockId: `b${i + 1}`, holdId, lease: 40 * second })),
        { lockId: "a", holdId: inner.holdId, lease: 50 * second },
        { lockId: "none", holdId: hold(), lease: second }
      ]
      const outcomes = yield* expect("renewals", written, storage.renew(renewals))
      assert.deepStrictEqual(
        outcomes.map((_) => _._tag),
        [...Array.from({ length: 7 }, () => "Renewed"), "NotHeld"]
      )
      yield* expect("one of two holds", written, storage.release({ lockId: "a", holdId: inner.holdId }))
      yield* expect("not held: it only reads", read, storage.release({ lockId: "a", holdId: inner.holdId }))
      yield* expect("the last", written, storage.release({ lockId: "a", holdId: first.holdId }))
      const again = yield* expect("free, last seen so", written, claim(storage, "a", "me"))
      yield* storage.release({ lockId: "a", holdId: again.holdId })
      // Held, as far as it remembers: so it looks, sees that it is not, and claims.
      yield* expect("free, last seen otherwise", { Range: 1, Txn: 1 }, claim(theirs, "a", "you"))
      yield* expect("a look", read, storage.get("a"))

      yield* claim(storage, "c", "me", second / 10)
      assert.strictEqual((yield* claim(theirs, "c", "you")).outcome._tag, "Held")
      yield* Effect.sleep("120 millis")
      const taken = yield* expect("over", written, claim(theirs, "c", "you"))
      assert.strictEqual(taken.outcome._tag, "Claimed")
    })
  )

  it.live("a transaction that is too large for the server goes in parts", () =>
    Effect.gen(function* () {
      const { storage } = yield* open(server, yield* server.freshPrefix)
      const held = yield* Effect.forEach(
        Array.from({ length: 100 }, (_, i) => `lock-${i}`),
        (lockId) => Effect.map(claim(storage, lockId, "me"), ({ holdId }) => ({ lockId, holdId, lease: 60 * second })),
        { concurrency: 16 }
      )
      const outcomes = yield* storage.renew(held)
      assert.strictEqual(outcomes.filter((_) => _._tag === "Renewed").length, 100)
    })
  )

  it.live("wake-ups name the lock, and come back after the server's restart and a compaction", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const [one, other] = yield* Effect.all([open(server, prefix), open(server, prefix)])
      const heard = yield* Queue.unbounded<string>()
      yield* other.storage.wakeUps.pipe(
        Stream.runForEach((hint) => Queue.offer(heard, hint)),
        Effect.forkScoped
      )
      const next = (wanted: string) =>
        Queue.take(heard).pipe(Effect.repeat({ until: (hint) => hint === wanted }), Effect.timeout("4 minutes"))
      yield* next("all")
      const cycle = (lockId: string) =>
        Effect.gen(function* () {
          const { holdId } = yield* claim(one.storage, lockId, "me")
          yield* one.storage.release({ lockId, holdId })
        }).pipe(Effect.retry({ schedule: Schedule.spaced("50 millis"), times: 200 }))
      yield* cycle("a/é")
      yield* next("a/é")
      const held = yield* claim(one.storage, "b", "me")
      const { header } = yield* server.admin("kv/range", { key: Etcd.base64("a") })
      yield* server.admin("kv/compaction", { revision: header.revision, physical: true })
      yield* server.kill
      yield* server.start
      yield* next("all")
      yield* cycle("c")
      yield* next("c")
      // What was held before is held after, and nobody was told otherwise.
      const renewed = yield* one.storage.renew([{ lockId: "b", holdId: held.holdId, lease: 30 * second }])
      assert.strictEqual(renewed[0]!._tag, "Renewed")
    })
  )

  it.live("an alarm is told at the start, and what it refuses is an error that may pass", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const before = yield* open(server, prefix)
      const { holdId } = yield* claim(before.storage, "a", "me")
      const status = yield* server.admin("maintenance/status", {})
      const alarm = (action: string) =>
        server.admin("maintenance/alarm", { action, memberID: status.header.member_id, alarm: "NOSPACE" })
      yield* Effect.acquireUseRelease(
        alarm("ACTIVATE"),
        () =>
          Effect.gen(function* () {
            const error = yield* Effect.flip(claim(before.storage, "b", "me"))
            assert.deepStrictEqual([error.reason, error.isRetryable], ["Unknown", true])
            assert.include(error.message, "quota")
            const told: Array<string> = []
            yield* Effect.provide(
              open(server, prefix),
              logs.to(({ message }) => told.push(message))
            )
            assert.match(told.join(), /EtcdStorage: the cluster reports: .*NOSPACE/)
          }),
        () => alarm("DEACTIVATE")
      )
      yield* before.storage.renew([{ lockId: "a", holdId, lease: second }])
    })
  )
})
