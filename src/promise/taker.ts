/** Holds of any kind of lock, taken as promises take them: with a signal that ends the wait, and one that tells of a loss. */
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import type { Run } from "#effect/fibers"
import * as Option from "#effect/Option"
import * as Scope from "#effect/Scope"
import { AsyncLocalStorage } from "node:async_hooks"
import type * as core from "../core/api.js"
import { type Enclosings, enclosings, withEnclosings } from "../core/nesting.js"
import { InvalidOptions, LockLost } from "./errors.js"
import { type Held, HeldLock } from "./lock.js"
import { ofAcquire } from "./options.js"
import * as plain from "./plain.js"
import { promise } from "./run.js"
import type { AcquireOptions, Body, IfAvailable, Lock } from "./types.js"

/** The holds in whose bodies the present code runs, so that an acquire that waits for itself can be warned of. */
const bodies = new AsyncLocalStorage<Enclosings>()

const inBodies = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
  const outer = bodies.getStore()
  return outer === undefined ? self : withEnclosings(self, outer)
}

/** Aborts when one of them does. Gives what takes its listeners back: a signal of the program may live for long. */
export const either = (loss: AbortSignal, outer: AbortSignal | undefined): readonly [AbortSignal, () => void] => {
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

type Inside<L> = (lock: L) => Effect.Effect<void>

/** What runs something under a hold, of whatever kind. */
type Use<O> = (inside: Inside<core.Lock>, own: Omit<O, "signal">) => Effect.Effect<unknown, unknown>

/** What takes a hold for as long as a scope, of whatever kind. */
type Take<O, A> = (own: Omit<O, "signal">) => Effect.Effect<A, unknown, Scope.Scope>

export class Taker {
  constructor(
    readonly run: Run,
    private readonly lostAtEnd: core.Options["lostAtEnd"]
  ) {}

  /** How the body has ended; nothing if it did not run. */
  async using<A, L, H extends Held<core.Lock | core.LockSet>, O extends AcquireOptions>(
    use: (inside: Inside<L>, own: Omit<O, "signal">) => Effect.Effect<unknown, unknown>,
    makeHeld: (lock: L) => H,
    body: (held: H, signal: AbortSignal) => A | PromiseLike<A>,
    options: O
  ): Promise<{ readonly value: A } | undefined> {
    const { own, signal } = ofAcquire(options)
    if (typeof body !== "function")
      throw new InvalidOptions({ field: "body", kind: `of type ${typeof body}`, rule: "a function of the lock" })
    let begun = false
    let ended: Ended<A> | undefined
    const inside: Inside<L> = (lock) =>
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
    const failure = await promise(this.run, inBodies(use(inside, own)), { signal, isOpen: () => !begun }).then(
      () => undefined,
      (error: unknown) => ({ error })
    )
    const how = ended
    if (how !== undefined && "error" in how) throw how.error
    if (failure === undefined) return how
    if (how === undefined || !(failure.error instanceof LockLost)) throw failure.error
    if (((own as AcquireOptions).lostAtEnd ?? this.lostAtEnd) === "succeed") return how
    throw plain.lostWith(failure.error, { completed: true, result: how.value })
  }

  private readonly held = (lock: core.Lock) => new HeldLock(this.run, lock, lock.release)

  /** Waits, and so it runs. */
  async with<A, O extends AcquireOptions>(use: Use<O>, body: Body<A>, options: O): Promise<A> {
    return (await this.using(use, this.held, body, options))!.value
  }

  async withIfAvailable<A, O extends AcquireOptions>(use: Use<O>, body: Body<A>, options: O): Promise<IfAvailable<A>> {
    const ended = await this.using(use, this.held, body, options)
    return ended === undefined ? { ran: false } : { ran: true, result: ended.value }
  }

  /** In a scope of its own, whose end is the release. */
  async scoped<A, O extends AcquireOptions>(
    take: Take<O, A>,
    options: O
  ): Promise<readonly [taken: A, giveBack: Effect.Effect<void>]> {
    const { own, signal } = ofAcquire(options)
    const scope = this.run.sync(Scope.make())
    const giveBack = Scope.close(scope, Exit.void)
    const taken = await promise(this.run, inBodies(Scope.provide(take(own), scope)), {
      signal,
      undo: () => void this.run.fork(giveBack)
    })
    return [taken, giveBack]
  }

  async lock<O extends AcquireOptions>(take: Take<O, core.Lock>, options: O): Promise<Lock> {
    const [lock, giveBack] = await this.scoped(take, options)
    return new HeldLock(this.run, lock, giveBack)
  }

  async tryLock<O extends AcquireOptions>(
    take: Take<O, Option.Option<core.Lock>>,
    options: O
  ): Promise<Lock | undefined> {
    const [lock, giveBack] = await this.scoped(take, options)
    return Option.isSome(lock) ? new HeldLock(this.run, lock.value, giveBack) : undefined
  }
}
