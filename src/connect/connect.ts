/** The storage at a URL: for whoever is given one by a person, and does not know of which storage it is. */
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import type * as Scope from "#effect/Scope"
import * as Redacted from "effect/Redacted"
import type { Patient } from "../common/checkup.js"
import * as present from "../backends/shared/currentValue.js"
import { type Alike, alikeIn } from "../common/alike.js"
import { InvalidOptions, type StorageError } from "../LockError.js"
import * as Storage from "../Storage.js"
import { type Backend, backends } from "./backends.js"
import { MissingDriver, UnknownScheme } from "./errors.js"
import { seal } from "./secrets.js"

/** A URL, or what gives the present one: it may bear a password that is not valid for long. */
export type Url = string | (() => string | Promise<string>)

export type ConnectError = UnknownScheme | MissingDriver | InvalidOptions | StorageError

export type Options = Readonly<Record<string, unknown>>

/** All that there are, with their colons. */
export const schemes: ReadonlyArray<string> = backends.flatMap((backend) =>
  Object.keys(backend.schemes).map((name) => `${name}:`)
)

export interface Found {
  readonly backend: Backend
  /** As it is written. */
  readonly scheme: string
  /** The URL as the module calls it. */
  readonly text: string
}

/** Whose URL it is, by its scheme. */
export const find = (url: unknown): Found | UnknownScheme => {
  const text = typeof url === "string" ? url : ""
  const colon = text.indexOf(":")
  const scheme = text.slice(0, Math.max(0, colon)).toLowerCase()
  const backend = backends.find((_) => Object.hasOwn(_.schemes, scheme))
  return backend === undefined
    ? new UnknownScheme({ scheme: /^[a-z][a-z+]{0,30}:\/\//i.test(text) ? scheme : undefined, known: schemes })
    : { backend, scheme, text: backend.schemes[scheme]! + text.slice(colon) }
}

/** What a function gives later has to be of the same storage. */
const later = (backend: Backend, url: () => string | Promise<string>) => async () => {
  const now = find(await url())
  if (now instanceof UnknownScheme) throw now
  if (now.backend !== backend) throw new Error(`it gave the URL of another storage than ${backend.name}`)
  return Redacted.make(now.text)
}

/** The options of the module: what the URL says, and what is said beside it. */
const optionsOf = ({ backend, text }: Found, url: Url, options: Options): Options | InvalidOptions => {
  const said =
    backend.read === undefined
      ? { url: typeof url === "function" ? later(backend, url) : Redacted.make(text) }
      : backend.read(text)
  if (said instanceof InvalidOptions) return said
  const twice = Object.keys(options).find((name) => Object.hasOwn(said, name))
  return twice === undefined
    ? { ...seal(options, backend.secrets ?? []), ...said }
    : new InvalidOptions({ field: twice, kind: "given beside a URL that says it, too", rule: "said once" })
}

/** Where a module speaks of URLs in words of its own, in the words of whoever wrote this one. */
const asWritten =
  ({ backend, scheme }: Found) =>
  <E>(error: E): E | InvalidOptions => {
    if (!(error instanceof InvalidOptions) || error.field !== "url") return error
    const names = Object.keys(backend.schemes)
    const name = (own: string) => {
      if (own === backend.schemes[scheme]) return scheme
      const same = names.filter((each) => backend.schemes[each] === own)
      return same.find((each) => each.startsWith(scheme)) ?? same[0] ?? own
    }
    const rule = error.rule.replace(/\b([a-z+]+)(?=:\/\/)/g, (own: string) => name(own))
    return rule === error.rule ? error : new InvalidOptions({ ...error, rule })
  }

/** Whose URL it is, and the options of its module. */
const asked = (
  url: Url,
  options: Options
): Effect.Effect<{ readonly found: Found; readonly own: Options }, UnknownScheme | InvalidOptions | StorageError> =>
  Effect.flatMap(
    present.now<unknown>("connect", "url", url),
    (text): Effect.Effect<{ readonly found: Found; readonly own: Options }, UnknownScheme | InvalidOptions> => {
      const found = find(text)
      if (found instanceof UnknownScheme) return Effect.fail(found)
      const own = optionsOf(found, url, options)
      return own instanceof InvalidOptions ? Effect.fail(own) : Effect.succeed({ found, own })
    }
  )

/** A driver that is not installed is told by name, and what is wrong with a URL in the words of who wrote it. */
const told = <A, E, R>(
  found: Found,
  made: Effect.Effect<A, E, R>
): Effect.Effect<A, E | MissingDriver | InvalidOptions, R> =>
  made.pipe(
    Effect.catchDefect((defect) => (defect instanceof MissingDriver ? Effect.fail(defect) : Effect.die(defect))),
    Effect.mapError(asWritten(found))
  )

/**
 * The storage at a URL, for as long as the scope. `options`: those of its module, whose secrets may be plain texts.
 *
 * What is wrong with the URL or the options is told before any I/O, and nothing of the URL but its kind. A driver that is not installed is told by name.
 */
export const open = (url: Url, options: Options = {}): Effect.Effect<Alike, ConnectError, Scope.Scope> =>
  Effect.gen(function* () {
    const { found, own } = yield* asked(url, options)
    const { layer } = yield* Effect.promise(found.backend.load)
    const context = yield* told(found, Layer.build(layer(own)))
    return alikeIn(context)
  })

/** The same storage, to be looked at and not to lock in. Nothing, where it is not known what to look at. */
export const patient = (
  url: Url,
  options: Options = {}
): Effect.Effect<Patient | undefined, ConnectError, Scope.Scope> =>
  Effect.gen(function* () {
    const { found, own } = yield* asked(url, options)
    if (found.backend.checkup === undefined) return undefined
    const { checkup } = yield* Effect.promise(found.backend.checkup)
    return yield* told(found, checkup(own))
  })

/** `open` as a layer. */
export const layer = (url: Url, options: Options = {}): Layer.Layer<Storage.Storage, ConnectError> =>
  Layer.effect(
    Storage.Storage,
    Effect.map(open(url, options), ({ storage }) => storage)
  )
