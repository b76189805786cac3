/** `effect/testing/TestClock` of Effect 4. */
export * from "effect/TestClock"
