/** ZooKeeper as it is run in earnest: an ensemble of three of which one stops, dies or stands still, the leader, too. */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Option from "#effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "#effect/Schedule"
import * as ZookeeperStorage from "../../src/backends/zookeeper/ZookeeperStorage.js"
import { describeServer } from "../harness/server.js"
import * as Zookeeper from "../harness/zookeeper.js"
import { byTurns } from "../support/byTurns.js"
import * as Process from "../support/process.js"

const stubborn = Schedule.max([Schedule.spaced("100 millis"), Schedule.recurs(600)])

await describeServer("an ensemble of ZooKeeper", Zookeeper.cluster(), (members) => {
  /** Of which role; all of them serve then. */
  const which = (role: "leader" | "follower") =>
    Effect.gen(function* () {
      const roles = yield* Effect.forEach(members, (member) => member.role)
      const found = members.find((_, i) => roles[i] === role)
      return roles.includes(undefined) || found === undefined ? yield* Effect.fail("not all of them serve") : found
    }).pipe(Effect.retry(stubborn), Effect.orDie)

  /** A process that starts at a given server, so that it is the one it loses. */
  const process = (root: string, first: Zookeeper.Member) =>
    Effect.gen(function* () {
      const hosts = [first, ...members.filter((member) => member !== first)].map(({ host, port }) => `${host}:${port}`)
      const { storage } = yield* ZookeeperStorage.make({
        url: Redacted.make(`zookeeper://${hosts.join()}`),
        root,
        operationTimeout: "2 seconds"
      })
      return { storage, ...(yield* Process.make(storage, { leaseExpireAfter: "60 seconds" })) }
    })

  const ways = {
    dies: [(member: Zookeeper.Member) => member.kill, (member: Zookeeper.Member) => member.start],
    "is stopped": [(member: Zookeeper.Member) => member.stop, (member: Zookeeper.Member) => member.start],
    "stands still": [(member: Zookeeper.Member) => member.suspend, (member: Zookeeper.Member) => member.resume]
  } as const

  for (const role of ["leader", "follower"] as const)
    for (const [what, [fail, heal]] of Object.entries(ways))
      it.live(`a ${role} that holder and waiter are connected to ${what}: the lock stays, and is handed over`, () =>
        Effect.gen(function* () {
          const failing = yield* which(role)
          const root = yield* failing.freshRoot
          const [ours, theirs] = yield* Effect.all([process(root, failing), process(root, failing)])
          const lock = yield* ours.locks.acquire("a", "ada")
          let entered = false
          const waiting = yield* Effect.forkChild(
            Effect.scoped(
              Effect.map(theirs.locks.acquire("a", "bob", { acquireTimeout: "4 minutes" }), ({ token }) => {
                entered = true
                return token
              })
            )
          )
          yield* Effect.acquireUseRelease(
            fail(failing),
            () =>
              Effect.gen(function* () {
                yield* Effect.retry(lock.renew, { schedule: stubborn, while: (error) => error._tag === "StorageError" })
                const seen = yield* Effect.retry(ours.storage.get("a"), stubborn)
                assert.strictEqual(Option.getOrThrow(seen).record.token, lock.token)
                assert.isFalse(entered)
                yield* lock.check
                yield* lock.release
                assert.isAbove(yield* Fiber.join(waiting), lock.token)
              }),
            () => heal(failing)
          )
          const after = yield* Effect.scoped(
            Effect.map(Effect.retry(ours.locks.acquire("a", "cyd"), stubborn), ({ token }) => token)
          )
          assert.isAbove(after, lock.token)
        })
      )

  it.live("without a majority nothing is served; with one, all goes on", () =>
    Effect.gen(function* () {
      const failing = [yield* which("leader"), yield* which("follower")] as const
      const alone = members.find((member) => !failing.includes(member))!
      const { locks, storage } = yield* process(yield* alone.freshRoot, alone)
      const lock = yield* locks.acquire("a", "ada")
      yield* Effect.acquireUseRelease(
        Effect.forEach(failing, (member) => member.kill),
        () =>
          Effect.gen(function* () {
            const request = { lockId: "b", ownerId: "bob", holdId: "b".repeat(22), lease: 60_000_000 }
            // The one that is left believes for a moment that it serves.
            const error = yield* Effect.flip(
              Effect.repeat(storage.claim(request), { while: ({ _tag }) => _tag === "Claimed" })
            )
            assert.isTrue(error.isRetryable)
            const later = yield* Effect.repeat(
              Effect.result(storage.get("b")).pipe(Effect.map((_) => (_._tag === "Failure" ? _.failure : undefined))),
              { until: (failure) => failure?.reason === "Connection" }
            )
            assert.strictEqual(later?.applied, "no")
          }),
        () => Effect.forEach(failing, (member) => member.start, { concurrency: "unbounded" })
      )
      yield* Effect.retry(lock.renew, { schedule: stubborn, while: (error) => error._tag === "StorageError" })
      yield* lock.release
    })
  )

  it.live("never two are inside while one server after the other goes, and comes back", () =>
    Effect.gen(function* () {
      const root = yield* members[0]!.freshRoot
      const processes = yield* Effect.all(members.map((first) => process(root, first)))
      const turns = yield* byTurns(processes, (more) =>
        Effect.gen(function* () {
          for (const [fail, heal] of Object.values(ways))
            for (const role of ["leader", "follower"] as const) {
              yield* more(20)
              const failing = yield* which(role)
              yield* fail(failing)
              yield* more(20)
              yield* heal(failing)
            }
          yield* more(20)
        })
      )
      assert.isAtLeast(turns, 260)
    })
  )
})
