/**
 * What a shared lock costs when many want it, and whether a process that is far from the database gets its turn: with `modify`, by compare-and-set alone, and by the npm package redis-semaphore where it has a
 * counterpart. Real servers, behind links that delay each request: by a millisecond, and by 30 for who is far.
 *
 * `node --import tsx evidence/kinds/crowd.ts [postgres,redis,peer] [part of a scenario's name]`. A "process" is a layer with a connection of its own; all of them run in one process of the operating system.
 */
import * as Duration from "effect/Duration"
import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "#effect/Scope"
import { Redis as Client } from "ioredis"
import { join } from "node:path"
import * as PostgresStorage from "../../src/backends/postgres/PostgresStorage.js"
import * as RedisStorage from "../../src/backends/redis/RedisStorage.js"
import type { Options } from "../../src/core/api.js"
import * as StorageReadWriteLock from "../../src/StorageReadWriteLock.js"
import * as StorageSemaphore from "../../src/StorageSemaphore.js"
import * as VersionedStore from "../../src/VersionedStore.js"
import * as Postgres from "../../test/harness/postgres.js"
import * as Proxy from "../../test/harness/proxy.js"
import * as Redis from "../../test/harness/redis.js"
import * as peers from "../bench/peers.js"

const near = 1
const far = 30
const seconds = 8

/** A lock that a process may share, as all that are measured have it. */
interface Process {
  readonly shared: (body: Effect.Effect<void>) => Effect.Effect<void, unknown>
  readonly write?: (body: Effect.Effect<void>) => Effect.Effect<void, unknown>
  /** Of ten. */
  readonly permits?: (count: number, body: Effect.Effect<void>) => Effect.Effect<void, unknown>
}

interface Place {
  readonly near: Proxy.Proxy
  readonly far: Proxy.Proxy
  /** A new process, near or far. */
  readonly open: (link: Proxy.Proxy, options?: Options) => Effect.Effect<Process, unknown, Scope.Scope>
}

const links = (server: { readonly host: string; readonly port: number }, protocol: "postgres" | "bytes") =>
  Effect.gen(function* () {
    const both = { near: yield* Proxy.make(server, { protocol }), far: yield* Proxy.make(server, { protocol }) }
    yield* both.near.delay(near)
    yield* both.far.delay(far)
    return both
  })

const processOf = (store: VersionedStore.Service, withModify: boolean, options: Options = {}) =>
  Effect.map(
    Effect.provideService(
      Effect.all([StorageReadWriteLock.make(options), StorageSemaphore.make(options)]),
      VersionedStore.VersionedStore,
      withModify ? store : { ...store, modify: undefined }
    ),
    ([locks, permits]): Process => ({
      shared: (body) => locks.withReadLock(body, "crowd"),
      write: (body) => locks.withWriteLock(body, "crowd"),
      permits: (count, body) => permits.withPermits(body, "permits", { limit: 10, permits: count })
    })
  )

const places = {
  postgres: (withModify: boolean) =>
    Effect.gen(function* () {
      const server = yield* Postgres.own
      const url = yield* server.freshDatabase
      return {
        ...(yield* links(server, "postgres")),
        open: (link, options) =>
          Effect.flatMap(PostgresStorage.make({ url: Redacted.make(link.url(url)), poolSize: 1 }), ({ versioned }) =>
            processOf(versioned, withModify, options)
          )
      } satisfies Place
    }),
  redis: (withModify: boolean) =>
    Effect.gen(function* () {
      const server = yield* Redis.own
      return {
        ...(yield* links(server, "bytes")),
        open: (link, options) =>
          Effect.flatMap(RedisStorage.make({ url: Redacted.make(link.url(server.url)) }), ({ versioned }) =>
            processOf(versioned, withModify, options)
          )
      } satisfies Place
    }),
  peer: () =>
    Effect.gen(function* () {
      const server = yield* Redis.own
      const folder = join(import.meta.dirname, "../bench/peers")
      process.env[peers.environmentVariable] = folder
      yield* Effect.promise(() => peers.install(folder, (text) => console.error(text)))
      const { Semaphore } = yield* Effect.promise(() => peers.load("redis-semaphore"))
      return {
        ...(yield* links(server, "bytes")),
        open: (link, options) =>
          Effect.map(
            Effect.acquireRelease(
              Effect.sync(() => new Client(link.url(server.url))),
              (client) => Effect.sync(() => client.disconnect())
            ),
            (client): Process => ({
              shared: (body) =>
                Effect.acquireUseRelease(
                  Effect.tryPromise(async () => {
                    let lost = false
                    const one = new Semaphore(client, "crowd", 1_000, {
                      lockTimeout: options?.leaseExpireAfter === undefined ? 30_000 : 10_000,
                      acquireTimeout: 60_000,
                      onLockLost: () => (lost = true)
                    })
                    await one.acquire()
                    return { one, isLost: () => lost }
                  }),
                  ({ isLost }) =>
                    Effect.andThen(
                      body,
                      Effect.suspend(() => (isLost() ? Effect.fail(new Error("lost")) : Effect.void))
                    ),
                  ({ one }) => Effect.promise(() => one.release())
                )
            })
          )
      } satisfies Place
    })
}

const nothing = Effect.void
const millis = (value: number) => (value < 10 ? value.toFixed(1) : String(Math.round(value)))
const p99 = (all: ReadonlyArray<number>) =>
  all.length === 0 ? Number.NaN : [...all].sort((a, b) => a - b)[Math.ceil(all.length * 0.99) - 1]!

/** How long each took to get in. One that fails is not in. */
const counting = () => {
  const waited: Array<number> = []
  let failed = 0
  const once = (use: (body: Effect.Effect<void>) => Effect.Effect<void, unknown>) =>
    Effect.suspend(() => {
      const from = performance.now()
      return Effect.catch(use(Effect.sync(() => void waited.push(performance.now() - from))), () =>
        Effect.sync(() => void failed++)
      )
    })
  return { waited, once, failed: () => failed }
}

const told = ({ failed, waited }: ReturnType<typeof counting>) =>
  `${waited.length}, p99 ${millis(p99(waited))} ms, longest ${millis(Math.max(0, ...waited))} ms${failed() === 0 ? "" : `, ${failed()} failed`}`

/** Each comes and goes, until the scope ends. */
const busy = (count: number, use: (body: Effect.Effect<void>) => Effect.Effect<void, unknown>, body = nothing) =>
  Effect.map(Effect.succeed(counting()), (counted) => ({
    counted,
    run: Effect.forEach(
      Array.from({ length: count }),
      () => Effect.forever(counted.once((inside) => use(Effect.andThen(inside, body)))),
      { concurrency: "unbounded", discard: true }
    )
  }))

const forSome = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.timeoutOption(self, Duration.seconds(seconds))

/** Readers that come at once, some times each. */
const readers =
  (processes: number, times: number) =>
  ({ near, open }: Place) =>
    Effect.gen(function* () {
      const all = yield* Effect.forEach(Array.from({ length: processes }), () => open(near), { concurrency: 5 })
      yield* Effect.forEach(all, ({ shared }) => shared(nothing), { discard: true })
      const counted = counting()
      yield* near.resetRoundTrips
      yield* Effect.timeoutOption(
        Effect.forEach(
          all.flatMap((one) => Array.from({ length: 20 }, () => one)),
          // Not `Effect.repeat`, whose "no times more" is for ever on Effect 3.
          ({ shared }) => Effect.forEach(Array.from({ length: times }), () => counted.once(shared), { discard: true }),
          { concurrency: "unbounded", discard: true }
        ),
        "30 seconds"
      )
      return `${(near.roundTrips() / counted.waited.length).toFixed(1)} requests each; ${told(counted)} of ${processes * 20 * times}`
    })

const scenarios: Record<string, (place: Place) => Effect.Effect<string | undefined, unknown, Scope.Scope>> = {
  "10 processes of 20 readers": readers(10, 5),
  "50 processes of 20 readers": readers(50, 1),
  "far away beside ten: keeps a lease of 10 s": ({ far: link, near, open }) =>
    Effect.gen(function* () {
      const crowd = yield* Effect.forEach(Array.from({ length: 10 }), () => open(near))
      const distant = yield* open(link, { leaseExpireAfter: "10 seconds" })
      const runs = yield* Effect.forEach(crowd, ({ shared }) => busy(2, shared))
      const held = distant.shared(Effect.sleep(Duration.seconds(2 * seconds)))
      const end = yield* Effect.raceFirst(
        Effect.exit(held),
        Effect.never.pipe(
          Effect.raceFirst(Effect.forEach(runs, ({ run }) => run, { concurrency: "unbounded", discard: true })),
          Effect.as(undefined)
        )
      )
      const others = runs.reduce((sum, { counted }) => sum + counted.waited.length, 0)
      return `${end?._tag === "Success" ? "kept" : "lost"}; the others got in ${others} times`
    }),
  "far away beside ten: gets in": ({ far: link, near, open }) =>
    Effect.gen(function* () {
      const crowd = yield* Effect.forEach(Array.from({ length: 10 }), () => open(near))
      const distant = yield* open(link)
      const runs = yield* Effect.forEach(crowd, ({ shared }) => busy(2, shared))
      const mine = yield* busy(1, distant.shared)
      yield* forSome(Effect.all([mine.run, ...runs.map(({ run }) => run)], { concurrency: "unbounded" }))
      return told(mine.counted)
    }),
  "16 readers beside four writers": ({ near, open }) =>
    Effect.gen(function* () {
      const [some, others] = yield* Effect.all([open(near), open(near)])
      if (some.write === undefined || others.write === undefined) return undefined
      const work = Effect.sleep("5 millis")
      const reads = [yield* busy(8, some.shared, work), yield* busy(8, others.shared, work)]
      const writes = [yield* busy(2, some.write, work), yield* busy(2, others.write, work)]
      yield* forSome(
        Effect.all(
          [...reads, ...writes].map(({ run }) => run),
          { concurrency: "unbounded" }
        )
      )
      const sum = (all: typeof reads) => {
        const counted = counting()
        for (const one of all) for (const waited of one.counted.waited) counted.waited.push(waited)
        return told(counted)
      }
      return `reads ${sum(reads)}; writes ${sum(writes)}`
    }),
  "1 permit beside two claims of 10": ({ near, open }) =>
    Effect.gen(function* () {
      const all = yield* Effect.forEach(Array.from({ length: 3 }), () => open(near))
      if (all.some(({ permits }) => permits === undefined)) return undefined
      const work = Effect.sleep("5 millis")
      const runs = yield* Effect.forEach(all, ({ permits }, i) =>
        busy(1, (body) => permits!(i === 0 ? 1 : 10, body), work)
      )
      yield* forSome(
        Effect.all(
          runs.map(({ run }) => run),
          { concurrency: "unbounded" }
        )
      )
      const [small, ...big] = runs
      return `small ${told(small!.counted)}; big ${big.map(({ counted }) => counted.waited.length).join(" and ")}`
    }),
  "one claim of 8 beside twelve small ones of its process": ({ near, open }) =>
    Effect.gen(function* () {
      const { permits } = yield* open(near)
      if (permits === undefined) return undefined
      const work = Effect.sleep("5 millis")
      const small = yield* busy(12, (body) => permits(1, body), work)
      const big = yield* busy(1, (body) => permits(8, body), work)
      yield* forSome(Effect.all([small.run, big.run], { concurrency: "unbounded" }))
      return `big ${told(big.counted)}; small ${small.counted.waited.length}`
    })
}

const [wanted = "postgres,redis,peer", part = ""] = process.argv.slice(2)
const chosen = (["postgres", "redis", "peer"] as const).filter((name) => wanted.split(",").includes(name))

for (const name of chosen)
  for (const withModify of name === "peer" ? [true] : [true, false])
    for (const [scenario, run] of Object.entries(scenarios).filter(([name]) => name.includes(part))) {
      const what =
        name === "peer" ? "redis-semaphore" : `${name}, ${withModify ? "with modify" : "compare-and-set alone"}`
      const result = await Effect.runPromiseExit(
        Effect.scoped(Effect.flatMap(places[name](withModify) as Effect.Effect<Place, unknown, Scope.Scope>, run))
      )
      const said = result._tag === "Success" ? result.value : String(result.cause)
      if (said !== undefined) console.log(`| ${scenario} | ${what} | ${said} |`)
    }
process.exit(0)
