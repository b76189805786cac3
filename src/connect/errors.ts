/** What is wrong with a URL before anybody is asked, or with what is installed. */
import * as Data from "effect/Data"
import { edits } from "../common/optionNames.js"

export { MissingDriver } from "../backends/shared/driverPackage.js"

/** What surely was meant, if anything was. */
const guess = (scheme: string, known: ReadonlyArray<string>): string => {
  const meant = known.find((name) => edits(`${scheme}:`, name) <= Math.min(2, scheme.length / 2))
  return meant === undefined ? "" : ` (did you mean ${meant}?)`
}

/** A URL whose scheme is none of a storage's. It says the scheme only if it surely is one: a text that is no URL may be a password. */
export class UnknownScheme extends Data.TaggedError("UnknownScheme")<{
  readonly scheme: string | undefined
  /** All that there are, with their colons. */
  readonly known: ReadonlyArray<string>
}> {
  override get message(): string {
    const { known, scheme } = this
    const what = scheme === undefined ? "a text without a known scheme" : `one of ${scheme}:${guess(scheme, known)}`
    const hint =
      scheme === "http" || scheme === "https"
        ? `; ${scheme}: does not say whose server it is: elasticsearch+${scheme}:, opensearch+${scheme}:, splunk+${scheme}:, ${scheme === "http" ? "consul" : "consuls"}:`
        : ""
    return `url must be the URL of a storage (${known.join(", ")}), but is ${what}${hint}`
  }
}
