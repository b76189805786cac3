/**
 * Races of many connections: one winner, an answer for everybody, and never two holders.
 */
import * as Effect from "#effect/Effect"
import * as Schedule from "#effect/Schedule"
import type { StorageError } from "../LockError.js"
import * as Case from "./Case.js"
import * as Steps from "./steps.js"
import type * as Storage from "../Storage.js"
import type * as LockRecord from "../LockRecord.js"

/** So many at once may be too much for a server for a moment: what passes is asked again, as `StorageLock` does. Not a release: what its repeat is told differs. */
const patient = (storage: Storage.Service): Storage.Service => {
  const again = <A>(self: Effect.Effect<A, StorageError>) =>
    Effect.retry(self, { while: ({ isRetryable }) => isRetryable, schedule: Schedule.spaced("100 millis"), times: 50 })
  return {
    ...storage,
    claim: (request) => again(storage.claim(request)),
    renew: (requests) => again(storage.renew(requests)),
    get: (lockId) => again(storage.get(lockId))
  }
}

const connections = (env: Case.Env, count: number) =>
  Effect.all(
    Array.from({ length: count }, () => Effect.map(env.connect, patient)),
    { concurrency: "unbounded" }
  )

/** What a race of claims must come to. */
const judged = (
  results: ReadonlyArray<{ readonly ownerId: string; readonly outcome: LockRecord.ClaimOutcome }>,
  how: string
): Effect.Effect<{ readonly holdId: string; readonly token: number }, unknown> =>
  Effect.gen(function* () {
    const winners = results.filter(({ outcome }) => outcome._tag === "Claimed")
    yield* Case.that(winners.length === 1, `one of many claims ${how} gets the lock: ${winners.length} did`, results)
    const winner = yield* Case.claimed(winners[0]!.outcome, how)
    for (const { outcome } of results) {
      if (outcome._tag === "Claimed") continue
      const { holder } = yield* Case.held(outcome, "everybody gets an answer")
      yield* Case.that(
        holder.ownerId === winners[0]!.ownerId && holder.token === winner.record.token,
        `who loses a race ${how} is told the winner`,
        { holder, winner: winner.record }
      )
    }
    return { holdId: winner.record.holds[0]!, token: winner.record.token }
  })

const race = (env: Case.Env, storages: ReadonlyArray<Storage.Service>, lockId: string, round: number) =>
  Effect.forEach(
    storages,
    (storage, i) => {
      const ownerId = `${round}-${i}`
      return Effect.map(storage.claim({ lockId, ownerId, holdId: env.holdId(), lease: env.long }), (outcome) => ({
        ownerId,
        outcome
      }))
    },
    { concurrency: "unbounded" }
  )

export const cases: ReadonlyArray<Case.Case> = [
  {
    name: "of many that claim a new or a freed lock at once one gets it, and the others are told which",
    rule: "race-one-winner",
    run: (env) =>
      Effect.gen(function* () {
        const storages = yield* connections(env, 8)
        const lockId = env.lockId("again")
        let last = 0
        for (let round = 0; round < env.times(40); round++) {
          yield* judged(yield* race(env, storages, env.lockId("new"), round), "to a new lock")
          const { holdId, token } = yield* judged(yield* race(env, storages, lockId, round), "to a freed lock")
          yield* Case.that(token > last, "tokens grow from winner to winner", [last, token])
          last = token
          const released = yield* storages[round % 8]!.release({ lockId, holdId })
          yield* Case.that(
            released._tag === "Released" && released.remaining === 0,
            "the winner's release frees the lock",
            released
          )
        }
      })
  },
  {
    name: "of many that take over an expired lock at once one gets it, and none is told the former holder",
    rule: "race-takeover",
    run: (env) =>
      Effect.gen(function* () {
        const storages = yield* connections(env, 8)
        for (let round = 0; round < env.times(env.hooks.advance === undefined ? 5 : 25); round++) {
          const lockId = env.lockId("expiring")
          const former = yield* Steps.take(env, storages[0]!, { lockId, ownerId: "former", lease: env.short })
          // Everybody has looked once: who observes leases must have seen it for all of its lease.
          yield* Effect.forEach(storages, (storage) => storage.get(lockId), { concurrency: "unbounded" })
          yield* env.pass(Steps.longest(env, env.short) + 20_000)
          const results = yield* Effect.forEach(
            storages,
            (storage, i) =>
              Effect.gen(function* () {
                const ownerId = `${round}-${i}`
                const request = { lockId, ownerId, holdId: env.holdId(), lease: env.long }
                const start = performance.now()
                for (;;) {
                  const outcome = yield* storage.claim(request)
                  const stale = outcome._tag === "Held" && outcome.holder?.token === former.token
                  if (!stale || performance.now() - start > 60_000) return { ownerId, outcome }
                  yield* Case.that(
                    outcome.retryAfter === undefined || outcome.retryAfter > 0,
                    "Held names a holder whose lease is live",
                    outcome
                  )
                  yield* env.pass(10_000)
                }
              }),
            { concurrency: "unbounded" }
          )
          const { token } = yield* judged(results, "to an expired lock")
          yield* Case.that(token > former.token, "the winner has a higher token than the former holder", [
            former.token,
            token
          ])
        }
      })
  },
  {
    name: "one owner's claims at once from many connections make one hold each, under one token",
    rule: "race-reentry",
    run: (env) =>
      Effect.gen(function* () {
        const storages = yield* connections(env, 8)
        for (let round = 0; round < env.times(10); round++) {
          const lockId = env.lockId("mine")
          const taken = yield* Effect.forEach(
            storages,
            (storage) => Steps.take(env, storage, { lockId, ownerId: "ada" }, "an owner is not in its own way"),
            { concurrency: "unbounded" }
          )
          yield* Case.that(
            new Set(taken.map(({ token }) => token)).size === 1,
            "one token for all holds of an owner",
            taken.map(({ token }) => token)
          )
          const { record } = yield* Steps.record(env.storage, lockId, "all hold")
          yield* Case.that(
            record.holds.length === 8 && taken.every(({ holdId }) => record.holds.includes(holdId)),
            "each claim has made one hold",
            record.holds
          )
          const released = yield* Effect.forEach(taken, (hold, i) => storages[(i + 3) % 8]!.release(hold), {
            concurrency: "unbounded"
          })
          const remaining = released.map((outcome) => (outcome._tag === "Released" ? outcome.remaining : -1)).sort()
          yield* Case.that(
            remaining.join() === "0,1,2,3,4,5,6,7",
            "each release takes one hold out, the last frees the lock",
            remaining
          )
          yield* Steps.isFree(env.storage, lockId, "the last release frees the lock")
        }
      })
  },
  {
    name: "one claim and one release sent by many at once have the effect of one each",
    rule: "race-repeat",
    run: (env) =>
      Effect.gen(function* () {
        const storages = yield* connections(env, 8)
        for (let round = 0; round < env.times(10); round++) {
          const lockId = env.lockId("repeated")
          const sibling = round % 2 === 0 ? undefined : yield* Steps.take(env, env.storage, { lockId, ownerId: "ada" })
          const holdId = env.holdId()
          const taken = yield* Effect.forEach(
            storages,
            (storage) =>
              Steps.take(env, storage, { lockId, ownerId: "ada", holdId }, "each repeat of a claim has its outcome"),
            { concurrency: "unbounded" }
          )
          const count = sibling === undefined ? 1 : 2
          for (const { record } of [
            ...taken,
            yield* Steps.record(env.storage, lockId, "a claim that was repeated holds")
          ]) {
            yield* Case.that(
              record.holds.length === count && record.holds.includes(holdId),
              "repeats at once make one hold",
              record
            )
            yield* Case.that(record.token === (sibling ?? taken[0]!).token, "repeats at once get one token", record)
          }
          const released = yield* Effect.forEach(storages, (storage) => storage.release({ lockId, holdId }), {
            concurrency: "unbounded"
          })
          const done = released.filter((outcome) => outcome._tag === "Released")
          yield* Case.that(
            done.length === 1 && done[0]!.remaining === count - 1,
            "of many releases of one hold one releases it",
            released
          )
          if (sibling !== undefined) {
            const { record } = yield* Steps.record(
              env.storage,
              lockId,
              "releases of one hold, at once, leave its sibling"
            )
            yield* Case.that(
              record.holds.length === 1 && record.holds[0] === sibling.holdId,
              "the sibling lives",
              record
            )
          }
        }
      })
  },
  {
    name: "of two holds that are renewed while one is given back, the other is renewed",
    rule: "race-renewal",
    run: (env) =>
      Effect.gen(function* () {
        const storages = yield* connections(env, 5)
        const request = { lockId: env.lockId("nested"), ownerId: "ada" }
        const outer = yield* Steps.take(env, env.storage, request)
        for (let round = 0; round < env.times(20); round++) {
          const inner = yield* Steps.take(env, env.storage, request, "an owner is not in its own way")
          // A renewal in the same moment would have nothing to write.
          yield* env.pass(1_000)
          const renewed = yield* Effect.forEach(
            storages,
            (storage, i) => {
              if (i === round % 5) return Effect.as(storage.release(inner), undefined)
              const holds = i % 2 === 0 ? [inner, outer] : [outer, inner]
              const requests = holds.map(({ holdId, lockId }) => ({ lockId, holdId, lease: env.long }))
              return Effect.map(storage.renew(requests), (answers) => answers[holds.indexOf(outer)])
            },
            { concurrency: "unbounded" }
          )
          yield* Case.that(
            renewed.every((answer, i) => i === round % 5 || answer?._tag === "Renewed"),
            "a hold is renewed, whichever other hold of its lock is given back meanwhile",
            renewed
          )
          const { record } = yield* Steps.record(env.storage, request.lockId, "the outer hold goes on")
          yield* Case.that(
            record.holds.length === 1 && record.holds[0] === outer.holdId,
            "a renewal does not bring back what is given back meanwhile",
            record.holds
          )
        }
      })
  },
  {
    name: "there are never two holders, through claims, releases, repeats and takeovers of many",
    rule: "mutual-exclusion",
    run: (env) =>
      Effect.gen(function* () {
        const storages = yield* connections(env, 6)
        const lockId = env.lockId("storm")
        let inside: string | undefined
        let last = 0
        const worker = (storage: Storage.Service, worker: number) =>
          Effect.gen(function* () {
            const start = performance.now()
            for (let i = 0; i < env.times(15);) {
              if (performance.now() - start > 100_000)
                return yield* Case.fail("a lock that is freed again and again is had by all in the end")
              const ownerId = `${worker}-${i}`
              // Four of them die once: they leave the critical section, but not the lock, and their lease must end.
              const dies = worker < 4 && i === 2 + 3 * worker
              const request = { lockId, ownerId, holdId: env.holdId(), lease: dies ? env.short : env.long }
              const sent = yield* env.mark
              const outcome = yield* storage.claim(request)
              if (outcome._tag === "Held") {
                yield* Case.held(outcome, "everybody gets an answer")
                yield* Effect.sleep("3 millis")
                // Little by little: a clock that is moved must not outrun the long leases.
                if (env.hooks.advance !== undefined) yield* env.pass(Math.ceil(env.short / 20))
                continue
              }
              i++
              // On a busy machine its lease may be over when it hears of it: then another may rightly be inside.
              if (dies && (yield* env.since(sent)).most >= env.short) continue
              yield* Case.that(inside === undefined, `two are inside at once: ${ownerId} and ${inside}`)
              yield* Case.that(outcome.record.token > last, "tokens grow from holder to holder", [
                last,
                outcome.record.token
              ])
              inside = dies ? undefined : ownerId
              last = outcome.record.token
              if (dies) continue
              yield* Effect.yieldNow
              if (i % 2 === 0) yield* storage.claim(request)
              if (i % 3 === 0) yield* Effect.sleep("1 millis")
              yield* Case.that(inside === ownerId, `${inside} came in while ${ownerId} was inside`)
              inside = undefined
              yield* storage.release(request)
              if (i % 4 === 0) yield* storage.release(request)
            }
          })
        yield* Effect.forEach(storages, worker, { concurrency: "unbounded", discard: true })
      })
  }
]
