/** Each case as it goes in the simulation, drawn. */
import { run } from "../simulate/run.js"
import { cases } from "./cases.js"
import { svg } from "./picture.js"

export const drawn = (): ReadonlyMap<string, string> =>
  new Map(
    cases.map((one) => {
      const { history, violations } = run(one.plan, true)
      if (violations.length > 0)
        throw new Error(`${one.name} violates ${violations[0]!.property}: ${violations[0]!.message}`)
      return [one.name, svg(one, history)]
    })
  )
