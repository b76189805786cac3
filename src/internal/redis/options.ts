import type * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import { Redis, type RedisOptions } from "ioredis"
import { InvalidOptions } from "../../LockError.js"
import { duration, invalid, operationTimeout, textFault } from "../input.js"
import type { Client, Replicas } from "./connection.js"
import * as errors from "./errors.js"

export interface Common {
  readonly prefix?: string | undefined
  readonly notify?: boolean | undefined
  readonly operationTimeout?: Duration.DurationInput | undefined
  readonly wait?: { readonly replicas: number; readonly timeout: Duration.DurationInput } | undefined
}

export interface ResolvedCommon {
  readonly prefix: string
  readonly notify: boolean
  /** Milliseconds. */
  readonly operationTimeout: number
  readonly wait: Replicas | undefined
}

export const defaultPrefix = "storage-lock:"
const longestPrefix = 128

export const common = (options: Common): ResolvedCommon | InvalidOptions => {
  const prefix = options.prefix ?? defaultPrefix
  const fault = textFault(prefix) ?? (prefix.length > longestPrefix ? `a string of ${prefix.length} UTF-16 units` : undefined)
  if (fault !== undefined) {
    return new InvalidOptions({ field: "prefix", kind: fault, rule: `a string of 1 to ${longestPrefix} UTF-16 units, without NUL` })
  }
  if (options.notify !== undefined && typeof options.notify !== "boolean") return invalid("notify", options.notify, "true or false")
  const timeout = operationTimeout(options.operationTimeout)
  if (typeof timeout !== "number") return timeout
  const common = { prefix, notify: options.notify ?? true, operationTimeout: timeout }
  if (options.wait === undefined) return { ...common, wait: undefined }
  if (typeof options.wait !== "object" || options.wait === null) return invalid("wait", options.wait, "{ replicas, timeout }")
  const { replicas } = options.wait
  if (!Number.isInteger(replicas) || replicas < 1 || replicas > 1000) {
    return invalid("wait.replicas", replicas, "an integer from 1 to 1000")
  }
  const patience = duration(
    "wait.timeout",
    options.wait.timeout,
    "a duration from a millisecond, and below operationTimeout",
    // Zero would wait for ever.
    (millis) => millis >= 1 && millis < timeout
  )
  return typeof patience === "number" ? { ...common, wait: { replicas, timeout: Math.ceil(patience) } } : patience
}

const urlRule = "a Redacted URL such as redis://user:password@host:6379/0 or rediss://…, with the characters / ? # @ : % of user and password " +
  "percent-encoded, and without parameters (they go to `redis`)"

/** Says nothing of the value but its kind: a URL that is not understood may bear its password anywhere. */
const parsed = (value: unknown): RedisOptions | InvalidOptions => {
  const bad = (kind: string) => new InvalidOptions({ field: "url", kind, rule: urlRule })
  if (!Redacted.isRedacted(value)) return bad(`of type ${value === null ? "null" : typeof value}, not Redacted`)
  const text: unknown = Redacted.value(value)
  if (typeof text !== "string") return bad(`a Redacted of type ${text === null ? "null" : typeof text}`)
  if (!/^rediss?:\/\//i.test(text)) return bad(text === "" ? "empty" : "not a URL of Redis")
  try {
    const url = new URL(text)
    const db = url.pathname.replace(/^\//, "")
    if (text.includes("#")) return bad("a URL with a raw #")
    // A password with a raw slash or question mark moves the rest of it into what follows the host.
    if (url.search !== "" || !/^\d{0,4}$/.test(db) || url.hostname === "") return bad("a URL with parameters, or with a raw / or ? in its user or password, or without a host")
    return {
      host: decodeURIComponent(url.hostname).replace(/^\[|\]$/g, ""),
      port: url.port === "" ? 6379 : Number(url.port),
      ...(url.username === "" ? {} : { username: decodeURIComponent(url.username) }),
      ...(url.password === "" ? {} : { password: decodeURIComponent(url.password) }),
      ...(db === "" ? {} : { db: Number(db) }),
      ...(/^rediss:/i.test(text) ? { tls: {} } : {})
    }
  } catch {
    return bad("a URL that cannot be read")
  }
}

export const name = "effect-storage-lock"

const isText = (value: unknown): value is string => typeof value === "string" && value !== ""

/** What errors must not show. Of a Cluster, the passwords of its nodes. */
export const secretsOf = (client: Client): ReadonlyArray<string> => {
  const options = client.options as RedisOptions & { readonly redisOptions?: RedisOptions }
  const { redisOptions } = options
  return [options.password, options.sentinelPassword, redisOptions?.password].filter(isText)
}

export const keyPrefixOf = (client: Client): string => (client.options as RedisOptions).keyPrefix ?? ""

/** Quickly at first, and never so slowly that a short lease would end meanwhile for that alone. */
const reconnectDelay = (times: number): number => Math.min(1_000, 20 * 2 ** Math.min(times, 10)) * (0.5 + Math.random() / 2)

/** A connection that is lost says so to all that it owed an answer, and nothing is queued, or sent after it was given up. */
const forced = (options: RedisOptions, millis: number): RedisOptions => ({
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  enableAutoPipelining: false,
  reconnectOnError: null,
  commandTimeout: undefined,
  socketTimeout: undefined,
  stringNumbers: false,
  readOnly: false,
  monitor: false,
  lazyConnect: true,
  connectTimeout: Math.ceil(millis),
  disconnectTimeout: 10,
  disableClientInfo: true,
  // Given by the connection itself, with its first command.
  connectionName: undefined,
  // Sentinels may name a node that is not the master any more: then the check asks it.
  enableReadyCheck: Array.isArray(options.sentinels)
})

/** The client of our own, which connects when it is first used. */
export const client = (
  options: { readonly url?: unknown; readonly redis?: RedisOptions | undefined },
  millis: number
): Redis | InvalidOptions => {
  const { redis = {} } = options
  if (typeof redis !== "object" || redis === null) return invalid("redis", redis, "options of ioredis")
  if (options.url === undefined && redis.host === undefined && redis.path === undefined && redis.sentinels === undefined) {
    return invalid("url", undefined, `${urlRule}; or give \`redis\` with \`host\`, \`path\` or \`sentinels\``)
  }
  const url = options.url === undefined ? {} : parsed(options.url)
  if (url instanceof InvalidOptions) return url
  try {
    return new Redis({
      keepAlive: 10_000,
      retryStrategy: reconnectDelay,
      ...redis,
      ...url,
      ...(url.tls === undefined ? {} : { tls: { ...redis.tls } }),
      ...forced(redis, millis)
    })
  } catch (cause) {
    return new InvalidOptions({ field: "redis", kind: errors.codeOf(cause) ?? "refused by ioredis", rule: "options of ioredis" })
  }
}

/** A connection beside the program's own, which may have a transaction open, wait in a blocking command, or be subscribed. */
export const beside = (client: Redis, millis: number): Redis =>
  client.duplicate({ retryStrategy: reconnectDelay, ...forced(client.options, millis) })

/** For a client of a cluster: any node hears what is published at any other. */
export const listening = (client: Client, millis: number): Redis | undefined => {
  const masters = client.isCluster ? (client as Exclude<Client, Redis>).nodes("master") : [client as Redis]
  return masters[Math.floor(Math.random() * masters.length)]?.duplicate({
    ...forced({}, millis),
    // The channel has it already.
    keyPrefix: "",
    retryStrategy: null,
    enableOfflineQueue: true
  })
}
