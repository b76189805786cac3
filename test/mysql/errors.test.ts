/** Errors of the driver are told apart by their numbers and codes, never by their text. */
import { assert, describe, it } from "#harness/vitest"
import * as errors from "../../src/backends/mysql/errors.js"

const server = (errno: number) =>
  Object.assign(new Error("in whatever language"), { errno, code: `ER_${errno}`, sqlState: "HY000" })
const driver = (code: string | undefined, errno?: number) =>
  Object.assign(new Error("in whatever language"), { code, errno, fatal: true })

const told = (error: unknown, phase: "connecting" | "executing" = "executing", operation = "claim") => {
  const { applied, isRetryable, reason } = errors.fromDriver(operation, error, phase)
  return [reason, applied, isRetryable]
}

describe("errors of the MySQL family", () => {
  it("by the server's number", () => {
    for (const number of [1213, 1020, 3101, 8002, 9007])
      assert.deepStrictEqual(told(server(number)), ["Conflict", "no", true], `${number}`)
    for (const number of [1205, 1317, 1969, 3024])
      assert.deepStrictEqual(told(server(number)), ["Timeout", "no", true], `${number}`)
    for (const number of [1044, 1045, 1142, 1143, 1227])
      assert.deepStrictEqual(told(server(number)), ["Permission", "no", false], `${number}`)
    for (const number of [1290, 1792, 1836, 3989])
      assert.deepStrictEqual(told(server(number)), ["Connection", "no", true], `${number}`)
    for (const number of [1046, 1049, 1054, 1146])
      assert.deepStrictEqual(told(server(number)), ["Schema", "no", false], `${number}`)
    for (const number of [1040, 1203])
      assert.deepStrictEqual(told(server(number), "connecting"), ["Connection", "no", true], `${number}`)
    for (const number of [1021, 1114, 1197])
      assert.deepStrictEqual(told(server(number)), ["Unknown", "no", true], `${number}`)
    assert.deepStrictEqual(told(server(1365)), ["Unknown", "no", false])
  })

  it("a session that ended may have committed, and so may a cluster that does not know", () => {
    for (const number of [1053, 1079, 1927, 3169, 9001, 9005])
      assert.deepStrictEqual(told(server(number)), ["Connection", "unknown", true], `${number}`)
    assert.deepStrictEqual(told(server(8501)), ["Unknown", "unknown", false])
  })

  it("what is not one transaction may be half done", () => {
    assert.deepStrictEqual(told(server(1317), "executing", "renew"), ["Timeout", "unknown", true])
    assert.deepStrictEqual(told(server(1040), "connecting", "renew"), ["Connection", "no", true])
  })

  it("by the driver's code, where the server said nothing", () => {
    for (const code of ["ECONNRESET", "EPIPE", "PROTOCOL_CONNECTION_LOST"]) {
      assert.deepStrictEqual(told(driver(code, -104)), ["Connection", "unknown", true], code)
    }
    assert.deepStrictEqual(told(driver(undefined)), ["Connection", "unknown", true])
    assert.deepStrictEqual(told(driver("ECONNREFUSED", -111), "connecting"), ["Connection", "no", true])
    assert.deepStrictEqual(told(driver("DEPTH_ZERO_SELF_SIGNED_CERT"), "connecting"), ["Connection", "no", true])
    // Under whatever a client wrapped it in.
    assert.deepStrictEqual(told({ _tag: "SqlError", cause: server(1213) }), ["Conflict", "no", true])
  })

  it("a connection is kept only if it is as good as before", () => {
    for (const number of [1213, 1205, 1062]) assert.isTrue(errors.keepsConnection(server(number)))
    for (const error of [
      server(1053),
      server(1064),
      server(1290),
      server(1836),
      server(3989),
      driver("ECONNRESET", -104),
      driver(undefined)
    ])
      assert.isFalse(errors.keepsConnection(error))
  })

  it("the same number by where it came: a server that cannot write, and one that does not let us in", () => {
    // Nothing of a renewal is done where nothing can be written.
    assert.deepStrictEqual(told(server(1290), "executing", "renew"), ["Connection", "no", true])
    assert.deepStrictEqual(told(server(1105), "connecting"), ["Connection", "no", true])
    assert.match(errors.fromDriver("claim", server(1045), "connecting").message, /user or password is wrong/)
    assert.match(errors.fromDriver("setup", server(1142), "executing").message, /to make it, CREATE/)
    assert.match(
      errors.fromDriver("claim", server(1142), "executing").message,
      /SELECT, INSERT, UPDATE and DELETE on the table$/
    )
    assert.match(errors.fromDriver("claim", server(3159), "connecting").message, /ssl-mode=VERIFY_IDENTITY/)
    // A password that is asked for may be another the next time.
    assert.isTrue(errors.fromDriver("claim", server(1045), "connecting", true).isRetryable)
    assert.isFalse(errors.fromDriver("claim", server(1045), "connecting").isRetryable)
  })

  it("no error shows the password where it stands, or the statement; nothing is looked for by its text", () => {
    const error = Object.assign(new Error("Access denied with password at mysql://o:s3cret@h/db"), {
      errno: 1045,
      sql: "SELECT 'an id'",
      sqlMessage: "s3cret"
    })
    const shown = errors.fromDriver("claim", error, "connecting")
    assert.notMatch(
      JSON.stringify(shown) +
        shown.message +
        String((shown.cause as Error).stack) +
        Object.keys(shown.cause as object).join(),
      /s3cret|an id|sqlMessage/
    )
    assert.match(shown.message, /with password at/)
  })
})
