/** `effect/Result` of Effect 4, with what tests use. */
import { fail, type Result, succeed } from "#effect/Result"

export * from "#effect/Result"

export const getOrThrow = <A, E>(self: Result<A, E>): A => {
  if (self._tag === "Failure") throw self.failure
  return self.success
}

export const flip = <A, E>(self: Result<A, E>): Result<E, A> =>
  self._tag === "Success" ? fail(self.success) : succeed(self.failure)
