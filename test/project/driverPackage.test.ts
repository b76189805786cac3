/** What is said where a driver is not installed. That it is so in a program, `npm run package:check` shows. */
import { assert, describe, it } from "#harness/vitest"
import * as Cause from "#effect/Cause"
import * as Effect from "#effect/Effect"
import { createRequire } from "node:module"
import { peer } from "../../src/backends/shared/driverPackage.js"

const thrown = (load: () => unknown): unknown => {
  try {
    return load()
  } catch (error) {
    return error
  }
}

const told = (error: unknown, packages: ReadonlyArray<string> = ["no-such-driver"]) =>
  Effect.map(Effect.exit(peer("SomeStorage", packages, () => Promise.reject(error))), (exit) => {
    assert(exit._tag === "Failure")
    return Cause.squash(exit.cause) as Error
  })

describe("a driver that is not installed", () => {
  const required = thrown(() => createRequire(import.meta.url)("no-such-driver"))
  const imported = Object.assign(
    new Error("Cannot find package 'no-such-driver' imported from /app/node_modules/effect-storage-lock/dist/x.js"),
    { code: "ERR_MODULE_NOT_FOUND" }
  )

  it.effect("is named in a sentence that says what to install, however it was looked for", () =>
    Effect.gen(function* () {
      for (const error of [required, imported]) {
        const { cause, message } = yield* told(error)
        assert.strictEqual(
          message,
          "SomeStorage of effect-storage-lock needs no-such-driver, which is not installed: `npm install no-such-driver`."
        )
        assert.strictEqual(cause, error)
      }
      assert.strictEqual(
        (yield* told(imported, ["other", "no-such-driver"])).message,
        "SomeStorage of effect-storage-lock needs other and no-such-driver, which are not installed: `npm install other no-such-driver`."
      )
    })
  )

  it.effect("is not blamed for what else goes wrong", () =>
    Effect.gen(function* () {
      for (const error of [new Error("no-such-driver is broken"), "text", undefined])
        assert.strictEqual(yield* told(error), error)
      assert.strictEqual(yield* told(imported, ["another"]), imported)
    })
  )

  it.effect("and one that is there is what its module exports", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* peer("SomeStorage", ["pg"], () => Promise.resolve(7)), 7)
    })
  )
})
