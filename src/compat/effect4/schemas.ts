/** Schemas, where the majors of Effect differ in kind. The twin is `effect3/schemas.ts`. */

/** For an instance of a class whose values need not be looked at. */
export const unchecked = { disableChecks: true }
