/** Who asks, by name and password. */
import * as Redacted from "effect/Redacted"
import { secretText } from "../../common/input.js"
import { unknownName } from "../../common/optionNames.js"
import { InvalidOptions } from "../../LockError.js"

export interface User {
  readonly name: string
  readonly password: Redacted.Redacted
}

/** `user:password` as it stands before the `@` of a URL. A text says what is wrong, and nothing of the value. */
export const ofUrl = (text: string): User | string => {
  const colon = text.indexOf(":")
  if (colon < 1) return "a URL with a user, but no password"
  try {
    return {
      name: decodeURIComponent(text.slice(0, colon)),
      password: Redacted.make(decodeURIComponent(text.slice(colon + 1)))
    }
  } catch {
    return "a URL whose user or password is not percent-encoded rightly"
  }
}

/** The option `user`. */
export const option = (value: unknown): User | InvalidOptions => {
  const unknown = unknownName<User>(value, { name: true, password: true }, "user")
  if (unknown !== undefined) return unknown
  const { name, password } = value as User
  return typeof name === "string" && name !== "" && typeof secretText(password) === "string"
    ? { name, password }
    : new InvalidOptions({ field: "user", kind: "something else", rule: "{ name, password }, the password Redacted" })
}
