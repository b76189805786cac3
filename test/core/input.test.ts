/** What is said of a value that cannot be taken, and which can. */
import { assert, describe, it } from "#harness/vitest"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Schedule from "#effect/Schedule"
import { operationTimeout } from "../../src/backends/shared/options.js"
import * as input from "../../src/common/input.js"
import { InvalidOptions } from "../../src/LockError.js"

describe("a value is named", () => {
  const names: ReadonlyArray<readonly [value: unknown, name: string]> = [
    [1.5, "1.5"],
    [Number.NaN, "NaN"],
    [-7n, "-7"],
    ["soon", '"soon"'],
    [Duration.seconds(5), "5s"],
    [[1, 2], "[1,2]"],
    [null, "of type null"],
    [undefined, "of type undefined"],
    [{ password: "secret" }, "of type object"],
    [true, "of type boolean"],
    [() => 1, "of type function"]
  ]
  for (const [value, name] of names)
    it(`as ${name}`, () => {
      assert.strictEqual(input.kindOf(value), name)
      assert.strictEqual(input.invalid("x", value, "y").message, `x must be y, but is ${name}`)
    })
})

it("a text that cannot be stored byte for byte is told by its fault", () => {
  const texts: ReadonlyArray<readonly [text: unknown, fault: string | undefined]> = [
    ["a", undefined],
    ["\ud83d\ude00", undefined],
    ["", "empty"],
    ["a\0b", "a string with a NUL"],
    ["a\ud800", "a string with a lone surrogate"],
    ["\ud800b", "a string with a lone surrogate"],
    ["\ude00b", "a string with a lone surrogate"],
    ["a\ude00", "a string with a lone surrogate"],
    ["\ud83d\ude00\ude00", "a string with a lone surrogate"],
    [null, "of type null"],
    [7, "of type number"]
  ]
  for (const [text, fault] of texts) assert.strictEqual(input.textFault(text), fault)
})

describe("a duration", () => {
  const millis = (value: unknown) => input.duration("x", value, "y", () => true)

  it("is told in milliseconds", () => {
    for (const [value, expected] of [
      [0, 0],
      [1.5, 1.5],
      ["2 seconds", 2_000],
      [Duration.minutes(1), 60_000],
      [3_000_000n, 3],
      [0n, 0],
      [[0, 5_000_000], 5],
      [[1, 500_000_000], 1_500],
      [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
    ] as const)
      assert.strictEqual(millis(value), expected)
  })

  it("is none where it is nonsense, which Effect would take for zero", () => {
    const parts = [
      {},
      { second: 5 },
      { seconds: 5, minute: 1 },
      { seconds: -1 },
      { seconds: Number.NaN },
      { hours: undefined }
    ]
    for (const value of [
      Number.NaN,
      -1,
      -1n,
      "-1 seconds",
      "  -1 seconds",
      [-1, 0],
      [0, -1],
      "soon",
      null,
      true,
      ...parts
    ])
      assert.instanceOf(millis(value), InvalidOptions, String(value))
  })

  it("must keep the rule", () => {
    const refused = input.duration("x", 5, "less", (millis) => millis < 5)
    assert.strictEqual(refused instanceof InvalidOptions && refused.message, "x must be less, but is 5")
    assert.strictEqual(
      input.duration("x", 4, "less", (millis) => millis < 5),
      4
    )
  })

  it("is shown by an example to who writes one that cannot be read, and to nobody else", () => {
    const told = (value: unknown) => {
      const refused = input.duration("x", value, "a duration", () => false)
      return refused instanceof InvalidOptions ? refused.message : refused
    }
    assert.strictEqual(told("5 secs"), 'x must be a duration, such as "30 seconds", but is "5 secs"')
    assert.strictEqual(told("5 seconds"), 'x must be a duration, but is "5 seconds"')
    assert.strictEqual(told(-1), "x must be a duration, but is -1")
  })
})

it("one operation of a backend takes from a millisecond to a day, by default five seconds", () => {
  assert.strictEqual(operationTimeout(undefined), 5_000)
  assert.strictEqual(operationTimeout(1), 1)
  assert.strictEqual(operationTimeout("1 day"), 24 * 3_600_000)
  for (const value of [0, 0.5, "25 hours", 24 * 3_600_000 + 1, null]) {
    const refused = operationTimeout(value)
    assert(refused instanceof InvalidOptions)
    assert.strictEqual(refused.field, "operationTimeout")
    assert.strictEqual(refused.rule, "a duration from a millisecond to a day")
  }
})

it("a schedule is one of Effect's, or left out", () => {
  assert.isUndefined(input.scheduleFault("retry", undefined))
  assert.isUndefined(input.scheduleFault("retry", Schedule.spaced("1 second")))
  for (const value of ["often", null, {}])
    assert.strictEqual(
      input.scheduleFault("retry", value)?.message,
      `retry must be a Schedule, but is ${input.kindOf(value)}`
    )
})

it.effect("options that make no sense are a failure, others a success", () =>
  Effect.gen(function* () {
    const refused = input.invalid("x", 1, "y")
    assert.strictEqual(yield* Effect.flip(input.valid<number>(refused)), refused)
    assert.strictEqual(yield* input.valid(7), 7)
  })
)
