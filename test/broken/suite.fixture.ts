/** Two suites as a user would write them; run by conformanceKit.test.ts in a vitest of its own. */
import * as Conformance from "../../src/testing/index.js"
import { target } from "./base.js"
import { transitions } from "./transitions.js"

// The life of a hold takes real time, and is checked elsewhere.
const skip = Object.fromEntries(
  Conformance.cases.filter(({ rule }) => rule.startsWith("life-")).map(({ rule }) => [rule, "it takes real time"])
)

Conformance.suite({ ...target("correct"), skip })
Conformance.suite({
  ...target("broken", transitions.find(({ name }) => name === "an inner hold shortens the lease")!.parts),
  skip
})
