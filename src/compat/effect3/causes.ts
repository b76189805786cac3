/** Causes, where the majors of Effect differ in kind. The twin is `effect4/causes.ts`. */
import * as Cause from "effect/Cause"

/** What went wrong besides interruption. */
export const withoutInterrupts = <E>(cause: Cause.Cause<E>): Cause.Cause<E> =>
  Cause.filter(cause, (part) => !Cause.isInterruptType(part))
