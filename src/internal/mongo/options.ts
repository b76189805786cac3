import type * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import { MongoClient, type MongoClientOptions } from "mongodb"
import { InvalidOptions } from "../../LockError.js"
import { invalid, operationTimeout, textFault } from "../input.js"

export interface Common {
  readonly database?: string | undefined
  readonly collection?: string | undefined
  readonly operationTimeout?: Duration.DurationInput | undefined
  readonly mode?: "auto" | "pipeline" | "versioned" | undefined
  readonly wakeUps?: boolean | undefined
}

export interface ResolvedCommon {
  readonly database: string | undefined
  readonly collection: string
  /** Milliseconds. */
  readonly operationTimeout: number
  readonly mode: "auto" | "pipeline" | "versioned"
  readonly wakeUps: boolean
}

export const defaultCollection = "storage_lock"

const bytes = (text: string): number => new TextEncoder().encode(text).length

const databaseFault = (name: unknown): string | undefined =>
  textFault(name) ??
    (/[/\\. "$*<>:|?]/.test(name as string) || bytes(name as string) > 63 ? JSON.stringify(name) : undefined)

/** 120 bytes for both names together are what the oldest servers take. */
const collectionFault = (name: unknown): string | undefined =>
  textFault(name) ??
    (/^system\.|[$]|^\.|\.$|\.\./.test(name as string) || bytes(name as string) > 200 ? JSON.stringify(name) : undefined)

export const common = (options: Common): ResolvedCommon | InvalidOptions => {
  const database = options.database === undefined ? undefined : databaseFault(options.database)
  if (database !== undefined) {
    return new InvalidOptions({ field: "database", kind: database, rule: "a name that MongoDB takes, of at most 63 bytes" })
  }
  const name = options.collection ?? defaultCollection
  const collection = collectionFault(name)
  if (collection !== undefined) {
    return new InvalidOptions({
      field: "collection",
      kind: collection,
      rule: "a name of at most 200 bytes without $ and NUL, not beginning with \"system.\""
    })
  }
  const timeout = operationTimeout(options.operationTimeout)
  if (typeof timeout !== "number") return timeout
  const mode: unknown = options.mode ?? "auto"
  if (mode !== "auto" && mode !== "pipeline" && mode !== "versioned") {
    return invalid("mode", mode, "\"auto\", \"pipeline\" or \"versioned\"")
  }
  if (options.wakeUps !== undefined && typeof options.wakeUps !== "boolean") return invalid("wakeUps", options.wakeUps, "true or false")
  return { database: options.database, collection: name, operationTimeout: timeout, mode, wakeUps: options.wakeUps ?? true }
}

export interface ResolvedUrl {
  /** Opens nothing before it is used. */
  readonly client: () => MongoClient
  readonly database: string
  /** The password as the driver sees it, to be kept out of errors. */
  readonly secret: string | undefined
}

const urlRule = "a Redacted MongoDB URL such as mongodb://user:password@host:27017/database, " +
  "with the characters / ? # [ ] @ : % of user and password percent-encoded"

const settings = (text: string, poolSize: number, millis: number): MongoClientOptions => {
  // What the URL says itself stands.
  const unless = (name: string, value: unknown) => new RegExp(`[?&]${name}=`, "i").test(text) ? {} : { [name]: value }
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

/** Says nothing of the value but its kind: a URL that is not understood may bear its password anywhere. */
export const url = (value: unknown, database: string | undefined, poolSize: number, millis: number): ResolvedUrl | InvalidOptions => {
  const bad = (kind: string) => new InvalidOptions({ field: "url", kind, rule: urlRule })
  if (!Redacted.isRedacted(value)) return bad(`of type ${value === null ? "null" : typeof value}, not Redacted`)
  const text: unknown = Redacted.value(value)
  if (typeof text !== "string") return bad(`a Redacted of type ${text === null ? "null" : typeof text}`)
  if (text === "") return bad("empty")
  if (!/^mongodb(\+srv)?:\/\//.test(text)) return bad("not a URL of MongoDB")
  try {
    const make = () => new MongoClient(text, settings(text, poolSize, millis))
    // Reads the URL as the driver will, and opens nothing.
    const { options } = make()
    const named = database ?? (/^[^/]+\/\/[^/?]+\/[^?]/.test(text) ? options.dbName : undefined)
    if (named === undefined) {
      return new InvalidOptions({ field: "database", kind: "not given", rule: "given here or at the end of the URL's path" })
    }
    const fault = databaseFault(named)
    if (fault !== undefined) return bad("a URL with a database that MongoDB does not take")
    return { client: make, database: named, secret: options.credentials?.password }
  } catch {
    return bad("a URL that cannot be read")
  }
}
