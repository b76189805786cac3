/**
 * The life of a candidate: campaign → term → campaign …
 *
 * ```
 *   ┌──▶ campaigning ── the lock is had ──▶ leading ── the body ends ──▶ done, or failed
 *   │       │   ▲                             │ │
 *   │       ▼   │ the storage fails           │ └── it resigns ──▶ resting, or done
 *   │    backing off                          └── the lock is lost ──▶ resting
 *   └───────────────────────────────────── resting ◀───┘
 * ```
 */
import * as Cause from "#effect/Cause"
import * as causes from "#effect/causes"
import * as Clock from "effect/Clock"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Option from "#effect/Option"
import * as Random from "#effect/Random"
import * as Schedule from "#effect/Schedule"
import { LockLost, LockTimeout, StorageError, type InvalidLockId, type InvalidOptions } from "../LockError.js"
import type { AcquireOptions, Lock, Service } from "./api.js"
import type { Elections, Leading } from "./elections.js"
import { type Ground, guard } from "./guard.js"

export interface Term {
  readonly lock: Lock
  readonly token: number
  readonly resign: Effect.Effect<void>
}

export interface Settings {
  readonly lockId: string
  /** Of the lock. */
  readonly lock: AcquireOptions
  readonly again: "untilDone" | "always"
  readonly restart: Schedule.Schedule<unknown> | undefined
  /** Milliseconds; `undefined`: then it is over. */
  readonly afterResign: number | undefined
}

/** In milliseconds. After a term that was lost or done: others may be better off. After a storage that failed: for the first time, and at most. */
const rest = 500
const firstBackOff = 500
const longestBackOff = 30_000

/** About so long: candidates that do the same at the same time shall not do so again. */
const about = (millis: number): Effect.Effect<void> =>
  Effect.flatMap(Random.nextBetween(0.5, 1.5), (part) => Effect.sleep(Duration.millis(Math.ceil(millis * part))))

/** A term stands on this besides its lock: it ends when whoever leads stands down. */
class Standing implements Ground, Leading {
  resigned = false
  private readonly tells = new Set<(error: LockLost) => void>()
  readonly check = Effect.void

  constructor(
    private readonly lock: Lock,
    readonly lockId: string
  ) {}

  readonly onLost = (tell: (error: LockLost) => void): (() => void) => {
    this.tells.add(tell)
    if (this.resigned) tell(this.error)
    return () => void this.tells.delete(tell)
  }

  readonly failureAtEnd = () => undefined

  readonly resign = (): void => {
    if (this.resigned) return
    this.resigned = true
    for (const tell of this.tells) tell(this.error)
  }

  private get error(): LockLost {
    const { ownerId, token } = this.lock
    return new LockLost({ lockId: this.lockId, ownerId, token, reason: "Released" })
  }
}

type Fatal = InvalidLockId | InvalidOptions | StorageError

/** How a campaign has ended, and the term that came of it, if one did. */
type Ended<A, E> =
  | { readonly _tag: "Done"; readonly value: A }
  | { readonly _tag: "Failed"; readonly cause: Cause.Cause<E> }
  | { readonly _tag: "Resigned" }
  /** Also one that was not had before the schedule of its polls ended. */
  | { readonly _tag: "Lost" }
  | { readonly _tag: "Outage"; readonly error: StorageError }
  | { readonly _tag: "Over"; readonly cause: Cause.Cause<Fatal> }

const endOf = <A, E>(
  exit: Exit.Exit<void, Fatal | LockTimeout | LockLost>,
  body: Exit.Exit<A, E> | undefined,
  resigned: boolean
): Ended<A, E> => {
  // What the body comes to by itself counts, also if its lock was lost meanwhile.
  if (body !== undefined && Exit.isSuccess(body)) return { _tag: "Done", value: body.value }
  if (body !== undefined) {
    const own = causes.withoutInterrupts(body.cause)
    if (Cause.hasFails(own) || Cause.hasDies(own)) return { _tag: "Failed", cause: body.cause }
  }
  if (resigned) return { _tag: "Resigned" }
  // A body may interrupt itself.
  const cause: Cause.Cause<unknown> = Exit.isFailure(exit) ? exit.cause : (body?.cause ?? Cause.empty)
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  if (error instanceof LockLost || error instanceof LockTimeout) return { _tag: "Lost" }
  if (error instanceof StorageError && error.isRetryable) return { _tag: "Outage", error }
  return { _tag: "Over", cause: cause as Cause.Cause<Fatal> }
}

const oneTerm = <A, E, R>(
  service: Service,
  elections: Elections,
  { lock: options, lockId }: Settings,
  body: (term: Term) => Effect.Effect<A, E, R>,
  begun: () => Effect.Effect<void>
): Effect.Effect<Ended<A, E>, never, R> =>
  Effect.suspend(() => {
    let own: Exit.Exit<A, E> | undefined
    let resigned = false
    const leading = (lock: Lock): Effect.Effect<void, LockLost, R> =>
      Effect.flatMap(Clock.currentTimeNanos, (since) => {
        const standing = new Standing(lock, lockId)
        const over = Effect.map(Clock.currentTimeNanos, (now) => elections.ended(standing, Number(now - since) / 1e6))
        const term = { lock, token: lock.token, resign: Effect.sync(standing.resign) }
        elections.begun(standing)
        return begun().pipe(
          // Whoever asks is told at the loss, and not only when the body has ended.
          Effect.andThen(Effect.forkChild(Effect.catch(lock.lost, () => over))),
          Effect.andThen(Effect.suspend(() => body(term))),
          Effect.onExit((exit) =>
            Effect.suspend(() => {
              own = exit
              return over
            })
          ),
          Effect.asVoid,
          // Only what `standing` tells is left to fail.
          (self) =>
            guard(
              standing,
              Effect.catchCause(self, () => Effect.void)
            ),
          Effect.ensuring(
            Effect.suspend(() => {
              resigned = standing.resigned
              return over
            })
          )
        )
      })
    // No time-out of the layer's: whoever campaigns waits for as long as it takes.
    const lockOptions = { ...options, acquireTimeout: undefined, lostAtEnd: "succeed" as const }
    return Effect.map(Effect.exit(service.withLock(leading, lockId, lockOptions)), (exit) => endOf(exit, own, resigned))
  })

/** Every power of two: an outage that lasts is told of ever more rarely. */
const isWorthALine = (failures: number): boolean => (failures & (failures - 1)) === 0

export const run = <A, E, R, E2>(
  service: Service,
  elections: Elections,
  settings: Settings,
  body: (term: Term) => Effect.Effect<A, E, R>,
  resigned: () => E2
): Effect.Effect<A, E | E2 | Fatal, R> =>
  Effect.gen(function* () {
    const name = JSON.stringify(settings.lockId)
    let failures = 0
    let restart: ((input: undefined) => Effect.Effect<unknown, unknown>) | undefined
    const begun = () =>
      Effect.suspend(() => {
        const before = failures
        failures = 0
        return before === 0
          ? Effect.void
          : Effect.logInfo(`effect-storage-lock: leads ${name}, after ${before} campaigns that the storage failed`)
      })
    for (;;) {
      const ended: Ended<A, E> = yield* oneTerm(service, elections, settings, body, begun)
      switch (ended._tag) {
        case "Done":
          if (settings.again === "untilDone") return ended.value
          yield* about(rest)
          break
        case "Lost":
          yield* about(rest)
          break
        case "Resigned":
          if (settings.afterResign === undefined) return yield* Effect.fail(resigned())
          yield* about(settings.afterResign)
          break
        case "Failed": {
          if (settings.restart === undefined) return yield* Effect.failCause(ended.cause)
          yield* Effect.logError(
            `effect-storage-lock: the body of the leader of ${name} failed; it campaigns again by its schedule`,
            Cause.squash(ended.cause)
          )
          restart ??= yield* Schedule.toStepWithSleep(settings.restart)
          const more = yield* Effect.match(restart(undefined), { onFailure: () => false, onSuccess: () => true })
          if (!more) return yield* Effect.failCause(ended.cause)
          break
        }
        case "Outage":
          if (isWorthALine(++failures))
            yield* Effect.logWarning(
              `effect-storage-lock: cannot campaign for ${name}, it goes on trying: ${ended.error.message}`
            )
          yield* about(Math.min(longestBackOff, firstBackOff * 2 ** (failures - 1)))
          break
        case "Over":
          return yield* Effect.failCause(ended.cause)
      }
    }
  })
