import * as Effect from "#effect/Effect"

/** Runs it in a transaction that is rolled back, and gives what it gave. */
export const rolledBack = <A, E, R>(
  withTransaction: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, unknown, R>,
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, any, R> =>
  self.pipe(
    Effect.flatMap((value) => Effect.fail({ rolledBackWith: value })),
    withTransaction,
    Effect.catchIf(
      (error): error is { readonly rolledBackWith: any } =>
        typeof error === "object" && error !== null && "rolledBackWith" in error,
      ({ rolledBackWith }) => Effect.succeed(rolledBackWith)
    )
  )
