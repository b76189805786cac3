/** Names and texts are quoted as `pg` does it. */
import { assert, it } from "#harness/vitest"
import * as FastCheck from "fast-check"
import Pg from "pg"
import * as quote from "../../src/backends/postgres/quote.js"

/** What quoting is about, more often than chance would bring it. */
const text = FastCheck.oneof(
  FastCheck.string(),
  FastCheck.fullUnicodeString(),
  FastCheck.stringOf(FastCheck.constantFrom("'", '"', "\\", "E", " ", "\n", "$", "é", "鍵"))
)

it("whatever is in a name or a text", () => {
  FastCheck.assert(
    FastCheck.property(text, (text) => {
      assert.strictEqual(quote.identifier(text), Pg.escapeIdentifier(text))
      assert.strictEqual(quote.literal(text), Pg.escapeLiteral(text))
    }),
    { numRuns: 2000 }
  )
})
