/** Two nodes that are one cluster, each with a copy: who is asked for a lock, what becomes of outcomes that nobody knows, and of a node that stands still. */
import { Client, policies, tracker } from "cassandra-driver"
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Option from "#effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "#effect/Schedule"
import { randomBytes } from "node:crypto"
import * as CassandraStorage from "../../src/backends/cassandra/CassandraStorage.js"
import type { StorageError } from "../../src/LockError.js"
import type * as LockRecord from "../../src/LockRecord.js"
import type * as Storage from "../../src/Storage.js"
import * as Cassandra from "../harness/cassandra.js"
import * as CqlFrames from "../harness/cqlFrames.js"
import { describeServer } from "../harness/server.js"
import { byTurns } from "../support/byTurns.js"
import * as Process from "../support/process.js"

const stubborn = Schedule.max([Schedule.spaced("100 millis"), Schedule.recurs(600)])

const second = 1_000_000

const claimOf = (
  lockId: string,
  ownerId: string,
  holdId = randomBytes(16).toString("base64url")
): LockRecord.Claim => ({
  lockId,
  ownerId,
  holdId,
  lease: 600 * second
})

/** So that only what cannot be found out fails. */
const patient = { operationTimeout: "1 minute", versionMissRetry: Schedule.spaced("10 millis") } as const

const isOfStorage = (error: unknown) => (error as StorageError)._tag === "StorageError"

/** Claims at once by all, until so many rounds are over or enough was seen: one has it, all are told who, and a release always frees. */
const race = (
  racers: ReadonlyArray<Storage.Service>,
  rounds: number,
  lockOf: (round: number) => string,
  enough: () => boolean = () => false
) =>
  Effect.gen(function* () {
    const tokens = new Map<string, number>()
    for (let round = 0; round < rounds && !enough(); round++) {
      const lockId = lockOf(round)
      const claims = racers.map((_, i) => claimOf(lockId, `racer ${i}`))
      const outcomes = yield* Effect.forEach(racers, (storage, i) => storage.claim(claims[i]!), {
        concurrency: "unbounded"
      })
      const winners = outcomes.flatMap((outcome, i) => (outcome._tag === "Claimed" ? [{ outcome, i }] : []))
      assert.strictEqual(winners.length, 1, `round ${round}`)
      const [{ i, outcome }] = winners as [(typeof winners)[number]]
      assert.isAbove(outcome.record.token, tokens.get(lockId) ?? 0)
      tokens.set(lockId, outcome.record.token)
      for (const other of outcomes) if (other._tag === "Held") assert.strictEqual(other.holder?.ownerId, `racer ${i}`)
      const released = yield* racers[i]!.release(claims[i]!)
      assert.strictEqual(released._tag, "Released", `round ${round}`)
    }
  })

await describeServer("a cluster of Cassandra", Cassandra.pair(CqlFrames.cql()), (pair) => {
  const [, far] = pair.nodes
  const [near] = pair.nodes
  const fresh = near.freshTable

  const open = (table: string, url = pair.url, more: Partial<CassandraStorage.Options> = {}) =>
    Effect.map(CassandraStorage.make({ url: Redacted.make(url), table, ...more }), ({ storage }) => storage)

  it.live("for a lock all ask one node, whichever they know, and each node is asked for some", () =>
    Effect.gen(function* () {
      const table = yield* fresh
      const [ours, theirs] = [yield* open(table, pair.urlOf(0)), yield* open(table, pair.urlOf(1))]
      const asked = new Set<number>()
      for (let n = 0; n < 20; n++) {
        for (const link of pair.links) yield* link.resetRoundTrips
        const mine = claimOf(`lock ${n}`, "me")
        assert.strictEqual((yield* ours.claim(mine))._tag, "Claimed")
        assert.strictEqual((yield* theirs.claim(claimOf(`lock ${n}`, "you")))._tag, "Held")
        assert.strictEqual((yield* ours.release(mine))._tag, "Released")
        const counts = pair.links.map((link) => link.roundTrips())
        assert.sameMembers(counts, [0, 3])
        asked.add(counts.indexOf(3))
      }
      assert.strictEqual(asked.size, 2)
    })
  )

  it.live("a table is made once by many who begin at both nodes at once, and serves them at once", () =>
    Effect.gen(function* () {
      for (let round = 0; round < 4; round++) {
        const table = yield* fresh
        const all = yield* Effect.forEach(
          [0, 1, 0, 1, 0, 1] as const,
          (link) =>
            Effect.flatMap(open(table, pair.urlOf(link), patient), (storage) =>
              Effect.forEach(
                ["a", "b", "c", "d"],
                (lockId) => Effect.map(storage.claim(claimOf(lockId, "all the same")), ({ _tag }) => _tag),
                { concurrency: "unbounded" }
              )
            ),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual([...new Set(all.flat())], ["Claimed"])
        const held = yield* near.admin(`SELECT id, record FROM ${near.keyspace}.${table}`)
        assert.deepStrictEqual(
          held.map(({ record }) => (JSON.parse(record as string) as LockRecord.LockRecord).holds.length),
          [6, 6, 6, 6]
        )
      }
    })
  )

  it.live("in a race there is one winner, and all are told who", () =>
    Effect.gen(function* () {
      const table = yield* fresh
      const racers = yield* Effect.forEach(Array.from({ length: 8 }), (_, n) =>
        open(table, pair.urlOf((n % 2) as 0 | 1), patient)
      )
      yield* race(racers, 20, (round) => `fresh ${round}`)
      yield* race(racers, 40, () => "again")
    })
  )

  it.live("outcomes that nobody knows are found out: of claims and releases by way of both nodes at once", () =>
    Effect.gen(function* () {
      const table = yield* fresh
      yield* open(table)
      let unknown = 0
      // A class, whatever its types say.
      const counting = () =>
        Object.assign(
          new (tracker as unknown as { RequestTracker: new () => tracker.RequestTracker }).RequestTracker(),
          {
            onError: (...[, , , , , error]: Parameters<tracker.RequestTracker["onError"]>) => {
              if ([0x1100, 0x1700].includes((error as { readonly code?: number }).code ?? 0)) unknown++
            }
          }
        )
      /** The program's own, who sees to it that it knows one node alone. */
      const bound = (link: 0 | 1) =>
        Effect.gen(function* () {
          const { host } = new URL(pair.urlOf(link))
          const client = yield* Effect.acquireRelease(
            Effect.sync(
              () =>
                new Client({
                  contactPoints: [host],
                  protocolOptions: { port: near.port },
                  keyspace: near.keyspace,
                  requestTracker: counting(),
                  policies: {
                    loadBalancing: new policies.loadBalancing.AllowListPolicy(
                      new policies.loadBalancing.RoundRobinPolicy(),
                      [host]
                    )
                  }
                })
            ),
            (client) => Effect.promise(() => client.shutdown())
          )
          return (yield* CassandraStorage.makeFromClient({ client, table, ...patient })).storage
        })
      const racers = yield* Effect.forEach(Array.from({ length: 8 }), (_, n) => bound((n % 2) as 0 | 1))
      yield* race(
        racers,
        300,
        (round) => (round % 2 === 0 ? `fresh ${round}` : "again"),
        () => unknown >= 10
      )
      assert.isAbove(unknown, 0)
    })
  )

  it.live("a replica that stands still stops all, and after it the lock goes on to who waits", () =>
    Effect.gen(function* () {
      const table = yield* fresh
      const process = Effect.gen(function* () {
        const storage = yield* open(table, pair.url, { operationTimeout: "3 seconds" })
        return { storage, ...(yield* Process.make(storage, { leaseExpireAfter: "60 seconds" })) }
      })
      const [ours, theirs] = yield* Effect.all([process, process])
      const lock = yield* ours.locks.acquire("a", "ada")
      let entered = false
      const waiting = yield* Effect.forkChild(
        Effect.scoped(
          Effect.map(theirs.locks.acquire("a", "bob", { acquireTimeout: "3 minutes" }), ({ token }) => {
            entered = true
            return token
          })
        )
      )
      const claims = ["b", "c", "d", "e"].map((lockId) => claimOf(lockId, "eve"))
      const stuck = yield* Effect.acquireUseRelease(
        far.suspend,
        () =>
          Effect.gen(function* () {
            const failed = yield* Effect.forEach(claims, (claim) => Effect.flip(ours.storage.claim(claim)), {
              concurrency: "unbounded"
            })
            assert.isFalse(entered)
            return failed
          }),
        () => far.resume
      )
      for (const error of stuck) assert.deepStrictEqual([error.isRetryable, error._tag], [true, "StorageError"])
      assert.include(
        stuck.map(({ applied }) => applied),
        "unknown"
      )
      yield* pair.whole
      // Whatever became of them: who asks again has it, and nobody else.
      for (const claim of claims) {
        const again = yield* Effect.retry(ours.storage.claim(claim), stubborn)
        assert.strictEqual(again._tag, "Claimed")
        const other = yield* Effect.retry(theirs.storage.claim(claimOf(claim.lockId, "fay")), stubborn)
        assert.strictEqual(other._tag === "Held" ? other.holder?.ownerId : "", "eve")
        assert.strictEqual((yield* Effect.retry(ours.storage.release(claim), stubborn))._tag, "Released")
        assert.isTrue(Option.isNone(yield* Effect.retry(theirs.storage.get(claim.lockId), stubborn)))
      }
      yield* Effect.retry(lock.renew, { schedule: stubborn, while: isOfStorage })
      assert.isFalse(entered)
      yield* lock.release
      assert.isAbove(yield* Fiber.join(waiting), lock.token)
    })
  )

  it.live("never two are inside while a replica stops and goes on", () =>
    Effect.gen(function* () {
      const table = yield* fresh
      const processes = yield* Effect.forEach([0, 1, 0] as const, (link) =>
        Effect.flatMap(open(table, pair.urlOf(link), { operationTimeout: "3 seconds" }), (storage) =>
          Process.make(storage, { leaseExpireAfter: "30 seconds" })
        )
      )
      yield* byTurns(processes, (more) =>
        Effect.gen(function* () {
          for (let n = 0; n < 3; n++) {
            yield* more(10)
            yield* Effect.acquireUseRelease(
              far.suspend,
              () => Effect.sleep(n === 0 ? "6 seconds" : "500 millis"),
              () => far.resume
            )
          }
          yield* more(10)
        })
      )
    })
  )

  it.live("a node that does not answer us is passed over, and asked last from then on", () =>
    Effect.gen(function* () {
      const table = yield* fresh
      const storage = yield* open(table)
      yield* Effect.forEach(Array.from({ length: 20 }), (_, n) => storage.claim(claimOf(`first ${n}`, "me")))
      // One whose node is the first.
      let lockId = ""
      for (let n = 0; lockId === ""; n++) {
        yield* pair.links[0].resetRoundTrips
        yield* storage.claim(claimOf(`lock ${n}`, "me"))
        if (pair.links[0].roundTrips() > 0) lockId = `lock ${n}`
      }
      const [link, other] = pair.links
      yield* Effect.acquireUseRelease(
        link.hang(true),
        () =>
          Effect.gen(function* () {
            const mine = claimOf(`${lockId}`, "me")
            assert.strictEqual((yield* Effect.retry(storage.claim(mine), stubborn))._tag, "Claimed")
            yield* Effect.all([link.resetRoundTrips, other.resetRoundTrips])
            for (let n = 0; n < 5; n++) {
              assert.strictEqual((yield* storage.renew([mine]))[0]!._tag, "Renewed")
            }
            assert.deepStrictEqual([link.roundTrips(), other.roundTrips()], [0, 5])
          }),
        () => link.hang(false)
      )
      yield* pair.whole
    })
  )
})
