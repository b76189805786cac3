/** Causes, where the majors of Effect differ in kind. The twin is `effect3/causes.ts`. */
import * as Cause from "effect/Cause"

/** What went wrong besides interruption. */
export const withoutInterrupts = <E>(cause: Cause.Cause<E>): Cause.Cause<E> =>
  Cause.fromReasons(cause.reasons.filter((reason) => !Cause.isInterruptReason(reason)))
