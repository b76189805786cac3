import * as Effect from "#effect/Effect"
import { monotonicNanos, wallMillis } from "#effect/clocks"

/**
 * The clocks of the context, in whole microseconds. By their unsafe methods: a test clock that was moved by a fraction of a millisecond, as jittered schedules move it,
 * throws from `currentTimeNanos`.
 */
export const monotonicMicros: Effect.Effect<number> = Effect.clockWith((clock) =>
  Effect.sync(() => Number(monotonicNanos(clock) / 1000n))
)

export const wallMicros: Effect.Effect<number> = Effect.clockWith((clock) =>
  Effect.sync(() => Math.floor(wallMillis(clock) * 1000))
)

/** Lets timers and sockets have their turn, and whatever else is ready. In real time, and at once. */
export const eventLoop: Effect.Effect<void> = Effect.callback<void>((resume) => {
  const go = () => resume(Effect.void)
  if (typeof globalThis.setImmediate === "function") globalThis.setImmediate(go)
  else globalThis.setTimeout(go, 0)
})
