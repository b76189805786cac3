/**
 * How many statements a PostgreSQL server ran for us, by its own count (pg_stat_statements, all statements of the database), and how many round trips it
 * took, by a proxy between that counts the requests (Sync and Query messages) on the wire.
 */
import * as Context from "#effect/Context"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as PostgresStorage from "../../src/backends/postgres/PostgresStorage.js"
import * as Storage from "../../src/Storage.js"
import * as StorageLock from "../../src/StorageLock.js"
import type { PostgresServer } from "../../test/harness/postgres.js"
import * as Proxy from "../../test/harness/proxy.js"
import { leaseMillis } from "./subjects/Subject.js"

export interface RoundTrips {
  readonly operation: string
  readonly times: number
  /** Per operation; `undefined` where the server cannot count. */
  readonly statements: number | undefined
  readonly roundTrips: number
  readonly expected: number
}

const refreshMillis = 1_000
const manyHolds = 250

export const measure = (server: PostgresServer, times: number, progress: (text: string) => void) =>
  Effect.gen(function* () {
    const direct = yield* server.freshDatabase
    const proxy = yield* Proxy.make(server)
    const database = new URL(direct).pathname.slice(1)
    const calls = (like = "%") =>
      server.countsStatements
        ? Effect.map(
            server.admin(
              `SELECT coalesce(sum(calls), 0)::int AS calls, coalesce(sum(rows), 0)::int AS rows FROM pg_stat_statements
            WHERE dbid = (SELECT oid FROM pg_database WHERE datname = $1) AND query LIKE $2`,
              [database, like]
            ),
            ([row]) => row as { readonly calls: number; readonly rows: number }
          )
        : Effect.succeed(undefined)

    const context = yield* Layer.build(
      Layer.provideMerge(
        StorageLock.layer({ leaseExpireAfter: leaseMillis }),
        PostgresStorage.layer({ url: Redacted.make(proxy.url(direct)) })
      )
    )
    const storage = Context.get(context, Storage.Storage)
    const results: Array<RoundTrips> = []

    /** `prepare` is not counted, and gives what is. */
    const count = <A, E, R, E2, R2>(
      operation: string,
      expected: number,
      prepare: (i: number) => Effect.Effect<A, E, R>,
      operate: (prepared: A) => Effect.Effect<unknown, E2, R2>
    ) =>
      Effect.gen(function* () {
        progress(`round trips: ${operation}`)
        const prepared = yield* Effect.forEach(
          Array.from({ length: times }, (_, i) => i),
          prepare
        )
        const before = yield* calls()
        yield* proxy.resetRoundTrips
        yield* Effect.forEach(prepared, operate, { discard: true })
        const roundTrips = proxy.roundTrips()
        const after = yield* calls()
        results.push({
          operation,
          times,
          statements: before && after && (after.calls - before.calls) / times,
          roundTrips: roundTrips / times,
          expected
        })
      })
    const claim = (lockId: string, ownerId: string, lease: number) =>
      storage.claim({ lockId, ownerId, holdId: ownerId.padEnd(22, "0"), lease })
    const cycle = (lockId: string) => Effect.scoped(StorageLock.acquire(lockId, "owner"))

    yield* Effect.gen(function* () {
      yield* count("acquire + release, a new lock", 2, (i) => Effect.succeed(`new ${i}`), cycle)
      yield* count("acquire + release, a lock that was free before", 2, (i) => Effect.succeed(`new ${i}`), cycle)
      yield* claim("held", "other", 3_600_000_000)
      yield* count(
        "contended try",
        1,
        () => Effect.succeed("held"),
        (lockId) =>
          Effect.scoped(
            Effect.flatMap(StorageLock.tryAcquire(lockId, "owner"), ({ _tag }) =>
              _tag === "None" ? Effect.void : Effect.die(new Error("not held"))
            )
          )
      )
      yield* count(
        "acquire + release of a lock whose holder's lease is over (takeover)",
        2,
        (i) =>
          Effect.delay(Effect.succeed(`expired ${i}`), 2).pipe((later) =>
            Effect.andThen(claim(`expired ${i}`, "dead", 1_000), later)
          ),
        cycle
      )
      yield* Effect.scoped(
        Effect.gen(function* () {
          const outer = yield* StorageLock.acquire("outer", "owner")
          yield* count("acquire + release again by the owner (reentry)", 2, () => Effect.succeed("outer"), cycle)
          yield* count(
            "lock.renew",
            1,
            () => Effect.succeed(outer),
            (lock) => lock.renew
          )
        })
      )
      yield* Effect.scoped(
        count(
          "lock.release",
          1,
          (i) => Effect.acquireRelease(StorageLock.acquire(`early ${i}`), () => Effect.void),
          (lock) => lock.release
        )
      )
      yield* count(
        "get",
        1,
        () => Effect.succeed("held"),
        (lockId) => StorageLock.get(lockId)
      )
    }).pipe(Effect.provide(context))

    // The refresher's own work, for as long as it takes to renew each hold several times.
    progress(`round trips: renewal of ${manyHolds} holds`)
    const renewals = yield* Effect.scoped(
      Effect.gen(function* () {
        yield* Effect.forEach(
          Array.from({ length: manyHolds }, (_, i) => i),
          (i) => StorageLock.acquire(`many ${i}`, "owner"),
          {
            concurrency: 8,
            discard: true
          }
        )
        yield* Effect.sleep(Duration.millis(2 * refreshMillis))
        const before = yield* calls("%unnest%")
        yield* proxy.resetRoundTrips
        yield* Effect.sleep(Duration.millis(4.5 * refreshMillis))
        const roundTrips = proxy.roundTrips()
        const after = yield* calls("%unnest%")
        return (
          before && after && { statements: after.calls - before.calls, roundTrips, renewed: after.rows - before.rows }
        )
      })
    ).pipe(
      Effect.provide(
        StorageLock.layer({ leaseExpireAfter: leaseMillis, leaseRefreshInterval: refreshMillis }).pipe(
          Layer.provide(Layer.succeed(Storage.Storage, storage))
        )
      )
    )
    return { operations: results, renewals: renewals && { ...renewals, holds: manyHolds } }
  })

export type RoundTripReport = Effect.Success<ReturnType<typeof measure>>
