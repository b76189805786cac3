import * as Effect from "#effect/Effect"
import { inTurn } from "#effect/fibers"

/**
 * Wakes one waiting fiber, from synchronous code. Rung while nobody waits, it lets the next wait pass at once: no ring is lost, not even one
 * to a fiber that was interrupted meanwhile.
 */
export class Bell {
  private rung = false
  private waiter: (() => void) | undefined = undefined

  ring(): void {
    this.rung = true
    this.waiter?.()
  }

  /** Forgets a ring: whoever would hear it looks at everything anyway. */
  silence(): void {
    this.rung = false
  }

  /**
   * As `wait`, but may go on within `ring`: on Effect 4 who is woken runs at once. For those who do no more than to look, or who ring when all else is done.
   * Has no canceller, which would cost more than all the rest: whoever waits next takes the place of one that is gone.
   */
  readonly waitWithin: Effect.Effect<void> = Effect.callback<void>((resume) => {
    if (this.rung) return resume(this.heard)
    this.waiter = () => {
      this.waiter = undefined
      resume(this.heard)
    }
  })

  readonly wait: Effect.Effect<void> = inTurn(this.waitWithin)

  private readonly heard = Effect.sync(() => {
    this.rung = false
  })
}
