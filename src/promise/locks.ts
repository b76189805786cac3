/** The locks of one storage, over its service. */
import * as DateTime from "#effect/DateTime"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import type { Run } from "#effect/fibers"
import * as Option from "#effect/Option"
import * as Scope from "#effect/Scope"
import * as Stream from "#effect/Stream"
import { AsyncLocalStorage } from "node:async_hooks"
import type * as core from "../core/api.js"
import { type Enclosings, enclosings, withEnclosings } from "../core/nesting.js"
import { InvalidOptions, LockLost } from "./errors.js"
import type { Events } from "../core/events.js"
import * as iterate from "./iterate.js"
import { type Held, HeldLock, HeldLocks } from "./lock.js"
import { ofAcquire } from "./options.js"
import * as plain from "./plain.js"
import { promise } from "./run.js"
import * as LockAudit from "../LockAudit.js"
import type * as Storage from "../Storage.js"
import type { AuditEntry, LockEvent } from "./events.js"
import type { LockInformation } from "./information.js"
import type { AcquireOptions, AuditQuery, Body, BodyOfAll, IfAvailable, Lock, Locks, LockSet } from "./types.js"

/** The holds in whose bodies the present code runs, so that an acquire that waits for itself can be warned of. */
const bodies = new AsyncLocalStorage<Enclosings>()

const inBodies = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
  const outer = bodies.getStore()
  return outer === undefined ? self : withEnclosings(self, outer)
}

/** Aborts when one of them does. Gives what takes its listeners back: a signal of the program may live for long. */
const either = (loss: AbortSignal, outer: AbortSignal | undefined): readonly [AbortSignal, () => void] => {
  if (outer === undefined) return [loss, () => {}]
  const controller = new AbortController()
  const ends = [loss, outer].map((signal) => {
    const abort = () => controller.abort(signal.reason)
    if (signal.aborted) abort()
    signal.addEventListener("abort", abort, { once: true })
    return () => signal.removeEventListener("abort", abort)
  })
  return [controller.signal, () => ends.forEach((end) => end())]
}

/** How a body has ended. */
type Ended<A> = { readonly value: A } | { readonly error: unknown }

/** Where events are kept. */
interface Kept {
  readonly storage: Storage.Service
  readonly name: string | undefined
  readonly namespace: string | undefined
}

export class LocksOf implements Locks {
  private closing: Promise<void> | undefined

  constructor(
    private readonly run: Run,
    private readonly service: core.Service,
    private readonly heard: Events,
    private readonly kept: Kept,
    private readonly scope: Scope.Closeable,
    private readonly lostAtEnd: core.Options["lostAtEnd"]
  ) {}

  private readonly heldLock = (lock: core.Lock) => new HeldLock(this.run, lock, lock.release)

  /** How the body has ended; nothing if it did not run. */
  private async using<A, L, H extends Held<core.Lock | core.LockSet>>(
    all: (inside: (lock: L) => Effect.Effect<void>, own: core.AcquireOptions) => Effect.Effect<unknown, unknown>,
    makeHeld: (lock: L) => H,
    body: (held: H, signal: AbortSignal) => A | PromiseLike<A>,
    options: AcquireOptions
  ): Promise<{ readonly value: A } | undefined> {
    const { own, signal } = ofAcquire(options)
    if (typeof body !== "function")
      throw new InvalidOptions({ field: "body", kind: `of type ${typeof body}`, rule: "a function of the lock" })
    let begun = false
    let ended: Ended<A> | undefined
    const inside = (lock: L) =>
      Effect.flatMap(enclosings, (enclosing) =>
        // It ends when its promise does: it is told of a loss by its signal, and is not left behind.
        Effect.uninterruptible(
          Effect.callback<void>((resume) => {
            // Too late to be left, and too early to have begun.
            if (signal?.aborted === true) return resume(Effect.void)
            begun = true
            const held = makeHeld(lock)
            const [bodySignal, forget] = either(held.signal, signal)
            const end = (how: Ended<A>) => {
              ended = how
              forget()
              held.forget()
              resume(Effect.void)
            }
            new Promise<A>((resolve) => resolve(bodies.run(enclosing, () => body(held, bodySignal)))).then(
              (value) => end({ value }),
              (error: unknown) => end({ error: held.withLoss(error) })
            )
          })
        )
      )
    const failure = await promise(this.run, inBodies(all(inside, own)), { signal, isOpen: () => !begun }).then(
      () => undefined,
      (error: unknown) => ({ error })
    )
    const how = ended
    if (how !== undefined && "error" in how) throw how.error
    if (failure === undefined) return how
    if (how === undefined || !(failure.error instanceof LockLost)) throw failure.error
    if ((own.lostAtEnd ?? this.lostAtEnd) === "succeed") return how
    throw plain.lostWith(failure.error, { completed: true, result: how.value })
  }

  readonly withLock = async <A>(lockId: string, body: Body<A>, options: AcquireOptions = {}): Promise<A> =>
    (await this.using((inside, own) => this.service.withLock(inside, lockId, own), this.heldLock, body, options))!.value

  readonly withLocks = async <A>(
    lockIds: ReadonlyArray<string>,
    body: BodyOfAll<A>,
    options: AcquireOptions = {}
  ): Promise<A> =>
    (await this.using(
      (inside: (locks: core.LockSet) => Effect.Effect<void>, own) => this.service.withLocks(inside, lockIds, own),
      (locks: core.LockSet) => new HeldLocks(this.run, locks, locks.release),
      body,
      options
    ))!.value

  readonly withLockIfAvailable = async <A>(
    lockId: string,
    body: Body<A>,
    options: AcquireOptions = {}
  ): Promise<IfAvailable<A>> => {
    const ended = await this.using(
      (inside, own) => this.service.withLockIfAvailable(inside, lockId, own),
      this.heldLock,
      body,
      options
    )
    return ended === undefined ? { ran: false } : { ran: true, result: ended.value }
  }

  /** In a scope of its own, whose end is the release. */
  private async scoped<Ids, A>(
    take: (lockId: Ids, options: core.AcquireOptions) => Effect.Effect<A, unknown, Scope.Scope>,
    lockId: Ids,
    options: AcquireOptions
  ): Promise<readonly [taken: A, giveBack: Effect.Effect<void>]> {
    const { own, signal } = ofAcquire(options)
    const scope = this.run.sync(Scope.make())
    const giveBack = Scope.close(scope, Exit.void)
    const taken = await promise(this.run, inBodies(Scope.provide(take(lockId, own), scope)), {
      signal,
      undo: () => void this.run.fork(giveBack)
    })
    return [taken, giveBack]
  }

  readonly acquire = async (lockId: string, options: AcquireOptions = {}): Promise<Lock> => {
    const [lock, giveBack] = await this.scoped(this.service.acquire, lockId, options)
    return new HeldLock(this.run, lock, giveBack)
  }

  readonly acquireAll = async (lockIds: ReadonlyArray<string>, options: AcquireOptions = {}): Promise<LockSet> => {
    const [locks, giveBack] = await this.scoped(
      (ids: ReadonlyArray<string>, own): Effect.Effect<core.LockSet, unknown, Scope.Scope> =>
        this.service.acquireAll(ids, own),
      lockIds,
      options
    )
    return new HeldLocks(this.run, locks, giveBack)
  }

  readonly tryAcquire = async (lockId: string, options: AcquireOptions = {}): Promise<Lock | undefined> => {
    const [lock, giveBack] = await this.scoped(this.service.tryAcquire, lockId, options)
    return Option.isSome(lock) ? new HeldLock(this.run, lock.value, giveBack) : undefined
  }

  readonly get = (lockId: string): Promise<LockInformation | undefined> =>
    promise(
      this.run,
      Effect.map(this.service.get(lockId), (found) =>
        Option.isSome(found) ? plain.information(found.value) : undefined
      ),
      { signal: undefined }
    )

  readonly list = (): AsyncIterableIterator<LockInformation> =>
    iterate.lazily(this.run, Stream.map(this.service.list, plain.information))

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
    promise(this.run, this.service.forceRelease(lockId, options), { signal: undefined })

  readonly close = (): Promise<void> =>
    (this.closing ??= promise(this.run, Scope.close(this.scope, Exit.void), { signal: undefined }))

  async [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
