/** Rejections that nobody handles, of all that a test does. */
import { afterAll, afterEach, beforeAll, assert } from "#harness/vitest"

const seen: Array<unknown> = []
const hear = (reason: unknown) => void seen.push(reason)

/** Two turns of the event loop: Node.js tells of them at the end of one. */
export const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Each test of the file fails if there are any. */
export const refused = (): void => {
  beforeAll(() => void process.on("unhandledRejection", hear))
  afterEach(async () => {
    await settled()
    assert.deepStrictEqual(seen.splice(0), [])
  })
  afterAll(() => void process.off("unhandledRejection", hear))
}
