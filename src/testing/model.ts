/**
 * Random sequences of requests, compared step by step with `LockRecord.step`.
 */
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as LockRecord from "../LockRecord.js"
import type * as Storage from "../Storage.js"
import * as Case from "./Case.js"
import * as random from "./random.js"
import * as Steps from "./steps.js"

/** The model's time stands still: leases are long, and one that is let end is marked as over. So its `validFor` is what is left at most. */
const now = 0

/** What is known of one lock: the model's record, and the storage's own numbers as it last told them. */
interface Lock {
  readonly lockId: string
  model: LockRecord.LockRecord | undefined
  token: number
  version: number
  leaseExpireTime: number
  lockBeginTime: number
  /** Since when the model's lease counts. */
  mark: Case.Mark
}

interface Run {
  readonly env: Case.Env
  readonly storages: ReadonlyArray<Storage.Service>
  readonly locks: ReadonlyArray<Lock>
  readonly trace: Array<string>
}

const owners = ["ada", "bob", "cyd"] as const

/** A request changed the model's record iff it is another reference. */
const apply = <O>(lock: Lock, step: LockRecord.Step<O>): O => {
  lock.model = step.record
  return step.outcome
}

const same = (a: ReadonlyArray<string>, b: ReadonlyArray<string>) =>
  a.length === b.length && a.every((hold) => b.includes(hold))

/** Compares what the storage tells of a lock with the model. `fresh`: a new hold has begun. */
const compare = (
  run: Run,
  lock: Lock,
  record: LockRecord.LockRecord,
  validFor: number,
  change: "none" | "some" | "fresh" | "maybe"
) =>
  Effect.gen(function* () {
    const model = lock.model!
    yield* Case.that(record.ownerId === model.ownerId, `the owner is ${JSON.stringify(model.ownerId)}`, record)
    yield* Case.that(same(record.holds, model.holds), `the holds are ${model.holds.join()}`, record)
    yield* Case.that(
      change === "fresh" ? record.token > lock.token : record.token === lock.token,
      change === "fresh" ? `a new hold has a token above ${lock.token}` : `the token is still ${lock.token}`,
      record
    )
    yield* Case.that(
      change === "none"
        ? record.version === lock.version
        : change === "maybe"
          ? record.version >= lock.version
          : record.version > lock.version,
      change === "none" ? `the version is still ${lock.version}` : `the version grows from ${lock.version}`,
      record
    )
    const { most } = yield* run.env.since(lock.mark)
    const left = model.leaseExpireTime - now
    yield* Case.that(
      validFor <= Steps.longest(run.env, left) + Steps.clockSlack && validFor >= left - most - Steps.clockSlack,
      `what is left of the lease is ${left} µs, less at most ${most}`,
      { validFor, record }
    )
    if (run.env.guarantees.clock !== "observed" && change !== "fresh") {
      yield* Case.that(record.lockBeginTime === lock.lockBeginTime, `the begin is still ${lock.lockBeginTime}`, record)
      yield* Case.that(
        record.leaseExpireTime >= lock.leaseExpireTime,
        `the lease end does not go back from ${lock.leaseExpireTime}`,
        record
      )
    }
    lock.token = record.token
    lock.version = record.version
    lock.leaseExpireTime = record.leaseExpireTime
    lock.lockBeginTime = record.lockBeginTime
  })

const look = (run: Run, storage: Storage.Service, lock: Lock, change: "none" | "some" | "maybe") =>
  Effect.gen(function* () {
    const found = yield* storage.get(lock.lockId)
    const live = lock.model !== undefined && LockRecord.isLive(lock.model, now)
    yield* Case.that(
      Option.isSome(found) === live,
      live ? "the lock is held" : "the lock is free",
      Option.getOrUndefined(found)
    )
    if (Option.isSome(found)) yield* compare(run, lock, found.value.record, found.value.validFor, change)
  })

const claim = (run: Run, storage: Storage.Service, lock: Lock, request: LockRecord.Claim) =>
  Effect.gen(function* () {
    const before = lock.model
    const expected = apply(lock, LockRecord.claim(before, request, now))
    const mark = yield* run.env.mark
    const outcome = yield* storage.claim(request)
    yield* Case.that(outcome._tag === expected._tag, `the outcome is ${expected._tag}`, outcome)
    const changed = lock.model !== before
    // The model's lease counts from its last push; where leases are observed a repeat is a write, and counts too.
    const rewritten = !changed && expected._tag === "Claimed" && run.env.guarantees.clock === "observed"
    if (rewritten || (changed && lock.model!.leaseExpireTime !== before?.leaseExpireTime)) lock.mark = mark
    if (outcome._tag === "Held") {
      const { holder, retryAfter } = yield* Case.held(outcome, "there is always an answer")
      yield* compare(run, lock, holder, retryAfter, "none")
    } else {
      const fresh = before === undefined || !LockRecord.isLive(before, now)
      yield* compare(
        run,
        lock,
        outcome.record,
        outcome.validFor,
        fresh ? "fresh" : changed ? "some" : rewritten ? "maybe" : "none"
      )
    }
  })

const renew = (run: Run, storage: Storage.Service, requests: ReadonlyArray<LockRecord.Renew>) =>
  Effect.gen(function* () {
    const lockOf = (lockId: string) => run.locks.find((lock) => lock.lockId === lockId)!
    const before = new Map(run.locks.map((lock) => [lock, lock.model]))
    const mark = yield* run.env.mark
    const outcomes = yield* storage.renew(requests)
    yield* Case.that(outcomes.length === requests.length, "one outcome for each request", outcomes)
    for (let i = 0; i < requests.length; i++) {
      const lock = lockOf(requests[i]!.lockId)
      const old = lock.model
      const expected = apply(lock, LockRecord.renew(old, requests[i]!, now))
      const outcome = outcomes[i]!
      yield* Case.that(outcome._tag === expected._tag, `outcome ${i} is ${expected._tag}`, outcome)
      if (
        lock.model !== old &&
        (lock.model!.leaseExpireTime !== old!.leaseExpireTime || run.env.guarantees.clock === "observed")
      )
        lock.mark = mark
      if (outcome._tag === "NotHeld" && expected._tag === "NotHeld") {
        const { current } = expected
        yield* Case.that(
          current === undefined
            ? outcome.current === undefined
            : outcome.current !== undefined &&
                outcome.current.token === lock.token &&
                same(outcome.current.holds, current.holds) &&
                (current.holds.length === 0 || outcome.current.ownerId === current.ownerId),
          `NotHeld tells ${current === undefined ? "that there is no record" : `the record that there is, with the holds ${current.holds.join()}`}`,
          outcome
        )
      }
    }
    for (const lock of run.locks) yield* look(run, storage, lock, lock.model === before.get(lock) ? "none" : "some")
  })

/** Lets the lease of every lock end, if the clock can be moved; else takes a free one for a short while, and waits. */
const expire = (run: Run, storage: Storage.Service, lock: Lock, request: LockRecord.Claim) =>
  Effect.gen(function* () {
    const { env } = run
    if (env.hooks.advance === undefined) {
      if (lock.model !== undefined && LockRecord.isLive(lock.model, now)) return
      run.trace.push(`  claim for a short while ${JSON.stringify(request)}`)
      yield* claim(run, storage, lock, { ...request, lease: env.short })
      yield* Steps.untilFree(env, storage, lock.lockId)
      lock.model = { ...lock.model!, leaseExpireTime: now }
    } else {
      for (const { lockId } of run.locks) yield* storage.get(lockId)
      yield* env.pass(5 * env.long)
      for (const each of run.locks) if (each.model !== undefined) each.model = { ...each.model, leaseExpireTime: now }
    }
  })

const sequence = (env: Case.Env, storages: ReadonlyArray<Storage.Service>, seed: number, trace: Array<string>) =>
  Effect.gen(function* () {
    const random_ = random.seeded(seed)
    const mark = yield* env.mark
    const locks = Array.from({ length: 1 + random_.below(3) }, (): Lock => ({
      lockId: env.lockId("model"),
      model: undefined,
      token: 0,
      version: 0,
      leaseExpireTime: 0,
      lockBeginTime: 0,
      mark
    }))
    const run: Run = { env, storages, locks, trace }
    // Short names in the trace, hold ids of the right shape in the requests.
    const holds = Array.from({ length: 6 }, (_, i) => random.text(21) + i)
    const leases = [env.long, env.long / 2, env.long * 2, env.long * 4].map(
      (lease) => Math.ceil(lease / env.guarantees.leaseGranularity) * env.guarantees.leaseGranularity
    )
    let expiries = env.hooks.advance === undefined ? 1 : 6
    for (let i = 0; i < 40; i++) {
      const storage = random_.pick(storages)
      const lock = random_.pick(locks)
      const { lockId } = lock
      const claimRequest = {
        lockId,
        ownerId: random_.pick(owners),
        holdId: random_.pick(holds),
        lease: random_.pick(leases)
      }
      // Half of the time a hold that is in, so that not all renewals and releases miss.
      const holdId =
        random_.chance(50) && lock.model !== undefined && lock.model.holds.length > 0
          ? random_.pick(lock.model.holds)
          : random_.pick(holds)
      const times = random_.chance(25) ? 2 : 1
      const dice = random_.below(100)
      if (dice < 45) {
        for (let time = 0; time < times; time++) {
          trace.push(`claim ${JSON.stringify(claimRequest)}`)
          yield* claim(run, storage, lock, claimRequest)
        }
      } else if (dice < 60) {
        const requests = new Map<string, LockRecord.Renew>()
        for (let n = random_.below(5); n >= 0; n--) {
          const other = random_.pick(locks)
          const id =
            random_.chance(60) && other.model !== undefined && other.model.holds.length > 0
              ? random_.pick(other.model.holds)
              : random_.pick(holds)
          requests.set(`${other.lockId} ${id}`, { lockId: other.lockId, holdId: id, lease: random_.pick(leases) })
        }
        trace.push(`renew ${JSON.stringify([...requests.values()])}`)
        yield* renew(run, storage, [...requests.values()])
      } else if (dice < 82) {
        for (let time = 0; time < times; time++) {
          trace.push(`release ${JSON.stringify({ lockId, holdId })}`)
          const before = lock.model
          const expected = apply(lock, LockRecord.release(before, { lockId, holdId }))
          const outcome = yield* storage.release({ lockId, holdId })
          // Of a hold whose lease is over nobody asks how many remain.
          const over = before === undefined || !LockRecord.isLive(before, now)
          yield* Case.that(
            over || JSON.stringify(outcome) === JSON.stringify(expected),
            `the outcome is ${JSON.stringify(expected)}`,
            outcome
          )
          if (over && outcome._tag === "NotHeld") lock.model = before
          yield* look(run, storage, lock, lock.model === before ? "none" : "some")
        }
      } else if (dice < 90) {
        const token = random_.chance(70) ? lock.token : lock.token + 1
        const when = random_.chance(50) ? ("now" as const) : ("leaseEnd" as const)
        for (let time = 0; time < times; time++) {
          trace.push(`revoke ${JSON.stringify({ lockId, token, when })}`)
          const before = lock.model
          // The model numbers its tokens by itself.
          const modelToken = token === lock.token ? (before?.token ?? 0) : -1
          const expected = apply(lock, LockRecord.revoke(before, { lockId, token: modelToken, when }, now))
          const outcome = yield* storage.revoke({ lockId, token, when })
          yield* Case.that(outcome._tag === expected._tag, `the outcome is ${expected._tag}`, outcome)
          yield* look(run, storage, lock, lock.model === before ? "none" : "some")
        }
      } else if (dice < 96 || expiries === 0) {
        trace.push(`get ${lockId}`)
        yield* look(run, storage, lock, "none")
      } else {
        expiries--
        trace.push("let leases end")
        yield* expire(run, storage, lock, claimRequest)
      }
    }
    for (const lock of locks) yield* look(run, random_.pick(storages), lock, "none")
  })

export const cases: ReadonlyArray<Case.Case> = [
  {
    name: "random sequences of claims, renewals, releases and revocations, with repeats, do what the specification says",
    rule: "specification",
    run: (env) =>
      Effect.gen(function* () {
        if (env.kind !== LockRecord.exclusive) return yield* Case.skip("it is the specification of exclusive locks")
        // Where leases are observed, one connection does not know what another has seen.
        const other = env.guarantees.clock === "observed" ? env.storage : yield* env.connect
        for (let i = 0; i < env.sequences; i++) {
          const trace: Array<string> = []
          yield* sequence(env, [env.storage, other], (env.seed + i) >>> 0, trace).pipe(
            Effect.catch((error) =>
              Case.fail(
                `step ${trace.length} of a random sequence (replay it with seed ${(env.seed + i) >>> 0}): ` +
                  `${error instanceof Case.ConformanceFailure ? error.message : String(error)}\n${trace.slice(-20).join("\n")}`
              )
            )
          )
        }
      })
  }
]
