/** `effect/Queue` of Effect 3 in the names of Effect 4. */
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"

export * from "effect/Queue"

export const offerUnsafe = <A>(self: Queue.Queue<A>, message: A): boolean => self.unsafeOffer(message)

/** As many as there are. One that was shut down has none. */
export const sizeUnsafe = <A>(self: Queue.Queue<A>): number => Option.getOrElse(self.unsafeSize(), () => 0)

/** Takes what is there, and waits for nothing. */
export const clear = Queue.takeAll
