/** Warnings that are said once, until what they warn of is over: from Effects, and from callbacks of drivers, where there is no fiber to log in. */
import * as Effect from "#effect/Effect"
import * as fibers from "#effect/fibers"

export interface Notices {
  /** Logs a warning, unless this trouble (of that name) is known already. */
  readonly warn: (trouble: string, message: string) => void
  /** The trouble is over: the next time is warned of again. Logs, if there is something to say, only where there was a warning. */
  readonly over: (trouble: string, message?: string) => void
}

/** With the loggers of who makes it. */
export const make = (name: string): Effect.Effect<Notices> =>
  Effect.map(fibers.run, (run) => {
    const known = new Set<string>()
    const log = (effect: Effect.Effect<void>) => run.fork(effect)
    return {
      warn: (trouble, message) => {
        if (known.has(trouble)) return
        known.add(trouble)
        log(Effect.logWarning(`${name}: ${message}`))
      },
      over: (trouble, message) => {
        if (known.delete(trouble) && message !== undefined) log(Effect.logInfo(`${name}: ${message}`))
      }
    }
  })
