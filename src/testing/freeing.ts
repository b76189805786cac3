/**
 * Freeing a lock needs nothing but the record: no hint to anybody, and no room.
 */
import * as Effect from "#effect/Effect"
import * as Case from "./Case.js"
import * as Steps from "./steps.js"

/** What came of an operation that must not fail here. */
const sure = <A>(operation: Effect.Effect<A, unknown>, promise: string): Effect.Effect<A, Case.ConformanceFailure> =>
  Effect.catch(operation, (error) => Case.fail(promise, error))

export const cases: ReadonlyArray<Case.Case> = [
  {
    name: "a lock is released, revoked and renewed though nobody can be told of it",
    rule: "hint-never-fails-release",
    needs: "breakHints",
    run: (env) =>
      Effect.gen(function* () {
        const kept = yield* Steps.take(env, env.storage, { lockId: env.lockId("kept"), ownerId: "ada" })
        const released = yield* Steps.take(env, env.storage, { lockId: env.lockId("released"), ownerId: "ada" })
        const deeper = yield* Steps.take(env, env.storage, { lockId: released.lockId, ownerId: "ada" })
        const revoked = yield* Steps.take(env, env.storage, { lockId: env.lockId("revoked"), ownerId: "ada" })
        const blocked = yield* Steps.take(env, env.storage, { lockId: env.lockId("blocked"), ownerId: "ada" })
        yield* env.hooks.breakHints!(
          Effect.gen(function* () {
            for (const [hold, remaining] of [
              [deeper, 1],
              [released, 0]
            ] as const) {
              const outcome = yield* sure(
                env.storage.release(hold),
                "a hint that cannot be sent never fails the release"
              )
              yield* Case.that(
                outcome._tag === "Released" && outcome.remaining === remaining,
                "a release is answered, whether or not its hint was sent",
                outcome
              )
            }
            for (const [hold, when] of [
              [revoked, "now"],
              [blocked, "leaseEnd"]
            ] as const) {
              const outcome = yield* sure(
                env.storage.revoke({ ...hold, when }),
                `a hint that cannot be sent never fails a revocation (${JSON.stringify(when)})`
              )
              yield* Case.that(
                outcome._tag === "Revoked",
                "a revocation is answered, whether or not its hint was sent",
                outcome
              )
            }
            const renewal = yield* sure(
              Steps.renewOne(env.storage, { ...kept, lease: env.long }),
              "a renewal needs no hint"
            )
            yield* Steps.renewed(renewal, "a renewal needs no hint")
            yield* sure(
              Steps.take(
                env,
                env.storage,
                { lockId: released.lockId, ownerId: "bob" },
                "what was released without a hint is free at once"
              ),
              "a claim needs no hint"
            )
          })
        )
        yield* Steps.isFree(env.storage, revoked.lockId, "what was revoked without a hint is free")
        const still = yield* Steps.record(env.storage, blocked.lockId, "what was revoked for its lease end blocks")
        yield* Case.that(still.record.ownerId === "", "a revocation without a hint is made", still.record)
        const after = yield* Steps.record(env.storage, released.lockId, "what was taken meanwhile is held afterwards")
        yield* Case.that(after.record.ownerId === "bob", "a hint that failed undoes nothing", after.record)
        yield* env.storage.release(kept)
        yield* Steps.isFree(env.storage, kept.lockId, "once hints can be sent again, a release is a release")
      })
  },
  {
    name: "where there is no room for a new lock, those that are held are renewed and released",
    rule: "frees-where-it-refuses",
    needs: "refuseWrites",
    run: (env) =>
      Effect.gen(function* () {
        const kept = yield* Steps.take(env, env.storage, { lockId: env.lockId("kept"), ownerId: "ada" })
        const released = yield* Steps.take(env, env.storage, { lockId: env.lockId("released"), ownerId: "ada" })
        const revoked = yield* Steps.take(env, env.storage, { lockId: env.lockId("revoked"), ownerId: "ada" })
        const refused = env.lockId("refused")
        const holdId = env.holdId()
        const claim = { lockId: refused, ownerId: "ada", holdId, lease: env.long }
        const granted = yield* env.hooks.refuseWrites!(
          Effect.gen(function* () {
            const taken = yield* Effect.result(env.storage.claim(claim))
            if (taken._tag === "Failure") {
              const error: unknown = taken.failure
              yield* Case.that(
                typeof error === "object" &&
                  error !== null &&
                  (error as { readonly _tag?: string })._tag === "StorageError",
                "a claim that is refused for want of room is a StorageError",
                error
              )
            }
            const renewal = yield* sure(
              Steps.renewOne(env.storage, { ...kept, lease: 2 * env.long }),
              "a hold is renewed where taking a lock is refused"
            )
            yield* Steps.renewed(renewal, "a hold is renewed where taking a lock is refused")
            const release = yield* sure(
              env.storage.release(released),
              "a hold is released where taking a lock is refused"
            )
            yield* Case.that(
              release._tag === "Released" && release.remaining === 0,
              "a hold is released where taking a lock is refused",
              release
            )
            const revocation = yield* sure(
              env.storage.revoke({ ...revoked, when: "now" }),
              "a lock is revoked where taking one is refused"
            )
            yield* Case.that(revocation._tag === "Revoked", "a lock is revoked where taking one is refused", revocation)
            return taken._tag === "Success" && taken.success._tag === "Claimed"
          })
        )
        yield* Steps.isFree(env.storage, released.lockId, "what was released while there was no room is free")
        yield* Steps.isFree(env.storage, revoked.lockId, "what was revoked while there was no room is free")
        const still = yield* Steps.record(env.storage, kept.lockId, "what was renewed while there was no room is held")
        yield* Case.that(still.validFor > 1.5 * env.long, "a renewal while there was no room has its effect", still)
        if (!granted) yield* Steps.isFree(env.storage, refused, "a claim that was refused has taken nothing")
        for (const [before, ownerId] of [
          [released, "bob"],
          [revoked, "bob"]
        ] as const) {
          const next = yield* Steps.take(
            env,
            env.storage,
            { lockId: before.lockId, ownerId },
            "once there is room, a lock is given again"
          )
          yield* Case.that(next.token > before.token, "tokens grow over what was freed without room", [
            before.token,
            next.token
          ])
        }
      })
  }
]
