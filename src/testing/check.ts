/**
 * Runs cases without any test framework.
 */
import * as Cause from "#effect/Cause"
import * as Effect from "#effect/Effect"
import * as fibers from "#effect/fibers"
import * as Exit from "#effect/Exit"
import * as Option from "#effect/Option"
import type * as Case from "./Case.js"
import { ConformanceFailure, NotApplicable } from "./Case.js"
import * as Env from "./env.js"
import { Watch } from "./watching.js"

/**
 * What came of a case.
 *
 * @since 0.1.0
 * @category models
 */
export type Result =
  | { readonly _tag: "Passed" }
  | { readonly _tag: "Skipped"; readonly reason: string }
  | { readonly _tag: "Failed"; readonly cause: Cause.Cause<unknown> }

export const outcomeOf = (exit: Exit.Exit<unknown, unknown>): Result => {
  if (Exit.isSuccess(exit)) return { _tag: "Passed" }
  const failure = Cause.findErrorOption(exit.cause)
  return Option.isSome(failure) && failure.value instanceof NotApplicable
    ? { _tag: "Skipped", reason: failure.value.reason }
    : { _tag: "Failed", cause: exit.cause }
}

/** Runs a case on a target that is open already. What failed, or did not end within the limit (in milliseconds), is told with what it asked of the storage last. */
export const runCase = (
  case_: Case.Case,
  opened: Env.Opened,
  limit = Number.POSITIVE_INFINITY
): Effect.Effect<Result> => {
  const { needs } = case_
  const { hooks, versioned } = opened.target
  if (needs !== undefined && (needs === "versioned" ? versioned : hooks?.[needs]) === undefined) {
    return Effect.succeed({
      _tag: "Skipped",
      reason:
        needs === "versioned" ? 'it needs the target\'s "versioned"' : `it needs the hook ${JSON.stringify(needs)}`
    })
  }
  const watch = new Watch()
  const told = ({ actual, message }: { readonly message: string; readonly actual?: unknown }) =>
    new ConformanceFailure({ message: `${message}\nAsked last, by all connections of the case:\n${watch}`, actual })
  return Env.forCase(opened, watch).pipe(
    Effect.flatMap(case_.run),
    Effect.catchIf(
      (error) => error instanceof ConformanceFailure,
      (error) => Effect.fail(told(error))
    ),
    Effect.scoped,
    // What cannot be interrupted is not waited for either.
    fibers.disconnect,
    Effect.timeoutOrElse({
      duration: limit,
      orElse: () =>
        Effect.fail(
          told({
            message: `over ${opened.target.name} the case did not end within ${limit} ms: ${case_.name} [${case_.rule}]`
          })
        )
    }),
    Effect.exit,
    Effect.map(outcomeOf)
  )
}

/**
 * Runs one case on a target, in builds of its own, and says what came of it. Never fails: a target that cannot be opened is a failed case.
 *
 * @example
 * ```ts
 * import { MemoryStorage, Storage } from "effect-storage-lock"
 * import * as Conformance from "effect-storage-lock/testing"
 * import { Effect, Layer } from "effect"
 *
 * const program = Effect.gen(function* () {
 *   const shared = yield* MemoryStorage.make()
 *   const target = { name: "memory", layer: Layer.succeed(Storage.Storage, shared) }
 *   for (const each of Conformance.cases) {
 *     const result = yield* Conformance.check(each, target)
 *     yield* Effect.log(`${result._tag}: ${each.name}`)
 *   }
 * })
 * ```
 *
 * @since 0.1.0
 * @category runners
 */
export const check = (case_: Case.Case, target: Case.Target): Effect.Effect<Result> =>
  Env.open(target).pipe(
    Effect.flatMap((opened) => runCase(case_, opened)),
    Effect.scoped,
    Effect.catchCause((cause) => Effect.succeed<Result>({ _tag: "Failed", cause }))
  )
