/** When the console looks next. */

/** While nobody watches, this many times as long passes between two looks at most. */
const idle = 10
const longest = 10_000

export interface Pace {
  /** In milliseconds. */
  readonly every: number
  readonly isWatched: boolean
  /** Looks in a row that have failed. */
  readonly failures: number
  /** What is left of the lease that ends first; infinity if there is none. */
  readonly left: number
}

/** In milliseconds, before what is random is put in. */
export const pause = ({ every, failures, isWatched, left }: Pace): number =>
  failures > 0
    ? Math.min(every * 2 ** Math.min(failures, 5), Math.max(longest, every))
    : isWatched
      ? every
      : // A lease that is not renewed is seen to run out, even if nobody watches: the shorter it gets, the more often it is looked at.
        Math.min(Math.max(every, left / 3), Math.max(longest, every), every * idle)
