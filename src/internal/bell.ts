import * as Effect from "effect/Effect"

/** Wakes one waiting fiber, from synchronous code. Rung while nobody waits, it lets the next wait pass at once: no ring is lost. */
export class Bell {
  private rung = false
  private waiter: (() => void) | undefined = undefined

  ring(): void {
    if (this.waiter === undefined) this.rung = true
    else this.waiter()
  }

  get wait(): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      if (this.rung) {
        this.rung = false
        return resume(Effect.void)
      }
      this.waiter = () => {
        this.waiter = undefined
        resume(Effect.void)
      }
      return Effect.sync(() => {
        this.waiter = undefined
      })
    })
  }
}
