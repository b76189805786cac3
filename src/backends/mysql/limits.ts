/** How long the server lets a packet of ours wait for a lock: of a row, or of the whole table (a migration, a backup). By itself it waits for a year. */

/** Whole seconds, less than the caller waits, so that the caller mostly gets a definite answer. A second is the least there is. */
export const secondsOf = (millis: number): number => Math.max(1, Math.floor(millis * 0.0006))

export const assignments = (seconds: number): string =>
  `innodb_lock_wait_timeout = ${seconds}, lock_wait_timeout = ${seconds}`

/** After so many milliseconds the server has ended a packet that waits: once for the table, and once for a row. */
export const longest = (seconds: number): number => 2 * seconds * 1_000 + 500

/** In front of a packet on a session of ours that has another limit. */
export const change = (seconds: number): string => `SET SESSION ${assignments(seconds)}`

const least = (name: string, seconds: number) => `SESSION ${name} = CAST(LEAST(@@${name}, ${seconds}) AS UNSIGNED)`

/** On a session of the program's: never longer than what it has, and given back at the end. */
export const borrow = (seconds: number): string =>
  `SET @esl_r = @@innodb_lock_wait_timeout, @esl_w = @@lock_wait_timeout, ${least("innodb_lock_wait_timeout", seconds)}, ${least("lock_wait_timeout", seconds)}`
export const giveBack = "SET SESSION innodb_lock_wait_timeout = @esl_r, lock_wait_timeout = @esl_w"
