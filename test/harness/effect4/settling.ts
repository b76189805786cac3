/** The twin is `effect3/settling.ts`. */

/** Turns of the event loop until nothing is left to do but to wait. */
export const turns = 12

/** What a test clock makes of a sleep that is set and soon cancelled: it costs nothing, so one may be. */
export const sleepsForEach = 2
