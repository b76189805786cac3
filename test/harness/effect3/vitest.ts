/** `@effect/vitest` of Effect 3 as it is of Effect 4: every test has a scope. */
import { it as it3 } from "@effect/vitest"
import type { TestAPI } from "vitest"

export * from "@effect/vitest"

export const it: TestAPI & { readonly effect: typeof it3.scoped; readonly live: typeof it3.scopedLive } = Object.assign(
  (...args: Parameters<typeof it3>) => it3(...args),
  it3,
  { effect: it3.scoped, live: it3.scopedLive }
) as never
