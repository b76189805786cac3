import * as Conformance from "../../src/testing/index.js"

/** The life of a hold has tests of its own. */
export const skip = Object.fromEntries(
  Conformance.cases.filter(({ rule }) => rule.startsWith("life-")).map(({ rule }) => [rule, "takes real time"])
)
