/** How the member is reached that all requests go to, and who asks: by a token, or by a session that a user and a password were exchanged for. */
import * as Effect from "#effect/Effect"
import type * as HttpClient from "#effect/http/HttpClient"
import * as Redacted from "effect/Redacted"
import { valid } from "../../common/input.js"
import { InvalidOptions, type StorageError } from "../../LockError.js"
import * as client from "../http/client.js"
import type { ResolvedUrl, Tls } from "../http/options.js"
import * as urls from "../http/options.js"
import * as reach from "../http/reach.js"
import type { Source } from "../http/source.js"
import * as present from "../shared/currentValue.js"
import { names } from "./errors.js"
import * as options from "./options.js"
import * as session from "./session.js"

interface Access {
  readonly url: present.Present<Redacted.Redacted>
  readonly token?: present.Present<Redacted.Redacted> | undefined
  readonly user?: present.Present<options.User> | undefined
}

/** Without a URL, where the client knows the host. */
type Known = Omit<Access, "url"> & { readonly url?: Access["url"] | undefined }

/** Sessions are of one member, and so is what has been read. */
const oneMember = ({ nodes }: ResolvedUrl): InvalidOptions | undefined =>
  nodes.length > 1
    ? new InvalidOptions({ field: "url", kind: "a URL of several hosts", rule: "a URL of one host" })
    : undefined

const server = (who: (values: Readonly<Record<string, unknown>>) => reach.Headers | InvalidOptions): reach.Server => ({
  names,
  defaultPort: options.defaultPort,
  whoAsks: (url, values) => oneMember(url) ?? who(values)
})

const nobody = server(() => ({}))

const byToken = server((values) => {
  const token = options.token(values.token)
  return token instanceof InvalidOptions ? token : { authorization: `Bearer ${token}` }
})

const bySession = server(({ session }) =>
  session === undefined ? {} : { authorization: `Splunk ${Redacted.value(session as Redacted.Redacted)}` }
)

/** What is wrong with options that are known before anybody is asked. */
const fault = ({ token, user }: Known, known: ResolvedUrl | undefined): InvalidOptions | undefined => {
  const many = known === undefined ? undefined : oneMember(known)
  if (many !== undefined) return many
  const others = [known?.user, user, token].filter((each) => each !== undefined)
  if (others.length > 1)
    return new InvalidOptions({
      field: token === undefined ? "user" : "token",
      kind: "given beside another way to say who asks",
      rule: "one of a user in the url, `user` and `token`"
    })
  const given = token !== undefined && present.isFixed(token) ? options.token(token) : undefined
  if (given instanceof InvalidOptions) return given
  const who = user !== undefined && present.isFixed(user) ? options.user(user) : undefined
  return who instanceof InvalidOptions ? who : undefined
}

/** Who is to log in: nobody, if the options name nobody. */
const userNow = ({ url, user }: Known): Effect.Effect<options.User | undefined, StorageError | InvalidOptions> =>
  user !== undefined
    ? Effect.flatMap(present.now("SplunkStorage.login", "user", user), (value) => valid(options.user(value)))
    : url === undefined
      ? Effect.succeed(undefined)
      : Effect.flatMap(present.now("SplunkStorage.login", "url", url), (value) =>
          Effect.map(valid(urls.url(value, options.defaultPort)), (found) => found.user)
        )

type Who = Readonly<Record<string, present.Present<unknown>>>

/** `over` makes a source of what is asked by whom: one for the logins, and one for all else. */
const make = (
  access: Known,
  millis: number,
  over: (server: reach.Server, who: Who) => Effect.Effect<Source | InvalidOptions>
): Effect.Effect<Source | InvalidOptions> =>
  Effect.gen(function* () {
    const { token, url, user } = access
    const known = url !== undefined && present.isFixed(url) ? urls.url(url, options.defaultPort) : undefined
    if (known instanceof InvalidOptions) return known
    const wrong = fault(access, known)
    if (wrong !== undefined) return wrong
    if (token !== undefined) return yield* over(byToken, { token })
    const mayBeSomebody = user !== undefined || (url !== undefined && (known === undefined || known.user !== undefined))
    const first = yield* over(nobody, {})
    if (first instanceof InvalidOptions || !mayBeSomebody) return first
    const logins = client.make(names, first)
    const found = yield* over(bySession, {
      session: Effect.flatMap(userNow(access), (who) =>
        who === undefined ? Effect.succeed(undefined) : session.login(logins, who, millis)
      )
    })
    if (found instanceof InvalidOptions) return found
    return {
      ...found,
      close: () => {
        found.close()
        Effect.runSync(logins.close)
      }
    }
  })

/** `millis`: how long a login may take. */
export const own = (
  { tls, ...access }: Access & { readonly tls?: present.Present<Tls> | undefined },
  poolSize: number,
  millis: number
): Effect.Effect<Source | InvalidOptions> =>
  make(access, millis, (server, who) => Effect.sync(() => reach.own(server, { url: access.url, tls, who }, poolSize)))

export const ofProgram = (
  access: Known,
  http: HttpClient.HttpClient,
  millis: number
): Effect.Effect<Source | InvalidOptions> =>
  make(access, millis, (server, who) =>
    Effect.map(reach.ofProgram(server, { url: access.url, who }, http), (make) => make())
  )
