/** Failures of MongoDB as typed errors: the reason, whether the call may have been applied, and what a person can do. */
import { StorageError, type StorageErrorReason } from "../../LockError.js"
import { copyOf } from "../shared/driverError.js"

const reasons: Record<StorageErrorReason, ReadonlyArray<number>> = {
  // As the server names them: UserNotFound, Unauthorized, AuthenticationFailed, …
  Permission: [11, 13, 18, 31, 33],
  // MaxTimeMSExpired, ExceededTimeLimit, WriteConcernTimeout, NetworkTimeout, LockTimeout, NetworkInterfaceExceededTimeLimit
  Timeout: [24, 50, 64, 89, 202, 262],
  // DuplicateKey, WriteConflict
  Conflict: [112, 11000, 11001, 12582],
  Connection: [
    // Hosts, sockets, and a server that shuts down.
    6, 7, 91, 9001, 11600,
    // No primary, or no longer: 133 while one is sought, 134 while it does not know yet what a majority has.
    133, 134, 189, 10058, 10107, 11602, 13435, 13436,
    // Routers with an old map of the shards; a write concern that too few members can fulfil for now.
    63, 100, 150, 234, 13388,
    // TemporarilyUnavailable: its cache is full.
    365,
    // Change streams that have to start over.
    136, 280, 286
  ],
  // BadValue, FailedToParse, TypeMismatch, NamespaceNotFound, CommandNotFound, ShardKeyNotFound, ImmutableField, NamespaceInvalid, CommandNotSupported,
  // DocumentValidationFailure, ReadConcernMajorityNotEnabled, CommandNotSupportedOnView, ConversionFailure
  Schema: [2, 9, 14, 26, 59, 61, 66, 73, 115, 121, 148, 166, 238, 241, 303, 40324],
  // BSONObjectTooLarge
  TooLarge: [10334],
  Closed: [],
  Unknown: []
}

/** ReadConcernMajorityNotEnabled */
export const noMajorityReads = 148

const byCode = new Map(
  (Object.keys(reasons) as Array<StorageErrorReason>).flatMap((reason) =>
    reasons[reason].map((code) => [code, reason] as const)
  )
)

/** The driver's own errors. By name and not by class: the program's client may come from another copy of the driver. */
const byName: Record<string, StorageErrorReason> = {
  MongoServerSelectionError: "Connection",
  MongoNetworkError: "Connection",
  MongoPoolClearedError: "Connection",
  MongoPoolClearedOnNetworkError: "Connection",
  MongoServerClosedError: "Connection",
  MongoNotConnectedError: "Connection",
  MongoPoolClosedError: "Connection",
  MongoStalePrimaryError: "Connection",
  MongoNetworkTimeoutError: "Timeout",
  MongoOperationTimeoutError: "Timeout",
  MongoWaitQueueTimeoutError: "Timeout",
  // Whoever closed it, it was not we. It goes on when it is connected again.
  MongoClientClosedError: "Connection",
  MongoTopologyClosedError: "Connection",
  MongoMissingCredentialsError: "Permission",
  MongoCompatibilityError: "Schema"
}

/** Of Atlas, for whatever it refuses: who we are, while we connect; what we want, later, such as more space than there is. */
const atlas = 8000

/** There is no room, or no right to more: OutOfDiskSpace, and a quota. It may pass. */
const full = new Set([14031, atlas])

/** A member that is no primary, or ceases to be one, or shuts down. The driver looks for another when it hears that. */
const elsewhere = new Set([91, 189, 10058, 10107, 11600, 11602, 13435, 13436])

/** The command was refused before it did anything. */
const refused = new Set([
  ...reasons.Permission,
  ...reasons.Conflict,
  ...reasons.Schema,
  10058,
  10107,
  13435,
  13436,
  133,
  134,
  63,
  150,
  13388,
  365,
  ...full
])

const hints: Record<number, string> = {
  11: "user or password is wrong, or the user is of another authSource",
  13: "the user needs find, insert, update and remove on the collection (and createCollection where it is not there yet)",
  18: "user or password is wrong, or the user is of another authSource",
  50: "the server ended the operation for its time",
  64: "the write was not acknowledged by a majority in time: are enough members up?",
  100: "too few members for a majority are there",
  121: "the collection has a validator that refuses our documents",
  [noMajorityReads]:
    "the server runs with enableMajorityReadConcern off: what it reads might be rolled back, so it cannot keep locks",
  [atlas]: "if its space is used up, make room: what is held is lost when its lease ends, and what is free stays free",
  14031: "the disk is full",
  133: "no member is primary just now",
  10107: "this member is not the primary: connect to the replica set, not to one member",
  13435: "this member is not the primary: connect to the replica set, not to one member"
}

interface Thrown {
  readonly name?: unknown
  readonly message?: unknown
  readonly stack?: unknown
  readonly code?: unknown
  readonly codeName?: unknown
  readonly errorLabels?: unknown
  readonly beforeHandshake?: unknown
}

const labelsOf = (error: Thrown): ReadonlyArray<unknown> => (Array.isArray(error.errorLabels) ? error.errorLabels : [])

export const codeOf = (error: unknown): number | undefined => {
  const code = (error as Thrown | null | undefined)?.code
  return typeof code === "number" ? code : undefined
}

/** The server itself said so, with or without a code. */
const isFromServer = (error: StorageError): boolean => (error.cause as Thrown | undefined)?.name === "MongoServerError"

/** The server answered, and does not want to, or does not know how to. */
export const isRefusal = (error: StorageError): boolean =>
  error.reason === "Permission" || error.reason === "Schema" || (error.reason === "Unknown" && isFromServer(error))

/** What the driver meets while it connects has no code of the server. Only a hint hangs on its words. */
const connecting: ReadonlyArray<readonly [RegExp, string]> = [
  [
    /unable to (verify|get)|self.signed/i,
    "the server's certificate is of an authority that is not known here: name its file by `tlsCAFile` in the URL"
  ],
  [
    /ALTNAME_INVALID|does not match certificate/i,
    "the server's certificate is not for this name: use one in the URL that it is for"
  ],
  [/certificate has expired|not yet valid/i, "the server's certificate is out of date: renew it, and check the clocks"],
  [
    /alert (unknown ca|bad certificate|certificate|handshake)|alert number (40|42|44|45|46|48|116)\b/i,
    "the server asks for a certificate that it accepts: name its file by `tlsCertificateKeyFile` in the URL"
  ],
  [
    /wrong version number|packet length too long/i,
    "does the server speak TLS? If not, leave `tls=true` out of the URL"
  ],
  [/must be connected/i, "the program closed its client: `connect()` opens it again"],
  [/connection .* closed|ECONN|socket hang up|timed out/i, "is it up? If it takes TLS alone, the URL needs `tls=true`"]
]

const hintOf = (code: number | undefined, unsent: boolean, text: string): string | undefined =>
  code !== undefined ? hints[code] : unsent ? connecting.find(([words]) => words.test(text))?.[1] : undefined

const make = (
  reason: StorageErrorReason,
  operation: string,
  isRetryable: boolean,
  applied: "no" | "unknown",
  message: string,
  cause?: Error
): StorageError =>
  new StorageError({
    reason,
    operation: `MongoStorage.${operation}`,
    isRetryable,
    applied,
    message,
    ...(cause === undefined ? {} : { cause })
  })

/** `"afterwards"`: the server did it, and then failed to have it acknowledged by a majority. */
export const fromDriver = (operation: string, thrown: unknown, phase?: "afterwards"): StorageError => {
  const error: Thrown = typeof thrown === "object" && thrown !== null ? thrown : { message: String(thrown) }
  const code = codeOf(error)
  const labels = labelsOf(error)
  const name = typeof error.name === "string" ? error.name : ""
  const connecting = error.beforeHandshake === true || labels.includes("HandshakeError")
  const reason =
    connecting && code === atlas
      ? "Permission"
      : ((code === undefined ? undefined : byCode.get(code)) ?? byName[name] ?? "Unknown")
  const unsent = connecting || neverSent.has(name)
  const notApplied =
    phase === undefined && (unsent || labels.includes("NoWritesPerformed") || (code !== undefined && refused.has(code)))
  const cause = copyOf(error, ["code", "codeName", "errorLabels"])
  const hint = hintOf(code, unsent, cause.message)
  return make(
    reason,
    operation,
    reason === "Connection" ||
      reason === "Timeout" ||
      reason === "Conflict" ||
      (reason === "Unknown" && code !== undefined && full.has(code)) ||
      ["RetryableWriteError", "RetryableError", "SystemOverloadedError", "TransientTransactionError"].some((label) =>
        labels.includes(label)
      ),
    notApplied ? "no" : "unknown",
    `MongoDB ${unsent ? "could not be reached" : "failed"}${code === undefined ? "" : ` (${code})`}${
      cause.message === "" ? "" : `: ${cause.message}`
    }${hint === undefined ? "" : `. Hint: ${hint}`}`,
    cause
  )
}

/** No connection came about on which it might have been sent. */
const neverSent = new Set([
  "MongoServerSelectionError",
  "MongoWaitQueueTimeoutError",
  "MongoPoolClearedError",
  "MongoNotConnectedError"
])

/** It went to a member that is not, or will not be, the primary: the next one goes to another. */
export const isElsewhere = (error: StorageError): boolean =>
  elsewhere.has(codeOf(error.cause) ?? 0) || (error.cause as Thrown | undefined)?.name === "MongoPoolClearedError"

/** Who we are was refused, or there was nobody at the address: what the client was made with may be out of date. */
export const isUnreached = (error: StorageError): boolean => {
  const { name } = (error.cause ?? {}) as Thrown
  return (
    labelsOf(error.cause ?? {}).includes("HandshakeError") ||
    name === "MongoServerSelectionError" ||
    codeOf(error.cause) === 18
  )
}

export const mayPass = ({ applied, cause, message, operation, reason }: StorageError): StorageError =>
  new StorageError({ applied, cause, message, operation, reason, isRetryable: true })

/** What the `url` gave when it was asked for what it is now. */
export const nonsense = (operation: string, message: string): StorageError =>
  make("Connection", operation, true, "no", `the values given for this connection cannot be used: ${message}`)

export const noAnswer = (operation: string, millis: number): StorageError =>
  make(
    "Timeout",
    operation,
    true,
    "unknown",
    `MongoDB did not answer within ${Math.round(millis)} ms; the operation may have been applied`
  )

export const closed = (operation: string): StorageError =>
  make("Closed", operation, false, "no", "the layer of MongoStorage is closed")

/** Closed while it was under way. */
export const closing = (operation: string): StorageError =>
  make(
    "Closed",
    operation,
    false,
    "unknown",
    "the layer of MongoStorage was closed during the operation, which may have been applied"
  )

export const schema = (operation: string, message: string): StorageError =>
  make("Schema", operation, false, "no", message)

export const unexpected = (operation: string, message: string): StorageError =>
  make("Unknown", operation, false, "unknown", message)
