/** MongoDB's connection string: what it says, and what in it is refused. */
import { MongoClient, type MongoClientOptions } from "mongodb"
import { secretText } from "../../common/input.js"
import { InvalidOptions } from "../../LockError.js"
import { databaseFault } from "./options.js"

export interface ResolvedUrl {
  /** Opens nothing before it is used. */
  readonly client: () => MongoClient
  readonly database: string
  readonly text: string
  /** Of certificates or keys, which the driver reads once for each client. */
  readonly namesFiles: boolean
}

const urlRule =
  "a Redacted MongoDB URL such as mongodb://user:password@host:27017/database, " +
  "with the characters / ? # [ ] @ : % of user and password percent-encoded"

const settings = (text: string, poolSize: number, millis: number): MongoClientOptions => {
  // What the URL says itself stands.
  const unless = (name: string, value: unknown) => (new RegExp(`[?&]${name}=`, "i").test(text) ? {} : { [name]: value })
  return {
    ...unless("appName", "effect-storage-lock"),
    // One more, for the change stream.
    ...unless("maxPoolSize", poolSize + 1),
    ...unless("maxConnecting", 2),
    // Sooner than the operation itself: then it is certain that nothing was applied.
    ...unless("serverSelectionTimeoutMS", Math.max(1, Math.floor(millis * 0.8))),
    ...unless("connectTimeoutMS", Math.ceil(millis)),
    ...unless("waitQueueTimeoutMS", Math.max(1, Math.floor(millis * 0.9)))
  }
}

/** What locks must not be read or written with. The driver would go by it, and we tell it otherwise: so it is refused, and not passed over. */
const displaced: ReadonlyArray<readonly [name: string, isRight: (value: string) => boolean, why: string]> = [
  ["w", (value) => value === "majority", "locks are written with w=majority"],
  ["journal", (value) => value === "true", "locks are written with journal=true"],
  ["readPreference", (value) => value === "primary", "locks are read from the primary"],
  ["readConcernLevel", (value) => value === "majority", "locks are read with readConcernLevel=majority"]
]

/** Of a URL whose parameters surely are parameters, and no part of a password. */
const parameters = (text: string): URLSearchParams | undefined => {
  const found = /^[^?]*\?([^?@]*)$/.exec(text)
  return found === null ? undefined : new URLSearchParams(found[1])
}

const displacing = (text: string): string | undefined => {
  for (const [name, value] of parameters(text) ?? []) {
    const rule = displaced.find(([known]) => known.toLowerCase() === name.toLowerCase())
    if (rule !== undefined && !rule[1](value))
      return `a URL with ${rule[0]}, though ${rule[2]}: leave it out, or give locks a URL of their own`
  }
  return undefined
}

/** The name of a parameter that the driver does not take, by what it says. */
const unsupported = (text: string, error: unknown): string | undefined => {
  const told = error instanceof Error ? error.message : ""
  const names = [...(parameters(text)?.keys() ?? [])].filter((name) => /^[A-Za-z]\w*$/.test(name))
  return names.find((name) => new RegExp(`\\b${name}\\b`, "i").test(told))
}

/** Says nothing of the value but its kind: a URL that is not understood may bear its password anywhere. */
export const url = (
  value: unknown,
  database: string | undefined,
  poolSize: number,
  millis: number
): ResolvedUrl | InvalidOptions => {
  const bad = (kind: string) => new InvalidOptions({ field: "url", kind, rule: urlRule })
  const text = secretText(value)
  if (typeof text !== "string") return bad(text.kind)
  if (!/^mongodb(\+srv)?:\/\//.test(text)) return bad("not a URL of MongoDB")
  try {
    const make = () => new MongoClient(text, settings(text, poolSize, millis))
    // Reads the URL as the driver will, and opens nothing.
    const { options } = make()
    const named = database ?? (/^[^/]+\/\/[^/?]+\/[^?]/.test(text) ? options.dbName : undefined)
    if (named === undefined) {
      return new InvalidOptions({
        field: "database",
        kind: "not given",
        rule: "given here or at the end of the URL's path"
      })
    }
    const fault = databaseFault(named)
    if (fault !== undefined) return bad("a URL with a database that MongoDB does not take")
    const wish = displacing(text)
    if (wish !== undefined) return bad(wish)
    return { client: make, database: named, text, namesFiles: /[?&]tls\w*File=/i.test(text) }
  } catch (error) {
    const name = unsupported(text, error)
    return bad(
      name === undefined
        ? "a URL that cannot be read"
        : `a URL whose parameter ${JSON.stringify(name)} the driver does not take so`
    )
  }
}
