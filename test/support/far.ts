/**
 * A process that is far from the database, beside busy ones that are near. By compare-and-set alone it would never be first: others write within each of its round trips. So it is given its turn, and is judged by what it
 * is answered, not by how long that takes.
 */
import { assert, it } from "#harness/vitest"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Option from "#effect/Option"
import type * as Scope from "#effect/Scope"
import { randomId } from "../../src/common/ids.js"
import { semaphore } from "../../src/kinds/semaphore.js"
import * as Storage from "../../src/Storage.js"
import * as VersionedStore from "../../src/VersionedStore.js"
import type * as Proxy from "../harness/proxy.js"

export type Open = (url: string, prefix: string) => Effect.Effect<VersionedStore.Service, unknown, Scope.Scope>

export interface Place {
  readonly url: string
  readonly prefix: string
  readonly proxy: Proxy.Proxy
}

const lease = 60_000_000
const far = 30

export const suite = (open: Open, place: Effect.Effect<Place, unknown, Scope.Scope>) => {
  const claimOf = (lockId: string) => ({
    lockId,
    ownerId: randomId(),
    holdId: randomId(),
    lease,
    permits: 1,
    limit: 100,
    waits: true
  })

  /** Ten processes that do nothing but come and go, until the scope ends. */
  const crowd = (lockId: string, stores: ReadonlyArray<VersionedStore.Service>) =>
    Effect.gen(function* () {
      const counted = { changes: 0 }
      const comeAndGo = (storage: Storage.Service) =>
        Effect.forever(
          Effect.suspend(() => {
            const request = claimOf(lockId)
            const change = Effect.sync(() => void counted.changes++)
            return Effect.ignore(
              Effect.andThen(
                Effect.andThen(storage.claim(request), change),
                Effect.andThen(storage.release(request), change)
              )
            )
          })
        )
      yield* Effect.forEach(stores, (store) =>
        Effect.forkScoped(comeAndGo(VersionedStore.toStorage(store, { kind: semaphore })))
      )
      while (counted.changes < 100) yield* Effect.sleep(10)
      return counted
    })

  it.live("renews, frees and gets in, beside ten that are busy and near", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { prefix, proxy, url } = yield* place
        const near = yield* Effect.forEach(Array.from({ length: 10 }), () => open(url, prefix))
        const distant = VersionedStore.toStorage(yield* open(proxy.url(url), prefix), { kind: semaphore })
        const mine = claimOf("crowded")
        const first = yield* distant.claim(mine)
        assert.strictEqual(first._tag, "Claimed")
        yield* proxy.delay(far)
        const counted = yield* crowd("crowded", near)
        const before = counted.changes
        // As long as a short lease leaves. By compare-and-set alone, that is over before it is first.
        const within = Effect.provideService(Storage.TimeLimit, Duration.seconds(5))
        for (let i = 0; i < 5; i++) {
          const [answer] = yield* within(distant.renew([mine]))
          assert.strictEqual(answer!._tag, "Renewed")
        }
        const other = claimOf("crowded")
        assert.strictEqual((yield* within(distant.claim(other)))._tag, "Claimed")
        assert.strictEqual((yield* within(distant.release(other)))._tag, "Released")
        assert.strictEqual((yield* within(distant.release(mine)))._tag, "Released")
        assert.isAbove(counted.changes, before, "the others went on meanwhile")
      })
    )
  )

  /** A record that somebody far away is about to change, and who else looks at it. */
  const middle = Effect.gen(function* () {
    const { prefix, proxy, url } = yield* place
    const [one, other] = yield* Effect.all([open(proxy.url(url), prefix), open(url, prefix)])
    const lockId = randomId()
    const record = {
      lockId,
      kind: "test",
      format: 1,
      ownerId: "",
      holds: [],
      token: 1,
      lockBeginTime: 1,
      leaseExpireTime: 1,
      data: "",
      version: 1
    }
    yield* other.create(lockId, 1, record)
    const change = (meanwhile: () => void) =>
      one.modify!(lockId, (found) => {
        assert(found !== undefined)
        meanwhile()
        return { record: { ...found, version: found.version + 1, data: `${found.data}+` }, outcome: found.version }
      })
    /** All of the change is there, or nothing of it, and nobody is kept out. */
    const isFree = Effect.gen(function* () {
      const last = yield* Effect.retry(
        Effect.gen(function* () {
          const found = Option.getOrThrow(yield* other.get(lockId))
          assert.strictEqual(found.data.length, found.version - 1)
          const next = { ...found, version: found.version + 1, data: `${found.data}+` }
          yield* other.update(lockId, found.version, next)
          return next
        }),
        { while: (error) => error._tag === "VersionMiss" }
      )
      return last.version
    })
    /** Nor is the connection that it went by in any other state than before. */
    const goesOn = Effect.retry(
      change(() => {}),
      { times: 20 }
    )
    return { proxy, change, isFree, goesOn }
  })

  it.live("cut off in the middle of its turn: nothing is done, and nothing stays locked", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { change, goesOn, isFree, proxy } = yield* middle
        const error = yield* Effect.flip(change(() => Effect.runSync(proxy.cut)))
        assert.strictEqual(error._tag, "StorageError")
        assert.strictEqual(yield* isFree, 2)
        assert.strictEqual(yield* goesOn, 2)
      })
    )
  )

  it.live("silent in the middle of its turn: the server goes on without it", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { change, goesOn, isFree, proxy } = yield* middle
        const late = yield* Effect.forkChild(
          Effect.exit(
            Effect.provideService(
              change(() => Effect.runSync(proxy.hang(true))),
              Storage.TimeLimit,
              Duration.seconds(1)
            )
          )
        )
        yield* Effect.sleep(100)
        // Whoever comes has to wait for no longer than the server does.
        const version = yield* Effect.retry(isFree, { times: 3 })
        assert.strictEqual(version, 2)
        assert.strictEqual((yield* Fiber.join(late))._tag, "Failure")
        yield* proxy.hang(false)
        yield* Effect.retry(isFree, { times: 3 })
        yield* goesOn
      })
    )
  )

  it.live("interrupted in the middle of its turn: all is done or nothing, and nothing stays locked", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { change, goesOn, isFree, proxy } = yield* middle
        yield* proxy.delay(far)
        for (let i = 0; i < 5; i++) {
          let begun = false
          const fiber = yield* Effect.forkChild(change(() => void (begun = true)))
          while (!begun) yield* Effect.sleep(1)
          yield* Fiber.interrupt(fiber)
          yield* isFree
        }
        yield* goesOn
      })
    )
  )

  it.live("a turn whose caller is out of time writes nothing after it was told so", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { change, goesOn, isFree, proxy } = yield* middle
        yield* proxy.delay(400)
        let calls = 0
        const error = yield* Effect.flip(
          Effect.provideService(
            change(() => void calls++),
            Storage.TimeLimit,
            Duration.millis(200)
          )
        )
        assert(error._tag === "StorageError")
        assert.strictEqual(error.applied, "no")
        assert.strictEqual(calls, 0)
        yield* proxy.delay(0)
        assert.strictEqual(yield* isFree, 2)
        yield* goesOn
      })
    )
  )
}
