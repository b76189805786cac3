/** Whose time a layer lives by. */
import type * as Clock from "effect/Clock"
import * as Effect from "#effect/Effect"
import { live, withClock } from "#effect/clocks"
import type * as Storage from "../Storage.js"

/** Whether a clock is Effect's own, that of the machine. By its class: `Clock.make` gives another of the same. */
export const isReal = (clock: Clock.Clock): boolean => Object.getPrototypeOf(clock) === Object.getPrototypeOf(live)

/** A test moves this clock: its sleeps end exactly when it says so, and nothing suspends it. Effect's `TestClock`, without an import of what is for tests. */
export const isMovedByHand = (clock: Clock.Clock): boolean =>
  typeof (clock as { readonly adjust?: unknown }).adjust === "function"

/** For what waits for a server: its answers, and our patience with it, are of real time. */
export const inRealTime = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.clockWith((own) => (isReal(own) ? self : withClock(self, live)))

const why = "effect-storage-lock: the `Clock` in the context is not the real one (a TestClock?)"

/**
 * The clock for deadlines and waiting. A lease in a real storage ends in real time whatever the program's clock says, so by a clock that a test moves a hold would be believed for ever, and nothing that waits
 * would end.
 */
export const forStorage = ({ name, time }: Storage.Guarantees): Effect.Effect<Clock.Clock> =>
  Effect.clockWith((own) =>
    isReal(own) || time === "program"
      ? Effect.succeed(own)
      : time === "real"
        ? Effect.as(
            Effect.logWarning(
              `${why}, but leases in ${name} end in real time: locks go by the real clock. For tests in virtual time use MemoryStorage; for real time \`it.live\``
            ),
            live
          )
        : Effect.as(
            Effect.logWarning(
              `${why}, and ${name} does not say whether its leases go by it (\`guarantees.time\`): they are taken to. If they end in real time, this layer may believe in a lock that is over`
            ),
            own
          )
  )
