/** What the conformance kit does not see of ElasticsearchStorage: requests, documents, the index behind the alias, errors, and how it begins. */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Stream from "#effect/Stream"
import { randomBytes } from "node:crypto"
import * as ElasticsearchStorage from "../../src/backends/elasticsearch/ElasticsearchStorage.js"
import type { StorageError } from "../../src/LockError.js"
import type * as LockRecord from "../../src/LockRecord.js"
import type * as Storage from "../../src/Storage.js"
import * as HttpFrames from "../harness/httpFrames.js"
import * as Proxy from "../harness/proxy.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import { at, heard } from "../support/logged.js"

const hold = () => randomBytes(16).toString("base64url")
const second = 1_000_000

const claim = (storage: Storage.Service, lockId: string, ownerId: string, lease = 30 * second, holdId = hold()) =>
  Effect.map(storage.claim({ lockId, ownerId, holdId, lease }), (outcome) => ({ outcome, holdId }))

const tokenOf = (outcome: LockRecord.ClaimOutcome): number => {
  assert.strictEqual(outcome._tag, "Claimed")
  return outcome._tag === "Claimed" ? outcome.record.token : Number.NaN
}

const open = (server: { readonly url: string }, index: string, more: Partial<ElasticsearchStorage.Options> = {}) =>
  ElasticsearchStorage.make({ url: Redacted.make(server.url), index, ...more })

/** Options that are refused are no part of this. */
const failing = (server: { readonly url: string }, index: string, more: Partial<ElasticsearchStorage.Options> = {}) =>
  Effect.map(Effect.flip(open(server, index, more)), (error) => {
    assert.strictEqual(error._tag, "StorageError")
    return error as StorageError
  })

const facts = ({ applied, isRetryable, reason }: StorageError) => ({ reason, isRetryable, applied })

await describeServer("ElasticsearchStorage", Shared.opensearch, (server) => {
  it.live("claims, contended or not, releases and renewals of many are one request, counted on the way", () =>
    Effect.gen(function* () {
      const index = yield* server.freshIndex
      const proxy = yield* Proxy.make(server, { protocol: HttpFrames.http })
      const { mode, storage } = yield* open({ url: proxy.url(server.url) }, index, { operationTimeout: "1 minute" })
      assert.strictEqual(mode, "script")
      const counted = <A, E>(requests: number, self: Effect.Effect<A, E>) =>
        Effect.gen(function* () {
          yield* proxy.resetRoundTrips
          const value = yield* self
          assert.strictEqual(proxy.roundTrips(), requests)
          return value
        })
      const mine = yield* counted(1, claim(storage, "a", "me"))
      assert.strictEqual((yield* counted(1, claim(storage, "a", "you"))).outcome._tag, "Held")
      yield* counted(1, claim(storage, "a", "me", second, mine.holdId))
      const deeper = yield* counted(1, claim(storage, "a", "me"))
      yield* counted(1, storage.release({ lockId: "a", holdId: deeper.holdId }))
      assert.isTrue((yield* counted(1, storage.get("a")))._tag === "Some")
      yield* counted(1, storage.release({ lockId: "a", holdId: mine.holdId }))
      assert.strictEqual((yield* counted(1, claim(storage, "a", "you", 60_000))).outcome._tag, "Claimed")
      yield* Effect.sleep("100 millis")
      assert.strictEqual((yield* counted(1, claim(storage, "a", "me"))).outcome._tag, "Claimed")

      const held = yield* Effect.forEach(
        Array.from({ length: 1_000 }, (_, n) => `many-${n}`),
        (lockId) =>
          Effect.map(claim(storage, lockId, "me", 600 * second), ({ holdId }) => ({
            lockId,
            holdId,
            lease: 700 * second
          })),
        { concurrency: 16 }
      )
      const answers = yield* counted(1, storage.renew(held))
      assert.isTrue(answers.every((answer) => answer._tag === "Renewed" && answer.validFor > 600 * second))
    })
  )

  it.live("without scripts a claim is a read and a write, and a contended one a read", () =>
    Effect.gen(function* () {
      const index = yield* server.freshIndex
      const proxy = yield* Proxy.make(server, { protocol: HttpFrames.http })
      const { storage } = yield* open({ url: proxy.url(server.url) }, index, {
        mode: "versioned",
        operationTimeout: "1 minute"
      })
      const counted = <A, E>(requests: number, self: Effect.Effect<A, E>) =>
        Effect.gen(function* () {
          yield* proxy.resetRoundTrips
          const value = yield* self
          assert.strictEqual(proxy.roundTrips(), requests)
          return value
        })
      const mine = yield* counted(2, claim(storage, "a", "me"))
      assert.strictEqual((yield* counted(1, claim(storage, "a", "you"))).outcome._tag, "Held")
      yield* counted(2, storage.renew([{ lockId: "a", holdId: mine.holdId, lease: 60 * second }]))
      yield* counted(2, storage.release({ lockId: "a", holdId: mine.holdId }))
      assert.strictEqual((yield* counted(2, claim(storage, "a", "you"))).outcome._tag, "Claimed")
    })
  )

  it.live("a contended claim stores nothing, and tells holder and clock of one moment", () =>
    Effect.gen(function* () {
      const index = yield* server.freshIndex
      const { storage } = yield* open(server, index)
      const { holdId } = yield* claim(storage, "a", "me")
      const before = (yield* server.admin("GET", `/${index}/_doc/lock-a`)).body
      const { outcome } = yield* claim(storage, "a", "you")
      assert.isTrue(outcome._tag === "Held" && outcome.holder?.ownerId === "me" && outcome.retryAfter! > 20 * second)
      const after = (yield* server.admin("GET", `/${index}/_doc/lock-a`)).body
      assert.deepStrictEqual(after, before)
      // As whole numbers, for whoever reads them.
      yield* storage.renew([{ lockId: "a", holdId, lease: 60 * second }])
      const text = yield* Effect.promise(async () => (await fetch(`${server.url}/${index}/_source/lock-a`)).text())
      for (const field of ["token", "version", "began", "expires"])
        assert.match(text, new RegExp(`"${field}":\\d{16}[,}]`))
    })
  )

  it.live("ids are in the document as they are, byte for byte, and in its _id where that is harmless", () =>
    Effect.gen(function* () {
      const index = yield* server.freshIndex
      const { storage } = yield* open(server, index)
      const ids = [
        "plain-1.x~_",
        "a/b",
        "é",
        "e\u0301",
        "..",
        "_x",
        " ",
        "🔒".repeat(127),
        "x".repeat(1_000),
        "\u0001\uffff",
        `'; "\\`,
        "%2F"
      ]
      for (const lockId of ids) assert.strictEqual((yield* claim(storage, lockId, "me")).outcome._tag, "Claimed")
      for (const lockId of ids) assert.strictEqual((yield* claim(storage, lockId, "you")).outcome._tag, "Held")
      const listed = Array.from(yield* Stream.runCollect(storage.list), ({ record }) => record.lockId)
      assert.deepStrictEqual(new Set(listed), new Set(ids))
      assert.strictEqual((yield* server.admin("GET", `/${index}/_doc/lock-plain-1.x~_`)).body._source.owner, "me")
    })
  )

  it.live("what is no record of ours is refused, and costs no other lock its renewal", () =>
    Effect.gen(function* () {
      const index = yield* server.freshIndex
      const { storage } = yield* open(server, index)
      const mine = yield* claim(storage, "mine", "me")
      const whole = {
        kind: "exclusive",
        format: 1,
        owner: "you",
        label: "",
        holds: ["x"],
        token: 7,
        version: 7,
        began: 0,
        expires: 9_000_000_000_000_000,
        data: ""
      }
      for (const [lockId, document] of [
        ["none", { hello: 1 }],
        ["newer", { ...whole, format: 2 }],
        ["observed", { ...whole, expires: undefined, lease: 1 }],
        ...[{ holds: "x" }, { token: "7" }, { token: 1.5 }, { owner: 5 }, { kind: null }, { format: "1" }].map(
          (change, n) => [`odd-${n}`, { ...whole, ...change }] as const
        )
      ] as const) {
        yield* server.admin("PUT", `/${index}/_doc/lock-${lockId}?refresh=true`, { lockId, ...document })
        const attempts: ReadonlyArray<Effect.Effect<unknown, StorageError>> = [
          storage.claim({ lockId, ownerId: "me", holdId: hold(), lease: second }),
          storage.get(lockId),
          storage.release({ lockId, holdId: hold() }),
          storage.revoke({ lockId, token: 7, when: "now" })
        ]
        for (const attempt of attempts) {
          const error = yield* Effect.flip(attempt)
          assert.deepStrictEqual(
            [lockId, facts(error)],
            [lockId, { reason: "Schema", isRetryable: false, applied: "no" }]
          )
          assert.strictEqual(error.message.includes("update effect-storage-lock"), lockId === "newer")
        }
        const answers = yield* storage.renew([
          { lockId, holdId: "x", lease: second },
          { lockId: "mine", holdId: mine.holdId, lease: second }
        ])
        assert.deepStrictEqual(
          answers.map((_) => _._tag),
          ["StorageError", "Renewed"]
        )
        const { _source } = (yield* server.admin("GET", `/${index}/_doc/lock-${lockId}`)).body
        assert.deepStrictEqual(_source, JSON.parse(JSON.stringify({ lockId, ...document })))
      }
    })
  )

  it.live("a list is read in pages, past five hundred, without those that are free or over", () =>
    Effect.gen(function* () {
      const index = yield* server.freshIndex
      const { storage, versioned } = yield* open(server, index)
      const ids = Array.from({ length: 1_103 }, (_, n) => `lock-${String(n).padStart(4, "0")}`)
      yield* Effect.forEach(ids, (id) => claim(storage, id, "me", 600 * second), { concurrency: 16 })
      const free = yield* claim(storage, "free", "me")
      yield* storage.release({ lockId: "free", holdId: free.holdId })
      yield* claim(storage, "over", "me", 50_000)
      yield* Effect.sleep("100 millis")
      assert.deepStrictEqual(
        Array.from(yield* Stream.runCollect(storage.list), ({ record }) => record.lockId),
        ids
      )
      assert.strictEqual((yield* Stream.runCollect(versioned.list)).length, ids.length + 2)
    })
  )

  it.live("purge drops what has been free for long, as it was found", () =>
    Effect.gen(function* () {
      const index = yield* server.freshIndex
      const { storage, versioned } = yield* open(server, index)
      const { outcome } = yield* claim(storage, "now", "me")
      assert.strictEqual(outcome._tag, "Claimed")
      if (outcome._tag !== "Claimed") return
      const hours = 3_600 * second
      for (let n = 0; n < 7; n++) {
        const lockId = `old-${n}`
        const leaseExpireTime = outcome.record.lockBeginTime - (n < 5 ? 2 : 1 / 2) * hours
        yield* versioned.create(lockId, 5, { ...outcome.record, lockId, version: 5, leaseExpireTime })
      }
      assert.strictEqual(yield* storage.purge("1 second"), 5)
      assert.deepStrictEqual(
        Array.from(yield* Stream.runCollect(versioned.list), ({ lockId }) => lockId),
        ["now", "old-5", "old-6"]
      )
    })
  )

  it.live("many layers that begin at once make one index", () =>
    Effect.gen(function* () {
      const index = yield* server.freshIndex
      const all = yield* Effect.forEach([1, 2, 3, 4, 5, 6], () => open(server, index), { concurrency: "unbounded" })
      assert.strictEqual((yield* claim(all[0]!.storage, "a", "me")).outcome._tag, "Claimed")
      assert.strictEqual((yield* claim(all[5]!.storage, "a", "you")).outcome._tag, "Held")
    })
  )

  it.live(
    "an index that is dropped is not made by a write, and one that is recreated knows no holds, which is noticed",
    () =>
      heard((lines) =>
        Effect.gen(function* () {
          const index = yield* server.freshIndex
          const { storage } = yield* open(server, index)
          const held = yield* claim(storage, "a", "me")
          yield* server.admin("DELETE", `/${index}-1`)
          const renewal = { lockId: "a", holdId: held.holdId, lease: second }
          const attempts: ReadonlyArray<Effect.Effect<unknown, StorageError>> = [
            claim(storage, "a", "you"),
            storage.renew([renewal]),
            storage.release({ lockId: "a", holdId: held.holdId }),
            storage.get("a"),
            Stream.runDrain(storage.list)
          ]
          for (const attempt of attempts)
            assert.deepStrictEqual(facts(yield* Effect.flip(attempt)), {
              reason: "Schema",
              isRetryable: false,
              applied: "no"
            })
          assert.strictEqual((yield* server.admin("GET", `/${index}`)).status, 404)
          assert.strictEqual(at(lines, "Warning").length, 0)

          yield* open(server, index)
          assert.deepStrictEqual(yield* storage.renew([renewal]), [{ _tag: "NotHeld" }])
          assert.match(at(lines, "Warning")[0]!.message, /another one than before/)
          const next = yield* claim(storage, "a", "you")
          assert.isAbove(tokenOf(next.outcome), tokenOf(held.outcome))
          assert.strictEqual((yield* Stream.runCollect(storage.list)).length, 1)
        })
      )
  )

  it.live("without scripts tokens grow over an index that was dropped and recreated", () =>
    Effect.gen(function* () {
      const index = yield* server.freshIndex
      const { mode, storage } = yield* open(server, index, { mode: "versioned" })
      assert.strictEqual(mode, "versioned")
      const held = yield* claim(storage, "a", "me")
      yield* server.admin("DELETE", `/${index}-1`)
      yield* open(server, index, { mode: "versioned" })
      assert.deepStrictEqual(yield* storage.renew([{ lockId: "a", holdId: held.holdId, lease: second }]), [
        { _tag: "NotHeld" }
      ])
      const next = yield* claim(storage, "a", "you")
      assert.isAbove(tokenOf(next.outcome), tokenOf(held.outcome))
    })
  )

  it.live("an index has one mode: who asks for another is refused, and who asks for none follows", () =>
    Effect.gen(function* () {
      const scripted = yield* server.freshIndex
      yield* open(server, scripted)
      assert.strictEqual((yield* failing(server, scripted, { mode: "versioned" })).reason, "Schema")
      const observed = yield* server.freshIndex
      yield* open(server, observed, { mode: "versioned" })
      assert.strictEqual((yield* open(server, observed)).mode, "versioned")
      assert.strictEqual((yield* failing(server, observed, { mode: "script" })).reason, "Schema")
    })
  )

  it.live("without setup nothing is made; the request of ddl makes what is wanted", () =>
    Effect.gen(function* () {
      const index = yield* server.freshIndex
      const error = yield* failing(server, index, { setup: false })
      assert.strictEqual(error.reason, "Schema")
      assert.strictEqual((yield* server.admin("GET", `/${index}-1`)).status, 404)
      const [first, ...rest] = ElasticsearchStorage.ddl({ index }).split("\n")
      const [method, path] = first!.split(" ")
      assert.strictEqual((yield* server.admin(method!, path!, rest.join("\n"))).status, 200)
      const { storage } = yield* open(server, index, { setup: false })
      assert.strictEqual((yield* claim(storage, "a", "me")).outcome._tag, "Claimed")
    })
  )

  const unsuitable = (
    name: string,
    words: RegExp,
    prepare: (index: string) => ReadonlyArray<readonly [string, string, object?]>
  ) =>
    it.live(name, () =>
      Effect.gen(function* () {
        const index = yield* server.freshIndex
        const definition = JSON.parse(ElasticsearchStorage.ddl({ index }).split("\n").slice(1).join("\n")) as object
        for (const [method, path, change] of prepare(index)) {
          const body = change === undefined ? undefined : "actions" in change ? change : { ...definition, ...change }
          const { body: said, status } = yield* server.admin(method, path, body)
          assert.isBelow(status, 300, JSON.stringify(said))
        }
        const error = yield* failing(server, index)
        assert.strictEqual(error.reason, "Schema")
        assert.match(error.message, words)
      })
    )
  unsuitable("an index that was made by a write", /not an alias/, (index) => [["PUT", `/${index}`, { aliases: {} }]])
  unsuitable("an index that is there without the alias", /without the alias/, (index) => [
    ["PUT", `/${index}-1`, { aliases: {} }]
  ])
  unsuitable("an index of other documents", /not made for locks/, (index) => [["PUT", `/${index}-1`, { mappings: {} }]])
  unsuitable("an alias with a filter", /filter/, (index) => [
    ["PUT", `/${index}-1`, { aliases: { [index]: { filter: { term: { lockId: "a" } } } } }]
  ])
  unsuitable("an index with a pipeline", /pipeline/, (index) => [
    ["PUT", `/${index}-1`, { settings: { index: { default_pipeline: "some" } } }]
  ])
  unsuitable("an alias of two indices", /2 indices/, (index) => [
    ["PUT", `/${index}-1`, {}],
    ["PUT", `/${index}-1-other`, {}]
  ])

  it.live("where what was acknowledged may be forgotten, that is a warning", () =>
    heard((lines) =>
      Effect.gen(function* () {
        const index = yield* server.freshIndex
        yield* open(server, index)
        yield* server.admin("PUT", `/${index}/_settings`, { "index.translog.durability": "async" })
        yield* open(server, index)
        assert.match(
          at(lines, "Warning")
            .map(({ message }) => message)
            .join(),
          /durability/
        )
      })
    )
  )

  it.live("what the server refuses is told for what it is", () =>
    Effect.gen(function* () {
      const index = yield* server.freshIndex
      const { storage, versioned } = yield* open(server, index)
      const { holdId, outcome } = yield* claim(storage, "a", "me")
      const set = (settings: object) => server.admin("PUT", `/${index}/_settings`, settings)
      const all = (expected: object) =>
        Effect.gen(function* () {
          const attempts: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
            claim(storage, "b", "me"),
            storage.renew([{ lockId: "a", holdId, lease: second }]),
            storage.release({ lockId: "a", holdId }),
            ...(outcome._tag === "Claimed" ? [versioned.create("c", 1, { ...outcome.record, lockId: "c" })] : [])
          ]
          for (const attempt of attempts)
            assert.deepInclude(facts((yield* Effect.flip(attempt)) as StorageError), expected)
        })
      yield* set({ "index.blocks.read_only_allow_delete": true })
      yield* all({ reason: "Unknown", isRetryable: true, applied: "no" })
      yield* set({ "index.blocks.read_only_allow_delete": null })
      yield* set({ "index.blocks.write": true })
      yield* all({ reason: "Permission", isRetryable: false, applied: "no" })
      yield* set({ "index.blocks.write": null })
      yield* server.admin("POST", `/${index}/_close`)
      // By one request it is told as a block, by another as what it is.
      yield* all({ isRetryable: false, applied: "no" })
      yield* server.admin("POST", `/${index}/_open?wait_for_active_shards=1`)
      assert.strictEqual((yield* storage.release({ lockId: "a", holdId }))._tag, "Released")
    })
  )

  it.live("more holds than one of a lock are renewed in one request, each for itself", () =>
    Effect.gen(function* () {
      const index = yield* server.freshIndex
      const { storage } = yield* open(server, index)
      const one = yield* claim(storage, "a", "me")
      const two = yield* claim(storage, "a", "me")
      const answers = yield* storage.renew([
        { lockId: "a", holdId: one.holdId, lease: 60 * second },
        { lockId: "b", holdId: hold(), lease: second },
        { lockId: "a", holdId: two.holdId, lease: 90 * second },
        { lockId: "a", holdId: hold(), lease: 900 * second }
      ])
      assert.deepStrictEqual(
        answers.map((_) => _._tag),
        ["Renewed", "NotHeld", "Renewed", "NotHeld"]
      )
      assert.isTrue(answers[2]!._tag === "Renewed" && answers[2]!.validFor > 80 * second)
    })
  )
})
