/** What of a driver's error may travel on. */

import { withoutCredentials } from "../../common/credentials.js"

export { withoutCredentials }

/**
 * A copy of a driver's error for `cause`: name, message and stack, and these fields of it. The rest stays behind, for drivers hang on to their errors what they were given: options with
 * the password, and commands with their arguments.
 */
export const copyOf = (error: unknown, fields: ReadonlyArray<string>): Error => {
  const source: Record<string, unknown> =
    typeof error === "object" && error !== null ? (error as Record<string, unknown>) : { message: String(error) }
  const copy = new Error(typeof source.message === "string" ? withoutCredentials(source.message) : "")
  if (typeof source.name === "string") copy.name = source.name
  if (typeof source.stack === "string") copy.stack = withoutCredentials(source.stack)
  for (const field of fields) {
    const value = source[field]
    if (value !== undefined)
      Object.assign(copy, { [field]: typeof value === "string" ? withoutCredentials(value) : value })
  }
  return copy
}
