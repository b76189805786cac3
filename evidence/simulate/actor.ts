/** What a program does with locks: waits, holds, looks, writes, enters again, gives up, fails, and is interrupted at any moment. */
import * as Cause from "#effect/Cause"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as Option from "#effect/Option"
import * as fibers from "#effect/fibers"
import type { LockError } from "../../src/LockError.js"
import type * as Storage from "../../src/Storage.js"
import type { Lock } from "../../src/StorageLock.js"
import { accessOf, type Event, type Part } from "./history.js"
import type { Machine } from "./machine.js"
import { keeperOf, type Services, wayOf } from "./parts.js"
import type { Action } from "./plan.js"
import type { Resource } from "./resource.js"
import type { World } from "./world.js"

export interface Stage {
  readonly world: World
  readonly machine: Machine
  readonly services: Services
  readonly storage: Storage.Service
  readonly resource: Resource
  readonly record: (event: Event) => void
  /** Names attempts. */
  readonly next: () => number
}

class Failed {
  readonly _tag = "Failed"
}

const describe = (exit: Exit.Exit<unknown, LockError | Failed>): string =>
  Exit.match(exit, {
    onSuccess: (value) => (Option.isOption(value) && Option.isNone(value) ? "not available" : "ok"),
    onFailure: (cause) => {
      if (Cause.hasInterruptsOnly(cause)) return "interrupted"
      const failure = Option.getOrUndefined(Cause.findErrorOption(cause))
      return failure === undefined
        ? `died: ${String(Cause.squash(cause))}`
        : failure._tag === "StorageError"
          ? `StorageError ${failure.reason}`
          : failure._tag
    }
  })

/** What a failure of the storage says of its effect. */
const effectOf = (exit: Exit.Exit<unknown, LockError | Failed>): { readonly applied?: "no" | "unknown" } => {
  const failure = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined
  return failure?._tag === "StorageError" ? { applied: failure.applied } : {}
}

const millis = (value: number) => Effect.sleep(Duration.millis(value))

/** A read has reads in it; a write may have either, and has reads; one that may be upgraded is. */
const nestedIn = (part: Part | undefined): Part | undefined =>
  part === undefined || !("mode" in part) ? part : { mode: part.mode === "upgradable" ? "write" : "read" }

/** One acquire and all that belongs to it. */
const attempt = (stage: Stage, action: Action, within: number | undefined, upgrading?: Lock): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { machine, record, resource, services, world } = stage
    const { part } = action
    const locks = wayOf(services, part, upgrading)
    const p = machine.name
    const n = stage.next()
    const lockId = `lock${action.lock}`
    let body: string | undefined

    const look = (lock: Lock, body: boolean) => {
      const left = lock.unsafeRemainingMillis()
      record({
        type: "look",
        t: world.now,
        p,
        hold: lock.holdId,
        until: left > 0 ? machine.trueTimeIn(left) : world.now,
        body
      })
      return left > 0
    }
    const inside = (lock: Lock): Effect.Effect<string, Failed> =>
      Effect.gen(function* () {
        // The watcher outlives the body, which the loss of a hold interrupts.
        const watcher = yield* Effect.forkDetach(
          Effect.interruptible(Effect.catch(lock.lost, (error) => Effect.sync(() => lost(lock, error.reason))))
        )
        held.push(lock)
        watchers.push(watcher)
        const left = lock.unsafeRemainingMillis()
        record({
          type: "got",
          t: world.now,
          p,
          n,
          lock: lockId,
          owner: lock.ownerId,
          hold: lock.holdId,
          token: lock.token,
          until: machine.trueTimeIn(Math.max(0, left)),
          ...(part === undefined ? {} : { part })
        })
        stage.resource.enter(lockId, lock.holdId, machine, () => look(lock, false))
        for (let i = 0; i < action.looks; i++) {
          if (look(lock, true) || action.careless === true) resource.write(stage, lockId, lock, accessOf(part))
          yield* millis(action.body / action.looks)
          if (i === 0 && action.renews) yield* Effect.ignore(lock.renew)
          if (i === 0 && action.nested && within === undefined) {
            yield* attempt(
              stage,
              {
                ...action,
                part: nestedIn(part),
                body: action.body / 3,
                timeout: action.timeout === undefined ? undefined : 4 * action.body + 50,
                nested: false,
                releasesEarly: false
              },
              n,
              part !== undefined && "mode" in part && part.mode === "upgradable" ? lock : undefined
            )
          }
        }
        look(lock, true)
        if (action.releasesEarly) {
          ended(lock)
          yield* lock.release
        }
        body = action.fails ? "Failed" : "ok"
        return action.fails ? yield* Effect.fail(new Failed()) : "ok"
      }).pipe(
        Effect.onExit(() =>
          Effect.andThen(
            action.finalizer > 0 ? millis(action.finalizer) : Effect.void,
            Effect.sync(() => ended(lock))
          )
        )
      )

    const held: Array<Lock> = []
    const told = new Set<string>()
    const lost = (lock: Lock, reason: string) => {
      if (told.has(lock.holdId)) return
      told.add(lock.holdId)
      record({ type: "lost", t: world.now, p, hold: lock.holdId, reason })
    }
    /** The end of a body may be what finds the loss: then who watches would hear of it only after this. */
    const lookBack = () =>
      Effect.forEach(
        held,
        (lock) =>
          Effect.catch(lock.check, (error) =>
            Effect.sync(() => {
              if (error.reason !== "Released") lost(lock, error.reason)
            })
          ),
        { discard: true }
      )
    const watchers: Array<Fiber.Fiber<void>> = []
    const over = new Set<string>()
    const ended = (lock: Lock) => {
      if (over.has(lock.holdId)) return
      over.add(lock.holdId)
      resource.leave(lockId, lock.holdId)
      record({ type: "end", t: world.now, p, hold: lock.holdId })
    }
    const options = {
      ...(action.timeout === undefined ? {} : { acquireTimeout: Duration.millis(action.timeout) }),
      ...(action.lease === undefined
        ? {}
        : { leaseExpireAfter: Duration.millis(action.lease), leaseRefreshInterval: Duration.millis(action.lease / 3) })
    }
    const use = (): Effect.Effect<unknown, LockError | Failed> => {
      switch (action.kind) {
        case "acquire":
          return Effect.scoped(Effect.flatMap(locks.acquire(lockId, action.owner, options), inside))
        case "try":
          return Effect.scoped(
            Effect.flatMap(
              locks.tryAcquire(lockId, action.owner),
              Option.match({ onNone: () => Effect.succeedNone, onSome: (lock) => Effect.asSome(inside(lock)) })
            )
          )
        case "tryWith":
          return locks.withLockIfAvailable(inside, lockId, action.owner)
        case "withLock":
        case "force":
        case "purge":
        case "get":
          return locks.withLock(inside, lockId, action.owner, options)
      }
    }
    const wait = action.kind !== "try" && action.kind !== "tryWith"
    record({
      type: "want",
      t: world.now,
      p,
      n,
      lock: lockId,
      owner: action.owner,
      wait,
      timeout: wait ? action.timeout : undefined,
      within,
      guarded: action.kind !== "acquire" && action.kind !== "try",
      ...(part === undefined ? {} : { part })
    })
    return use().pipe(
      Effect.onExit((exit) =>
        Effect.map(Effect.suspend(lookBack), () => {
          record({ type: "done", t: world.now, p, n, body, exit: describe(exit), ...effectOf(exit) })
          for (const watcher of watchers) fibers.interrupt(watcher)
        })
      ),
      Effect.ignore,
      (self) => (within === undefined ? interruptLater(stage, action, n, self) : self)
    )
  })

const interruptLater = (stage: Stage, action: Action, n: number, self: Effect.Effect<void>): Effect.Effect<void> =>
  action.interruptAfter === undefined
    ? self
    : Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(self)
        const { machine, record, world } = stage
        const ended = yield* Effect.raceFirst(
          Effect.as(Fiber.await(fiber), true),
          Effect.as(millis(action.interruptAfter!), false)
        )
        if (ended) return
        record({ type: "interrupt", t: world.now, p: machine.name, n })
        yield* Fiber.interrupt(fiber)
      })

const force = (stage: Stage, action: Action): Effect.Effect<void> =>
  Effect.gen(function* () {
    const lock = `lock${action.lock}`
    const keeper = keeperOf(stage.services, action.part)
    const found = yield* keeper.get(lock)
    if (Option.isNone(found)) return
    const { token } = found.value
    stage.record({ type: "force", t: stage.world.now, p: stage.machine.name, lock, token, when: action.when })
    yield* keeper.forceRelease(lock, { token, when: action.when })
  }).pipe(Effect.ignore)

export const act = (stage: Stage, action: Action): Effect.Effect<void> =>
  Effect.andThen(
    millis(action.pause),
    Effect.suspend(() => {
      switch (action.kind) {
        case "force":
          return force(stage, action)
        case "purge":
          // The port itself does not bound its answers: the lock does, where it asks.
          return Effect.catchCause(Effect.timeout(stage.storage.purge(0), Duration.millis(300)), () => Effect.void)
        case "get":
          return Effect.ignore(keeperOf(stage.services, action.part).get(`lock${action.lock}`))
        case "withLock":
        case "acquire":
        case "try":
        case "tryWith":
          return attempt(stage, action, undefined)
      }
    })
  )
