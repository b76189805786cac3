/** Calls that are interrupted at any moment. */
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"

/**
 * In so many rounds, and in more until ten of them were met before their end, and `isEnough`: on a busy machine most calls end before their interruption comes.
 */
export const interrupting = <A, E, R>(
  options: { readonly rounds: number; readonly concurrency: number; readonly isEnough?: () => boolean },
  call: (round: number) => Effect.Effect<A, E, R>
): Effect.Effect<void, never, R> =>
  Effect.suspend(() => {
    const { concurrency, isEnough = () => true, rounds } = options
    let round = 0
    let interrupted = 0
    const oneRound = Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(call(round++))
      yield* Effect.sleep(Math.random() * 6)
      yield* Fiber.interrupt(fiber)
      if (Exit.hasInterrupts(yield* Fiber.await(fiber))) interrupted++
    })
    const loop = Effect.whileLoop({
      while: () => round < rounds || interrupted <= 10 || !isEnough(),
      body: () => oneRound,
      step: () => {}
    })
    return Effect.forEach(Array.from({ length: concurrency }), () => loop, { concurrency, discard: true })
  })
