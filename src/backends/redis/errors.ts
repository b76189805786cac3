/** Failures of Redis as typed errors: the reason, whether the call may have been applied, and what a person can do. */
import { StorageError, type StorageErrorReason } from "../../LockError.js"
import { copyOf } from "../shared/driverError.js"
import { OddReply } from "./replies.js"

/** Where an operation was when it failed: the whole difference between "not applied" and "perhaps applied". */
export type Phase = "connecting" | "executing"

interface Judgement {
  readonly reason: StorageErrorReason
  readonly isRetryable: boolean
  readonly hint?: string | undefined
}

const at = (reason: StorageErrorReason, isRetryable: boolean, hint?: string): Judgement => ({
  reason,
  isRetryable,
  hint
})

/** What docs/storages/redis.md says, to the word. */
export const rights =
  "+evalsha +eval +time +hmget +hget +hset +exists +persist +del +publish +scan +select +subscribe +ping"

const needed = `the user needs ~prefix* and &prefix*, and ${rights}`

/** The codes of the server, which are the first words of its error replies. They mean the same in both phases. */
const byCode: Record<string, Judgement> = {
  NOAUTH: at("Permission", false, "the server wants a password"),
  WRONGPASS: at("Permission", false, "user or password is wrong"),
  NOPERM: at("Permission", false, needed),
  DENIED: at(
    "Permission",
    false,
    "the server is in protected mode, and takes connections of its own machine alone: set a password there"
  ),
  READONLY: at(
    "Permission",
    true,
    "the server is a replica: it may have been demoted, or the address is not that of the master"
  ),
  WRONGTYPE: at("Schema", false, "the key belongs to something else: choose another `prefix`"),
  LOADING: at("Connection", true, "the server is reading its data from disk"),
  MASTERDOWN: at("Connection", true, "the server is a replica whose master is gone"),
  CLUSTERDOWN: at("Connection", true, "no node serves this part of the cluster now"),
  TRYAGAIN: at("Connection", true),
  MOVED: at("Connection", true, "this is a node of a cluster: give `layerFromClient` a Cluster"),
  ASK: at("Connection", true, "this is a node of a cluster: give `layerFromClient` a Cluster"),
  BUSY: at("Conflict", true, "the server is busy with somebody's long script"),
  OOM: at(
    "Unknown",
    true,
    "the server has no memory left: raise maxmemory, or purge. Holds are kept and freed meanwhile, and none are given"
  ),
  MISCONF: at("Unknown", true, "the server cannot write to its disk, and therefore takes no writes"),
  NOREPLICAS: at("Unknown", true, "fewer replicas are connected than min-replicas-to-write asks for")
}

const certificate =
  "give the certificate of the authority that signed the server's as `redis: { tls: { ca } }`; it is not to be had by trusting anybody (`rejectUnauthorized: false`)"
const otherProtocol = "the server does not speak TLS there: is the port right, or should it be redis:// and no `tls`?"

const hints: Record<string, string> = {
  ECONNREFUSED: "nothing listens there: is the server up, and are host and port right?",
  ENOTFOUND: "the host name is not known: is it right?",
  ENOENT: "the server's socket is not there: is the server up, and is the path right?",
  DEPTH_ZERO_SELF_SIGNED_CERT: certificate,
  SELF_SIGNED_CERT_IN_CHAIN: certificate,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: certificate,
  UNABLE_TO_GET_ISSUER_CERT: certificate,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: certificate,
  CERT_HAS_EXPIRED: "the server's certificate has expired: renew it there",
  CERT_NOT_YET_VALID: "the server's certificate is not valid yet: are the clocks right?",
  ERR_TLS_CERT_ALTNAME_INVALID:
    "the server's certificate is for another name: connect by a name that it has, or say it as `redis: { tls: { servername } }`",
  ERR_SSL_WRONG_VERSION_NUMBER: otherProtocol,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: otherProtocol,
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: "the server wants a certificate of ours: `redis: { tls: { cert, key } }`",
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE:
    "the server may want a certificate of ours, `redis: { tls: { cert, key } }`, or another version of TLS",
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA:
    "the server does not trust who signed our certificate: `redis: { tls: { cert, key } }`",
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: "the server does not take our certificate: `redis: { tls: { cert, key } }`",
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    "our certificate has expired: give `redis` as a function, so that each connection asks for the present one"
}

export const isReply = (error: unknown): error is Error =>
  (error as { readonly name?: unknown } | null | undefined)?.name === "ReplyError"

/** What the driver says by itself, such as that a connection was closed: its socket may have told more. */
export const isDriver = (error: unknown): boolean =>
  !isReply(error) && !(error instanceof Refusal) && !(error instanceof OddReply)

/** What a new connection was told by the server before it served anything. */
export class Refusal extends Error {
  override readonly name = "Refusal"
  constructor(
    /** The command, in lower case. */
    readonly command: string,
    readonly answer: unknown,
    /** The server went on to answer what came after: so it spoke of this command, and not of connections. */
    readonly isFinal: boolean,
    /** The next connection asks for its credentials again: they may be others by then. */
    readonly isAsked: boolean
  ) {
    super("the server refused a new connection")
  }
}

/** Servers before 7.0 wrap what a script was told: the code is then the first word of what was wrapped. */
const wrapped = /@user_script: ?\d+: -?([A-Z]{2,})\b/

/** What the client itself reports may be the last failure of one of its nodes. */
const rootOf = (error: unknown): unknown =>
  error instanceof Refusal
    ? error.answer
    : ((error as { readonly lastNodeError?: unknown } | null | undefined)?.lastNodeError ?? error)

export const codeOf = (error: unknown): string | undefined => {
  const root = rootOf(error)
  if (isReply(root)) {
    const first = /^[A-Z][A-Z0-9]*(?=\s|$)/.exec(String(root.message))?.[0]
    return first === "ERR" ? (wrapped.exec(root.message)?.[1] ?? first) : first
  }
  const code = (root as { readonly code?: unknown } | null | undefined)?.code
  return typeof code === "string" ? code : undefined
}

/** The command to which an error is the reply, in lower case. An error reply to another, such as AUTH, may end ours too, and says nothing of it. */
const commandOf = (error: unknown): string | undefined => {
  const name = isReply(error) ? (error as { readonly command?: { readonly name?: unknown } }).command?.name : undefined
  return typeof name === "string" ? name.toLowerCase() : undefined
}

const isScript = (command: string | undefined): boolean => command === "eval" || command === "evalsha"

/** The server is not, or no more, the one to ask, or does not know us any more: another connection may lead to the right one. */
const elsewhere = new Set(["READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "MOVED", "ASK", "NOREPLICAS", "NOAUTH"])

export const meansElsewhere = (error: unknown): boolean => isReply(error) && elsewhere.has(codeOf(error) ?? "")

/** A script that was refused has changed nothing: it may be sent again, to another server. */
export const refusedScript = (error: unknown): boolean => isScript(commandOf(error))

/** The server knows a command by another name, or not at all. It has no code for that, nor, before 7.2, for what the user of a script may not do; these texts are of all its versions since 5, and of Valkey. */
const unknownCommand = /^(ERR )?(.*: )?-?(ERR )?unknown (redis )?(command|subcommand)/i
const userOfScript = /the user executing the script can't|ACL failure in script/i

const needsCommands = `this storage needs ${rights.replace(/\+/g, "").toUpperCase().split(" ").join(", ")} by their own names, without rename-command`

const judgeReply = (error: Error, phase: Phase, refusal: Refusal | undefined): Judgement => {
  const code = codeOf(error)
  if (code !== undefined && byCode[code] !== undefined) {
    return refusal?.isAsked === true && (code === "WRONGPASS" || code === "NOAUTH")
      ? { ...byCode[code], isRetryable: true }
      : byCode[code]
  }
  if (unknownCommand.test(error.message)) return at("Permission", false, needsCommands)
  if (userOfScript.test(error.message)) return at("Permission", false, needed)
  // What the server says of a script of ours does not pass.
  if (phase === "executing") return at("Unknown", false)
  if (refusal === undefined || !refusal.isFinal) return at("Connection", true)
  switch (refusal.command) {
    case "auth":
      return at(
        "Permission",
        false,
        "the server does not take this user or password: where it has none, leave them out; before Redis 6 there are no users"
      )
    case "select":
      return at(
        "Schema",
        false,
        "the server has no such database: see its setting `databases`; a node of a cluster has only 0"
      )
    default:
      return at("Unknown", false)
  }
}

const judge = (error: unknown, phase: Phase): Judgement => {
  const root = rootOf(error)
  if (root instanceof OddReply)
    return at("Schema", false, "is there something between that is no Redis, or a record that somebody else wrote?")
  if (isReply(root)) return judgeReply(root, phase, error instanceof Refusal ? error : undefined)
  const code = codeOf(root)
  return at("Connection", true, code === undefined ? undefined : hints[code])
}

const fields = ["code", "errno", "syscall", "address", "port"] as const

/** An unknown command is told with its arguments: of AUTH, the password; of a script, all its text. */
const withoutArguments = (text: string): string => text.replace(/[,;]? with args beginning with[^]*$/i, "")

/** The driver's error without the command and its arguments, which it carries along. */
const strip = (error: unknown): Error => {
  const copy = copyOf(error, fields)
  copy.message = withoutArguments(copy.message)
  if (copy.stack !== undefined && isReply(error)) copy.stack = `${copy.name}: ${copy.message}`
  return copy
}

const textOf = (error: unknown): string => {
  const { message, name } = strip(error)
  // Ours does try again, whatever the driver thinks.
  return (
    message.replace(/^All sentinels are unreachable and retry is disabled\./, "no Sentinel answers.") ||
    (codeOf(error) ?? name)
  )
}

export interface Context {
  readonly operation: string
  readonly phase: Phase
  /** An error reply to a script that writes once means that nothing was written. */
  readonly writesOnce: boolean
}

/** The same failure, as that of another operation. */
export const relabelled = (
  operation: string,
  { applied, cause, isRetryable, message, reason }: StorageError
): StorageError =>
  new StorageError({ reason, operation: `RedisStorage.${operation}`, isRetryable, applied, message, cause })

export const fromDriver = (error: unknown, { operation, phase, writesOnce }: Context): StorageError => {
  if (error instanceof StorageError) return relabelled(operation, error)
  const root = rootOf(error)
  const { hint, isRetryable, reason } = judge(error, phase)
  const failed =
    error instanceof Refusal
      ? `did not take the connection, at ${error.command.toUpperCase()}`
      : phase === "connecting"
        ? "could not be reached"
        : "failed"
  return new StorageError({
    reason,
    operation: `RedisStorage.${operation}`,
    isRetryable,
    applied: phase === "connecting" || (writesOnce && refusedScript(root)) ? "no" : "unknown",
    message: `Redis ${failed}: ${textOf(root)}${hint === undefined ? "" : `. Hint: ${hint}`}`,
    cause: strip(root)
  })
}

const make = (
  reason: StorageErrorReason,
  operation: string,
  message: string,
  isRetryable: boolean,
  applied: "no" | "unknown"
): StorageError => new StorageError({ reason, operation: `RedisStorage.${operation}`, isRetryable, applied, message })

/** `last`: what was said when it was last tried to connect. */
export const notConnected = (operation: string, millis: number, last: unknown): StorageError => {
  const said = last === undefined ? "" : `: ${textOf(rootOf(last))}`
  return make(
    "Timeout",
    operation,
    `there was no connection to Redis within ${Math.round(millis)} ms${said}`,
    true,
    "no"
  )
}

export const noAnswer = (operation: string, millis: number): StorageError =>
  make(
    "Timeout",
    operation,
    `Redis did not answer within ${Math.round(millis)} ms; the operation may have been applied`,
    true,
    "unknown"
  )

export const notReplicated = (operation: string, acks: number, wanted: number, millis: number): StorageError =>
  make(
    "Timeout",
    operation,
    `${acks} of the ${wanted} replicas asked for acknowledged the write within ${millis} ms; it was applied, and may be lost in a failover`,
    true,
    "unknown"
  )

export const closed = (operation: string, applied: "no" | "unknown"): StorageError =>
  make("Closed", operation, "the layer of RedisStorage, or the Cluster that it was given, is closed", false, applied)

export const schema = (operation: string, message: string): StorageError =>
  make("Schema", operation, message, false, "no")

export const connection = (operation: string, message: string): StorageError =>
  make("Connection", operation, message, true, "no")
