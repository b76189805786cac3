/** What imports `ioredis`: a storage over connections of its own, or over the program's client. */
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import type { Cluster, Redis } from "ioredis"
import { invalid } from "../../common/input.js"
import { InvalidOptions, type StorageError } from "../../LockError.js"
import type { Ports } from "../shared/layers.js"
import * as Notices from "../shared/notices.js"
import * as connections from "./connection.js"
import * as errors from "./errors.js"
import * as links from "./link.js"
import * as listener from "./listener.js"
import type { ResolvedCommon } from "./options.js"
import * as setup from "./setup.js"
import * as shared from "./shared.js"
import * as ports from "./storage.js"
import * as targets from "./target.js"
import type { Wire } from "./wire.js"

/** How long the listening connection may be silent before it is asked, and may take to answer. */
const listenerKeepAlive = Duration.seconds(10)
const listenerPatience = Duration.seconds(5)

const valid = <A>(evaluate: () => A | InvalidOptions): Effect.Effect<A, InvalidOptions> =>
  Effect.suspend(() => {
    const result = evaluate()
    return result instanceof InvalidOptions ? Effect.fail(result) : Effect.succeed(result)
  })

const inTime = (ask: targets.Ask, millis: number): targets.Ask =>
  Effect.timeoutOrElse(ask, {
    duration: millis,
    orElse: () =>
      Effect.fail(errors.connection("connect", `what was asked for a new connection did not come within ${millis} ms`))
  })

interface Way {
  readonly wire: Wire
  readonly listen: targets.Ask
  readonly keyPrefix: string
  readonly name: string
}

const open = (
  { keyPrefix, listen, name, wire }: Way,
  common: ResolvedCommon
): Effect.Effect<Ports, StorageError, Scope.Scope> =>
  Effect.gen(function* () {
    const prefix = keyPrefix + common.prefix
    const channel = `${prefix}wake-ups`
    const notices = yield* Notices.make("RedisStorage")
    const connection = connections.make(wire)
    const wakeUps = common.notify
      ? yield* listener.make({
          ask: listen,
          channel,
          name: `${name}:wake-ups`,
          notices,
          keepAlive: listenerKeepAlive,
          patience: listenerPatience
        })
      : undefined
    const made = ports.make(connection, {
      prefix,
      channel: common.notify ? channel : "",
      operationTimeout: common.operationTimeout,
      wait: common.wait,
      wakeUps,
      notices
    })
    // Whether it is there and lets us in; only then what may be wrong with it.
    yield* made.versioned.time ?? Effect.void
    yield* setup.look(connection, { operation: "setup", millis: common.operationTimeout })
    return made
  })

/** A connection of our own. */
const wireOf = (
  ask: targets.Ask,
  common: ResolvedCommon
): Effect.Effect<
  { readonly wire: Wire; readonly first: targets.Target; readonly same: targets.Ask },
  StorageError,
  Scope.Scope
> =>
  Effect.gen(function* () {
    // Asked once before all: where its keys are is settled for the life of the layer.
    const first = yield* inTime(ask, common.operationTimeout)
    const same = targets.same(ask, first)
    let given: targets.Target | undefined = first
    const next = Effect.suspend(() => {
      const target = given
      given = undefined
      return target === undefined ? same : Effect.succeed(target)
    })
    const wire = yield* Effect.acquireRelease(
      links.make({ ask: next, millis: common.operationTimeout }),
      ({ close }) => close
    )
    return { wire, first, same }
  })

/** Over connections of our own. */
const openOwn = (ask: targets.Ask, common: ResolvedCommon): Effect.Effect<Ports, StorageError, Scope.Scope> =>
  Effect.flatMap(wireOf(ask, common), ({ first, same, wire }) =>
    open(
      { wire, listen: inTime(same, Duration.toMillis(listenerPatience)), keyPrefix: first.keyPrefix, name: first.name },
      common
    )
  )

/** The same connection, to look at the server. */
export const reach = (
  where: targets.Where,
  common: ResolvedCommon
): Effect.Effect<
  { readonly connection: connections.Connection; readonly keyPrefix: string },
  StorageError | InvalidOptions,
  Scope.Scope
> =>
  Effect.flatMap(
    valid(() => targets.of(where, common.operationTimeout)),
    (ask) =>
      Effect.map(wireOf(ask, common), ({ first, wire }) => ({
        connection: connections.make(wire),
        keyPrefix: first.keyPrefix
      }))
  )

export const make = (
  where: targets.Where,
  common: ResolvedCommon
): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.flatMap(
    valid(() => targets.of(where, common.operationTimeout)),
    (ask) => openOwn(ask, common)
  )

export const fromClient = (
  client: Redis | Cluster,
  common: ResolvedCommon
): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    if (!client.isCluster)
      return yield* openOwn(yield* valid(() => targets.beside(client as Redis, common.operationTimeout)), common)
    const cluster = client as Cluster
    if (common.wait !== undefined) return yield* invalid("wait", common.wait, "left out on a Cluster")
    const keyPrefix = yield* valid(() => targets.clusterPrefix(cluster))
    const wire = yield* Effect.acquireRelease(
      Effect.sync(() => shared.make(cluster)),
      ({ close }) => close
    )
    return yield* open(
      { wire, listen: targets.ofNode(cluster, common.operationTimeout), keyPrefix, name: targets.defaultName },
      common
    )
  })
