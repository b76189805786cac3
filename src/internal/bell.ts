import * as Effect from "effect/Effect"

/** Wakes one waiting fiber, from synchronous code. Rung while nobody waits, it lets the next wait pass at once: no ring is lost. */
export interface Bell {
  readonly ring: () => void
  readonly wait: Effect.Effect<void>
}

export const make = (): Bell => {
  let rung = false
  let waiter: (() => void) | undefined = undefined
  return {
    ring: () => {
      if (waiter === undefined) rung = true
      else waiter()
    },
    wait: Effect.async<void>((resume) => {
      if (rung) {
        rung = false
        return resume(Effect.void)
      }
      waiter = () => {
        waiter = undefined
        resume(Effect.void)
      }
      return Effect.sync(() => {
        waiter = undefined
      })
    })
  }
}
