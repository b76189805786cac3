/** What needs no server: options, names, the text of ddl, and what each code means. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import * as codes from "../../src/backends/oracle/codes.js"
import * as errors from "../../src/backends/oracle/errors.js"
import * as OracleStorage from "../../src/backends/oracle/OracleStorage.js"
import * as statements from "../../src/backends/oracle/statements.js"

const ora = (number: number, message = "said") => {
  const code = `ORA-${String(number).padStart(5, "0")}`
  return Object.assign(new Error(`${code}: ${message}\nHelp: https://docs.oracle.com/error-help/db/ora-${number}/`), {
    code,
    errorNum: number
  })
}
const njs = (code: string, errorNum?: number) =>
  Object.assign(new Error(`${code}: said`), errorNum === undefined ? { code } : { code, errorNum })

describe("what an error means", () => {
  const told = (error: unknown, phase: "connecting" | "executing" = "executing") => {
    const { applied, isRetryable, reason } = errors.fromDriver("claim", error, phase)
    return [reason, isRetryable, applied]
  }

  const server: ReadonlyArray<readonly [ReadonlyArray<number>, string, boolean, string]> = [
    [[60, 8177, 1, 1403], "Conflict", true, "no"],
    [[54, 30006, 4021], "Timeout", true, "no"],
    [[942, 904, 955], "Schema", false, "no"],
    [[1017, 28000, 28001, 1031, 1045, 1950, 16000], "Permission", false, "no"],
    [[1033, 1034, 12514, 12516, 1109, 1453], "Connection", true, "no"],
    [[3113, 3114, 3135, 28, 1012, 603], "Connection", true, "unknown"],
    [[1013], "Timeout", true, "unknown"],
    [[1653, 30036, 257, 4031], "Unknown", true, "no"],
    [[6502, 12899, 1722], "Unknown", false, "no"]
  ]
  for (const [numbers, reason, isRetryable, applied] of server) {
    it(`ORA ${numbers.join(", ")}: ${reason}, applied ${applied}`, () => {
      for (const number of numbers)
        assert.deepStrictEqual(told(ora(number)), [reason, isRetryable, applied], String(number))
    })
  }

  const driver: ReadonlyArray<readonly [ReadonlyArray<string>, string, string]> = [
    [["NJS-500", "NJS-501", "NJS-521"], "Connection", "unknown"],
    [["NJS-123"], "Timeout", "unknown"],
    [["NJS-040", "NJS-076"], "Timeout", "no"],
    [["NJS-003"], "Connection", "no"]
  ]
  for (const [all, reason, applied] of driver) {
    it(`${all.join(", ")}, on a connection: ${reason}, applied ${applied}`, () => {
      for (const code of all) assert.deepStrictEqual(told(njs(code)), [reason, true, applied], code)
    })
  }

  it("before there is a connection, nothing was applied", () => {
    for (const [code, reason] of [
      ["NJS-503", "Connection"],
      ["NJS-511", "Connection"],
      ["NJS-518", "Connection"],
      ["NJS-530", "Connection"],
      ["NJS-510", "Timeout"],
      ["NJS-500", "Connection"],
      ["NJS-999", "Connection"]
    ] as const)
      assert.deepStrictEqual(told(njs(code), "connecting"), [reason, true, "no"], code)
    assert.deepStrictEqual(told(njs("NJS-101"), "connecting"), ["Permission", false, "no"])
    assert.deepStrictEqual(told(ora(1017), "connecting"), ["Permission", false, "no"])
  })

  it("what the driver takes for a broken connection is told by the server's number, too", () => {
    assert.deepStrictEqual(told(njs("NJS-500", 3113)), ["Connection", true, "unknown"])
  })

  it("an error of a block is told by the one within it", () => {
    const missing = ora(6550, 'line 8, column 9:\nPL/SQL: ORA-00942: table or view "APP"."STORAGE_LOCK" does not exist')
    assert.strictEqual(errors.numberOf(missing), 942)
    assert.include(errors.fromDriver("claim", missing, "executing").message, "OracleStorage.ddl")
    assert.deepStrictEqual(told(ora(6550, "line 9:\nPL/SQL: ORA-01031: insufficient privileges")), [
      "Permission",
      false,
      "no"
    ])
    assert.deepStrictEqual(told(ora(6550, "line 1:\nPLS-00201: identifier must be declared")), ["Schema", false, "no"])
  })

  it("where it was said tells nothing of the connection's next use", () => {
    for (const number of [60, 942, 1031, 6550, 30006])
      assert.isTrue(errors.keepsConnection(ora(number)), String(number))
    for (const error of [ora(3113), ora(28), ora(1013), ora(1453), ora(16000), njs("NJS-500"), new Error("odd")])
      assert.isFalse(errors.keepsConnection(error), error.message)
    assert.isTrue(errors.isWrongServer(ora(16000)))
    assert.isFalse(errors.isWrongServer(ora(60)))
  })

  it("the message is one that a person can act on, and the cause bears nothing but the error", () => {
    const error = Object.assign(ora(1017), { config: { password: "secret" } })
    const { cause, message } = errors.fromDriver("connect", error, "connecting")
    assert.notInclude(message, "https://")
    assert.include(message, "user or password is wrong")
    assert.notProperty(cause, "config")
    assert.strictEqual((cause as { errorNum?: unknown }).errorNum, 1017)
  })

  it("no number is of two kinds", () => {
    for (const number of [54, 60, 942, 1017, 1033, 3113, 1653])
      assert.strictEqual(codes.isEnding(number) && codes.isPassing(number), false)
  })
})

const refused = (options: unknown) =>
  Effect.map(
    Effect.flip(Effect.asVoid(Effect.scoped(OracleStorage.make(options as OracleStorage.Options)))),
    (error) => {
      assert(error._tag === "InvalidOptions", error.message)
      return error
    }
  )

describe("options are checked before any I/O", () => {
  const url = (text: string) => ({ url: Redacted.make(text) })
  const cases: ReadonlyArray<readonly [name: string, options: unknown, field: string, said: string]> = [
    ["no URL", {}, "url", "not Redacted"],
    ["a plain text", { url: "oracle://app:secret@db/app" }, "url", "not Redacted"],
    ["another database", url("mysql://app:secret@db/app"), "url", "not a URL of Oracle"],
    ["no service", url("oracle://app:secret@db"), "url", "without a service name"],
    ["more than a name", url("oracle://app:secret@db/app)(X=1"), "url", "another service name"],
    ["an instance", url("oracle://app:secret@db/app/one"), "url", "another service name"],
    ["no user", url("oracle://db/app"), "url", "without a user"],
    ["no password", url("oracle://app@db/app"), "url", "without a password"],
    ["a raw @", url("oracle://app:1/secret@db/app"), "url", "raw / or ? or @"],
    ["an unknown parameter", url("oracle://app:secret@db/app?poolMax=3"), "url", "poolMax"],
    ["a parameter twice", url("oracle://app:secret@db/app?connectTimeout=3&connectTimeout=4"), "url", "twice"],
    ["another parameter", url("oracle://app:secret@db/app?connectTimeout=0"), "url", "another `connectTimeout`"],
    [
      "a password twice",
      { ...url("oracle://app:secret@db/app"), password: Redacted.make("x") },
      "password",
      "beside one in `url`"
    ],
    ["an empty password", { ...url("oracle://app@db/app"), password: Redacted.make("") }, "password", "empty"],
    [
      "a URL and a connection",
      { ...url("oracle://app:secret@db/app"), connection: { connectString: "db/app" } },
      "connection",
      "given beside url"
    ],
    ["a connection without a place", { connection: { user: "app" } }, "connection", "without `connectString`"],
    [
      "a setting that would not be obeyed",
      { connection: { connectString: "db/app", poolMax: 4 } },
      "connection",
      "one with `poolMax`"
    ],
    ["no size", { ...url("oracle://app:secret@db/app"), poolSize: 0 }, "poolSize", "1 to 1000"],
    ["a name with a quote", { ...url("oracle://app:secret@db/app"), table: 'a"b' }, "table", "double quote"],
    ["a long name", { ...url("oracle://app:secret@db/app"), schema: "é".repeat(65) }, "schema", "130 bytes"]
  ]
  for (const [name, options, field, said] of cases) {
    it.effect(name, () =>
      Effect.gen(function* () {
        const error = yield* refused(options)
        assert.strictEqual(error.field, field)
        assert.include(error.message, said)
        assert.notInclude(error.message, "secret")
      })
    )
  }

  it.effect("what is no pool", () =>
    Effect.gen(function* () {
      for (const pool of [undefined, null, {}, "pool"]) {
        const error = yield* Effect.flip(Effect.asVoid(OracleStorage.makeFromPool({ pool: pool as never })))
        assert(error._tag === "InvalidOptions")
        assert.strictEqual(error.field, "pool")
      }
    })
  )
})

describe("what is printed for migrations", () => {
  it("names are quoted, and upper case by default", () => {
    assert.include(OracleStorage.ddl(), 'CREATE TABLE "STORAGE_LOCK" (')
    assert.include(OracleStorage.ddl({ schema: "App", table: "it's" }), 'CREATE TABLE "App"."it\'\'s" (')
    assert.match(OracleStorage.ddl(), /\n\/\n$/)
    assert.throws(() => OracleStorage.ddl({ table: 'a"b' }), /double quotes/)
  })
})

describe("holds, as they are kept", () => {
  it("come back as they went in, and are told apart by any collation", () => {
    for (const holds of ["", ",abc", ",a,b,c", ",hold 1.1,hold 1.10", ",é\u{1F512}", `,${"*".repeat(22)}`]) {
      const kept = statements.encoded(holds)
      assert.match(kept, /^(x[0-9a-f]+)*$/)
      const read = statements
        .make("t", 1)
        .get("a")
        .read(
          {
            kind: Buffer.from("exclusive"),
            format: 1,
            owner_id: null,
            holds: kept === "" ? null : kept,
            data: null,
            owner_label: null,
            now: 1,
            state: 1
          },
          0
        )
      assert.strictEqual(read!.holds, holds)
      assert.strictEqual(read!.owner_id, "")
    }
  })
})
