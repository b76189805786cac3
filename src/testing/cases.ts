/**
 * All cases of the kit.
 */
import * as answers from "./answerShapes.js"
import type { Case } from "./Case.js"
import * as claims from "./claims.js"
import * as connections from "./connections.js"
import * as data from "./data.js"
import * as freeing from "./freeing.js"
import * as holds from "./holds.js"
import * as ids from "./ids.js"
import * as leases from "./leases.js"
import * as life from "./life.js"
import * as model from "./model.js"
import * as operators from "./operators.js"
import * as races from "./races.js"
import * as tokens from "./tokens.js"

/**
 * Every promise of the port, in the order in which to read them; at the end, what `StorageLock` makes of them.
 *
 * @since 0.1.0
 * @category cases
 */
export const cases: ReadonlyArray<Case> = [
  ...claims.cases,
  ...holds.cases,
  ...leases.cases,
  ...tokens.cases,
  ...ids.cases,
  ...operators.cases,
  ...answers.cases,
  ...freeing.cases,
  ...data.cases,
  ...connections.cases,
  ...races.cases,
  ...model.cases,
  ...life.cases
]
