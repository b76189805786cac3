/** Which options there are, where each may be given, and which is meant by a name that is none. */
import { assert, describe, it } from "#harness/vitest"
import { unknownName } from "../../src/common/optionNames.js"
import { invalidNames } from "../../src/core/optionNames.js"

const both = [
  "leaseExpireAfter",
  "leaseRefreshInterval",
  "acquireTimeout",
  "retry",
  "clockMargin",
  "holdAtMost",
  "lostAtEnd",
  "ownerLabel"
]
const names = { layer: [...both, "purgeAfter", "namespace"], acquire: [...both, "ownerId"] }
const other = { layer: "acquire", acquire: "layer" } as const
const said = { layer: "an option of the layer", acquire: "an option of one acquire" }

const refused = (options: unknown, place: "layer" | "acquire") => invalidNames(options, place)?.message

const meant = (key: string, place: "layer" | "acquire") =>
  /^(.*) must be the name of an option \(did you mean (\w+)\?\), but is unknown$/.exec(
    refused({ [key]: 1 }, place) ?? ""
  )?.[2]

for (const place of ["layer", "acquire"] as const)
  describe(`of ${place}`, () => {
    it("options are taken that there are", () => {
      assert.isUndefined(refused(Object.fromEntries(names[place].map((name) => [name, 1])), place))
      assert.isUndefined(refused({}, place))
    })

    it("those of the other are refused if they are given", () => {
      for (const name of names[other[place]]) {
        assert.isUndefined(refused({ [name]: undefined }, place), name)
        assert.strictEqual(
          refused({ [name]: 1 }, place),
          both.includes(name) ? undefined : `${name} must be ${said[other[place]]}, but is ${said[place]}`
        )
      }
    })

    it("one with a wrong letter is recognized, in any case", () => {
      for (const name of names[place])
        for (const i of [0, 2, name.length - 1]) {
          const [before, letter, after] = [name.slice(0, i), name[i]!, name.slice(i + 1)]
          for (const letters of i === 2 ? ["x", letter.toUpperCase()] : ["x"]) {
            const key = before + letters + after
            if (key !== name) assert.strictEqual(meant(key, place), name, key)
          }
        }
    })

    it("a part of a name, or a name with more around it, is nearer than any misspelling", () => {
      assert.strictEqual(meant("most", place), "holdAtMost")
      assert.strictEqual(meant("label", place), "ownerLabel")
      assert.strictEqual(meant("theRetryOfMine", place), "retry")
      assert.strictEqual(meant("lease", place), "leaseExpireAfter")
    })

    it("of names that are far away the nearest is meant, by the letters to insert, delete or replace", () => {
      for (const key of ["leaseExpx", "leaseExpix", "xleaseExpi", "leaseExpirx", "xeaseExpi", "xExpireAfter"])
        assert.strictEqual(meant(key, place), "leaseExpireAfter", key)
    })

    it("what is of the other is not meant", () => {
      for (const name of names[other[place]])
        if (!both.includes(name)) assert.include(names[place], meant(`${name}s`, place))
    })

    it("a name of any length is compared in no time", () => {
      const started = performance.now()
      assert.include(names[place], meant("x".repeat(1_000_000), place))
      assert.isBelow(performance.now() - started, 5_000)
    })
  })

describe("of what is neither the layer's nor an acquire's", () => {
  const names = { table: true, operationTimeout: true } as const
  const message = (options: unknown, within?: string) => unknownName(options, names, within)?.message

  it("options are taken that there are, though they be undefined", () => {
    for (const options of [{}, { table: "locks" }, { table: undefined, operationTimeout: 1 }])
      for (const within of [undefined, "tls"]) assert.isUndefined(message(options, within))
  })

  it("others are refused, with the one that may be meant", () => {
    assert.strictEqual(
      message({ table: 1, tabel: 2 }),
      "tabel must be the name of an option (did you mean table?), but is unknown"
    )
    assert.strictEqual(
      message({ timeout: 1 }, "tls"),
      "tls.timeout must be the name of an option (did you mean tls.operationTimeout?), but is unknown"
    )
    // What every object has is no option.
    assert.include(message({ toString: 1 }), "toString must be the name of an option")
  })

  it("what is no object at all is refused as such", () => {
    for (const options of [undefined, null, 7, "text", [], () => {}]) {
      assert.match(message(options)!, /^options must be an object, but is /)
      assert.match(message(options, "tls")!, /^tls must be an object, but is /)
    }
  })
})
