/** Each misconfiguration is made at a real server, found, and its cure is named. */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Redis from "../harness/redis.js"
import { describeServer } from "../harness/server.js"
import { doctor, read } from "../support/doctor.js"

await describeServer("doctor at Redis", Redis.start("Redis 8"), (server) => {
  const configured = <A, E, R>(name: string, value: string, test: Effect.Effect<A, E, R>) =>
    Effect.gen(function* () {
      const [, before] = yield* server.admin("CONFIG", "GET", name)
      yield* server.admin("CONFIG", "SET", name, value)
      return yield* Effect.ensuring(test, server.admin("CONFIG", "SET", name, before))
    })

  it.live("finds nothing where nothing is wrong", () =>
    Effect.gen(function* () {
      const well = yield* doctor(server.url)
      assert.deepStrictEqual(
        well.said.filter(({ severity }) => severity !== "ok"),
        []
      )
      assert.strictEqual(well.code, 0)
    })
  )

  for (const [name, bad, severity, cure] of [
    ["appendonly", "no", "error", /CONFIG SET appendonly yes/],
    ["appendfsync", "everysec", "warning", /CONFIG SET appendfsync always/],
    ["timeout", "5", "warning", /CONFIG SET timeout 0/]
  ] as const)
    it.live(`${name} is ${bad}`, () =>
      Effect.gen(function* () {
        const { code, of } = yield* configured(name, bad, doctor(server.url))
        assert.strictEqual(code, 1)
        const [found, ...more] = of(name)
        assert.strictEqual(found?.severity, severity)
        assert.match(found!.cure!, cure)
        // What the layer warns of is not told twice.
        assert.deepStrictEqual([more, of("warns")], [[], []])
      })
    )

  it.live("a policy that drops locks, and a memory that is nearly full", () =>
    Effect.gen(function* () {
      const used = Number(/used_memory:(\d+)/.exec(yield* server.admin("INFO", "memory"))![1])
      yield* configured(
        "maxmemory",
        String(Math.floor(used * 1.5)),
        Effect.gen(function* () {
          assert.deepStrictEqual((yield* doctor(server.url)).of("memory"), [])
          const { of } = yield* configured("maxmemory-policy", "allkeys-lru", doctor(server.url))
          assert.match(of("maxmemory-policy")[0]!.cure!, /CONFIG SET maxmemory-policy noeviction/)
        })
      )
      const { of } = yield* configured("maxmemory", String(Math.floor(used / 2)), doctor(server.url))
      assert.deepInclude(of("memory")[0], { severity: "error" })
    })
  )

  it.live("too few connections", () =>
    Effect.gen(function* () {
      const { of } = yield* configured("maxclients", "2", doctor(server.url))
      assert.match(of("connections")[0]!.cure!, /CONFIG SET maxclients 4/)
    })
  )

  it.live("rights that are missing, by command, key and channel", () =>
    Effect.gen(function* () {
      const url = server.url.replace("redis://", "redis://app:hunter2@")
      const set = (...rules: ReadonlyArray<string>) =>
        server.admin("ACL", "SETUSER", "app", "reset", "on", ">hunter2", ...rules)
      yield* Effect.acquireRelease(set(), () => server.admin("ACL", "DELUSER", "app"))
      const found = Effect.map(doctor(url), ({ of }) => of("rights").map(({ cure, severity }) => [severity, cure]))
      yield* set("~storage-lock:*", "&storage-lock:*", "+@all", "-hset", "-del")
      assert.deepStrictEqual(yield* found, [
        ["error", "ACL SETUSER app +hset, then ACL SAVE or CONFIG REWRITE"],
        ["warning", "ACL SETUSER app +del, then ACL SAVE or CONFIG REWRITE"]
      ])
      yield* set("~other:*", "&storage-lock:*", "+@all")
      assert.strictEqual((yield* found)[0]?.[1], "ACL SETUSER app ~storage-lock:*, then ACL SAVE or CONFIG REWRITE")
      yield* set("~storage-lock:*", "+@all", "resetchannels")
      assert.strictEqual((yield* found)[0]?.[1], "ACL SETUSER app &storage-lock:*, then ACL SAVE or CONFIG REWRITE")
      // Who may not look is told what was not looked at, and of no secret.
      yield* set("~storage-lock:*", "&storage-lock:*", "+@all", "-@dangerous", "-@admin")
      const text = yield* read(url)
      assert.match(text, /not checked +rights .*acl\|dryrun/)
      assert.match(text, /not checked {2}durability/)
      assert.notInclude(text, "hunter2")
    })
  )

  it.live("the clocks differ", () =>
    Effect.gen(function* () {
      const { of } = yield* doctor(server.url, [], () => Date.now() - 60_000)
      assert.match(of("clock")[0]!.wrong!, /is (59|60)\d{3} ms behind/)
    })
  )

  it.live("replicas that need not have what is acknowledged, and a replica itself", () =>
    Effect.gen(function* () {
      const replica = yield* Redis.start("Redis 8", ["--replicaof", `${server.host} ${server.port}`])
      yield* Effect.repeat(Effect.delay(server.admin("INFO", "replication"), "20 millis"), {
        until: (info) => /connected_slaves:1/.test(String(info))
      })
      const { of } = yield* doctor(server.url)
      assert.match(of("replication")[0]!.cure!, /CONFIG SET min-replicas-to-write 1/)
      const there = yield* doctor(replica.url)
      assert.deepInclude(there.of("primary")[0], { severity: "error", wrong: "the server is a replica" })
    })
  )
})
