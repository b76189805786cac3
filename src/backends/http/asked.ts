/** A question to a server over HTTP whose answer is read with care. */
import * as Effect from "#effect/Effect"
import type { StorageError } from "../../LockError.js"
import type { Call, Client } from "./client.js"
import * as errors from "./errors.js"
import type { Response } from "./exchange.js"

/** How a server says that it does not do what it is asked for. */
export interface Refusals {
  readonly names: errors.Names
  readonly byStatus: (status: number) => errors.Judged
  /** Those that are for people, in its text. */
  readonly words: (text: string) => string
}

/** Asks, in at most `millis`. What `read` does not take is a failure, which says `odd` of it if its status is not one of a failure. */
export const asked = <A>(
  client: Client,
  { byStatus, names, words }: Refusals,
  call: Call,
  millis: number,
  read: (response: Response) => A | undefined,
  odd = (status: number) => `an answer (${status}) has not the shape of one`
): Effect.Effect<A, StorageError> =>
  Effect.flatMap(
    Effect.callback<Response, StorageError>((resume) => client.ask(call, Math.max(1, millis), resume)),
    (response): Effect.Effect<A, StorageError> => {
      const value = read(response)
      if (value !== undefined) return Effect.succeed(value)
      const { kind, operation } = call
      const { status, text } = response
      return Effect.fail(
        status < 400
          ? errors.odd(names, operation, kind, odd(status))
          : errors.refused(names, operation, byStatus(status), words(text), response, kind)
      )
    }
  )
