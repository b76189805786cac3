import { afterAll, beforeAll } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Option from "#effect/Option"
import * as Scope from "#effect/Scope"

/** What a suite needs is made when it runs, and goes when it has run, within so many milliseconds, if they are given. */
export const resource = <A, E>(make: Effect.Effect<A, E, Scope.Scope>, limit?: number): (() => A) => {
  const scope = Effect.runSync(Scope.make())
  let made: Option.Option<A> = Option.none()
  beforeAll(async () => {
    made = Option.some(await Effect.runPromise(Scope.provide(make, scope)))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)), limit)
  return () => Option.getOrThrow(made)
}
