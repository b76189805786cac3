import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Random from "#effect/Random"
import * as Schedule from "#effect/Schedule"

/** A part of the delays, drawn for each by itself: between `least` and `most` of it. */
export const jitter = (least: number, most: number) =>
  Schedule.modifyDelay(({ duration }) =>
    Effect.map(Random.nextBetween(least, most), (part) => Duration.millis(Duration.toMillis(duration) * part))
  )
