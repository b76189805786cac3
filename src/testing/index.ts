/**
 * The conformance kit: every promise of the `Storage` port as a case that a broken storage fails.
 *
 * `suite` registers all cases with `@effect/vitest`; `check` runs one anywhere. Ids are random, so suites may run against a server that others use.
 *
 * @since 0.1.0
 */
import "#effect/major"
export { type Case, ConformanceFailure, type Env, type Hooks, type Mark, NotApplicable, type Target } from "./Case.js"
export { cases } from "./cases.js"
export { check, type Result } from "./check.js"
export { shiftClock, shiftDate } from "./leases.js"
export { suite, type SuiteOptions, versionedSuite } from "./suite.js"
export {
  checkVersioned,
  type VersionedCase,
  versionedCases,
  type VersionedEnv,
  type VersionedTarget
} from "./versioned.js"
