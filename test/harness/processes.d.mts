/** The processes that run in this directory; elsewhere than on Linux, the descendants of those that were `started`. */
export declare const members: (directory: string, started: ReadonlyArray<number>) => Array<number>
/** Signals all of them and says how many there were. */
export declare const signal: (directory: string, started: ReadonlyArray<number>, name: NodeJS.Signals) => number
/** Kills all of them and removes the directory; returns when that is done. */
export declare const destroy: (directory: string, started: ReadonlyArray<number>) => void
/** Whether every thread of all of them stands still: a signal that stops is on its way for a moment. Where it cannot be seen, it is taken for granted. */
export declare const areStopped: (directory: string, started: ReadonlyArray<number>) => boolean
