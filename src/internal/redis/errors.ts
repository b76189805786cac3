import { StorageError, type StorageErrorReason } from "../../LockError.js"

/** Where an operation was when it failed: the whole difference between "not applied" and "perhaps applied". */
export type Phase = "connecting" | "executing"

interface Judgement {
  readonly reason: StorageErrorReason
  readonly isRetryable: boolean
  readonly hint?: string
}

const at = (reason: StorageErrorReason, isRetryable: boolean, hint?: string): Judgement =>
  hint === undefined ? { reason, isRetryable } : { reason, isRetryable, hint }

const rights = "the user needs `~prefix*` and `&prefix*`, and +evalsha +eval +time +hmget +hset +exists +del +publish +scan +subscribe +ping"

/** The codes of the server, which are the first words of its error replies. */
const byCode: Record<string, Judgement> = {
  NOAUTH: at("Permission", false, "the server wants a password"),
  WRONGPASS: at("Permission", false, "user or password is wrong"),
  NOPERM: at("Permission", false, rights),
  READONLY: at("Permission", true, "the server is a replica: it may have been demoted, or the address is not that of the master"),
  WRONGTYPE: at("Schema", false, "the key belongs to something else: choose another `prefix`"),
  LOADING: at("Connection", true, "the server is reading its data from disk"),
  MASTERDOWN: at("Connection", true),
  CLUSTERDOWN: at("Connection", true, "no node serves this part of the cluster now"),
  TRYAGAIN: at("Connection", true),
  MOVED: at("Connection", true, "this is a node of a cluster: give `layerFromClient` a Cluster"),
  ASK: at("Connection", true),
  BUSY: at("Conflict", true, "the server is busy with somebody's long script"),
  OOM: at("Unknown", true, "the server has no memory left: raise maxmemory, or purge"),
  MISCONF: at("Unknown", true, "the server cannot write to its disk, and therefore takes no writes"),
  NOREPLICAS: at("Unknown", true, "fewer replicas are connected than min-replicas-to-write asks for")
}

const hints: Record<string, string> = {
  ECONNREFUSED: "nothing listens there: is the server up, and are host and port right?",
  ENOTFOUND: "the host name is not known: is it right?",
  ENOENT: "the server's socket is not there: is the server up, and is the path right?"
}

export const isReply = (error: unknown): error is Error => (error as { readonly name?: unknown } | null | undefined)?.name === "ReplyError"

/** Servers before 7.0 wrap what a script was told: the code is then the first word of what was wrapped. */
const wrapped = /@user_script: ?\d+: -?([A-Z]{2,})\b/

/** What the client itself reports may be the last failure of one of its nodes. */
const rootOf = (error: unknown): unknown =>
  (error as { readonly lastNodeError?: unknown } | null | undefined)?.lastNodeError ?? error

export const codeOf = (error: unknown): string | undefined => {
  const root = rootOf(error)
  if (isReply(root)) {
    const first = /^[A-Z][A-Z0-9]*(?=\s|$)/.exec(root.message)?.[0]
    return first === "ERR" ? wrapped.exec(root.message)?.[1] ?? first : first
  }
  const code = (root as { readonly code?: unknown } | null | undefined)?.code
  return typeof code === "string" ? code : undefined
}

/** The command to which an error is the reply, in lower case. An error reply to another, such as AUTH, may end ours too, and says nothing of it. */
export const commandOf = (error: unknown): string | undefined => {
  const name = isReply(error) ? (error as { readonly command?: { readonly name?: unknown } }).command?.name : undefined
  return typeof name === "string" ? name.toLowerCase() : undefined
}

const fields = ["code", "errno", "syscall", "address", "port"] as const

/** The driver's error, less what it carries along: the command with its arguments (of AUTH: the password), and secrets wherever they might stand. */
const scrub = (error: unknown, secrets: ReadonlyArray<string>): Error => {
  const source = (typeof error === "object" && error !== null ? error : { message: String(error) }) as Record<string, unknown>
  const clean = (text: string) => secrets.reduce((text, secret) => text.split(secret).join("<redacted>"), text)
  const copy = new Error(clean(typeof source["message"] === "string" ? source["message"] : ""))
  copy.name = typeof source["name"] === "string" ? source["name"] : "Error"
  if (typeof source["stack"] === "string") copy.stack = clean(source["stack"])
  for (const field of fields) {
    const value = source[field]
    if (value !== undefined) Object.assign(copy, { [field]: typeof value === "string" ? clean(value) : value })
  }
  return copy
}

const judge = (error: unknown, phase: Phase): Judgement => {
  const code = codeOf(error)
  const known = code === undefined ? undefined : byCode[code]
  if (known !== undefined) return known
  // Whatever else the server says while it lets nobody in (too many clients, say) may pass; what it says of a script of ours does not.
  return isReply(rootOf(error)) && phase === "executing" ? at("Unknown", false) : at("Connection", true, code === undefined ? undefined : hints[code])
}

export interface Context {
  readonly operation: string
  readonly phase: Phase
  readonly secrets: ReadonlyArray<string>
  /** An error reply to a script that writes once means that nothing was written. */
  readonly writesOnce: boolean
}

export const fromDriver = (error: unknown, { operation, phase, secrets, writesOnce }: Context): StorageError => {
  const root = rootOf(error)
  const { hint, isRetryable, reason } = judge(error, phase)
  const cause = scrub(root, secrets)
  const said = cause.message === "" ? codeOf(error) ?? cause.name : cause.message
  const ours = /^eval(sha)?$/.test(commandOf(root) ?? "")
  return new StorageError({
    reason,
    operation: `RedisStorage.${operation}`,
    isRetryable,
    applied: phase === "connecting" || (ours && writesOnce) ? "no" : "unknown",
    message: `Redis ${phase === "connecting" ? "could not be reached" : "failed"}: ${said}${hint === undefined ? "" : `. Hint: ${hint}`}`,
    cause
  })
}

const make = (
  reason: StorageErrorReason,
  operation: string,
  message: string,
  isRetryable: boolean,
  applied: "no" | "unknown"
): StorageError => new StorageError({ reason, operation: `RedisStorage.${operation}`, isRetryable, applied, message })

/** `last`: what the driver said when it last tried to connect. */
export const notConnected = (operation: string, millis: number, last: unknown, secrets: ReadonlyArray<string>): StorageError => {
  const said = last === undefined ? "" : `: ${scrub(rootOf(last), secrets).message || codeOf(last) || "no reason was told"}`
  return make("Timeout", operation, `there was no connection to Redis within ${Math.round(millis)} ms${said}`, true, "no")
}

export const noAnswer = (operation: string, millis: number): StorageError =>
  make("Timeout", operation, `Redis did not answer within ${Math.round(millis)} ms; the operation may have been applied`, true, "unknown")

export const notReplicated = (operation: string, acks: number, wanted: number, millis: number): StorageError =>
  make(
    "Timeout",
    operation,
    `${acks} of the ${wanted} replicas asked for acknowledged the write within ${millis} ms; it was applied, and may be lost in a failover`,
    true,
    "unknown"
  )

export const closed = (operation: string, applied: "no" | "unknown"): StorageError =>
  make("Closed", operation, "the layer of RedisStorage, or the client that it was given, is closed", false, applied)

export const schema = (operation: string, message: string): StorageError => make("Schema", operation, message, false, "no")
