/**
 * The time of somebody else, as far as this process can tell: what each reading says, and whether it goes as it went before.
 *
 * A reading is answered some time between two looks at this process's monotonic clock. So it says between which two numbers the *offset* is: that time less the monotonic one. The *course* is what is known
 * of the offset from all readings so far. It widens slowly, for no two clocks run at one rate, and it never follows a reading by more than that: whoever jumps leaves it, and whoever runs too fast does,
 * too. All in microseconds.
 */

/** Clocks differ by no more than this, in microseconds of each microsecond: 0.1 %. */
export const rate = 1e-3

export interface Reading {
  readonly value: number
  /** Before it was asked for, and after it was answered, by the monotonic clock. */
  readonly sent: number
  readonly answered: number
}

/** That time is between these. */
export interface Bounds {
  readonly earliest: number
  readonly latest: number
}

export interface Settings {
  /** A reading is cut to a multiple of it: the time may be so much later. */
  readonly grain: number
  /** A reading is wrong by so much, either way. */
  readonly accuracy: number
  /** A course that is left by no more than this is still kept. */
  readonly tolerance: number
  /** For so long a new course must have been kept before it is believed. */
  readonly steadyFor: number
}

export interface Course {
  /** Takes a reading, and says by how much it has left the course: zero if it is believed. Later than the readings before. */
  readonly take: (reading: Reading) => number
  /** Whether a reading goes on where the ones before were. */
  readonly follows: (reading: Reading) => boolean
  /** The time at this moment of the monotonic clock, by the last reading. Nothing if that was not believed. */
  readonly at: (monotonic: number) => Bounds | undefined
}

/** Offsets, as they were known at this moment of the monotonic clock. */
interface Span {
  readonly low: number
  readonly high: number
  readonly at: number
}

/** Where readings are that have left the course, and since when. */
interface Rival {
  readonly span: Span
  readonly since: number
}

const widened = ({ at, high, low }: Span, now: number): Span => {
  const by = rate * Math.max(0, now - at)
  return { low: low - by, high: high + by, at: now }
}

const gap = (before: Span, now: Span): number =>
  now.low > before.high ? now.low - before.high : now.high < before.low ? now.high - before.low : 0

const meeting = (a: Span, b: Span): Span =>
  gap(a, b) === 0 ? { low: Math.max(a.low, b.low), high: Math.min(a.high, b.high), at: b.at } : a

export const make = ({ accuracy, grain, steadyFor, tolerance }: Settings): Course => {
  let course: Span | undefined
  let told: Span | undefined
  let rival: Rival | undefined

  /** Whenever it was read, clocks have run since. */
  const spanOf = ({ answered, sent, value }: Reading): Span =>
    widened({ low: value - accuracy - answered, high: value + accuracy + grain - sent, at: sent }, answered)

  const isSteady = ({ since }: Rival, at: number): boolean => at - since >= steadyFor

  const begin = (span: Span): number => {
    course = told = span
    rival = undefined
    return 0
  }

  return {
    take: (reading) => {
      const now = spanOf(reading)
      if (course === undefined) return begin(now)
      const before = widened(course, now.at)
      const left = gap(before, now)
      if (Math.abs(left) <= tolerance) {
        course = meeting(before, now)
        // What is judged by it is not judged by more than the tolerance ahead of what was known for sure.
        told = { ...now, low: Math.min(now.low, before.low + tolerance) }
        // A reading that is not exact may be on both: who is a little too far off is not refused now and then for ever.
        const span = rival === undefined ? undefined : widened(rival.span, now.at)
        if (rival === undefined || span === undefined || gap(span, now) !== 0) rival = undefined
        else if (isSteady(rival, now.at)) return begin(now)
        else rival = { span: meeting(span, now), since: rival.since }
        return 0
      }
      told = undefined
      const other = rival === undefined ? undefined : widened(rival.span, now.at)
      if (rival === undefined || other === undefined || Math.abs(gap(other, now)) > tolerance)
        rival = { span: now, since: now.at }
      else if (isSteady(rival, now.at)) return begin(now)
      else rival = { span: meeting(other, now), since: rival.since }
      return left
    },
    follows: (reading) => {
      const now = spanOf(reading)
      return course !== undefined && Math.abs(gap(widened(course, now.at), now)) <= tolerance
    },
    at: (monotonic) => {
      if (told === undefined) return undefined
      const { high, low } = widened(told, monotonic)
      return { earliest: Math.floor(monotonic + low), latest: Math.ceil(monotonic + high) }
    }
  }
}
