/** How synchronous code wakes a fiber. */
import * as Effect from "#effect/Effect"
import { inTurn } from "#effect/fibers"

/**
 * Wakes one waiting fiber, from synchronous code. Given while nobody waits, it lets the next wait pass at once: none is lost, not even one
 * to a fiber that was interrupted meanwhile.
 */
export class Signal {
  private isPending = false
  private waiter: (() => void) | undefined = undefined

  notify(): void {
    this.isPending = true
    this.waiter?.()
  }

  /** Forgets one that was given: whoever would be woken looks at everything anyway. */
  clear(): void {
    this.isPending = false
  }

  /**
   * As `wait`, but may go on within `notify`: on Effect 4 who is woken runs at once. For those who do no more than to look, or who notify when all else is done.
   * Has no canceller, which would cost more than all the rest: whoever waits next takes the place of one that is gone.
   */
  readonly waitWithin: Effect.Effect<void> = Effect.callback<void>((resume) => {
    if (this.isPending) return resume(this.taken)
    this.waiter = () => {
      this.waiter = undefined
      resume(this.taken)
    }
  })

  readonly wait: Effect.Effect<void> = inTurn(this.waitWithin)

  private readonly taken = Effect.sync(() => {
    this.isPending = false
  })
}
