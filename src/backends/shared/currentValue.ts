/** Options that may change while a layer lives (short-lived passwords, renewed certificates): a value, or what gives the present one, asked again at each new connection. */
import * as Effect from "#effect/Effect"
import { StorageError } from "../../LockError.js"
import { withoutCredentials } from "./driverError.js"

/**
 * A value, an effect, or a function that gives the value or a promise of it.
 *
 * @inline
 */
export type Present<A> = A | Effect.Effect<A, unknown> | (() => A | Promise<A>)

export const isFixed = <A>(option: Present<A>): option is A => !Effect.isEffect(option) && typeof option !== "function"

/** What it is now. A failure, or a throw, is a failure to connect, which is worth another try, unless it says itself what it is. */
export const now = <A>(operation: string, field: string, option: Present<A>): Effect.Effect<A, StorageError> => {
  const failed = (cause: unknown) => {
    if (cause instanceof StorageError) return cause
    return new StorageError({
      reason: "Connection",
      operation,
      isRetryable: true,
      applied: "no",
      message: `\`${field}\` was asked for what it is now, and failed: ${withoutCredentials(cause instanceof Error ? cause.message : String(cause))}`,
      cause
    })
  }
  const asked: Effect.Effect<A, unknown> = Effect.isEffect(option)
    ? option
    : typeof option === "function"
      ? Effect.tryPromise({ try: async () => (option as () => A | Promise<A>)(), catch: (cause) => cause })
      : Effect.succeed(option)
  return asked.pipe(Effect.catchDefect(Effect.fail), Effect.mapError(failed))
}
