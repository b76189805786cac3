/** How the servers of a storage are reached, by a transport of our own or by the program's client: with the options as they are at the time. */
import * as Effect from "#effect/Effect"
import type * as HttpClient from "#effect/http/HttpClient"
import * as fibers from "#effect/fibers"
import type * as Redacted from "effect/Redacted"
import { InvalidOptions } from "../../LockError.js"
import { isFixed, type Present } from "../shared/currentValue.js"
import type { Names } from "./errors.js"
import * as node from "./node.js"
import * as options from "./options.js"
import * as source from "./source.js"

export type Headers = Readonly<Record<string, string>>

/** Whose servers they are, and how they are told who asks. */
export interface Server {
  readonly names: Names
  readonly defaultPort: number
  /** `values`: what the options are now, by their names. */
  readonly whoAsks: (url: options.ResolvedUrl, values: Readonly<Record<string, unknown>>) => Headers | InvalidOptions
}

/** `who`: the options that `whoAsks` looks at. */
export interface Access {
  readonly url: Present<Redacted.Redacted>
  readonly who: Readonly<Record<string, Present<unknown> | undefined>>
}

const needless = new InvalidOptions({
  field: "tls",
  kind: "given with a url of http://",
  rule: "only with a url of https://"
})

export const own = (
  { defaultPort, names, whoAsks }: Server,
  { tls, url, who }: Access & { readonly tls?: Present<options.Tls> | undefined },
  poolSize: number
): source.Source | InvalidOptions => {
  const early = isFixed(url) ? options.url(url, defaultPort) : undefined
  if (early instanceof InvalidOptions) return early
  if (tls !== undefined && early?.secure === false) return needless
  return source.make(names, { ...who, url, tls }, (values) => {
    const reach = options.url(values.url, defaultPort)
    if (reach instanceof InvalidOptions) return reach
    const headers = whoAsks(reach, values)
    if (headers instanceof InvalidOptions) return headers
    const certificates = options.tls(values.tls)
    if (certificates instanceof InvalidOptions) return certificates
    if (!reach.secure && values.tls !== undefined) return needless
    const fault = node.tlsFault(certificates)
    if (fault !== undefined) return fault
    return {
      nodes: reach.nodes,
      headers,
      key: JSON.stringify(certificates),
      open: () => node.make({ poolSize, tls: certificates })
    }
  })
}

/** Where the client adds the host itself, there is no URL. Gives what makes a source, for those who need several. */
export const ofProgram = (
  { defaultPort, names, whoAsks }: Server,
  { url, who }: Omit<Access, "url"> & { readonly url?: Access["url"] | undefined },
  client: HttpClient.HttpClient
): Effect.Effect<() => source.Source | InvalidOptions> =>
  Effect.gen(function* () {
    const run = yield* fibers.run
    const program = yield* Effect.promise(() => import("./program.js"))
    return () =>
      source.make(names, { ...who, url }, (values) => {
        const reach =
          values.url === undefined
            ? { nodes: [""], secure: true, user: undefined }
            : options.url(values.url, defaultPort)
        if (reach instanceof InvalidOptions) return reach
        const headers = whoAsks(reach, values)
        return headers instanceof InvalidOptions
          ? headers
          : { nodes: reach.nodes, headers, key: "", open: () => program.make(client, run) }
      })
  })
