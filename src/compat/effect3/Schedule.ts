/** `effect/Schedule` of Effect 3 in the names of Effect 4. */
import * as effect from "effect"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

export * from "effect/Schedule"

export const concat = Schedule.andThen

type Schedules = readonly [Schedule.Schedule<unknown>, ...Array<Schedule.Schedule<unknown>>]

/** Goes on while all do, after the longest of their delays. */
export const max = ([first, ...others]: Schedules): Schedule.Schedule<unknown> =>
  others.reduce((all, one) => Schedule.intersect(all, one), first)

/** Goes on while one does, after the shortest of their delays. */
export const min = ([first, ...others]: Schedules): Schedule.Schedule<unknown> =>
  others.reduce((all, one) => Schedule.union(all, one), first)

export const modifyDelay =
  (change: (metadata: { readonly duration: Duration.Duration }) => Effect.Effect<Duration.DurationInput>) =>
  <A, I, R>(self: Schedule.Schedule<A, I, R>): Schedule.Schedule<A, I, R> =>
    Schedule.modifyDelayEffect(self, (_, duration) => change({ duration }))

/** One step, and its delay, which whoever asks waits for. Fails when the schedule is over. */
export const toStep = <A, I, R>(self: Schedule.Schedule<A, I, R>) =>
  Effect.sync(() => {
    let state: unknown = self.initial
    return (now: number, input: I): Effect.Effect<[A, Duration.Duration], void, R> =>
      Effect.flatMap(
        Effect.suspend(() => self.step(now, input, state)),
        ([next, output, decision]) => {
          state = next
          return effect.ScheduleDecision.isDone(decision)
            ? Effect.fail(undefined)
            : Effect.succeed([output, Duration.millis(effect.ScheduleIntervals.start(decision.intervals) - now)])
        }
      )
  })

/** One step: waits for its delay. Fails when the schedule is over. */
export const toStepWithSleep = <A, I, R>(self: Schedule.Schedule<A, I, R>) =>
  Effect.map(Schedule.driver(self), (driver) => (input: I) => driver.next(input))
