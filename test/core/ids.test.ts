import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as ids from "../../src/common/ids.js"
import { InvalidLockId } from "../../src/LockError.js"

it("an id is 22 characters of base64url, of which any may stand anywhere", () => {
  const drawn = Array.from({ length: 4_000 }, ids.randomId)
  for (let place = 0; place < 22; place++)
    assert.strictEqual(new Set(drawn.map((id) => id[place])).size, 64, `place ${place}`)
})

it("hold ids of a layer begin with its mark, by which it is known, and are as long as others", () => {
  const marks = Array.from({ length: 600 }, ids.randomMark)
  assert.strictEqual(new Set(marks).size, marks.length)
  const mark = marks[0]!
  const drawn = Array.from({ length: 600 }, () => ids.holdIdOf(mark))
  assert.strictEqual(new Set(drawn).size, drawn.length)
  for (const id of drawn) {
    assert.match(id, /^[\w-]{22}$/)
    assert.strictEqual(ids.processOf([id, "other"]), mark)
  }
  assert.isUndefined(ids.processOf([]))
})

it.effect("ids are drawn in bulk, and no two are alike", () =>
  Effect.gen(function* () {
    const next = yield* ids.Ids
    const drawn = yield* Effect.forEach(Array.from({ length: 600 }), () => next)
    for (const id of drawn) assert.match(id, /^[\w-]{22}$/)
    assert.strictEqual(new Set(drawn).size, drawn.length)
    // Bytes that were never drawn are zeros.
    assert.isFalse(drawn.some((id) => /AAAAAAAAA/.test(id)))
  })
)

const separator = "\u001f"

describe("a lock id as it is stored", () => {
  it("is itself, or stands behind its namespace", () => {
    assert.strictEqual(ids.storedId("a", undefined), "a")
    assert.strictEqual(ids.storedId("a", "n"), `n${separator}a`)
    assert.strictEqual(ids.storedId(`a${separator}b`, "n"), `n${separator}a${separator}b`)
    assert.strictEqual(ids.storedId(`a${separator}b`, undefined), `${separator}a${separator}b`)
  })

  it("is told again as the program knows it, to its own namespace only", () => {
    for (const namespace of [undefined, "n", "m"])
      for (const id of ["a", `a${separator}b`, `${separator}a`, `n${separator}a`, separator]) {
        const stored = ids.storedId(id, namespace) as string
        for (const other of [undefined, "n", "m"])
          assert.strictEqual(ids.publicId(stored, other), other === namespace ? id : undefined)
      }
    for (const key of [ids.purgeKey, ids.auditKey])
      for (const namespace of [undefined, "n"]) assert.isUndefined(ids.publicId(key, namespace), "of no program")
  })

  it("has at most 255 units, the namespace included", () => {
    const refused = (id: string, namespace: string | undefined) => {
      const stored = ids.storedId(id, namespace)
      return stored instanceof InvalidLockId ? stored.message : stored.length
    }
    assert.strictEqual(refused("x".repeat(255), undefined), 255)
    assert.strictEqual(
      refused("x".repeat(256), undefined),
      "lockId must be a string of 1 to 255 UTF-16 units, without NUL and without lone surrogates, but is a string of 256 UTF-16 units"
    )
    assert.strictEqual(refused("x".repeat(252), "ns"), 255)
    assert.strictEqual(
      refused("x".repeat(253), "ns"),
      "lockId must be a string of 1 to 252 UTF-16 units, without NUL and without lone surrogates, but is a string of 253 UTF-16 units"
    )
    assert.strictEqual(refused(separator + "x".repeat(253), undefined), 255)
    assert.strictEqual(
      refused(separator + "x".repeat(254), undefined),
      "lockId must be a string of 1 to 254 UTF-16 units, without NUL and without lone surrogates, but is a string of 255 UTF-16 units with U+001F"
    )
  })
})

describe("names that cannot be stored", () => {
  const text = (error: { readonly message: string } | undefined) => error?.message

  it("are refused as owner ids", () => {
    assert.isUndefined(ids.invalidOwner("x".repeat(255)))
    assert.strictEqual(
      text(ids.invalidOwner("x".repeat(256))),
      "ownerId must be a string of 1 to 255 UTF-16 units, without NUL and without lone surrogates, but is a string of 256 UTF-16 units"
    )
    assert.include(text(ids.invalidOwner("")), "but is empty")
    assert.include(text(ids.invalidOwner(7 as never)), "but is of type number")
    assert.include(text(ids.invalidOwner({ length: 300 } as never)), "but is of type object")
  })

  it("are refused as labels, but for the empty one", () => {
    assert.isUndefined(ids.invalidLabel(""))
    assert.isUndefined(ids.invalidLabel("x".repeat(255)))
    assert.strictEqual(
      text(ids.invalidLabel("x".repeat(256))),
      "ownerLabel must be a string of 1 to 255 UTF-16 units, without NUL and without lone surrogates, or empty for none, but is a string of 256 UTF-16 units"
    )
  })

  it("are refused as namespaces", () => {
    assert.isUndefined(ids.invalidNamespace("x".repeat(64)))
    assert.strictEqual(
      text(ids.invalidNamespace("x".repeat(65))),
      "namespace must be a string of 1 to 64 UTF-16 units, without NUL and without lone surrogates, and without U+001F, but is a string of 65 UTF-16 units"
    )
    assert.include(text(ids.invalidNamespace(`a${separator}`)), "but is a string with U+001F")
  })
})
