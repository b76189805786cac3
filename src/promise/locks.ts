/** The locks of one storage, over its service. */
import * as DateTime from "#effect/DateTime"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Option from "#effect/Option"
import * as outcome from "#effect/outcome"
import * as Scope from "#effect/Scope"
import * as Stream from "#effect/Stream"
import type * as core from "../core/api.js"
import type { Events } from "../core/events.js"
import type { Seeing } from "../core/everyKind.js"
import * as LeaderElection from "../LeaderElection.js"
import * as LockAudit from "../LockAudit.js"
import { StorageLock } from "../StorageLock.js"
import type * as Storage from "../Storage.js"
import { InvalidOptions } from "./errors.js"
import type { AuditEntry, LockEvent } from "./events.js"
import type { LockInformation } from "./information.js"
import * as iterate from "./iterate.js"
import { type Kinds, readWriteLocks, semaphores } from "./kinds.js"
import { lead, schedule } from "./leading.js"
import { HeldLocks } from "./lock.js"
import * as plain from "./plain.js"
import { promise } from "./run.js"
import type { Taker } from "./taker.js"
import type {
  AcquireOptions,
  AuditQuery,
  Body,
  BodyOfAll,
  IfAvailable,
  OnceOptions,
  LeadBody,
  LeaderOptions,
  LeadOptions,
  Lock,
  Locks,
  LockSet,
  ReadWriteLocks,
  ScheduleRun,
  Semaphores
} from "./types.js"

/** Where events are kept. */
interface Kept {
  readonly storage: Storage.Service
  readonly name: string | undefined
  readonly namespace: string | undefined
}

export class LocksOf implements Locks {
  private closing: Promise<void> | undefined
  /** Those who look, for as long as there is something to see. */
  private readonly looking = new Set<AsyncIterator<unknown>>()
  readonly readWrite: ReadWriteLocks
  readonly semaphore: Semaphores

  constructor(
    private readonly taker: Taker,
    private readonly service: core.Service,
    private readonly seeing: Seeing,
    private readonly kinds: Kinds,
    private readonly heard: Events,
    private readonly kept: Kept,
    private readonly scope: Scope.Closeable
  ) {
    this.readWrite = readWriteLocks(taker, kinds.readWrite)
    this.semaphore = semaphores(taker, kinds.semaphore)
  }

  private get run() {
    return this.taker.run
  }

  readonly withLock = <A>(lockId: string, body: Body<A>, options: AcquireOptions = {}): Promise<A> =>
    this.taker.with((inside, own) => this.service.withLock(inside, lockId, own), body, options)

  readonly withLocks = async <A>(
    lockIds: ReadonlyArray<string>,
    body: BodyOfAll<A>,
    options: AcquireOptions = {}
  ): Promise<A> =>
    (await this.taker.using(
      (inside: (locks: core.LockSet) => Effect.Effect<void>, own) => this.service.withLocks(inside, lockIds, own),
      (locks: core.LockSet) => new HeldLocks(this.run, locks, locks.release),
      body,
      options
    ))!.value

  readonly withLockIfAvailable = <A>(
    lockId: string,
    body: Body<A>,
    options: AcquireOptions = {}
  ): Promise<IfAvailable<A>> =>
    this.taker.withIfAvailable((inside, own) => this.service.withLockIfAvailable(inside, lockId, own), body, options)

  readonly once = <A>(lockId: string, body: Body<A>, options: OnceOptions): Promise<IfAvailable<A>> =>
    this.taker.withIfAvailable((inside, own) => this.service.once(inside, lockId, own), body, options)

  readonly acquire = (lockId: string, options: AcquireOptions = {}): Promise<Lock> =>
    this.taker.lock((own) => this.service.acquire(lockId, own), options)

  readonly tryAcquire = (lockId: string, options: AcquireOptions = {}): Promise<Lock | undefined> =>
    this.taker.tryLock((own) => this.service.tryAcquire(lockId, own), options)

  readonly acquireAll = async (lockIds: ReadonlyArray<string>, options: AcquireOptions = {}): Promise<LockSet> => {
    const [locks, giveBack] = await this.taker.scoped(
      (own): Effect.Effect<core.LockSet, unknown, Scope.Scope> => this.service.acquireAll(lockIds, own),
      options
    )
    return new HeldLocks(this.run, locks, giveBack)
  }

  readonly tryAcquireAll = async (
    lockIds: ReadonlyArray<string>,
    options: AcquireOptions = {}
  ): Promise<LockSet | undefined> => {
    const [tried, giveBack] = await this.taker.scoped(
      (own): Effect.Effect<Option.Option<core.LockSet>, unknown, Scope.Scope> =>
        Effect.map(this.service.tryAcquireAll(lockIds, own), outcome.succeeded),
      options
    )
    return Option.isSome(tried) ? new HeldLocks(this.run, tried.value, giveBack) : undefined
  }

  readonly lead = <A>(lockId: string, body: LeadBody<A>, options: LeadOptions = {}): Promise<A> =>
    lead(this.run, this.service, lockId, body, options)

  /** Ends at `close`, at the latest. */
  private look<A>(stream: Stream.Stream<A, unknown, StorageLock>): AsyncIterableIterator<A> {
    const own = Stream.provideService(stream, StorageLock, this.service)
    const values: AsyncIterableIterator<A> = iterate.lazily(this.run, own, () => void this.looking.delete(values))
    this.looking.add(values)
    return values
  }

  readonly isLeader = (lockId: string): AsyncIterableIterator<boolean> => this.look(LeaderElection.isLeader(lockId))

  readonly leader = (lockId: string, options: LeaderOptions = {}): AsyncIterableIterator<LockInformation | undefined> =>
    this.look(
      Stream.map(LeaderElection.leader(lockId, options), (found) =>
        Option.isSome(found) ? plain.information(found.value) : undefined
      )
    )

  readonly history = (name: string): Promise<ReadonlyArray<ScheduleRun>> =>
    promise(
      this.run,
      Effect.flatMap(this.kinds.schedule, (service) =>
        Effect.map(service.history(name), (runs) => runs.map(plain.run))
      ),
      { signal: undefined }
    )

  readonly schedule: Locks["schedule"] = (name, when, task, options = {}) =>
    schedule(this.run, this.kinds.schedule, name, when, task, options, () => this.closing !== undefined)

  readonly get = (lockId: string): Promise<LockInformation | undefined> =>
    promise(
      this.run,
      Effect.map(this.seeing.get(lockId), (found) =>
        Option.isSome(found) ? plain.information(found.value) : undefined
      ),
      { signal: undefined }
    )

  readonly list = (): AsyncIterableIterator<LockInformation> =>
    iterate.lazily(this.run, Stream.map(this.seeing.list, plain.information))

  readonly events = (): AsyncIterableIterator<LockEvent> => {
    const { forget, stream } = this.heard.fromNow()
    return iterate.eagerly(this.run, Stream.map(stream, plain.event), forget)
  }

  readonly audit = ({ name, since, ...query }: AuditQuery = {}): AsyncIterableIterator<AuditEntry> => {
    const { kept } = this
    if (since !== undefined && !(since instanceof Date && Number.isFinite(since.getTime())))
      throw new InvalidOptions({ field: "since", kind: `of type ${typeof since}`, rule: "a Date" })
    const from = since === undefined ? undefined : DateTime.makeUnsafe(since)
    return iterate.lazily(
      this.run,
      LockAudit.reader(kept.storage, { name: name ?? kept.name, namespace: kept.namespace }).pipe(
        Effect.map((log) => Stream.map(log.read({ ...query, since: from }), plain.entry)),
        Stream.unwrap
      )
    )
  }

  readonly forceRelease: Locks["forceRelease"] = (lockId, options) =>
    promise(this.run, this.seeing.forceRelease(lockId, options), { signal: undefined })

  readonly close = (): Promise<void> => {
    for (const values of this.looking) void values.return!()
    return (this.closing ??= promise(this.run, Scope.close(this.scope, Exit.void), { signal: undefined }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
