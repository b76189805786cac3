/**
 * A shorter way to the storages of this library: by a callback, so that no fiber stands between them and the core. What they are asked, and what they answer, is the same; a storage that
 * wraps another is asked by its effects, which are all that it has.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Stream from "#effect/Stream"
import type { StorageError } from "../LockError.js"
import type * as LockRecord from "../LockRecord.js"
import * as Storage from "../Storage.js"

/**
 * Answers once, within `millis`, and not later than that by much; nobody can stop it. An answer that is not known yet, for something must be done first, is an effect that does it.
 */
export type Ask<Request, A> = (
  request: Request,
  millis: number,
  done: (answer: Effect.Effect<A, StorageError>) => void
) => void

/** The same, with the clock that calls go by, for a storage that has none of its own. */
type AskBy<Request, A> = (...args: [...Parameters<Ask<Request, A>>, clock: Clock.Clock]) => void

export interface Direct {
  readonly claim: AskBy<LockRecord.Claim, LockRecord.ClaimOutcome>
  readonly release: AskBy<LockRecord.Release, LockRecord.ReleaseOutcome>
}

const ways = new WeakMap<Storage.Service, Direct>()

export const offer = (storage: Storage.Service, direct: Direct): Storage.Service => {
  ways.set(storage, direct)
  return storage
}

export const of = (storage: Storage.Service): Direct | undefined => ways.get(storage)

export interface Hints {
  /** Calls `tell` for each hint, within what the driver calls, for as long as it runs. `tell` must not throw. */
  readonly listen: (tell: (lockId: string) => void) => Effect.Effect<void>
  /** Where there is this, only those are told of a lock that were refused, or have said by this that they wait. It must not throw. */
  readonly expects?: ((lockId: string) => void) | undefined
  /** Who is told when a lock is freed: whoever hears at all, its own process included, which is the default; all others; or one of them, who has waited longest. */
  readonly tells?: "all" | "others" | "one" | undefined
}

const hints = new WeakMap<Stream.Stream<string>, Hints>()

/** The shorter way to what the stream of hints tells. */
export const offerHints = (stream: Stream.Stream<string>, offered: Hints): void => void hints.set(stream, offered)

/** The way through the stream itself. */
export const listenTo =
  (stream: Stream.Stream<string>): Hints["listen"] =>
  (tell) =>
    Stream.runForEach(stream, (lockId) => Effect.sync(() => tell(lockId)))

export const hintsOf = (stream: Stream.Stream<string>): Hints => hints.get(stream) ?? { listen: listenTo(stream) }

/** The same as the port has it. */
export const effectOf =
  <Request, A>(ask: Ask<Request, A>) =>
  (request: Request): Effect.Effect<A, StorageError> =>
    Effect.flatMap(Storage.TimeLimit, (limit) =>
      Effect.callback<A, StorageError>((resume) => ask(request, Duration.toMillis(limit), resume))
    )
