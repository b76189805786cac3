/** `effect/Stream` of Effect 3 in the names of Effect 4. */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import type { Option } from "effect/Option"
import * as Stream from "effect/Stream"

export * from "effect/Stream"

const catchAs = Stream.catchAll

export const catchCause = Stream.catchAllCause

export const unwrap = Stream.unwrapScoped

export { catchAs as catch }

export const paginate = <S, A, E = never, R = never>(
  start: S,
  page: (from: S) => Effect.Effect<readonly [ReadonlyArray<A>, Option<S>], E, R>
): Stream.Stream<A, E, R> =>
  Stream.paginateChunkEffect(start, (from) =>
    Effect.map(page(from), ([all, next]) => [Chunk.unsafeFromArray(all), next] as const)
  )

export const runCollect = <A, E, R>(self: Stream.Stream<A, E, R>): Effect.Effect<Array<A>, E, R> =>
  Effect.map(Stream.runCollect(self), (all) => [...all])

export const runFoldEffect = <S, A, E, R, E2, R2>(
  self: Stream.Stream<A, E, R>,
  initial: () => S,
  step: (state: S, value: A) => Effect.Effect<S, E2, R2>
): Effect.Effect<S, E | E2, R | R2> => Effect.suspend(() => Stream.runFoldEffect(self, initial(), step))
