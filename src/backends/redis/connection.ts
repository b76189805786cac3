/** Calls on connections to Redis: one at a time or gathered, each within its time. */
import * as Effect from "#effect/Effect"
import * as Result from "#effect/Result"
import type { Cluster, Redis } from "ioredis"
import type { StorageError } from "../../LockError.js"
import * as errors from "./errors.js"
import * as replies from "./replies.js"
import type { Script } from "./scripts.js"
import { send } from "./session.js"
import type { Client, Waiter, Wire } from "./wire.js"

export interface Replicas {
  readonly replicas: number
  /** Milliseconds. */
  readonly timeout: number
}

export interface Call {
  readonly operation: string
  /** Milliseconds. */
  readonly millis: number
  /** After the script, on the same connection, wait for replicas, if this reply is of something written. */
  readonly wait?: (Replicas & { readonly concerns: (reply: unknown) => boolean }) | undefined
}

/** A master of a Cluster; none: the one that there is. */
export type Node = Redis | undefined

export type Answer = Result.Result<unknown, StorageError>

/**
 * Scripts and commands. Interrupting one is harmless: it goes on by itself to its answer or its time-out, and nothing waits for it.
 */
export interface Connection {
  /** By a callback, and without `wait`. `writesOnce`: an error reply means that nothing was written. */
  readonly run: (
    call: Call,
    script: Script,
    keys: ReadonlyArray<string>,
    args: ReadonlyArray<string>,
    writesOnce: boolean,
    done: (answer: Answer) => void
  ) => void
  readonly script: (
    call: Call,
    script: Script,
    keys: ReadonlyArray<string>,
    args: ReadonlyArray<string>
  ) => Effect.Effect<unknown, StorageError>
  readonly command: (
    call: Call,
    name: string,
    args: ReadonlyArray<string>,
    node: Node
  ) => Effect.Effect<unknown, StorageError>
  /** All of them, or an error. */
  readonly masters: (call: Call) => Effect.Effect<ReadonlyArray<Node>, StorageError>
  readonly isCluster: boolean
}

/** `setTimeout` fires at once beyond this. */
const longestTimer = 2 ** 31 - 1

const ignore = () => {}

/** What was read of an answer, or a `StorageError` where its shape is none that we know. */
export const readNow = <A>(
  operation: string,
  read: () => Effect.Effect<A, StorageError>
): Effect.Effect<A, StorageError> => {
  try {
    return read()
  } catch (error) {
    return Effect.fail(errors.fromDriver(error, { operation, phase: "executing", writesOnce: false }))
  }
}

export const read = <A>(operation: string, evaluate: () => A): Effect.Effect<A, StorageError> =>
  Effect.suspend(() => readNow(operation, () => Effect.succeed(evaluate())))

const settled = (answer: Answer): Effect.Effect<unknown, StorageError> =>
  Result.isSuccess(answer) ? Effect.succeed(answer.success) : Effect.fail(answer.failure)

export const make = (wire: Wire): Connection => {
  const start = (
    { millis, operation }: Call,
    writesOnce: boolean,
    issue: (client: Client, over: () => boolean) => Promise<unknown>,
    done: (answer: Answer) => void
  ): void => {
    /** When it was sent. */
    let since: number | undefined
    let over = false
    let mayMove = true
    const end = (answer: Answer) => {
      if (over) return
      over = true
      clearTimeout(timer)
      wire.forget(waiter)
      done(answer)
    }
    const failed = (error: StorageError) => end(Result.fail(error))
    const fail = (error: unknown, phase: errors.Phase) =>
      failed(
        wire.isClosed()
          ? errors.closed(operation, phase === "connecting" ? "no" : "unknown")
          : errors.fromDriver(error, { operation, phase, writesOnce })
      )
    const timer = setTimeout(
      () => {
        if (since !== undefined) wire.suspect(since)
        failed(
          since === undefined ? errors.notConnected(operation, millis, wire.said()) : errors.noAnswer(operation, millis)
        )
      },
      Math.min(millis, longestTimer)
    )
    const refused = (client: Client, error: unknown) => {
      if (!errors.meansElsewhere(error)) {
        if (errors.isReply(error)) wire.heard()
        return fail(errors.isDriver(error) ? (wire.said() ?? error) : error, "executing")
      }
      // The name of the server, or a Sentinel, may lead to the right one by now, and what was refused was not done.
      if (!wire.leave(client, error) || !mayMove || over || !errors.refusedScript(error))
        return fail(error, "executing")
      mayMove = false
      since = undefined
      join()
    }
    const waiter: Waiter = {
      go: (client) => {
        since = performance.now()
        issue(client, () => over).then(
          (reply) => {
            wire.heard()
            end(Result.succeed(reply))
          },
          (error: unknown) => refused(client, error)
        )
      },
      fail: (error) => fail(error, "connecting")
    }
    const join = () => {
      if (wire.isClosed()) return failed(errors.closed(operation, "no"))
      const client = wire.ready()
      if (client !== undefined) return waiter.go(client)
      wire.wait(waiter)
    }
    join()
  }

  const attempt = (
    call: Call,
    writesOnce: boolean,
    issue: (client: Client, over: () => boolean) => Promise<unknown>
  ): Effect.Effect<unknown, StorageError> =>
    Effect.callback<unknown, StorageError>((resume) =>
      start(call, writesOnce, issue, (answer) => resume(settled(answer)))
    )

  /** `evalsha`, and the whole text where the server does not know it yet. */
  const issuing = (
    script: Script,
    keys: ReadonlyArray<string>,
    args: ReadonlyArray<string>,
    round: (client: Client, name: string, parameters: ReadonlyArray<string>) => Promise<unknown>
  ) => {
    const parameters = [script.sha, String(keys.length), ...keys, ...args]
    return (client: Client, over: () => boolean) =>
      round(client, "evalsha", parameters).catch((error: unknown) => {
        if (errors.codeOf(error) !== "NOSCRIPT" || over()) throw error
        return round(client, "eval", [script.text, ...parameters.slice(1)])
      })
  }

  /** The client forgets a node that cannot be reached: what is then missing must not look as if it were not there. */
  const masters = (cluster: Cluster, call: Call) =>
    Effect.flatMap(
      attempt(call, false, () => send(cluster, "cluster", ["slots"])),
      (reply) =>
        Effect.flatMap(
          read(
            call.operation,
            () =>
              new Set(
                replies.list(reply).map((range) => {
                  const [host, port] = replies.list(replies.list(range)[2])
                  return `${String(host)}:${String(port)}`
                })
              ).size
          ),
          (wanted) => {
            const nodes = cluster.nodes("master")
            return nodes.length >= wanted
              ? Effect.succeed(nodes)
              : errors.connection(
                  call.operation,
                  `only ${nodes.length} of the ${wanted} masters of the cluster are known now`
                )
          }
        )
    )

  return {
    isCluster: wire.cluster !== undefined,
    masters: (call) => (wire.cluster === undefined ? Effect.succeed([undefined]) : masters(wire.cluster, call)),
    command: (call, name, args, node) => attempt(call, false, (client) => send(node ?? client, name, args)),
    run: (call, script, keys, args, writesOnce, done) =>
      start(call, writesOnce, issuing(script, keys, args, send), done),
    script: (call, script, keys, args) => {
      const { wait } = call
      /** Both in one go, so that no other write of this connection comes between. */
      const round = (client: Client, name: string, parameters: ReadonlyArray<string>): Promise<unknown> => {
        const reply = send(client, name, parameters)
        if (wait === undefined) return reply
        const acknowledged = send(client, "wait", [String(wait.replicas), String(wait.timeout)])
        acknowledged.catch(ignore)
        return reply.then((reply) =>
          wait.concerns(reply)
            ? acknowledged.then((acks) => ({ reply, acks: Number(acks) }))
            : { reply, acks: wait.replicas }
        )
      }
      const issued = attempt(call, keys.length < 2, issuing(script, keys, args, round))
      return wait === undefined
        ? issued
        : Effect.flatMap(issued, (result) => {
            const { acks, reply } = result as { readonly reply: unknown; readonly acks: number }
            return acks >= wait.replicas
              ? Effect.succeed(reply)
              : errors.notReplicated(call.operation, acks, wait.replicas, wait.timeout)
          })
    }
  }
}
