import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type Cluster, Command, type Redis } from "ioredis"
import type { StorageError } from "../../LockError.js"
import * as errors from "./errors.js"
import type { Script } from "./scripts.js"

export type Client = Redis | Cluster

export interface Replicas {
  readonly replicas: number
  /** Milliseconds. */
  readonly timeout: number
}

export interface Settings {
  readonly client: Client
  /** The name of a client of our own, which is disconnected with the scope, and when it has fallen silent. */
  readonly name: string | undefined
  readonly secrets: ReadonlyArray<string>
}

export interface Call {
  readonly operation: string
  /** Milliseconds. */
  readonly millis: number
  /** After the script, on the same connection, wait for replicas, if this reply is of something written. */
  readonly wait?: (Replicas & { readonly concerns: (reply: unknown) => boolean }) | undefined
}

/**
 * Scripts and commands on one client. Interrupting one is harmless: it goes on by itself to its answer or its time-out, and nothing waits for it.
 */
export interface Connection {
  readonly script: (
    call: Call,
    script: Script,
    keys: ReadonlyArray<string>,
    args: ReadonlyArray<string>
  ) => Effect.Effect<unknown, StorageError>
  /** A command to one of the masters. */
  readonly command: (
    call: Call,
    name: string,
    args: ReadonlyArray<string>,
    node: Redis
  ) => Effect.Effect<unknown, StorageError>
  /** All of them, or an error. */
  readonly masters: (call: Call) => Effect.Effect<ReadonlyArray<Redis>, StorageError>
  readonly isCluster: boolean
}

/** `setTimeout` fires at once beyond this. */
const longestTimer = 2 ** 31 - 1
/** How long the goodbye may take, in milliseconds. */
const farewell = 1_000

const ignore = () => {}

interface Waiter {
  readonly go: () => void
  readonly fail: (error: unknown) => void
}

export const make = (settings: Settings): Effect.Effect<Connection, never, Scope.Scope> =>
  Effect.map(Effect.acquireRelease(Effect.sync(() => use(settings)), ({ close }) => close), ({ connection }) => connection)

const send = (target: Client, name: string, args: ReadonlyArray<string>): Promise<unknown> => {
  const command = new Command(name, args as Array<string>, { replyEncoding: "utf8" })
  try {
    // Not by the client's methods: they may be gathered into pipelines by the wrong slot, and put `keyPrefix` before keys that have it.
    target.sendCommand(command)
  } catch (error) {
    command.reject(error as Error)
  }
  return command.promise
}

/**
 * The client hears one error of each socket. A second one, such as an alert that comes when a handshake of TLS is broken off, would end the process.
 */
export const hush = (client: Client): void => {
  if (!client.isCluster) (client as Redis).stream?.on("error", ignore)
}

const use = ({ client, name, secrets }: Settings) => {
  const own = name !== undefined
  /** Operations that wait for the client to be ready: the client's own queue would send them after they were given up. */
  const waiting = new Set<Waiter>()
  let closing = false
  let dropping = false
  /** Whether there is a connection whose server has answered, and which one it is. */
  let greeted = client.status === "ready" && !own
  let connected = 0
  let lastError: unknown = new Error("the connection was closed")
  /** What the driver has said since it was last connected. */
  let said: unknown = undefined
  let lastReply = Number.NEGATIVE_INFINITY

  const each = (act: (waiter: Waiter) => void) => {
    const all = Array.from(waiting)
    waiting.clear()
    all.forEach(act)
  }
  const open = () => client.status === "ready" && !dropping && (client.isCluster || (client as Redis).stream.writable)

  /**
   * Nothing is sent before the first answer of a connection, or it might be done for the default user where ours is refused. The client's own ready check is not for that: it needs INFO, prints where that
   * is not allowed, and left out it may call a connection ready that is closed.
   */
  const greet = () => {
    const me = ++connected
    const welcome = () => {
      // A refused AUTH ends the connection, and may do so after it has answered this.
      if (me !== connected || !open()) return
      greeted = true
      said = undefined
      each(({ go }) => go())
    }
    if (!own) return welcome()
    send(client, "client", ["setname", String(name)]).then(welcome, (error: unknown) => {
      if (errors.commandOf(error) === "client") welcome()
    })
  }
  const handlers: Record<string, (error?: unknown) => void> = {
    ready: greet,
    // Always heard: one that nobody hears is printed.
    error: (error) => {
      lastError = said = error
      hush(client)
    },
    close: () => {
      const failed = !greeted && !dropping
      greeted = false
      dropping = false
      // An attempt to connect has failed. The client will try again, and so may the caller.
      if (failed) each(({ fail }) => fail(lastError))
    },
    end: () => each(({ fail }) => fail(lastError))
  }
  for (const [event, handler] of Object.entries(handlers)) client.on(event, handler)

  const drop = () => {
    dropping = true
    hush(client)
    client.disconnect(true)
  }

  /** Nothing was heard since: the connection may be dead in silence, and everything behind would wait for it. */
  const suspect = (since: number) => {
    if (!own || closing || dropping || lastReply >= since || (client.status !== "ready" && client.status !== "connect")) return
    drop()
  }

  const attempt = ({ millis, operation }: Call, writesOnce: boolean, issue: (over: () => boolean) => Promise<unknown>) =>
    Effect.async<unknown, StorageError>((resume) => {
      let since: number | undefined
      let over = false
      const end = (result: Effect.Effect<unknown, StorageError>) => {
        if (over) return
        over = true
        clearTimeout(timer)
        waiting.delete(waiter)
        resume(result)
      }
      const fail = (error: unknown, phase: errors.Phase) =>
        end(
          closing || (client.status as string) === "end"
            ? errors.closed(operation, phase === "connecting" ? "no" : "unknown")
            : errors.fromDriver(error, { operation, phase, secrets, writesOnce })
        )
      const begun = performance.now()
      const timer = setTimeout(() => {
        suspect(since ?? begun)
        end(since === undefined ? errors.notConnected(operation, millis, said, secrets) : errors.noAnswer(operation, millis))
      }, Math.min(millis, longestTimer))
      const waiter: Waiter = {
        go: () => {
          since = performance.now()
          issue(() => over).then(
            (reply) => {
              lastReply = performance.now()
              end(Effect.succeed(reply))
            },
            (error: unknown) => {
              if (errors.isReply(error)) lastReply = performance.now()
              // The name of the server may lead to its new master by now.
              if (own && errors.codeOf(error) === "READONLY" && !dropping && client.status === "ready") drop()
              fail(error, "executing")
            }
          )
        },
        fail: (error) => fail(error, "connecting")
      }
      if (closing || client.status === "end") return end(errors.closed(operation, "no"))
      if (greeted && open()) return waiter.go()
      waiting.add(waiter)
      if (client.status === "wait") client.connect().catch(ignore)
    })

  /** The client forgets a node that cannot be reached: what is then missing must not look as if it were not there. */
  const masters = (cluster: Cluster, call: Call) =>
    Effect.flatMap(attempt(call, false, () => send(cluster, "cluster", ["slots"])), (reply) => {
      const ranges = reply as ReadonlyArray<readonly [number, number, readonly [string, number]]>
      const wanted = new Set(ranges.map(([, , [host, port]]) => `${host}:${port}`)).size
      const nodes = cluster.nodes("master")
      return nodes.length >= wanted
        ? Effect.succeed(nodes)
        : errors.fromDriver(new Error(`only ${nodes.length} of the ${wanted} masters of the cluster are known now`), {
          operation: call.operation,
          phase: "connecting",
          secrets,
          writesOnce: true
        })
    })

  const connection: Connection = {
    isCluster: client.isCluster,
    masters: (call) => client.isCluster ? masters(client as Cluster, call) : Effect.succeed([client as Redis]),
    command: (call, name, args, node) => attempt(call, false, () => send(node, name, args)),
    script: (call, script, keys, args) => {
      const parameters = [String(keys.length), ...keys, ...args]
      const { wait } = call
      /** Both in one go, so that no other write of this connection comes between. */
      const round = (name: string, what: string): Promise<unknown> => {
        const reply = send(client, name, [what, ...parameters])
        if (wait === undefined) return reply
        const acknowledged = send(client, "wait", [String(wait.replicas), String(wait.timeout)])
        acknowledged.catch(ignore)
        return reply.then((reply) =>
          wait.concerns(reply) ? acknowledged.then((acks) => ({ reply, acks: Number(acks) })) : { reply, acks: wait.replicas })
      }
      const issued = attempt(call, keys.length < 2, (over) =>
        round("evalsha", script.sha).catch((error: unknown) => {
          if (errors.codeOf(error) !== "NOSCRIPT" || over()) throw error
          return round("eval", script.text)
        }))
      return wait === undefined ? issued : Effect.flatMap(issued, (result) => {
        const { acks, reply } = result as { readonly reply: unknown; readonly acks: number }
        return acks >= wait.replicas ? Effect.succeed(reply) : errors.notReplicated(call.operation, acks, wait.replicas, wait.timeout)
      })
    }
  }

  const close = Effect.async<void>((resume) => {
    closing = true
    each(({ fail }) => fail(lastError))
    const done = () => {
      clearTimeout(timer)
      client.off("end", done)
      for (const [event, handler] of Object.entries(handlers)) if (!own || event !== "error") client.off(event, handler)
      resume(Effect.void)
    }
    const timer = setTimeout(done, farewell)
    if (!own) return done()
    // Between two connections there is nothing that could end.
    const ends = client.status === "connecting" || client.status === "connect" || client.status === "ready"
    client.on("end", done)
    hush(client)
    client.disconnect()
    if (!ends) done()
  })

  return { connection, close }
}
