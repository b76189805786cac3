import { assert, it } from "#effect/vitest"
import { base64url } from "../../src/common/ids.js"

it("an id is its bytes as base64url", () => {
  for (let seed = 0; seed < 500; seed++) {
    const bytes = Uint8Array.from({ length: 16 }, (_, i) =>
      seed < 256 ? (seed + i * 17) & 255 : (Math.imul(seed, 2654435761) >>> (i % 24)) & 255
    )
    assert.strictEqual(base64url(bytes), Buffer.from(bytes).toString("base64url"))
  }
})
