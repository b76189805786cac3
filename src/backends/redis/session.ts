/**
 * One connection of our own, from its first byte to its end. It serves nothing until the server itself has confirmed all that must hold on it: who we are, which database, and, behind Sentinels, that
 * it is the master. The driver would go on in database 0, or as the default user, where it is refused.
 */
import { type Cluster, Command, Redis } from "ioredis"
import * as errors from "./errors.js"
import * as replies from "./replies.js"
import type { Target } from "./target.js"

export interface Session {
  readonly redis: Redis
  /** Why it ended, as far as it was told. */
  readonly said: () => unknown
  /** Ends when the socket has. */
  readonly close: () => Promise<void>
}

export interface Handlers {
  /** The server has confirmed everything. Once at most. */
  readonly ready: () => void
  /** It came to nothing, or has ended. Once. */
  readonly over: (error: unknown) => void
}

/** How long the goodbye may take, in milliseconds. */
const farewell = 1_000

const ignore = () => {}

/** Not by the client's methods: they may be gathered into pipelines by the wrong slot, and put `keyPrefix` before keys that have it. */
export const send = (target: Redis | Cluster, name: string, args: ReadonlyArray<string>): Promise<unknown> => {
  const command = new Command(name, args as Array<string>, { replyEncoding: "utf8" })
  try {
    target.sendCommand(command)
  } catch (error) {
    command.reject(error as Error)
  }
  return command.promise
}

const hushed = new WeakSet<object>()

/** The driver hears one error of each socket. A second one, such as an alert that comes when a handshake of TLS is broken off, would end the process. */
const hush = (redis: Redis): void => {
  const { stream } = redis
  if (stream === undefined || stream === null || hushed.has(stream)) return
  hushed.add(stream)
  stream.on("error", ignore)
}

type Step = readonly [command: string, args: ReadonlyArray<string>]

const stepsOf = ({ db, guarded, name, password, username }: Target): ReadonlyArray<Step> => [
  ...(username === undefined && password === undefined
    ? []
    : ([["auth", username === undefined ? [password!] : [username, password ?? ""]]] as const)),
  ...(db === 0 ? [] : ([["select", [String(db)]]] as const)),
  ...(guarded ? ([["role", []]] as const) : []),
  // Last, and always: its answer, whatever it is, shows that the connection lives after what came before.
  ["client", ["setname", name]]
]

/** All in one go. */
const confirm = async (redis: Redis, target: Target): Promise<void> => {
  const steps = stepsOf(target)
  const answers = await Promise.allSettled(steps.map(([command, args]) => send(redis, command, args)))
  const lives = answers.every((answer) => answer.status === "fulfilled" || errors.isReply(answer.reason))
  for (const [i, [command]] of steps.entries()) {
    const answer = answers[i]!
    if (answer.status === "rejected") {
      if (!errors.isReply(answer.reason)) throw answer.reason
      // Only people want the name, and the right to it.
      if (command === "client" && lives && errors.codeOf(answer.reason) !== "NOAUTH") continue
      throw new errors.Refusal(command, answer.reason, lives, target.isAsked)
    }
    if (command === "role" && replies.text(replies.list(answer.value)[0]) !== "master")
      throw new Error("a Sentinel named a server that is not the master")
    if ((command === "auth" || command === "select") && answer.value !== "OK")
      throw new replies.OddReply(`the server did not say OK to ${command.toUpperCase()}`)
  }
}

/** Throws what the driver throws at its options. */
export const open = (target: Target, millis: number, { over, ready }: Handlers): Session => {
  const redis = new Redis(target.options)
  let said: unknown
  let confirmed = false
  let done = false
  let isEnded = false
  const ended = new Promise<void>((resolve) =>
    redis.once("end", () => {
      isEnded = true
      resolve()
    })
  )
  const disconnect = () => {
    hush(redis)
    redis.disconnect()
  }
  const end = (error: unknown) => {
    if (done) return
    done = true
    clearTimeout(timer)
    disconnect()
    over(confirmed ? error : early(error, target))
  }
  const timer = setTimeout(() => {
    end(errors.notConnected("connect", millis, said ?? stuck(redis, target)))
  }, millis)
  // Always heard: one that nobody hears is printed.
  redis.on("error", (error) => {
    said = error
    hush(redis)
  })
  redis.once("ready", () => {
    hush(redis)
    confirm(redis, target).then(
      () => {
        if (done) return
        clearTimeout(timer)
        confirmed = true
        said = undefined
        ready()
      },
      (error: unknown) => end(errors.isDriver(error) ? (said ?? error) : error)
    )
  })
  redis.once("end", () => end(said ?? new Error("the connection was closed")))
  redis.connect().catch(ignore)
  return {
    redis,
    said: () => said ?? (confirmed ? undefined : stuck(redis, target)),
    close: () => {
      done = true
      clearTimeout(timer)
      disconnect()
      return isEnded
        ? ended
        : Promise.race([ended, new Promise<void>((resolve) => setTimeout(resolve, farewell).unref())])
    }
  }
}

/** A server without TLS may wait for the rest of what it takes for a command. */
const stuck = ({ status, stream }: Redis, { options }: Target): unknown =>
  options.tls && status === "connecting" && stream !== undefined && !stream.connecting
    ? new Error("the server is there, and silent about TLS: is the port right, or should it be redis:// and no `tls`?")
    : undefined

const ended = new Set(["ECONNRESET", "EPIPE"])

/** A connection that ends before the server has answered at all says little of why: what it may be, in words. (TLS 1.3 tells of a client's certificate after the handshake, if it still gets to.) */
const early = (error: unknown, { options }: Target): unknown => {
  if (!(error instanceof Error) || !errors.isDriver(error)) return error
  const code = errors.codeOf(error)
  if (code === undefined ? !/closed/i.test(error.message) : !ended.has(code)) return error
  const why =
    options.tls === undefined || options.tls === null
      ? "a server that wants TLS does so, and is reached by rediss://"
      : "a server that does not take our certificate, or wants one, does so: `redis: { tls: { cert, key } }`"
  return Object.assign(
    new Error(`${error.message} before the server's first answer; ${why}`),
    code === undefined ? {} : { code }
  )
}
