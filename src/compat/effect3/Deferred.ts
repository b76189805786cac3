/** `effect/Deferred` of Effect 3 in the names of Effect 4. */
import * as effect from "effect"
import * as Deferred from "effect/Deferred"

export * from "effect/Deferred"

export const doneUnsafe = Deferred.unsafeDone

export const makeUnsafe = <A, E = never>(): Deferred.Deferred<A, E> => Deferred.unsafeMake(effect.FiberId.none)
