/** The twin is `effect4/settling.ts`. */

/** Turns of the event loop until nothing is left to do but to wait. */
export const turns = 3

/** What a test clock makes of a sleep that is set and soon cancelled: it costs milliseconds of real time, so none is. */
export const sleepsForEach = 1
