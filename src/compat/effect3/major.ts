/** Says in one sentence what to install where this package cannot run. Imported first by each module that is published. The twin is `effect4/major.ts`. */
import * as Effect from "effect/Effect"
import { requireNode } from "../node.js"

requireNode()

if (!("forkDaemon" in Effect)) {
  throw new Error(
    "This effect-storage-lock is the one for Effect 3, and another major of effect is installed: `npm install effect-storage-lock@latest` gets the one for Effect 4, `npm install effect@3` the Effect for this one."
  )
}
