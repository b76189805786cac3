/** Options that are refused by their name, and without what is secret in them. */
import { assert } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import { InvalidOptions } from "../../src/LockError.js"

export const refusals = <O>(secret: string, make: (options: O) => Effect.Effect<unknown, unknown, Scope.Scope>) => {
  const refused = (error: unknown, field: string) => {
    assert.instanceOf(error, InvalidOptions, String(error))
    assert.strictEqual(error.field, field)
    assert.notInclude(String(error) + JSON.stringify(error), secret)
  }
  const refuse = (options: object, field: string) =>
    Effect.map(Effect.flip(Effect.scoped(make(options as O))), (error) => refused(error, field))
  return { refused, refuse }
}
