/** All kinds of lock over real storages, by the native port and the smaller one of the same place: none overlaps another on one id, and what one kind's operator does touches no other kind. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as Random from "#effect/Random"
import * as Redacted from "effect/Redacted"
import type * as Scope from "#effect/Scope"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as EtcdStorage from "../../src/backends/etcd/EtcdStorage.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as MysqlStorage from "../../src/backends/mysql/MysqlStorage.js"
import * as PostgresStorage from "../../src/backends/postgres/PostgresStorage.js"
import * as RedisStorage from "../../src/backends/redis/RedisStorage.js"
import * as SqliteStorage from "../../src/backends/sqlite/SqliteStorage.js"
import { revokedHold } from "../../src/LockRecord.js"
import { readWrite } from "../../src/kinds/readWrite.js"
import * as FleetSchedule from "../../src/FleetSchedule.js"
import * as Storage from "../../src/Storage.js"
import * as StorageLock from "../../src/StorageLock.js"
import * as StorageReadWriteLock from "../../src/StorageReadWriteLock.js"
import * as StorageSemaphore from "../../src/StorageSemaphore.js"
import { VersionedStore, toStorage, type Service as Versioned } from "../../src/VersionedStore.js"
import * as Conformance from "../../src/testing/index.js"
import { resource } from "../harness/resource.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"

interface Ports {
  readonly storage: Storage.Service
  readonly versioned: Versioned
}

/** Each use is what one process has. */
type Open = Effect.Effect<Ports, unknown, Scope.Scope>

const leave = (millis: number) => Effect.flatMap(Random.nextBetween(0, millis), Effect.sleep)

/** `kit`: all that the kit has, which takes half a minute. One with a clock has it, and one without. */
const suites = (open: () => Open, kit = false) => {
  const ports = Effect.suspend(open)
  const versioned = Effect.map(ports, (ports) => ports.versioned)

  if (kit)
    Conformance.suite({
      name: "read-write locks",
      effort: 0.2,
      layer: Layer.provide(
        Layer.effect(
          // The kit is about the port.
          Storage.Storage,
          Effect.map(VersionedStore, (store) => toStorage(store, { kind: readWrite }))
        ),
        Layer.effect(VersionedStore, versioned)
      ),
      kind: "readWrite"
    })

  const service = <A, E>(make: Effect.Effect<A, E, VersionedStore | Scope.Scope>) =>
    Effect.flatMap(versioned, (store) => Effect.provideService(make, VersionedStore, store))

  describe("kinds", () => {
    it.live("overlap on no id, whichever port they go by, and tokens grow on from one to the next", () =>
      Effect.gen(function* () {
        const { storage } = yield* ports
        const rw = yield* service(StorageReadWriteLock.make())
        const permits = yield* service(StorageSemaphore.make())
        const native = (holdId: string) => ({
          lockId: "mixed",
          ownerId: "native",
          holdId: holdId.padEnd(22, "x"),
          lease: 30_000_000
        })
        const first = yield* storage.claim(native("first"))
        assert(first._tag === "Claimed")
        assert.isTrue(Option.isNone(yield* Effect.scoped(rw.tryRead("mixed"))))
        assert.isTrue(Option.isNone(yield* Effect.scoped(permits.tryAcquire("mixed", { limit: 9 }))))
        yield* storage.release(native("first"))
        const token = yield* Effect.scoped(
          Effect.gen(function* () {
            const read = yield* rw.read("mixed")
            const held = yield* storage.claim(native("second"))
            assert.strictEqual(held._tag, "Held")
            // What is native knows no reader by name: it neither renews nor frees one.
            const renewed = yield* storage.renew([{ lockId: "mixed", holdId: "x".repeat(22), lease: 30_000_000 }])
            assert.strictEqual(renewed[0]!._tag, "NotHeld")
            assert.strictEqual((yield* storage.release({ lockId: "mixed", holdId: "x".repeat(22) }))._tag, "NotHeld")
            yield* read.check
            return read.token
          })
        )
        assert.isAbove(token, first.record.token)
        const last = yield* storage.claim(native("third"))
        assert(last._tag === "Claimed")
        assert.isAbove(last.record.token, token)
        yield* storage.release(native("third"))
      })
    )

    it.live("an operator of exclusive locks takes nothing away from who reads", () =>
      Effect.gen(function* () {
        const { storage } = yield* ports
        const rw = yield* service(StorageReadWriteLock.make())
        yield* Effect.scoped(
          Effect.gen(function* () {
            const read = yield* rw.read("not forced")
            for (const when of ["leaseEnd", "now"] as const)
              assert.strictEqual(
                (yield* storage.revoke({ lockId: "not forced", token: read.token, when }))._tag,
                "NotHeld"
              )
            yield* read.renew
            yield* read.check
          })
        )
      })
    )

    it.live("a hold that something takes away which knows no kinds is told so, and blocks until its lease ends", () =>
      Effect.gen(function* () {
        const store = yield* versioned
        const rw = yield* service(StorageReadWriteLock.make({ leaseExpireAfter: "2 seconds" }))
        const other = yield* service(StorageReadWriteLock.make())
        yield* Effect.scoped(
          Effect.gen(function* () {
            const write = yield* rw.write("forced")
            // As versions did before there were kinds.
            const before = Option.getOrThrow(yield* store.get("forced"))
            const revoked = { ...before, ownerId: "", holds: [revokedHold], version: before.version + 1 }
            yield* store.update("forced", before.version, revoked)
            assert.isTrue(Option.isNone(yield* Effect.scoped(other.tryRead("forced"))))
            const error = yield* Effect.flip(write.lost)
            assert.include(["Forced", "Expired"], error.reason)
            yield* Effect.scoped(other.read("forced"))
          })
        )
      })
    )

    it.live("readers and writers of several processes at once: who writes is alone, and everybody gets in", () =>
      Effect.gen(function* () {
        const processes = yield* Effect.forEach([1, 2, 3], () => service(StorageReadWriteLock.make()))
        const inside = { readers: 0, writers: 0 }
        let together = 0
        let wrote = 0
        const check = () => assert.isTrue(inside.writers === 0 || (inside.writers === 1 && inside.readers === 0))
        const body = (what: keyof typeof inside) =>
          Effect.acquireUseRelease(
            Effect.sync(() => {
              inside[what]++
              check()
              together = Math.max(together, inside.readers)
            }),
            () => leave(5),
            () =>
              Effect.sync(() => {
                inside[what]--
                if (what === "writers") wrote++
              })
          )
        yield* Effect.forEach(
          processes.flatMap((locks) => Array.from({ length: 8 }, (_, n) => ({ locks, n }))),
          ({ locks, n }) =>
            Effect.repeat(
              Effect.andThen(
                leave(10),
                n < 2 ? locks.withWriteLock(body("writers"), "fleet") : locks.withReadLock(body("readers"), "fleet")
              ),
              { times: 2 }
            ),
          { concurrency: "unbounded", discard: true }
        )
        assert.strictEqual(wrote, 18)
        assert.isAbove(together, 1)
      })
    )

    it.live("permits of several processes at once: never more than there are", () =>
      Effect.gen(function* () {
        const processes = yield* Effect.forEach([1, 2, 3], () => service(StorageSemaphore.make()))
        let inside = 0
        let done = 0
        const work = (locks: StorageSemaphore.Service, permits: number) =>
          locks.withPermits(
            Effect.acquireUseRelease(
              Effect.sync(() => assert.isAtMost((inside += permits), 4)),
              () => leave(5),
              () =>
                Effect.sync(() => {
                  inside -= permits
                  done++
                })
            ),
            "permits",
            { limit: 4, permits }
          )
        yield* Effect.forEach(
          processes.flatMap((locks) => Array.from({ length: 8 }, (_, n) => ({ locks, n }))),
          ({ locks, n }) => work(locks, 1 + (n % 4)),
          { concurrency: "unbounded", discard: true }
        )
        assert.strictEqual(done, 24)
      })
    )
  })
}

describe("memory", () => {
  const memory = resource(MemoryStorage.makePorts())
  suites(() => Effect.sync(memory), true)

  it.live(
    "one layer of a storage is for all kinds, and for schedules: a read keeps a write and an exclusive lock out",
    () =>
      Effect.gen(function* () {
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* StorageReadWriteLock.read("prices")
            assert.isTrue(Option.isNone(yield* StorageReadWriteLock.tryWrite("prices")))
            assert.isTrue(Option.isNone(yield* StorageLock.tryAcquire("prices")))
          })
        )
        assert.isTrue(Option.isSome(yield* Effect.scoped(StorageLock.tryAcquire("prices"))))
        assert.deepStrictEqual(yield* FleetSchedule.history("none"), [])
      }).pipe(
        Effect.provide(
          Layer.mergeAll(StorageLock.layer(), StorageReadWriteLock.layer(), FleetSchedule.layer()).pipe(
            Layer.provide(MemoryStorage.layer)
          )
        )
      )
  )
})

describe("SQLite", () => {
  const folder = resource(
    Effect.acquireRelease(
      Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "kinds-"))),
      (folder) => Effect.sync(() => Fs.rmSync(folder, { recursive: true }))
    )
  )
  suites(() => SqliteStorage.make({ filename: Path.join(folder(), "locks.db") }), true)
})

await describeServer("PostgreSQL", Shared.postgres, (server) => {
  const database = resource(server.freshDatabase)
  suites(() => PostgresStorage.make({ url: Redacted.make(database()) }))
})

await describeServer("MySQL", Shared.mysql("mysql8"), (server) => {
  const database = resource(server.freshDatabase)
  suites(() => MysqlStorage.make({ url: Redacted.make(database()) }))
})

await describeServer("Redis", Shared.redis, (server) => {
  const prefix = resource(server.freshPrefix)
  suites(() => RedisStorage.make({ url: Redacted.make(server.url), prefix: prefix() }))
})

await describeServer("etcd", Shared.etcd, (server) => {
  const prefix = resource(server.freshPrefix)
  suites(() => EtcdStorage.make({ url: Redacted.make(server.url), prefix: prefix() }), true)
})
