/** Session keys: what a user and a password are exchanged for, and again when one has ended. */
import type * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import type { StorageError } from "../../LockError.js"
import { asked } from "../http/asked.js"
import type { Client } from "../http/client.js"
import { encoded } from "../http/exchange.js"
import { isObject, parsed } from "../http/json.js"
import { refusals } from "./errors.js"
import type { User } from "./options.js"

const form = ({ name, password }: User): string =>
  `username=${encoded(name)}&password=${encoded(Redacted.value(password))}&output_mode=json`

/** Fails as an operation does. A refused login is one that was refused, not a server that cannot be reached. */
export const login = (client: Client, user: User, millis: number): Effect.Effect<Redacted.Redacted, StorageError> =>
  asked(
    client,
    refusals,
    {
      operation: "login",
      kind: "reads",
      repeatable: true,
      request: {
        method: "POST",
        path: "/services/auth/login",
        headers: { accept: "application/json", "content-type": "application/x-www-form-urlencoded" },
        body: form(user)
      }
    },
    millis,
    ({ status, text }) => {
      const body = status === 200 ? parsed(text) : undefined
      const key: unknown = isObject(body) ? body.sessionKey : undefined
      return typeof key === "string" && /^[\x21-\x7e]+$/.test(key) ? Redacted.make(key) : undefined
    },
    (status) => `the answer to a login (${status}) has no session key`
  )
