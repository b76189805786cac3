/** The client of our own, and the program's. */
import { Client, type ClientOptions, type errors as driverErrors, type Host, policies, types } from "cassandra-driver"
import * as Effect from "#effect/Effect"
import * as fibers from "#effect/fibers"
import * as Semaphore from "#effect/Semaphore"
import type * as Scope from "#effect/Scope"
import type { InvalidOptions, StorageError } from "../../LockError.js"
import * as errors from "./errors.js"
import type { User } from "./options.js"
import * as reach from "./reach.js"
import { steady } from "./steady.js"
import { Who } from "./who.js"

export interface Connection {
  /** The program's, or the one of ours that there is now. */
  readonly client: () => Client
  readonly isClosed: () => boolean
  /** What the end of the layer ends. */
  readonly active: Set<() => void>
  /** Why no connection could be made the last time, as far as it is known. Of a node that is down, the driver itself tells no more. */
  readonly trouble?: () => unknown
  /** After no node could be asked by `used`: whether there is another client now. */
  readonly renew?: (operation: string, used: Client, until: number) => Effect.Effect<boolean, StorageError>
}

/** How long the goodbyes may take, in milliseconds. */
const farewell = 1_000

/** How long a client that was replaced may go on with what is under way, in milliseconds. */
const overlap = 10_000

/** Pauses before a node is tried again that could not be reached, in milliseconds, after a first try at once: doubled until the second. */
const firstPause = 50
const longestPause = 1_000

/** An idle connection is tried so often, in milliseconds. */
const heartbeat = 10_000

/** The nodes of one data centre: the named one, or the only one that there is. */
class OneDataCenter extends policies.loadBalancing.LoadBalancingPolicy {
  private hosts: { readonly values: () => ReadonlyArray<Host> } | undefined

  constructor(private readonly name: string | undefined) {
    super()
  }

  override init(_: Client, hosts: Client["hosts"], callback: (error: Error) => void): void {
    this.hosts = hosts
    const names = [...new Set(hosts.values().map(({ datacenter }) => datacenter))].sort()
    const error =
      this.name === undefined && names.length > 1
        ? new SeveralDataCenters(
            `the cluster has the data centres ${names.join(", ")}: name yours by \`localDataCenter\``
          )
        : null
    callback(error as never)
  }

  override getDistance({ datacenter }: Host): types.distance {
    return this.name === undefined || datacenter === this.name ? types.distance.local : types.distance.ignored
  }

  /** For the driver's own questions: statements of ours name their node. */
  override newQueryPlan(_: string, __: unknown, callback: (error: Error, hosts: Iterator<Host>) => void): void {
    callback(null as never, (this.hosts?.values() ?? [])[Symbol.iterator]())
  }
}

/** Judged by the name that the driver gives to options that do not fit. */
class SeveralDataCenters extends Error implements Pick<driverErrors.ArgumentError, "name"> {
  override readonly name = "ArgumentError"
}

const close = (client: Client): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const done = () => {
      clearTimeout(timer)
      resume(Effect.void)
    }
    const timer = setTimeout(done, farewell)
    client.shutdown().then(done, done)
  })

/** Once it is connected, or surely is not. One that connects too late is closed. */
const connected = (
  operation: string,
  client: Client,
  until: number,
  owned: boolean
): Effect.Effect<void, StorageError> =>
  Effect.callback<void, StorageError>((resume) => {
    const millis = Math.max(0, until - performance.now())
    let late = false
    const give = () => void client.shutdown().catch(() => {})
    const timer = setTimeout(() => {
      late = true
      resume(errors.noAnswer(operation, millis, "reads"))
    }, millis)
    const end = (answer: Effect.Effect<void, StorageError>) => {
      clearTimeout(timer)
      if (late && owned) give()
      resume(answer)
    }
    client.connect().then(
      () => end(Effect.void),
      (error: unknown) => end(errors.fromDriver(operation, error, "reads"))
    )
    return Effect.sync(() => {
      clearTimeout(timer)
      late = true
    })
  })

const ending = (
  clients: () => ReadonlyArray<Client>
): Effect.Effect<Pick<Connection, "active" | "isClosed">, never, Scope.Scope> => {
  const state = { closed: false }
  const active = new Set<() => void>()
  return Effect.acquireRelease(Effect.succeed({ active, isClosed: () => state.closed }), () =>
    Effect.suspend(() => {
      state.closed = true
      for (const end of [...active]) end()
      return Effect.forEach(clients(), close, { concurrency: "unbounded", discard: true })
    })
  )
}

/** The program's client is as the program has it: its own credentials, pools and nodes count. */
export const ofProgram = (
  client: Client,
  operationTimeout: number
): Effect.Effect<Connection, StorageError, Scope.Scope> =>
  Effect.andThen(
    Effect.suspend(() => connected("setup", client, performance.now() + operationTimeout, false)),
    Effect.map(
      ending(() => []),
      (life) => ({ ...life, client: () => client })
    )
  )

export interface Settings {
  readonly localDataCenter: string | undefined
  /** Milliseconds. */
  readonly operationTimeout: number
}

const configured = (
  { tls, url, user }: reach.Reach,
  ask: () => Promise<User>,
  { localDataCenter, operationTimeout }: Settings
): ClientOptions => {
  const patience = Math.max(1_000, Math.ceil(operationTimeout / 2))
  return {
    contactPoints: [...url.contactPoints],
    ...(localDataCenter === undefined ? {} : { localDataCenter }),
    ...(user === undefined ? {} : { authProvider: new Who(ask) }),
    // The driver would take any certificate.
    ...(url.tls ? { sslOptions: { ...tls, rejectUnauthorized: true } } : {}),
    protocolOptions: { port: url.port },
    policies: {
      loadBalancing: new OneDataCenter(localDataCenter),
      reconnection: new policies.reconnection.ExponentialReconnectionPolicy(firstPause, longestPause, true),
      retry: new policies.retry.FallthroughRetryPolicy(),
      speculativeExecution: new policies.speculativeExecution.NoSpeculativeExecutionPolicy()
    },
    // One that does not answer is left at once for another.
    socketOptions: { connectTimeout: patience, readTimeout: patience, defunctReadTimeoutThreshold: 0 },
    // All nodes can be asked from the start, so that for each lock the same one is. One that hangs is not waited for beyond the time-outs above.
    pooling: { heartBeatInterval: heartbeat, warmup: true }
  }
}

/**
 * The client of our own: it finds nodes that come, and leaves those that go. When none can be asked, or when one goes, the options that are not fixed are asked for again, and if connections are to be
 * made in another way, a new client takes the place of this one.
 */
export const own = (
  source: reach.Source,
  settings: Settings
): Effect.Effect<Connection & { readonly keyspace: string }, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    let known = yield* source.now("setup")
    const { keyspace } = known.url
    const one = Semaphore.makeUnsafe(1)
    const run = yield* fibers.run
    const former = new Set<Client>()
    let trouble: unknown

    const login = () =>
      Effect.runPromise(
        Effect.flatMap(source.user(), (user) =>
          user === undefined ? errors.schema("login", "the url names no user any more") : Effect.succeed(user)
        )
      )
    const made = (of: reach.Reach): Client => {
      const client = steady(new Client({ ...configured(of, login, settings), monitorReporting: { enabled: false } }))
      client.on("log", (...[, teller, , error]: ReadonlyArray<unknown>) => {
        if (teller === "HostConnectionPool" && error instanceof Error) trouble = error
      })
      // With a certificate that has ended, say, it does not come back by itself.
      if (!source.fixed) client.on("hostDown", () => run.fork(Effect.ignore(renew("login", client, soon()))))
      return client
    }

    const soon = () => performance.now() + settings.operationTimeout

    let client = made(known)
    const life = yield* ending(() => [client, ...former])

    const retire = (old: Client) => {
      former.add(old)
      const timer = setTimeout(() => {
        former.delete(old)
        old.shutdown().catch(() => {})
      }, overlap)
      timer.unref()
    }

    const replace = (operation: string, used: Client, until: number) =>
      Effect.gen(function* () {
        // Somebody else has seen to it.
        if (life.isClosed() || used !== client) return !life.isClosed()
        const found = yield* source.now(operation)
        if (found.url.keyspace !== keyspace)
          return yield* errors.nonsense(operation, new Error("the url names another keyspace than it did at the start"))
        if (reach.isSame(found, known) || life.isClosed()) return false
        const next = made(found)
        yield* connected(operation, next, until, true)
        if (life.isClosed()) {
          yield* close(next)
          return false
        }
        retire(client)
        known = found
        client = next
        return true
      })

    const renew = (operation: string, used: Client, until: number) =>
      one.withPermits(1)(replace(operation, used, until))

    yield* connected("setup", client, soon(), true)
    return { ...life, keyspace, client: () => client, trouble: () => trouble, ...(source.fixed ? {} : { renew }) }
  })
