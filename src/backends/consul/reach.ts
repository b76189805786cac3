/** How agents are reached: who asks, by a token. A user in the URL is for whoever stands in front. */
import * as Effect from "#effect/Effect"
import type * as HttpClient from "#effect/http/HttpClient"
import type * as Redacted from "effect/Redacted"
import { InvalidOptions } from "../../LockError.js"
import { basic, type Tls } from "../http/options.js"
import * as reach from "../http/reach.js"
import type { Source } from "../http/source.js"
import { isFixed, type Present } from "../shared/currentValue.js"
import { names } from "./errors.js"
import * as options from "./options.js"

interface Access {
  readonly url: Present<Redacted.Redacted>
  readonly token?: Present<Redacted.Redacted> | undefined
}

/** Requests that are answered at once, and those that wait for a change: the ones do not stand in line behind the others. */
export interface Sources {
  readonly asks: Source
  readonly waits: Source
}

const server: reach.Server = {
  names,
  defaultPort: options.defaultPort,
  whoAsks: ({ user }, values) => {
    const token = options.token(values.token)
    return token instanceof InvalidOptions
      ? token
      : {
          ...(user === undefined ? {} : { authorization: basic(user) }),
          ...(token === undefined ? {} : { "x-consul-token": token })
        }
  }
}

const both = (asks: Source | InvalidOptions, waits: () => Source | InvalidOptions): Sources | InvalidOptions => {
  if (asks instanceof InvalidOptions) return asks
  const others = waits()
  return others instanceof InvalidOptions ? others : { asks, waits: others }
}

export const own = (
  { tls, token, url }: Access & { readonly tls?: Present<Tls> | undefined },
  poolSize: number,
  waits: number
): Sources | InvalidOptions => {
  const over = (most: number) => reach.own(server, { url, tls, who: { token } }, most)
  const asks = over(poolSize)
  if (asks instanceof InvalidOptions) return asks
  // Nonsense is told before any I/O, also if something else has to be asked for first.
  const fault = isFixed(token) ? options.token(token) : undefined
  return fault instanceof InvalidOptions ? fault : both(asks, () => over(Math.max(1, waits)))
}

export const ofProgram = (
  { token, url }: Omit<Access, "url"> & { readonly url?: Access["url"] | undefined },
  client: HttpClient.HttpClient
): Effect.Effect<Sources | InvalidOptions> =>
  Effect.map(reach.ofProgram(server, { url, who: { token } }, client), (make) => both(make(), make))
