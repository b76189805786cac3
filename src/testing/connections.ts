/**
 * Several connections, transactions of the program, interruption, lost replies, restarts, wake-ups.
 */
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as fibers from "#effect/fibers"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as Option from "#effect/Option"
import * as Queue from "#effect/Queue"
import * as Stream from "#effect/Stream"
import * as Storage from "../Storage.js"
import * as Case from "./Case.js"
import * as Steps from "./steps.js"

export const cases: ReadonlyArray<Case.Case> = [
  {
    name: "what one connection takes is held for all, set up by many at once",
    rule: "shared",
    run: (env) =>
      Effect.gen(function* () {
        if (!env.shared && !env.expectShared)
          return yield* Case.skip("each build of the layer is a storage of its own, as it says")
        yield* Case.that(
          env.shared,
          "every build of the layer sees the same locks: a second one did not see the first one's"
        )
        const others = yield* Effect.all(
          Array.from({ length: 6 }, () => env.connect),
          { concurrency: "unbounded" }
        )
        const lockId = env.lockId()
        const taken = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada" })
        for (const other of others) {
          const seen = yield* Steps.record(other, lockId, "what one connection takes is held for all")
          yield* Case.that(
            seen.record.token === taken.token && seen.record.version === taken.record.version,
            "all see the same record",
            seen
          )
        }
        // Any connection may act for the hold: the hold id says who it is, not the connection.
        const deeper = yield* Steps.take(env, others[0]!, { lockId, ownerId: "ada" })
        yield* Case.that(
          deeper.record.holds.length === 2,
          "an owner deepens its hold from another connection",
          deeper.record
        )
        yield* Steps.renewed(
          yield* Steps.renewOne(others[1]!, { lockId, holdId: taken.holdId, lease: env.long }),
          "another connection renews"
        )
        yield* others[2]!.release({ lockId, holdId: deeper.holdId })
        const last = yield* others[3]!.release({ lockId, holdId: taken.holdId })
        yield* Case.that(last._tag === "Released" && last.remaining === 0, "another connection releases", last)
        yield* Steps.isFree(env.storage, lockId, "what another connection released is free for all")
      })
  },
  {
    name: "the rollback of the program's transaction does not take a hold away, nor give one back",
    rule: "outside-transactions",
    needs: "inTransaction",
    run: (env) =>
      Effect.gen(function* () {
        const inTransaction = env.hooks.inTransaction!
        const [plain, forked, freed] = [env.lockId("plain"), env.lockId("forked"), env.lockId("freed")] as const
        const before = yield* Steps.take(env, env.storage, { lockId: freed, ownerId: "ada" })
        yield* inTransaction(
          Effect.gen(function* () {
            yield* Steps.take(env, env.storage, { lockId: plain, ownerId: "ada" })
            // A fiber inherits its parent's context, and the transaction in it.
            const child = yield* Effect.forkChild(Steps.take(env, env.storage, { lockId: forked, ownerId: "ada" }))
            yield* Fiber.join(child)
            yield* Steps.renewOne(env.storage, { lockId: freed, holdId: before.holdId, lease: 3 * env.long })
            const seen = yield* Steps.record(
              env.storage,
              plain,
              "a hold is seen in the transaction in which it was taken"
            )
            yield* Case.that(seen.record.ownerId === "ada", "and by whom", seen)
          })
        )
        for (const lockId of [plain, forked]) {
          yield* Steps.record(env.storage, lockId, "a hold taken within a transaction survives its rollback")
          yield* Case.held(
            yield* env.storage.claim({ lockId, ownerId: "bob", holdId: env.holdId(), lease: env.long }),
            "a hold taken within a transaction survives its rollback"
          )
        }
        const renewed = yield* Steps.record(env.storage, freed, "a renewal within a transaction survives its rollback")
        yield* Case.that(
          renewed.validFor > 2 * env.long,
          "a renewal within a transaction survives its rollback",
          renewed
        )
        yield* inTransaction(env.storage.release(before))
        yield* Steps.isFree(env.storage, freed, "a release within a transaction survives its rollback")
      })
  },
  {
    name: "an operation that is interrupted harms no other, and leaves the storage usable",
    rule: "interruption",
    run: (env) =>
      Effect.gen(function* () {
        const bystander = yield* Effect.forkChild(
          Effect.forEach(
            Array.from({ length: 60 }, (_, i) => i),
            (i) =>
              Effect.gen(function* () {
                const hold = yield* Steps.take(env, env.storage, {
                  lockId: env.lockId(`bystander-${i}`),
                  ownerId: "bea"
                })
                yield* env.storage.get(hold.lockId)
                const outcome = yield* env.storage.release(hold)
                yield* Case.that(outcome._tag === "Released", "a bystander's release is not disturbed", outcome)
              }),
            { discard: true }
          )
        )
        for (let i = 0; i < 60; i++) {
          const request = {
            lockId: env.lockId(`interrupted-${i}`),
            ownerId: "ada",
            holdId: env.holdId(),
            lease: env.long
          }
          const operation: Effect.Effect<unknown, unknown> =
            i % 3 === 0
              ? Effect.andThen(env.storage.claim(request), env.storage.release(request))
              : i % 3 === 1
                ? env.storage.claim(request)
                : env.storage.renew([request])
          const fiber = yield* Effect.forkChild(operation)
          yield* i % 2 === 0 ? Effect.yieldNow : Effect.sleep(Duration.micros(BigInt(100 * (i % 13))))
          yield* Fiber.interrupt(fiber)
          // Whether it was applied is not known; that it can be told and undone is promised.
          const seen = yield* env.storage.get(request.lockId)
          const release = yield* env.storage.release(request)
          yield* Case.that(
            i % 3 !== 1 || Option.isNone(seen) || release._tag === "Released",
            "what an interrupted claim left behind is released by its hold id",
            { seen, release }
          )
        }
        const exit = yield* Fiber.await(bystander)
        if (Exit.isFailure(exit))
          yield* Case.fail("an interrupted operation harms no other on the same storage", String(exit.cause))
        yield* Steps.take(
          env,
          env.storage,
          { lockId: env.lockId("after"), ownerId: "ada" },
          "the storage is usable after interruptions"
        )
      })
  },
  {
    name: "an operation whose reply was lost says so, and its repeat has the effect of one",
    rule: "lost-reply",
    needs: "loseReply",
    run: (env) =>
      Effect.gen(function* () {
        const lose = env.hooks.loseReply!
        // A storage may repeat by itself; if it does not, it must not claim that nothing was applied.
        const lost = <A, E>(what: string, operation: Effect.Effect<A, E>) =>
          Effect.gen(function* () {
            yield* lose
            const first = yield* Effect.result(operation)
            if (first._tag === "Failure") {
              const error = first.failure as { readonly _tag?: string; readonly applied?: string }
              yield* Case.that(error._tag === "StorageError", `a lost reply of ${what} is a StorageError`, error)
              yield* Case.that(
                error.applied === "unknown",
                `after a lost reply it is not known whether ${what} was applied`,
                error
              )
            }
            return yield* operation.pipe(Effect.retry({ times: 5 }))
          })
        const lockId = env.lockId()
        const holdId = env.holdId()
        const claim = { lockId, ownerId: "ada", holdId, lease: env.long }
        const outcome = yield* Case.claimed(
          yield* lost("claim", env.storage.claim(claim)),
          "the repeat of a claim has its outcome"
        )
        yield* Case.that(
          outcome.record.holds.length === 1,
          "the repeat of a claim has the effect of one",
          outcome.record
        )
        yield* Steps.renewed(
          yield* lost("renew", Steps.renewOne(env.storage, { lockId, holdId, lease: env.long })),
          "a renewal can be repeated"
        )
        yield* lost("release", env.storage.release({ lockId, holdId }))
        yield* Steps.isFree(env.storage, lockId, "a release whose reply was lost, repeated, has freed the lock")
      })
  },
  {
    name: "a storage that does not answer ends in a StorageError within the time limit, and recovers",
    rule: "time-limit",
    needs: "hang",
    run: (env) =>
      Effect.gen(function* () {
        const lockId = env.lockId()
        const outcome = yield* env.hooks.hang!(
          env.storage
            .claim({ lockId, ownerId: "ada", holdId: env.holdId(), lease: env.short })
            .pipe(
              Effect.provideService(Storage.TimeLimit, Duration.seconds(1)),
              Effect.result,
              fibers.disconnect,
              Effect.timeoutOption("10 seconds")
            )
        )
        yield* Case.that(
          Option.isSome(outcome),
          "an operation ends within its time limit: one of 1 s was not over after 10 s"
        )
        const answer = Option.getOrThrow(outcome)
        yield* Case.that(
          answer._tag === "Failure" && answer.failure._tag === "StorageError",
          "no answer in time is a StorageError",
          answer
        )
        yield* Steps.take(
          env,
          env.storage,
          { lockId: env.lockId("after"), ownerId: "ada" },
          "the storage recovers"
        ).pipe(Effect.retry({ times: 10 }))
      })
  },
  {
    name: "holds and tokens survive a restart of the storage",
    rule: "restart",
    needs: "restart",
    run: (env) =>
      Effect.gen(function* () {
        const kept = yield* Steps.take(env, env.storage, { lockId: env.lockId("kept"), ownerId: "ada" })
        const freed = yield* Steps.take(env, env.storage, { lockId: env.lockId("freed"), ownerId: "ada" })
        yield* env.storage.release(freed)
        yield* env.hooks.restart!
        const seen = yield* Effect.retry(env.storage.get(kept.lockId), { times: 10 })
        yield* Case.that(
          Option.isSome(seen) && seen.value.record.token === kept.token && seen.value.record.ownerId === "ada",
          "a hold survives a restart of the storage",
          Option.getOrUndefined(seen)
        )
        const next = yield* Steps.take(env, env.storage, { lockId: freed.lockId, ownerId: "bob" })
        yield* Case.that(
          next.token > freed.token && next.record.version > freed.record.version,
          "tokens and versions grow over a restart",
          [freed.record, next.record]
        )
        yield* Steps.renewed(
          yield* Steps.renewOne(env.storage, { lockId: kept.lockId, holdId: kept.holdId, lease: env.long }),
          "a hold is renewed after a restart"
        )
      })
  },
  {
    name: "a release wakes who waits, if the storage tells at all",
    rule: "wake-ups",
    run: (env) =>
      Effect.gen(function* () {
        const lockId = env.lockId()
        const woken = yield* Queue.unbounded<string>()
        const waiter = yield* env.connect
        const listener = yield* waiter.wakeUps.pipe(
          Stream.runForEach((id) => Queue.offer(woken, id)),
          Effect.forkScoped
        )
        const heard: Array<string> = []
        for (let i = 0; i < 40; i++) {
          const hold = yield* Steps.take(env, env.storage, { lockId, ownerId: "ada" })
          // Who waits has asked: a storage need tell of no other lock.
          const holdId = env.holdId()
          const asked = yield* waiter.claim({ lockId, ownerId: "bob", holdId, lease: env.long })
          yield* Case.that(asked._tag === "Held", "a lock that somebody has is not given to another", asked)
          yield* env.storage.release(hold)
          yield* Effect.sleep("50 millis")
          heard.push(...(yield* Queue.clear(woken)))
          if (heard.includes(lockId) || heard.includes("all")) return
          const over = fibers.exitOf(listener)
          if (over !== undefined) {
            yield* Case.that(Exit.isSuccess(over), "the stream of wake-ups does not fail", over)
            break
          }
        }
        if (heard.length === 0 && !env.expectWakeUps) return yield* Case.skip("it sends no wake-ups: waiters poll")
        yield* Case.fail("the wake-up of a release names its lock", heard.slice(0, 10))
      })
  }
]
