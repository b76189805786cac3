/** Counts fibers. The twin is `effect4/census.ts`. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

/** Is given how many fibers without a parent there are. */
export const counting = <A, E, R>(
  use: (fibers: Effect.Effect<number>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => use(Effect.map(Fiber.roots, (roots) => Array.from(roots).length))
