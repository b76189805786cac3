/** Where a connection goes, and what it must be told before it serves anything. Made again for each connection. */
import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import { type Cluster, Redis, type RedisOptions } from "ioredis"
import { InvalidOptions, type StorageError } from "../../LockError.js"
import { invalid } from "../../common/input.js"
import { isFixed, now, type Present } from "../shared/currentValue.js"
import * as errors from "./errors.js"
import { parse, urlRule } from "./url.js"

export interface Target {
  /** For the driver, which is told neither user, password nor database: it goes on where the server refuses them, or prints. */
  readonly options: RedisOptions
  readonly username: string | undefined
  readonly password: string | undefined
  readonly db: number
  readonly name: string
  /** By Sentinels, who may name a node that is not the master any more. */
  readonly guarded: boolean
  readonly keyPrefix: string
  /** Whether the next one may have other credentials. */
  readonly isAsked: boolean
}

/** What gives the target of the next connection. */
export type Ask = Effect.Effect<Target, StorageError>

export interface Where {
  readonly url?: Present<Redacted.Redacted> | undefined
  readonly redis?: Present<RedisOptions> | undefined
  readonly password?: Present<Redacted.Redacted> | undefined
}

export const defaultName = "effect-storage-lock"

/** A connection that is lost says so to all that it owed an answer; nothing is queued, sent again, or reconnected behind our back. */
const ours = (options: RedisOptions, millis: number): RedisOptions => ({
  username: undefined,
  password: undefined,
  db: 0,
  keyPrefix: "",
  connectionName: undefined,
  disableClientInfo: true,
  enableReadyCheck: false,
  lazyConnect: true,
  retryStrategy: null,
  sentinelRetryStrategy: null as never,
  reconnectOnError: null,
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResubscribe: false,
  autoResendUnfulfilledCommands: false,
  enableAutoPipelining: false,
  commandTimeout: undefined,
  socketTimeout: undefined,
  stringNumbers: false,
  readOnly: false,
  monitor: false,
  connectTimeout: Math.min(Math.ceil(millis), options.connectTimeout ?? Number.POSITIVE_INFINITY),
  disconnectTimeout: 10
})

const targetOf = (options: RedisOptions, millis: number, isAsked: boolean): Target => ({
  isAsked,
  options: { keepAlive: 10_000, ...options, ...ours(options, millis) },
  username: options.username || undefined,
  password: options.password || undefined,
  db: Number(options.db ?? 0),
  name: options.connectionName || defaultName,
  guarded: Array.isArray(options.sentinels),
  keyPrefix: options.keyPrefix ?? ""
})

/** What would be passed over in silence: two processes that each obey another half of their options lock in two places. */
const displaced = ["host", "port", "path", "sentinels", "username", "password", "db"] as const

const checked = (redis: RedisOptions, url: RedisOptions | undefined): InvalidOptions | undefined => {
  if (typeof redis !== "object" || redis === null)
    return invalid("redis", redis, "options of ioredis, or what gives them")
  for (const field of displaced) {
    const theirs = redis[field]
    if (url === undefined || theirs === undefined || theirs === null || theirs === url[field]) continue
    const told = field === "path" || field === "sentinels" ? "host" : field
    if (url[told] !== undefined) {
      return new InvalidOptions({
        field: `redis.${field}`,
        kind: "another one than in `url`",
        rule: "left out where `url` tells it, or told by `redis` alone"
      })
    }
  }
  const { db, keyPrefix, role } = redis
  if (db !== undefined && !(Number.isInteger(Number(db)) && Number(db) >= 0))
    return invalid("redis.db", db, "the number of a database")
  if (keyPrefix !== undefined && typeof keyPrefix !== "string") return invalid("redis.keyPrefix", keyPrefix, "a string")
  if (role !== undefined && role !== "master")
    return invalid("redis.role", role, "left out: locks are written, which only a master takes")
  if (redis.readOnly === true) return invalid("redis.readOnly", true, "left out: locks are written")
  if (redis.monitor === true) return invalid("redis.monitor", true, "left out")
  if (Array.isArray(redis.sentinels) && (redis.sentinels.length === 0 || typeof redis.name !== "string")) {
    return invalid(
      "redis.sentinels",
      redis.sentinels.length === 0 ? "" : redis.name,
      "a list of Sentinels, with the `name` of their master"
    )
  }
  return undefined
}

const merged = (
  url: RedisOptions | undefined,
  redis: RedisOptions,
  password: unknown
): RedisOptions | InvalidOptions => {
  const fault = checked(redis, url)
  if (fault !== undefined) return fault
  if (url === undefined && redis.host === undefined && redis.path === undefined && redis.sentinels === undefined) {
    return invalid("url", undefined, `${urlRule}; or give \`redis\` with \`host\`, \`path\` or \`sentinels\``)
  }
  if (password !== undefined && typeof password !== "string")
    return new InvalidOptions({ field: "password", kind: `of type ${typeof password}`, rule: "a Redacted string" })
  return {
    ...redis,
    ...url,
    ...(url?.tls === undefined ? {} : { tls: redis.tls ?? {} }),
    ...(password === undefined ? {} : { password })
  }
}

const secretOf = (value: unknown): unknown =>
  value === undefined ? undefined : Redacted.isRedacted(value) ? Redacted.value(value) : { notRedacted: true }

const make = (
  url: unknown,
  redis: RedisOptions | undefined,
  password: unknown,
  millis: number,
  isAsked: boolean
): Target | InvalidOptions => {
  const parsed = url === undefined ? undefined : parse(url)
  if (parsed instanceof InvalidOptions) return parsed
  const options = merged(parsed, redis === undefined ? {} : redis, secretOf(password))
  if (options instanceof InvalidOptions) return options
  const target = targetOf(options, millis, isAsked)
  try {
    // Without any I/O: whether the driver takes it.
    new Redis(target.options).disconnect()
    return target
  } catch (cause) {
    return new InvalidOptions({
      field: "redis",
      kind: errors.codeOf(cause) ?? "refused by ioredis",
      rule: "options of ioredis"
    })
  }
}

/** What is fixed is checked now; what is asked, at each connection. */
export const of = ({ password, redis, url }: Where, millis: number): Ask | InvalidOptions => {
  const fixed = (option: Present<unknown> | undefined) => option === undefined || isFixed(option)
  if (fixed(url) && fixed(redis) && fixed(password)) {
    const target = make(url, redis as RedisOptions | undefined, password, millis, false)
    return target instanceof InvalidOptions ? target : Effect.succeed(target)
  }
  const known = url !== undefined && fixed(url) ? parse(url) : undefined
  if (known instanceof InvalidOptions) return known
  const fault = redis !== undefined && fixed(redis) ? checked(redis as RedisOptions, known) : undefined
  if (fault !== undefined) return fault
  const ask = <A>(field: string, option: Present<A> | undefined) =>
    option === undefined ? Effect.succeed(undefined) : now<A>("RedisStorage.connect", field, option)
  return Effect.all([ask("url", url), ask("redis", redis), ask("password", password)], { concurrency: 3 }).pipe(
    Effect.flatMap(([url, redis, password]) => {
      const target = make(url, redis, password, millis, true)
      return target instanceof InvalidOptions
        ? errors.connection("connect", `what was asked for a new connection cannot be used: ${target.message}`)
        : Effect.succeed(target)
    })
  )
}

/** Where the program's client is now: what it has selected, not what its options once said. */
const databaseOf = (client: Redis): number => {
  const { prevCondition } = client as unknown as { readonly prevCondition?: { readonly select?: number } | null }
  // While it reconnects, the driver remembers here where it was.
  return Number(prevCondition?.select ?? client.condition?.select ?? client.options.db ?? 0)
}

/** By the present settings of the program's client, its password above all; in the database in which it is when the layer begins, for as long as that lives. */
export const beside = (client: Redis, millis: number): Ask | InvalidOptions => {
  const { role } = client.options
  if (role !== undefined && role !== null && role !== "master")
    return invalid("client", role, "a client of the master: locks are written")
  const db = databaseOf(client)
  const { keyPrefix } = client.options
  return Effect.sync(() =>
    targetOf(
      { ...client.options, readOnly: false, monitor: false, db, keyPrefix, connectionName: defaultName },
      millis,
      true
    )
  )
}

/** A Cluster has one database; Valkey 9 may have more, and then not all nodes may be in the same. */
export const clusterPrefix = ({ options }: Cluster): string | InvalidOptions => {
  const { db, keyPrefix } = {
    ...options.redisOptions,
    ...(options.keyPrefix === undefined ? {} : { keyPrefix: options.keyPrefix })
  }
  if (Number(db ?? 0) !== 0) return invalid("client", db, "a Cluster in database 0, without `redisOptions.db`")
  if (keyPrefix !== undefined && typeof keyPrefix !== "string")
    return invalid("client", keyPrefix, "a Cluster whose `keyPrefix` is a string")
  return keyPrefix ?? ""
}

/** For a client of a cluster: any node hears what is published at any other. */
export const ofNode = (cluster: Cluster, millis: number): Ask =>
  Effect.suspend(() => {
    const masters = cluster.nodes("master")
    const node = masters[Math.floor(Math.random() * masters.length)]
    if (node === undefined) return Effect.fail(errors.connection("wakeUps", "no node of the cluster is known now"))
    const { redisOptions = {} } = cluster.options
    const present = Object.fromEntries(
      (["username", "password", "tls"] as const).flatMap((name) =>
        redisOptions[name] === undefined ? [] : [[name, redisOptions[name]]]
      )
    )
    return Effect.succeed(targetOf({ ...node.options, ...present, db: 0, keyPrefix: "" }, millis, true))
  })

/** All connections of a layer are to one set of keys, whatever is asked for them later. */
export const same = (ask: Ask, first: Target): Ask =>
  Effect.filterOrFail(
    ask,
    ({ db, keyPrefix }) => db === first.db && keyPrefix === first.keyPrefix,
    ({ db, keyPrefix }) =>
      errors.connection(
        "connect",
        db !== first.db
          ? `the locks of this layer are in database ${first.db}, and a new connection is now asked to go to ${db}`
          : `the keys of this layer begin with ${JSON.stringify(first.keyPrefix)}, and a new connection is now asked for ${JSON.stringify(keyPrefix)}`
      )
  )
