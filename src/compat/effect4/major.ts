/** Says in one sentence what to install where this package cannot run. Imported first by each module that is published. The twin is `effect3/major.ts`. */
import * as Effect from "effect/Effect"
import { requireNode } from "../node.js"

requireNode()

if (!("forkDetach" in Effect)) {
  throw new Error(
    "This effect-storage-lock is the one for Effect 4, and another major of effect is installed: `npm install effect-storage-lock@effect-3` gets the one for Effect 3, `npm install effect@4` the Effect for this one."
  )
}
