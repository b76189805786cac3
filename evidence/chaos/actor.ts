/** What a program does with locks: waits, holds, looks, writes, enters again, gives up, fails, and is interrupted at any moment. */
import * as Cause from "#effect/Cause"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as Option from "#effect/Option"
import * as fibers from "#effect/fibers"
import type { Rng } from "../simulate/random.js"
import type { LockError } from "../../src/LockError.js"
import * as LeaderElection from "../../src/LeaderElection.js"
import { type Lock, StorageLock } from "../../src/StorageLock.js"
import { accessOf, type Part } from "../simulate/history.js"
import { type Services, wayOf } from "../simulate/parts.js"
import type { Line } from "./log.js"
import type { Kind, Wrong } from "./protocol.js"
import type { Writer } from "./writer.js"

export interface Stage {
  readonly p: string
  readonly now: () => number
  readonly record: (line: Line) => void
  readonly services: Services
  readonly lease: number
  readonly wrong: Wrong | undefined
  readonly writer: Writer
  readonly next: () => number
  /** How many locks are held has changed. */
  readonly holding: (change: 1 | -1) => void
}

export interface Action {
  readonly kind: "withLock" | "acquire" | "guard" | "try" | "tryWith" | "lead"
  /** As what. None: exclusively. */
  readonly part?: Part | undefined
  readonly lock: string
  readonly owner: string | undefined
  readonly body: number
  readonly looks: number
  readonly finalizer: number
  readonly fails: boolean
  readonly timeout: number | undefined
  readonly interruptAfter: number | undefined
  readonly nested: boolean
  readonly renews: boolean
  readonly releasesEarly: boolean
  /** Writes without a look first, as long as it was not told of a loss: the resource must reject what comes too late. */
  readonly blind: boolean
}

export const longestFinalizer = 20

export const draw = (
  rng: Rng,
  lease: number,
  locks: ReadonlyArray<string>,
  owners: ReadonlyArray<string | undefined>,
  kind: Kind
): Action => {
  const owner = rng.pick(owners)
  const action: Action = {
    kind: rng.pick([
      "withLock",
      "withLock",
      "withLock",
      "acquire",
      "acquire",
      "guard",
      "guard",
      "try",
      "tryWith"
    ] as const),
    lock: rng.pick(locks),
    owner,
    body: rng.chance(0.1)
      ? rng.between(lease, 1.6 * lease)
      : rng.chance(0.3)
        ? rng.between(0, lease / 3)
        : rng.between(0, 60),
    looks: rng.int(1, 4),
    finalizer: rng.chance(0.3) ? rng.between(1, longestFinalizer) : 0,
    fails: rng.chance(0.1),
    timeout: rng.chance(0.25) ? rng.between(5, 2 * lease) : undefined,
    interruptAfter: rng.chance(0.15) ? (rng.chance(0.3) ? rng.between(0, 15) : rng.between(0, lease)) : undefined,
    nested: owner !== undefined && rng.chance(0.4),
    renews: rng.chance(0.1),
    releasesEarly: rng.chance(0.1),
    blind: rng.chance(0.5)
  }
  switch (kind) {
    case "exclusive":
      return action
    case "leader":
      return { ...action, kind: "lead", owner: undefined, nested: false }
    case "readWrite":
      return {
        ...action,
        part: { mode: rng.pick(["read", "read", "read", "read", "upgradable", "upgradable", "write"]) }
      }
    case "semaphore":
      // A fleet in the midst of a change of its limit. There is no reentry.
      return { ...action, nested: false, part: { permits: rng.pick([1, 1, 1, 2, 3]), limit: rng.chance(0.1) ? 4 : 3 } }
  }
}

/** Nobody else has anything of the lock then. */
export const wholeOf = (kind: Kind): Part | undefined =>
  kind === "readWrite" ? { mode: "write" } : kind === "semaphore" ? { permits: 3, limit: 3 } : undefined

/** What is taken by who goes in with less than they need. */
const lessThan = (part: Part): Part => ("mode" in part ? { mode: "read" } : { ...part, permits: 1 })

const nestedIn = (part: Part | undefined, rng: number): Part | undefined =>
  part === undefined || !("mode" in part) || (part.mode === "write" && rng < 30)
    ? part
    : { mode: part.mode === "upgradable" ? "write" : "read" }

class Failed {
  readonly _tag = "Failed"
}

type Failure = LockError | Failed | LeaderElection.Resigned

const describe = (exit: Exit.Exit<unknown, Failure>): string =>
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

const millis = (value: number) => Effect.sleep(Duration.millis(value))

/** One acquire and all that belongs to it. Succeeds with how it ended. */
export const attempt = (stage: Stage, action: Action, within?: number, upgrading?: Lock): Effect.Effect<string> =>
  Effect.suspend(() => {
    const { now, p, record, services, writer, wrong } = stage
    const n = stage.next()
    const { lock: lockId, part } = action
    const isDeaf = wrong === "deaf"
    const way = wayOf(services, part !== undefined && wrong === "sneaks" ? lessThan(part) : part, upgrading)
    const access = accessOf(part)
    let body: string | undefined
    const watchers: Array<Fiber.Fiber<void>> = []
    const told = new Set<string>()
    const over = new Set<string>()

    // The time is read before the lock is asked: whatever happens in between, what is written down is not more than what was promised.
    const look = (lock: Lock): boolean => {
      const t = now()
      const left = isDeaf ? stage.lease : lock.unsafeRemainingMillis()
      record({ type: "look", t, p, hold: lock.holdId, until: t + Math.max(0, left) })
      return left > 0
    }
    const write = (lock: Lock) =>
      Effect.suspend(() => {
        if (action.blind ? told.has(lock.holdId) : !look(lock)) return Effect.void
        const id = stage.next()
        const { holdId: hold, token } = lock
        const sent = now()
        // Written down before it can be judged.
        record({ type: "asked", t: sent, p, id, lock: lockId, hold, token })
        return Effect.map(writer.send({ p, id, lock: lockId, hold, token, sent, access }), ({ accepted, highest }) =>
          record({ type: "answered", t: now(), p, id, accepted, highest })
        )
      })
    let held: Lock | undefined
    const lost = (lock: Lock, how: Exit.Exit<unknown, Failure>) => {
      const error = Exit.isFailure(how) ? Option.getOrUndefined(Cause.findErrorOption(how.cause)) : undefined
      if (error?._tag !== "LockLost" || told.has(lock.holdId) || isDeaf) return
      told.add(lock.holdId)
      record({ type: "lost", t: now(), p, hold: lock.holdId, reason: error.reason })
    }
    const ended = (lock: Lock) => {
      if (over.has(lock.holdId)) return
      over.add(lock.holdId)
      stage.holding(-1)
      record({ type: "end", t: now(), p, hold: lock.holdId })
    }
    const inside = (lock: Lock, resign?: Effect.Effect<void>): Effect.Effect<string, Failed | LockError> =>
      Effect.gen(function* () {
        const t = now()
        const left = Math.max(0, lock.unsafeRemainingMillis())
        record({
          type: "got",
          t,
          p,
          n,
          lock: lockId,
          owner: lock.ownerId,
          hold: lock.holdId,
          token: lock.token,
          until: t + left,
          part
        })
        stage.holding(1)
        // The watcher outlives the body, which the loss of a hold interrupts.
        held = lock
        watchers.push(
          yield* Effect.forkDetach(
            Effect.interruptible(Effect.ignore(Effect.onExit(lock.lost, (how) => Effect.sync(() => lost(lock, how)))))
          )
        )
        for (let i = 0; i < action.looks; i++) {
          yield* write(lock)
          // So long that it goes on after a loss.
          yield* millis(isDeaf ? 3 * stage.lease : action.body / action.looks)
          if (i === 0 && action.renews) yield* Effect.ignore(lock.renew)
          if (i === 0 && action.nested && within === undefined) {
            yield* attempt(
              stage,
              {
                ...action,
                part: nestedIn(part, n % 100),
                body: action.body / 3,
                timeout: 4 * action.body + 50,
                nested: false,
                releasesEarly: false
              },
              n,
              part !== undefined && "mode" in part && part.mode === "upgradable" ? lock : undefined
            )
          }
          // A program that asks, and gives up when it is told so.
          if (action.kind === "acquire" && !isDeaf) yield* lock.check
        }
        look(lock)
        if (action.releasesEarly && resign !== undefined) {
          // Its body is interrupted.
          yield* resign
          yield* millis(action.body)
        } else if (action.releasesEarly) {
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

    const options = action.timeout === undefined ? {} : { acquireTimeout: Duration.millis(action.timeout) }
    const use = (): Effect.Effect<unknown, Failure> => {
      switch (action.kind) {
        case "lead":
          return LeaderElection.run(lockId, ({ lock, resign }) => inside(lock, resign), { afterResign: "never" }).pipe(
            Effect.provideService(StorageLock, services.exclusive)
          )
        case "acquire":
          return Effect.scoped(Effect.flatMap(way.acquire(lockId, action.owner, options), (lock) => inside(lock)))
        case "guard":
          return Effect.scoped(
            Effect.flatMap(way.acquire(lockId, action.owner, options), (lock) => lock.guard(inside(lock)))
          )
        case "try":
          return Effect.scoped(
            Effect.flatMap(
              way.tryAcquire(lockId, action.owner),
              Option.match({
                onNone: () => Effect.succeedNone,
                onSome: (lock) => Effect.asSome(lock.guard(inside(lock)))
              })
            )
          )
        case "tryWith":
          return way.withLockIfAvailable((lock) => inside(lock), lockId, action.owner)
        case "withLock":
          return way.withLock((lock) => inside(lock), lockId, action.owner, options)
      }
    }
    // Who campaigns has no place in a line: after each loss it comes again.
    const wait = !["try", "tryWith", "lead"].includes(action.kind)
    let exit = "interrupted"
    record({
      type: "want",
      t: now(),
      p,
      n,
      lock: lockId,
      owner: action.owner,
      wait,
      timeout: wait ? action.timeout : undefined,
      within,
      part
    })
    const whole = use().pipe(
      Effect.onExit((how) =>
        Effect.sync(() => {
          exit = describe(how)
          // Its watcher may not have had its turn yet.
          if (held !== undefined && exit === "LockLost") lost(held, how)
          record({ type: "done", t: now(), p, n, body, exit })
          for (const watcher of watchers) fibers.interrupt(watcher)
        })
      ),
      Effect.ignore
    )
    const timed =
      within === undefined && action.interruptAfter !== undefined
        ? interruptLater(stage, action.interruptAfter, n, whole)
        : whole
    return Effect.map(timed, () => exit)
  })

const interruptLater = (stage: Stage, after: number, n: number, self: Effect.Effect<void>): Effect.Effect<void> =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(self)
    const ended = yield* Effect.raceFirst(Effect.as(Fiber.await(fiber), true), Effect.as(millis(after), false))
    if (ended) return
    stage.record({ type: "interrupt", t: stage.now(), p: stage.p, n })
    yield* Fiber.interrupt(fiber)
  })
