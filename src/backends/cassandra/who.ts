/** Who we are, by name and password: asked for at each connection, and kept by nobody. */
import { auth } from "cassandra-driver"
import * as Redacted from "effect/Redacted"
import type { User } from "./options.js"

type Callback = (error: unknown, answer?: Buffer) => void

/** A provider of the driver's, of which it wants a class. */
export class Who extends auth.PlainTextAuthProvider {
  constructor(private readonly ask: () => Promise<User>) {
    super("", "")
  }

  override newAuthenticator(): auth.Authenticator {
    const { ask } = this
    return {
      initialResponse: (callback) => {
        const answer = callback as Callback
        ask().then(
          ({ name, password }) => answer(null, Buffer.from(`\0${name}\0${Redacted.value(password)}`, "utf8")),
          (error: unknown) => answer(error)
        )
      },
      // Nothing more is asked of a name and a password.
      evaluateChallenge: (_, callback) => (callback as Callback)(null),
      onAuthenticationSuccess: () => {}
    }
  }
}
