/** How the nodes are reached: who asks, by an API key, or a user of the options or of the URL. */
import * as Effect from "#effect/Effect"
import type * as HttpClient from "#effect/http/HttpClient"
import type * as Redacted from "effect/Redacted"
import { InvalidOptions } from "../../LockError.js"
import type { Tls } from "../http/options.js"
import * as reach from "../http/reach.js"
import type { Source } from "../http/source.js"
import type { Present } from "../shared/currentValue.js"
import { names } from "./errors.js"
import * as options from "./options.js"

interface Access {
  readonly url: Present<Redacted.Redacted>
  readonly user?: Present<options.User> | undefined
  readonly apiKey?: Present<Redacted.Redacted> | undefined
}

const server: reach.Server = {
  names,
  defaultPort: options.defaultPort,
  whoAsks: (url, values) => {
    const found = options.authorization(url.user, values.user, values.apiKey)
    return found instanceof InvalidOptions ? found : found === undefined ? {} : { authorization: found }
  }
}

export const own = (
  { apiKey, tls, url, user }: Access & { readonly tls?: Present<Tls> | undefined },
  poolSize: number
): Source | InvalidOptions => reach.own(server, { url, tls, who: { user, apiKey } }, poolSize)

export const ofProgram = (
  { apiKey, url, user }: Omit<Access, "url"> & { readonly url?: Access["url"] | undefined },
  client: HttpClient.HttpClient
): Effect.Effect<Source | InvalidOptions> =>
  Effect.map(reach.ofProgram(server, { url, who: { user, apiKey } }, client), (make) => make())
