import { StorageError, type StorageErrorReason } from "../../LockError.js"

const reasons: Record<StorageErrorReason, ReadonlyArray<number>> = {
  // 8000: Atlas; the rest as the server names them: UserNotFound, Unauthorized, AuthenticationFailed, …
  Permission: [11, 13, 18, 31, 33, 8000],
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
    // Change streams that have to begin anew.
    136, 280, 286
  ],
  // BadValue, FailedToParse, TypeMismatch, NamespaceNotFound, CommandNotFound, ShardKeyNotFound, ImmutableField, NamespaceInvalid, CommandNotSupported,
  // DocumentValidationFailure, ReadConcernMajorityNotEnabled, CommandNotSupportedOnView, ConversionFailure
  Schema: [2, 9, 14, 26, 59, 61, 66, 73, 115, 121, 148, 166, 238, 241, 303, 40324],
  Closed: [],
  Unknown: []
}

/** ReadConcernMajorityNotEnabled */
export const noMajorityReads = 148

const byCode = new Map(
  (Object.keys(reasons) as Array<StorageErrorReason>).flatMap((reason) => reasons[reason].map((code) => [code, reason] as const))
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
  MongoClientClosedError: "Closed",
  MongoTopologyClosedError: "Closed",
  MongoMissingCredentialsError: "Permission",
  MongoCompatibilityError: "Schema"
}

/** The command was refused before it did anything. */
const refused = new Set([
  ...reasons.Permission, ...reasons.Conflict, ...reasons.Schema,
  10058, 10107, 13435, 13436, 133, 134, 63, 150, 13388, 365
])

const hints: Record<number, string> = {
  11: "user or password is wrong, or the user is of another authSource",
  13: "the user needs find, insert, update and remove on the collection (and createCollection where it is not there yet)",
  18: "user or password is wrong, or the user is of another authSource",
  50: "the server ended the operation for its time",
  64: "the write was not acknowledged by a majority in time: are enough members up?",
  100: "too few members for a majority are there",
  121: "the collection has a validator that refuses our documents",
  [noMajorityReads]: "the server runs with enableMajorityReadConcern off: what it reads might be rolled back, so it cannot keep locks",
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

const labelsOf = (error: Thrown): ReadonlyArray<unknown> => Array.isArray(error.errorLabels) ? error.errorLabels : []

export const codeOf = (error: unknown): number | undefined => {
  const code = (error as Thrown | null | undefined)?.code
  return typeof code === "number" ? code : undefined
}

/** The server itself said so, with or without a code. */
const isFromServer = (error: StorageError): boolean => (error.cause as Thrown | undefined)?.name === "MongoServerError"

/** The server answered, and does not want to, or does not know how to. */
export const isRefusal = (error: StorageError): boolean =>
  error.reason === "Permission" || error.reason === "Schema" || (error.reason === "Unknown" && isFromServer(error))

/** The driver's error, less what it may carry along, and less the password wherever it might stand. */
const scrub = (error: Thrown, secret: string | undefined): Error => {
  const clean = (value: unknown) => {
    const text = typeof value === "string" ? value : ""
    return secret === undefined || secret === "" ? text : text.split(secret).join("<redacted>")
  }
  const copy = new Error(clean(error.message))
  copy.name = typeof error.name === "string" ? error.name : "Error"
  if (typeof error.stack === "string") copy.stack = clean(error.stack)
  for (const field of ["code", "codeName", "errorLabels"] as const) {
    if (error[field] !== undefined) Object.assign(copy, { [field]: error[field] })
  }
  return copy
}

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

/** `afterwards`: the server did it, and then failed to have it acknowledged by a majority. */
export const fromDriver = (operation: string, thrown: unknown, secret?: string, afterwards = false): StorageError => {
  const error: Thrown = typeof thrown === "object" && thrown !== null ? thrown : { message: String(thrown) }
  const code = codeOf(error)
  const labels = labelsOf(error)
  const name = typeof error.name === "string" ? error.name : ""
  const reason = (code === undefined ? undefined : byCode.get(code)) ?? byName[name] ?? "Unknown"
  const unsent = error.beforeHandshake === true || labels.includes("HandshakeError") || name === "MongoServerSelectionError" ||
    name === "MongoWaitQueueTimeoutError"
  const notApplied = !afterwards &&
    (unsent || labels.includes("NoWritesPerformed") || (code !== undefined && refused.has(code)))
  const cause = scrub(error, secret)
  const hint = code === undefined ? undefined : hints[code]
  return make(
    reason,
    operation,
    reason === "Connection" || reason === "Timeout" || reason === "Conflict" ||
      ["RetryableWriteError", "RetryableError", "SystemOverloadedError", "TransientTransactionError"].some((label) => labels.includes(label)),
    notApplied ? "no" : "unknown",
    `MongoDB ${unsent ? "could not be reached" : "failed"}${code === undefined ? "" : ` (${code})`}${
      cause.message === "" ? "" : `: ${cause.message}`
    }${hint === undefined ? "" : `. Hint: ${hint}`}`,
    cause
  )
}

export const noAnswer = (operation: string, millis: number): StorageError =>
  make("Timeout", operation, true, "unknown", `MongoDB did not answer within ${Math.round(millis)} ms; the operation may have been applied`)

export const closed = (operation: string): StorageError =>
  make("Closed", operation, false, "no", "the layer of MongoStorage is closed")

/** Closed while it was under way. */
export const closing = (operation: string): StorageError =>
  make("Closed", operation, false, "unknown", "the layer of MongoStorage was closed during the operation, which may have been applied")

export const schema = (operation: string, message: string): StorageError => make("Schema", operation, false, "no", message)

export const unexpected = (operation: string, message: string): StorageError => make("Unknown", operation, false, "unknown", message)
