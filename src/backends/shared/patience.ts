/** No connection is given up before, in milliseconds, however short the limit of who waits for it: TLS over a long way takes its time. */
const leastToConnect = 500

/**
 * By `performance.now()`: what began to open before this is given up when somebody has waited for so many milliseconds in vain. Somewhat less than that is enough: Node counts a timer from when its
 * turn of the event loop began, so that on a busy machine one fires milliseconds early, and what had been opened for the one who waited would stay.
 */
export const givenUpBefore = (millis: number): number => performance.now() - Math.max(0.9 * millis, leastToConnect)
