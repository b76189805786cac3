/** What becomes of CassandraStorage when things go wrong around it, and what it asks of Cassandra, statement by statement. What a node alone says now and then is said by a stand-in. */
import { Client, policies } from "cassandra-driver"
import { assert, describe, it } from "#harness/vitest"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as Option from "#effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "#effect/Schedule"
import * as Scope from "#effect/Scope"
import * as Stream from "#effect/Stream"
import { readFileSync } from "node:fs"
import * as CassandraStorage from "../../src/backends/cassandra/CassandraStorage.js"
import type { StorageError } from "../../src/LockError.js"
import type * as LockRecord from "../../src/LockRecord.js"
import * as Storage from "../../src/Storage.js"
import * as Cassandra from "../harness/cassandra.js"
import * as CqlFrames from "../harness/cqlFrames.js"
import * as Proxy from "../harness/proxy.js"
import { describeServer, freePort } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import * as StandIn from "../support/cqlStandIn.js"
import { renewedByOneEach } from "../support/thousand.js"
import * as Logged from "../support/logged.js"

const second = 1_000_000
const stubborn = Schedule.max([Schedule.spaced("100 millis"), Schedule.recurs(600)])
const id = (name: string) => name.padEnd(22, "x")
const claimOf = (ownerId: string, lockId = "a", lease = 600 * second): LockRecord.Claim => ({
  lockId,
  ownerId,
  holdId: id(ownerId),
  lease
})
const tokenOf = (outcome: LockRecord.ClaimOutcome) => (outcome._tag === "Claimed" ? outcome.record.token : 0)

const facts = (error: unknown) => {
  const { _tag, applied, isRetryable, reason } = error as StorageError
  assert.strictEqual(_tag, "StorageError", String(error))
  return [reason, isRetryable, applied]
}

/** With what was logged meanwhile, from warnings on. */
const warned = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Logged.heard(
    (lines) => Effect.map(effect, (value) => ({ value, logged: lines.map(({ message }) => message).join("\n") })),
    "Warning"
  )

/** What is asked is asked for as long as it takes. */
const patient = { operationTimeout: "1 minute" } as const

await describeServer("Cassandra", Shared.cassandra, (server) => {
  const setup = Effect.gen(function* () {
    const standIn = yield* StandIn.make(server)
    const table = yield* server.freshTable
    const open = (more: Partial<CassandraStorage.Options> = {}) =>
      CassandraStorage.make({ url: Redacted.make(standIn.url(server.url)), table, ...patient, ...more })
    return { standIn, table, open, name: `${server.keyspace}.${table}` }
  })

  describe("what is asked", () => {
    it.live("claims, free, held, taken over or repeated, renewals and releases are one statement each", () =>
      Effect.gen(function* () {
        const { open, standIn } = yield* setup
        const { storage } = yield* open()
        const other = (yield* open()).storage
        assert.deepStrictEqual(standIn.asked(), ["CREATE", "SELECT", "SELECT"])
        const asked = (...words: ReadonlyArray<string>) => assert.deepStrictEqual(standIn.asked(), words)
        for (let i = 0; i < 3; i++) {
          assert.strictEqual((yield* storage.claim(claimOf("me")))._tag, "Claimed")
          asked(i === 0 ? "INSERT" : "UPDATE")
          const held = yield* other.claim(claimOf("you"))
          assert.strictEqual(held._tag === "Held" ? held.holder?.ownerId : "", "me")
          // Of a lock that it has not seen, and of one that it has, where an update is as good as a look.
          asked(i === 0 ? "INSERT" : "SELECT")
          yield* storage.claim(claimOf("me"))
          asked("UPDATE")
          yield* storage.claim({ ...claimOf("me"), holdId: id("nested") })
          asked("UPDATE")
          yield* storage.release({ lockId: "a", holdId: id("nested") })
          asked("UPDATE")
          assert.strictEqual((yield* storage.renew([claimOf("me")]))[0]!._tag, "Renewed")
          asked("UPDATE")
          assert.strictEqual((yield* storage.release(claimOf("me")))._tag, "Released")
          asked("UPDATE")
        }
        const short = yield* storage.claim(claimOf("me", "b", second / 5))
        yield* other.claim(claimOf("you", "b"))
        yield* Effect.sleep("400 millis")
        standIn.asked()
        const taken = yield* other.claim(claimOf("you", "b"))
        assert.strictEqual(tokenOf(taken), tokenOf(short) + 1)
        asked("UPDATE")
        // Its own lease is over by its own count: nothing is to be written.
        assert.strictEqual((yield* storage.renew([claimOf("me", "b")]))[0]!._tag, "NotHeld")
        asked("SELECT")
      })
    )

    it.live("a thousand renewals are a thousand statements, each answered for itself", () =>
      Effect.gen(function* () {
        const { open, standIn } = yield* setup
        const { storage } = yield* open()
        yield* renewedByOneEach(storage, claimOf, standIn.asked, "UPDATE", "SELECT")
      })
    )

    it.live("list has pages, and ids of 65535 bytes come back whole", () =>
      Effect.gen(function* () {
        const { open, standIn } = yield* setup
        const { storage } = yield* open()
        const long = "é".repeat(32_767) + "x"
        const ids = [long, "Foo", "foo", "foo ", ...Array.from({ length: 1_200 }, (_, i) => `lock ${i}`)]
        yield* Effect.forEach(ids, (lockId) => storage.claim(claimOf("me", lockId)), { concurrency: 32, discard: true })
        standIn.asked()
        const found = yield* Stream.runCollect(storage.list)
        assert.deepStrictEqual(standIn.asked(), ["SELECT", "SELECT"])
        assert.sameMembers(
          [...found].map(({ record }) => record.lockId),
          ids
        )
      })
    )
  })

  describe("outcomes that are not known", () => {
    const codes = [0x0000, 0x1001, 0x1100, 0x1200, 0x1300, 0x1500, 0x1600, 0x1700]

    it.live("are found out by a look, within the call, whether it was done or not", () =>
      Effect.gen(function* () {
        const { open, standIn } = yield* setup
        const { storage } = yield* open()
        const other = (yield* open()).storage
        let token = 0
        for (const code of codes)
          for (const done of [true, false]) {
            const once = () => {
              let left = 1
              standIn.asked()
              standIn.rule = (text) => (!text.startsWith("SELECT") && left-- > 0 ? { code, done } : "pass")
            }
            const write = token === 0 ? "INSERT" : "UPDATE"
            once()
            const claimed = yield* storage.claim(claimOf("me"))
            assert.strictEqual(tokenOf(claimed), ++token, `${code.toString(16)} ${done}`)
            // What promises a lease is written once more: who waits may have watched it since the first time.
            assert.deepStrictEqual(standIn.asked(), [write, "SELECT", done ? "UPDATE" : write])
            once()
            assert.strictEqual((yield* storage.renew([claimOf("me")]))[0]!._tag, "Renewed")
            assert.deepStrictEqual(standIn.asked(), ["UPDATE", "SELECT", "UPDATE"])
            assert.strictEqual((yield* other.claim(claimOf("you")))._tag, "Held")
            once()
            assert.strictEqual((yield* storage.release(claimOf("me")))._tag, "Released")
            assert.deepStrictEqual(standIn.asked(), ["UPDATE", "SELECT", ...(done ? [] : ["UPDATE"])])
            assert.isTrue(Option.isNone(yield* other.get("a")))
          }
      })
    )

    it.live("are looked at again where the look fails, too", () =>
      Effect.gen(function* () {
        const { open, standIn } = yield* setup
        const { storage } = yield* open()
        for (const code of [0x1001, 0x1100, 0x1200, 0x1300, 0x1700]) {
          let left = 4
          standIn.asked()
          standIn.rule = () => (left-- > 0 ? { code, done: true } : "pass")
          assert.strictEqual((yield* storage.claim(claimOf("me", `lock ${code}`)))._tag, "Claimed")
          assert.deepStrictEqual(standIn.asked(), ["INSERT", "SELECT", "SELECT", "SELECT", "SELECT", "UPDATE"])
        }
      })
    )

    it.live("a reply that is lost is one of them, and the driver repeats nothing by itself", () =>
      Effect.gen(function* () {
        const table = yield* server.freshTable
        let texts: Array<string> = []
        const proxy = yield* Proxy.make(server, {
          protocol: CqlFrames.cql((text) => texts.push(text.split(" ", 1)[0]!))
        })
        const { port } = proxy
        const client = yield* Cassandra.client(
          { host: "127.0.0.1", port },
          {
            keyspace: server.keyspace,
            queryOptions: { isIdempotent: true, prepare: true, consistency: 1, serialConsistency: 9 },
            policies: {
              retry: new policies.retry.RetryPolicy(),
              reconnection: new policies.reconnection.ConstantReconnectionPolicy(50),
              speculativeExecution: new policies.speculativeExecution.ConstantSpeculativeExecutionPolicy(0, 3)
            }
          }
        )
        for (const { storage, versioned } of [
          yield* CassandraStorage.make({ url: Redacted.make(proxy.url(server.url)), table, ...patient }),
          yield* CassandraStorage.makeFromClient({ client, table, ...patient })
        ]) {
          const first = yield* storage.claim(claimOf("me"))
          texts = []
          const lost = <A, E>(effect: Effect.Effect<A, E>) => Effect.andThen(proxy.dropNextReply, effect)
          // On a busy machine another reply may come too late: it is looked at again, and no write is sent a second time before.
          const looked = (least: RegExp) => {
            const asked = texts.splice(0).join(" ")
            assert.match(asked, least)
            assert.notInclude(asked, "UPDATE UPDATE")
          }
          assert.strictEqual((yield* lost(storage.renew([claimOf("me")])))[0]!._tag, "Renewed")
          looked(/^UPDATE( SELECT)+ UPDATE/)
          assert.strictEqual((yield* lost(storage.release(claimOf("me"))))._tag, "Released")
          looked(/^UPDATE SELECT/)
          const again = yield* lost(storage.claim(claimOf("me")))
          assert.strictEqual(tokenOf(again), tokenOf(first) + 1)
          // Who uses the smaller port finds it out by itself.
          if (again._tag !== "Claimed") return
          const { record } = again
          const next = { ...record, version: record.version + 1 }
          const error = yield* Effect.flip(lost(versioned.update("a", record.version, next)))
          assert.deepStrictEqual(facts(error), ["Connection", true, "unknown"])
          assert.strictEqual(
            Option.getOrThrow(yield* Effect.retry(versioned.get("a"), stubborn)).version,
            record.version + 1
          )
          yield* storage.release(claimOf("me"))
        }
      })
    )
  })

  it.live("every code of the server has its reason", () =>
    Effect.gen(function* () {
      const { open, standIn } = yield* setup
      // What is not known is not looked for.
      const { storage } = yield* open({ versionMissRetry: Schedule.recurs(0) })
      yield* storage.claim(claimOf("me"))
      const unsure = ["Timeout", true, "unknown"]
      for (const [code, expected, level] of [
        [0x0000, ["Connection", true, "unknown"]],
        [0x000a, ["Unknown", false, "no"]],
        [0x0100, ["Permission", false, "no"]],
        [0x1000, ["Connection", true, "no"]],
        // Said of the round in which all are told what was decided.
        [0x1000, unsure, 4],
        [0x1001, unsure],
        [0x1002, ["Connection", true, "no"]],
        [0x1003, ["Connection", true, "unknown"]],
        [0x1100, unsure],
        [0x1200, unsure],
        [0x1300, unsure],
        [0x1400, ["Unknown", false, "no"]],
        [0x1500, unsure],
        [0x1600, unsure],
        [0x1700, unsure],
        [0x2000, ["Schema", false, "no"]],
        [0x2100, ["Permission", false, "no"]],
        [0x2200, ["Schema", false, "no"]],
        [0x2300, ["Schema", false, "no"]],
        [0x2400, ["Schema", false, "no"]],
        [0x7777, ["Unknown", false, "unknown"]]
      ] as const) {
        standIn.rule = () => ({ code, level })
        const write = yield* Effect.flip(storage.release(claimOf("me")))
        assert.deepStrictEqual([code.toString(16), facts(write)], [code.toString(16), [...expected]])
        // A look is repeated for as long as there is time, if it may succeed.
        const look = yield* Effect.flip(
          Effect.provideService(storage.get("a"), Storage.TimeLimit, Duration.millis(expected[1] ? 400 : 60_000))
        )
        assert.deepStrictEqual([look.isRetryable, look.applied], [expected[1], "no"])
        assert.include([expected[0], "Timeout"], look.reason)
      }
      standIn.rule = () => "pass"
      assert.strictEqual((yield* storage.release(claimOf("me")))._tag, "Released")
    })
  )

  describe("servers and links that fail", () => {
    it.live("one that hangs ends in a time-out, and the end of the layer ends what is under way", () =>
      Effect.gen(function* () {
        const { open, standIn } = yield* setup
        const scope = yield* Scope.make()
        const { storage } = yield* Scope.provide(open({ operationTimeout: "500 millis" }), scope)
        standIn.rule = () => "silent"
        assert.deepStrictEqual(facts(yield* Effect.flip(storage.claim(claimOf("me")))), ["Timeout", true, "unknown"])
        assert.deepStrictEqual(facts(yield* Effect.flip(storage.get("a"))), ["Timeout", true, "no"])
        standIn.asked()
        const waiting = yield* Effect.forkChild(Effect.flip(storage.claim(claimOf("me"))))
        yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => standIn.asked().length > 0 })
        yield* Scope.close(scope, Exit.void)
        assert.include(["Closed", "Timeout"], (yield* Fiber.join(waiting)).reason)
        assert.strictEqual((yield* Effect.flip(storage.claim(claimOf("me")))).reason, "Closed")
      })
    )

    it.live(
      "one that hangs at the start costs no more than the caller's time, and one that is not there is told as such",
      () =>
        Effect.gen(function* () {
          const proxy = yield* Proxy.make(server, { protocol: CqlFrames.cql() })
          yield* proxy.hang(true)
          const hung = CassandraStorage.make({
            url: Redacted.make(proxy.url(server.url)),
            operationTimeout: "500 millis"
          })
          assert.deepStrictEqual(facts(yield* Effect.flip(hung)), ["Timeout", true, "no"])
          const url = Redacted.make(`cassandra://127.0.0.1:${yield* freePort}/any`)
          const error = yield* Effect.flip(CassandraStorage.make({ url }))
          assert.deepStrictEqual(facts(error), ["Connection", true, "no"])
          assert.include(error.message, "ECONNREFUSED")
          const nowhere = yield* Effect.flip(
            CassandraStorage.make({ url: Redacted.make("cassandra://no-such-host.invalid/any"), ...patient })
          )
          assert.deepStrictEqual(facts(nowhere), ["Connection", true, "no"])
        })
    )

    it.live("a short limit of one caller takes nothing from the others", () =>
      Effect.gen(function* () {
        const { open, standIn } = yield* setup
        const { storage } = yield* open()
        const limited = <A, E>(self: Effect.Effect<A, E>) =>
          Effect.provideService(self, Storage.TimeLimit, Duration.millis(60))
        standIn.rule = (text) => (text.startsWith("SELECT") ? "silent" : "pass")
        const slow = yield* Effect.forkChild(Effect.exit(storage.get("slow")))
        for (let n = 0; n < 3; n++)
          assert.strictEqual((yield* Effect.flip(limited(storage.get("a")))).reason, "Timeout")
        standIn.rule = () => "pass"
        assert.strictEqual((yield* storage.claim(claimOf("me")))._tag, "Claimed")
        yield* Fiber.interrupt(slow)
      })
    )

    it.live("after a link that broke, or is dead and told nobody, all goes on", () =>
      Effect.gen(function* () {
        const table = yield* server.freshTable
        const proxy = yield* Proxy.make(server, { protocol: CqlFrames.cql() })
        const { storage } = yield* CassandraStorage.make({
          url: Redacted.make(proxy.url(server.url)),
          table,
          operationTimeout: "10 seconds"
        })
        yield* storage.claim(claimOf("me"))
        for (const fault of [proxy.cut, proxy.halfOpen, proxy.cut]) {
          yield* fault
          const [answer] = yield* Effect.retry(storage.renew([claimOf("me")]), stubborn)
          assert.strictEqual(answer!._tag, "Renewed")
        }
        yield* proxy.refuse(true)
        yield* proxy.cut
        const refused = yield* Effect.flip(storage.claim(claimOf("me", "b")))
        assert.deepStrictEqual([refused.reason, refused.isRetryable], ["Connection", true])
        yield* proxy.refuse(false)
        assert.strictEqual((yield* Effect.retry(storage.release(claimOf("me")), stubborn))._tag, "Released")
      })
    )

    it.live(
      "a link that breaks again and again leaves no connection behind, and the driver throws nothing at the process",
      () =>
        Effect.gen(function* () {
          const table = yield* server.freshTable
          const proxy = yield* Proxy.make(server, { protocol: CqlFrames.cql() })
          const thrown: Array<unknown> = []
          const hear = (error: unknown) => void thrown.push(error)
          yield* Effect.acquireRelease(
            Effect.sync(() => process.on("unhandledRejection", hear)),
            () => Effect.sync(() => process.off("unhandledRejection", hear))
          )
          const connections = yield* Effect.scoped(
            Effect.gen(function* () {
              const url = Redacted.make(proxy.url(server.url))
              const { storage } = yield* CassandraStorage.make({ url, table, ...patient })
              yield* storage.claim(claimOf("me"))
              const before = proxy.connections()
              for (let round = 0; round < 12; round++) {
                yield* proxy.refuse(true)
                yield* proxy.cut
                yield* Effect.sleep(`${100 + 50 * (round % 4)} millis`)
                yield* proxy.refuse(false)
                // Again while it finds its way back.
                for (let n = 0; n < round % 4; n++) {
                  yield* Effect.sleep("30 millis")
                  yield* proxy.cut
                }
                yield* Effect.retry(storage.renew([claimOf("me")]), stubborn)
              }
              // Whatever the driver still does by itself is over by then.
              yield* Effect.sleep("3 seconds")
              yield* Effect.retry(storage.renew([claimOf("me")]), stubborn)
              return [before, proxy.connections()] as const
            })
          )
          assert.deepStrictEqual(
            thrown.map((error) => String(error)),
            []
          )
          // One more may be on its way.
          assert.isAtMost(connections[1], connections[0] + 1)
          yield* Effect.repeat(Effect.sleep("20 millis"), { until: () => proxy.connections() === 0 }).pipe(
            Effect.timeout("15 seconds")
          )
        })
    )

    it.live("where the url is another one when no node can be asked, it is gone to, and not to another keyspace", () =>
      Effect.gen(function* () {
        const table = yield* server.freshTable
        const links = yield* Effect.all([0, 1].map(() => Proxy.make(server, { protocol: CqlFrames.cql() })))
        let now = links[0]!.url(server.url)
        const { storage } = yield* CassandraStorage.make({ url: () => Redacted.make(now), table, ...patient })
        yield* storage.claim(claimOf("me"))
        yield* links[0]!.refuse(true)
        now = now.replace(/[^/]+$/, "elsewhere")
        yield* links[0]!.cut
        const error = yield* Effect.flip(storage.get("a"))
        assert.strictEqual(error.reason, "Connection")
        assert.include(error.message, "another keyspace")
        now = links[1]!.url(server.url)
        const [answer] = yield* Effect.retry(storage.renew([claimOf("me")]), stubborn)
        assert.strictEqual(answer!._tag, "Renewed")
        assert.isAbove(links[1]!.connections(), 0)
      })
    )
  })

  describe("the table", () => {
    it.live("is refused if it is of other columns, or forgets, and a missing one is told for what it is", () =>
      Effect.gen(function* () {
        const { name, open, table } = yield* setup
        const schemaOf = (error: unknown, words: string) => {
          assert.deepStrictEqual(facts(error), ["Schema", false, "no"])
          assert.include((error as StorageError).message, words)
        }
        schemaOf(yield* Effect.flip(open({ setup: false })), "ddl")
        const url = Redacted.make(server.url.replace(/[^/]+$/, "no_such_keyspace"))
        schemaOf(yield* Effect.flip(open({ url })), "no keyspace")
        for (const [columns, words] of [
          ["(key text PRIMARY KEY, record text)", "the one key `id`"],
          ["(id blob PRIMARY KEY, record text)", "of type text"],
          ["(id text, record text, n int, PRIMARY KEY (id, n))", "the one key `id`"],
          ["(id text PRIMARY KEY, record text) WITH default_time_to_live = 60", "default_time_to_live"]
        ] as const) {
          yield* server.admin(`CREATE TABLE ${name} ${columns}`)
          schemaOf(yield* Effect.flip(open()), words)
          yield* server.admin(`DROP TABLE ${name}`)
        }
        yield* server.admin(CassandraStorage.ddl({ keyspace: server.keyspace, table }).replace(/;$/, ""))
        const { storage } = yield* open({ setup: false })
        assert.strictEqual((yield* storage.claim(claimOf("me")))._tag, "Claimed")
      })
    )

    it.live("is made once by many at once, and its name is taken as it is written", () =>
      Effect.gen(function* () {
        const { open, table } = yield* setup
        const all = yield* Effect.forEach(Array.from({ length: 6 }), () => open(), { concurrency: 6 })
        const outcomes = yield* Effect.forEach(all, ({ storage }, i) => storage.claim(claimOf(`owner ${i}`)))
        assert.strictEqual(outcomes.filter(({ _tag }) => _tag === "Claimed").length, 1)
        const upper = table.toUpperCase()
        yield* Effect.addFinalizer(() => Effect.ignore(server.admin(`DROP TABLE ${server.keyspace}."${upper}"`)))
        const other = (yield* open({ table: upper })).storage
        assert.strictEqual((yield* other.claim(claimOf("me")))._tag, "Claimed")
      })
    )

    it.live("that was dropped and recreated, or emptied, has no hold of before, and the first is told", () =>
      Effect.gen(function* () {
        const { name, open, table } = yield* setup
        const { storage } = yield* open({ operationTimeout: "20 seconds" })
        yield* storage.claim(claimOf("me"))
        yield* server.admin(`TRUNCATE ${name}`)
        const emptied = yield* warned(storage.renew([claimOf("me")]))
        assert.deepStrictEqual(emptied, { logged: "", value: [{ _tag: "NotHeld" }] })
        yield* Effect.sleep("1100 millis")
        yield* storage.claim(claimOf("me"))
        yield* server.admin(`DROP TABLE ${name}`)
        assert.deepStrictEqual(facts(yield* Effect.flip(storage.renew([claimOf("me")]))), ["Schema", false, "no"])
        assert.deepStrictEqual(facts(yield* Effect.flip(storage.get("a"))), ["Schema", false, "no"])
        yield* server.admin(CassandraStorage.ddl({ keyspace: server.keyspace, table }).replace(/;$/, ""))
        const { logged, value } = yield* warned(storage.renew([claimOf("me")]))
        assert.deepStrictEqual(value, [{ _tag: "NotHeld" }])
        assert.include(logged, "another one than before")
        const again = yield* warned(storage.renew([claimOf("me")]))
        assert.strictEqual(again.logged, "")
        assert.strictEqual((yield* storage.claim(claimOf("you")))._tag, "Claimed")
      })
    )

    it.live("a row that is no record, or of a newer format, is left alone, and the others are served", () =>
      Effect.gen(function* () {
        const { name, open } = yield* setup
        const { storage } = yield* open()
        const claimed = yield* storage.claim(claimOf("me", "newer"))
        if (claimed._tag !== "Claimed") return assert.fail()
        const { lockId: _, ...rest } = claimed.record
        const newer = JSON.stringify({ ...rest, holds: [], format: 2 })
        const rows = { none: null, text: "hello", json: "[]", newer } as const
        for (const [lockId, record] of Object.entries(rows))
          yield* server.admin(`INSERT INTO ${name} (id, record) VALUES (?, ?)`, [lockId, record])
        for (const lockId of Object.keys(rows)) {
          for (const other of [storage, (yield* open()).storage]) {
            const error = yield* Effect.flip(other.claim(claimOf("you", lockId)))
            assert.deepStrictEqual(facts(error), ["Schema", false, "no"])
            assert.include(error.message, lockId === "newer" ? "update effect-storage-lock" : "no record of a lock")
          }
        }
        const found = yield* server.admin(`SELECT id, record FROM ${name}`)
        assert.deepStrictEqual(Object.fromEntries(found.map(({ id, record }) => [id, record])), rows)
        yield* storage.claim(claimOf("me"))
        const answers = yield* storage.renew([claimOf("me", "text"), claimOf("me")])
        assert.deepStrictEqual(
          answers.map(({ _tag }) => _tag),
          ["StorageError", "Renewed"]
        )
      })
    )

    it.live("a row that was deleted by hand, and recreated by another at the same version, is another one", () =>
      Effect.gen(function* () {
        const { name, open } = yield* setup
        const { storage } = yield* open()
        const other = (yield* open()).storage
        yield* storage.claim(claimOf("me"))
        yield* server.admin(`DELETE FROM ${name} WHERE id = 'a' IF EXISTS`)
        assert.strictEqual((yield* other.claim(claimOf("you")))._tag, "Claimed")
        const [answer] = yield* storage.renew([claimOf("me")])
        assert.strictEqual(answer!._tag === "NotHeld" ? answer!.current?.ownerId : "", "you")
        assert.strictEqual((yield* storage.release(claimOf("me")))._tag, "NotHeld")
        assert.strictEqual((yield* other.renew([claimOf("you")]))[0]!._tag, "Renewed")
      })
    )
  })

  it.live("is freed by hand as docs/break-glass.md says, and only if nobody wrote in between", () =>
    Effect.gen(function* () {
      const { name, open } = yield* setup
      const { storage } = yield* open()
      const other = (yield* open()).storage
      const page = readFileSync(new URL("../../docs/break-glass.md", import.meta.url), "utf8")
      const [, section = ""] = page.split("## Cassandra, ScyllaDB\n")
      const [see = "", free = ""] = [...section.matchAll(/^```sql\n([^]*?)^```/gm)].map(([, text]) =>
        text!.replaceAll("app.storage_lock", name).replace("CONSISTENCY SERIAL;\n", "").trim().replace(/;$/, "")
      )
      const claimed = yield* storage.claim(claimOf("me", "nightly-report"))
      const [row] = yield* server.admin(see)
      const before = row!.record as string
      const record = JSON.parse(before) as LockRecord.LockRecord
      const after = JSON.stringify({ ...record, holds: [], version: record.version + 1 })
      const freeing = (as: string) =>
        server.admin(free.replace(/'\{…the record, [^']*'/, `'${after}'`).replace(/'\{…the record as[^']*'/, `'${as}'`))
      assert.isFalse((yield* freeing("{}"))[0]!["[applied]"])
      assert.strictEqual((yield* other.claim(claimOf("you", "nightly-report")))._tag, "Held")
      assert.isTrue((yield* freeing(before))[0]!["[applied]"])
      assert.strictEqual((yield* storage.renew([claimOf("me", "nightly-report")]))[0]!._tag, "NotHeld")
      const taken = yield* other.claim(claimOf("you", "nightly-report"))
      assert.strictEqual(tokenOf(taken), tokenOf(claimed) + 1)
    })
  )

  describe("data centres", () => {
    it.live("one that is not there is told with those that are, and locks of one need its name", () =>
      Effect.gen(function* () {
        const { open } = yield* setup
        const { storage } = yield* open({ serialConsistency: "LOCAL_SERIAL", localDataCenter: "datacenter1" })
        assert.strictEqual((yield* storage.claim(claimOf("me")))._tag, "Claimed")
        const plain = yield* open({ localDataCenter: "datacenter1" })
        assert.strictEqual((yield* plain.storage.claim(claimOf("you")))._tag, "Held")
        const error = yield* Effect.flip(open({ localDataCenter: "nowhere" }))
        assert.deepStrictEqual(facts(error), ["Schema", false, "no"])
        assert.include(error.message, "datacenter1")
      })
    )
  })

  it.live("the program's client is not closed, and one without metadata of the schema does", () =>
    Effect.gen(function* () {
      const table = yield* server.freshTable
      const client = yield* Effect.acquireRelease(
        Effect.sync(
          () =>
            new Client({
              contactPoints: [`${server.host}:${server.port}`],
              protocolOptions: { port: server.port },
              localDataCenter: "datacenter1",
              isMetadataSyncEnabled: false,
              encoding: { useBigIntAsLong: true, map: Map, set: Set }
            })
        ),
        (client) => Effect.promise(() => client.shutdown())
      )
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { storage } = yield* CassandraStorage.makeFromClient({
            client,
            table,
            keyspace: server.keyspace,
            serialConsistency: "LOCAL_SERIAL"
          })
          assert.strictEqual((yield* storage.claim(claimOf("me")))._tag, "Claimed")
        })
      )
      const { rows } = yield* Effect.promise(() => client.execute(`SELECT id FROM ${server.keyspace}.${table}`))
      assert.deepStrictEqual(
        rows.map(({ id }) => id as string),
        ["a"]
      )
    })
  )
})

await describeServer("Cassandra that is stopped", Cassandra.own(), (server) => {
  it.live("a node that stands still is waited for within the time there is, and goes on", () =>
    Effect.gen(function* () {
      const table = yield* server.freshTable
      const { storage } = yield* CassandraStorage.make({
        url: Redacted.make(server.url),
        table,
        operationTimeout: "2 seconds"
      })
      yield* storage.claim(claimOf("me"))
      yield* Effect.acquireUseRelease(
        server.suspend,
        () =>
          Effect.gen(function* () {
            const error = yield* Effect.flip(storage.claim(claimOf("me", "b")))
            assert.deepStrictEqual([error.isRetryable, error.applied], [true, "unknown"])
            const read = yield* Effect.flip(storage.get("a"))
            assert.deepStrictEqual([read.isRetryable, read.applied], [true, "no"])
            // Of one that did not answer, or then of the connection, which was given up for that.
            for (const { reason } of [error, read]) assert.include(["Timeout", "Connection"], reason)
          }),
        () => server.resume
      )
      const [answer] = yield* Effect.retry(storage.renew([claimOf("me")]), stubborn)
      assert.strictEqual(answer!._tag, "Renewed")
      // What was under way then is done or not: nobody has it twice.
      assert.strictEqual((yield* Effect.retry(storage.claim(claimOf("me", "b")), stubborn))._tag, "Claimed")
      assert.strictEqual((yield* storage.claim(claimOf("you", "b")))._tag, "Held")
    })
  )

  it.live("holds survive a node that is killed and started again, and one that is stopped in order", () =>
    Effect.gen(function* () {
      const table = yield* server.freshTable
      const { storage } = yield* CassandraStorage.make({ url: Redacted.make(server.url), table })
      const first = yield* storage.claim(claimOf("me"))
      for (const end of [server.kill, server.stop]) {
        yield* end
        const error = yield* Effect.flip(storage.claim(claimOf("me", "b")))
        assert.strictEqual(error.isRetryable, true)
        yield* server.start
        const [answer] = yield* Effect.retry(storage.renew([claimOf("me")]), stubborn)
        assert.strictEqual(answer!._tag, "Renewed")
      }
      yield* storage.release(claimOf("me"))
      assert.strictEqual(tokenOf(yield* storage.claim(claimOf("you"))), tokenOf(first) + 1)
    })
  )
})
