/** What of an index, as its settings are, weakens the promises. The layer warns of it, the doctor tells the cure, too. */
import type { Finding } from "../../common/checkup.js"

export interface Settings {
  readonly translog?: { readonly durability?: string }
}

export const put = (index: string, name: string, value: unknown): string =>
  `PUT /${index}/_settings ${JSON.stringify({ [name]: value })}`

export const findings = (index: string, { translog }: Settings): ReadonlyArray<Finding> =>
  translog?.durability === "async"
    ? [
        {
          check: "translog",
          severity: "error",
          wrong: `the index "${index}" has index.translog.durability "async"`,
          leads: "a crash may forget what was acknowledged in the last seconds, and let a lock be held twice",
          cure: put(index, "index.translog.durability", "request")
        }
      ]
    : []
