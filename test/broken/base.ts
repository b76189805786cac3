/**
 * A correct storage made of parts, each of which can be put in broken. It has every hook of the kit: a clock that is moved, a program's
 * transaction, replies that get lost, a server that hangs or restarts, hints that cannot be sent, a server that is full; and the smaller port over the same data.
 */
import * as Context from "#effect/Context"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as PubSub from "effect/PubSub"
import * as Stream from "#effect/Stream"
import { LockError, LockRecord, Storage, VersionedStore } from "../../src/index.js"
import type * as Conformance from "../../src/testing/index.js"

type Records = Map<string, LockRecord.LockRecord>

/** What the transaction of the program would undo. */
const Journal: Context.Reference<{ readonly undo: Array<() => void> } | undefined> = Context.Reference("test/Journal", {
  defaultValue: (): { readonly undo: Array<() => void> } | undefined => undefined
})

export interface World {
  readonly records: Records
  /** Microseconds. */
  now: number
  loseNext: boolean
  hung: boolean
  poisoned: number
  /** Hints cannot be sent; there is no room. */
  hintsFail: boolean
  full: boolean
}

type Write = "claim" | "renew" | "release" | "revoke"

export interface Parts {
  readonly claim: typeof LockRecord.claim
  readonly renew: typeof LockRecord.renew
  readonly release: typeof LockRecord.release
  readonly revoke: typeof LockRecord.revoke
  /** What the storage takes for the same lock id, and the same owner id. */
  readonly key: (lockId: string) => string
  readonly owner: (ownerId: string) => string
  readonly time: (world: World) => Effect.Effect<number>
  /** The record that `get`, `list` and `Held` show at a time. */
  readonly isLive: (record: LockRecord.LockRecord, now: number) => boolean
  readonly validFor: (record: LockRecord.LockRecord, now: number) => number
  readonly claimAnswer: (outcome: LockRecord.ClaimOutcome, request: LockRecord.Claim) => LockRecord.ClaimOutcome
  readonly renewAnswers: (outcomes: ReadonlyArray<Storage.RenewAnswer>) => ReadonlyArray<Storage.RenewAnswer>
  readonly get: (snapshot: Storage.Snapshot) => Storage.Snapshot
  readonly list: (snapshots: ReadonlyArray<Storage.Snapshot>) => ReadonlyArray<Storage.Snapshot>
  readonly dropped: (record: LockRecord.LockRecord, now: number, olderThan: number) => boolean
  readonly purgeMemory: (olderThan: number) => number
  /** Applied to the records after a write: to forget what should be remembered. */
  readonly afterWrite: (records: Records, key: string) => void
  readonly onRead: (records: Records, key: string) => void
  /** What is told of a release; nothing, if it is told to nobody. */
  readonly wake: (lockId: string) => string | undefined
  /** What a hint that cannot be sent does to the write that it belongs to. */
  readonly hintFailure: "nothing" | "fails" | "undoes"
  readonly refusedWhenFull: ReadonlyArray<Write>
  readonly joinsTransaction: boolean
  readonly lostReplySays: "no" | "unknown"
  readonly keepsTimeLimit: boolean
  readonly survivesRestart: boolean
  readonly cancelsInnocents: boolean
  /** Whether others can come between the reading and the writing of these. */
  readonly torn: ReadonlyArray<"claim" | "release" | "renew">
  /** Whether a renewal of a lock finds one hold, waits for the record, and looks for that one alone. */
  readonly renewsFoundAlone: boolean
  readonly sharedByBuilds: boolean
}

const hour = 3_600_000_000

export const correct: Parts = {
  claim: LockRecord.claim,
  renew: LockRecord.renew,
  release: LockRecord.release,
  revoke: LockRecord.revoke,
  key: (lockId) => lockId,
  owner: (ownerId) => ownerId,
  time: (world) => Effect.sync(() => world.now),
  isLive: LockRecord.isLive,
  validFor: (record, now) => record.leaseExpireTime - now,
  claimAnswer: (outcome) => outcome,
  renewAnswers: (outcomes) => outcomes,
  get: (snapshot) => snapshot,
  list: (snapshots) => snapshots,
  dropped: (record, now, olderThan) => record.leaseExpireTime < now - olderThan,
  purgeMemory: (olderThan) => Math.max(olderThan, hour),
  afterWrite: () => {},
  onRead: () => {},
  wake: (lockId) => lockId,
  hintFailure: "nothing",
  refusedWhenFull: ["claim"],
  joinsTransaction: false,
  lostReplySays: "unknown",
  keepsTimeLimit: true,
  survivesRestart: true,
  cancelsInnocents: false,
  torn: [],
  renewsFoundAlone: false,
  sharedByBuilds: true
}

const failure = (reason: LockError.StorageErrorReason, applied: "no" | "unknown") =>
  new LockError.StorageError({
    reason,
    operation: "test",
    isRetryable: true,
    applied,
    message: `the test says ${reason}`
  })

const service = (world: World, parts: Parts, freed: PubSub.PubSub<string>): Storage.Service => {
  const store = (
    journal: { readonly undo: Array<() => void> } | undefined,
    key: string,
    record: LockRecord.LockRecord | undefined
  ) => {
    const before = world.records.get(key)
    if (record === undefined || record === before) return
    if (parts.joinsTransaction) {
      journal?.undo.push(() => (before === undefined ? world.records.delete(key) : world.records.set(key, before)))
    }
    world.records.set(key, record)
    parts.afterWrite(world.records, key)
  }

  /** One request and its reply, over a link that may fail. */
  const trip = <A>(operation: Effect.Effect<A, LockError.StorageError>): Effect.Effect<A, LockError.StorageError> =>
    Effect.gen(function* () {
      while (world.hung) {
        const limit = yield* Storage.TimeLimit
        if (parts.keepsTimeLimit && Duration.isFinite(limit)) {
          yield* Effect.sleep(limit)
          return yield* failure("Timeout", "unknown")
        }
        yield* Effect.sleep("20 millis")
      }
      yield* Effect.yieldNow
      if (world.poisoned > 0) {
        world.poisoned--
        return yield* failure("Unknown", "unknown")
      }
      const answer = yield* operation
      if (world.loseNext) {
        world.loseNext = false
        return yield* failure("Connection", parts.lostReplySays)
      }
      return answer
    }).pipe(Effect.onInterrupt(() => Effect.sync(() => parts.cancelsInnocents && world.poisoned++)))

  const hint = (
    before: LockRecord.LockRecord | undefined,
    key: string,
    lockId: string
  ): Effect.Effect<void, LockError.StorageError> =>
    Effect.suspend(() => {
      const told = parts.wake(lockId)
      if (told === undefined) return Effect.void
      if (!world.hintsFail) return Effect.asVoid(PubSub.publish(freed, told))
      if (parts.hintFailure === "undoes" && before !== undefined) world.records.set(key, before)
      return parts.hintFailure === "nothing" ? Effect.void : failure("Unknown", "unknown")
    })

  const transition = <O>(
    operation: Write,
    lockId: string,
    step: (record: LockRecord.LockRecord | undefined, now: number) => LockRecord.Step<O>
  ) =>
    Effect.gen(function* () {
      const journal = yield* Journal
      const now = yield* parts.time(world)
      const key = parts.key(lockId)
      parts.onRead(world.records, key)
      const found = world.records.get(key)
      if ((parts.torn as ReadonlyArray<string>).includes(operation)) yield* Effect.yieldNow
      const { outcome, record } = step(found, now)
      if (world.full && record !== found && parts.refusedWhenFull.includes(operation))
        return yield* failure("Unknown", "no")
      store(journal, key, record)
      if (
        (operation === "release" || operation === "revoke") &&
        record !== undefined &&
        record !== found &&
        record.holds.length === 0
      ) {
        yield* hint(found, key, lockId)
      }
      return outcome
    })

  const snapshot = (record: LockRecord.LockRecord, now: number): Option.Option<Storage.Snapshot> =>
    parts.isLive(record, now) ? Option.some({ record, validFor: parts.validFor(record, now) }) : Option.none()

  /** Owners that the storage takes for the same are compared in one spelling. */
  const asOwner = (record: LockRecord.LockRecord | undefined, ownerId: string) =>
    record !== undefined && parts.owner(record.ownerId) === parts.owner(ownerId) ? { ...record, ownerId } : record

  return Storage.Storage.of({
    claim: (request) =>
      trip(
        Effect.map(
          transition("claim", request.lockId, (record, now) => {
            const seen =
              record !== undefined && record.ownerId !== request.ownerId ? asOwner(record, request.ownerId) : record
            return parts.claim(seen, request, now)
          }),
          (outcome) => parts.claimAnswer(outcome, request)
        )
      ),
    renew: (requests) =>
      trip(
        Effect.gen(function* () {
          const holdsIt = ({ holdId, lockId }: LockRecord.Renew) =>
            world.records.get(parts.key(lockId))?.holds.includes(holdId)
          const found = new Map(
            requests
              .filter(holdsIt)
              .reverse()
              .map((request) => [request.lockId, request])
          )
          if (parts.renewsFoundAlone) yield* Effect.yieldNow
          const outcomes = yield* Effect.forEach(requests, (request) =>
            transition("renew", request.lockId, (record, now) => {
              const first = found.get(request.lockId)
              const none = parts.renewsFoundAlone && (first === undefined || !holdsIt(first))
              return parts.renew(none ? undefined : record, request, now)
            })
          )
          return parts.renewAnswers(outcomes)
        })
      ),
    release: (request) => trip(transition("release", request.lockId, (record) => parts.release(record, request))),
    revoke: (request) =>
      trip(transition("revoke", request.lockId, (record, now) => parts.revoke(record, request, now))),
    get: (lockId) =>
      trip(
        Effect.map(parts.time(world), (now) => {
          parts.onRead(world.records, parts.key(lockId))
          return Option.flatMap(Option.fromNullishOr(world.records.get(parts.key(lockId))), (record) =>
            Option.map(snapshot(record, now), parts.get)
          )
        })
      ),
    list: Stream.unwrap(
      trip(
        Effect.map(parts.time(world), (now) =>
          Stream.fromIterable(
            parts.list([...world.records.values()].flatMap((record) => Option.toArray(snapshot(record, now))))
          )
        )
      )
    ),
    purge: (olderThan) =>
      trip(
        Effect.map(parts.time(world), (now) => {
          const memory = parts.purgeMemory(Duration.toMillis(olderThan) * 1000)
          const old = [...world.records].filter(([, record]) => parts.dropped(record, now, memory))
          for (const [key] of old) world.records.delete(key)
          return old.length
        })
      ),
    wakeUps: Stream.fromPubSub(freed),
    guarantees: { name: "made of parts", clock: "storage", leaseGranularity: 1, shortestLease: 1_000, longestId: 1_020 }
  })
}

/** The smaller port over the same records. Never broken: by it the kit brings about what the storage cannot. */
const versioned = (world: World, { key }: Parts): VersionedStore.Service => {
  const at = (lockId: string, version: number | undefined, write: () => void) =>
    Effect.suspend(() => {
      if (world.records.get(key(lockId))?.version !== version) return new VersionedStore.VersionMiss({ lockId })
      write()
      return Effect.void
    })
  return VersionedStore.VersionedStore.of({
    create: (lockId, _, record) => at(lockId, undefined, () => world.records.set(key(lockId), record)),
    update: (lockId, expected, record) => at(lockId, expected, () => world.records.set(key(lockId), record)),
    delete: (lockId, expected) => at(lockId, expected, () => world.records.delete(key(lockId))),
    get: (lockId) => Effect.sync(() => Option.fromNullishOr(world.records.get(key(lockId)))),
    list: Stream.suspend(() => Stream.fromIterable(Array.from(world.records.values()))),
    time: Effect.sync(() => world.now),
    guarantees: { name: "made of parts", leaseGranularity: 1, shortestLease: 1_000, longestId: 1_020 }
  })
}

const during =
  (begin: () => void, end: () => void) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.acquireUseRelease(
      Effect.sync(begin),
      () => effect,
      () => Effect.sync(end)
    )

/** A storage of its own, with these parts in place of the correct ones. */
export const target = (
  name: string,
  parts: Partial<Parts> = {},
  hooks: Partial<Conformance.Hooks> = {}
): Conformance.Target => {
  const all = { ...correct, ...parts }
  const world: World = {
    records: new Map(),
    now: 1_700_000_000_123_456,
    loseNext: false,
    hung: false,
    poisoned: 0,
    hintsFail: false,
    full: false
  }
  const freed = Effect.runSync(PubSub.sliding<string>(1024))
  return {
    name,
    layer: Layer.sync(Storage.Storage, () =>
      service(all.sharedByBuilds ? world : { ...world, records: new Map() }, all, freed)
    ),
    versioned: Layer.sync(VersionedStore.VersionedStore, () => versioned(world, all)),
    wakesUp: true,
    hooks: {
      advance: (span) => Effect.sync(() => void (world.now += Duration.toMillis(span) * 1000)),
      inTransaction: (effect) =>
        Effect.suspend(() => {
          const undo: Array<() => void> = []
          return effect.pipe(
            Effect.provideService(Journal, { undo }),
            Effect.ensuring(Effect.sync(() => undo.reverse().forEach((one) => one())))
          )
        }),
      loseReply: Effect.sync(() => void (world.loseNext = true)),
      hang: during(
        () => void (world.hung = true),
        () => void (world.hung = false)
      ),
      breakHints: during(
        () => void (world.hintsFail = true),
        () => void (world.hintsFail = false)
      ),
      refuseWrites: during(
        () => void (world.full = true),
        () => void (world.full = false)
      ),
      restart: Effect.sync(() => {
        if (!all.survivesRestart) world.records.clear()
      }),
      ...hooks
    }
  }
}
