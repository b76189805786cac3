/** Failures of etcd as typed errors: the reason, whether the call may have been applied, and what a person can do. */
import { copyOf, withoutCredentials } from "../shared/driverError.js"
import { type InvalidOptions, StorageError, type StorageErrorReason } from "../../LockError.js"

/** Of gRPC, by name; `@grpc/grpc-js` has the same as an enum. */
export const code = {
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16
} as const

const reasons: Record<number, StorageErrorReason> = {
  [code.cancelled]: "Connection",
  [code.deadlineExceeded]: "Timeout",
  [code.permissionDenied]: "Permission",
  [code.aborted]: "Conflict",
  [code.unimplemented]: "Schema",
  [code.internal]: "Connection",
  [code.unavailable]: "Connection",
  [code.unauthenticated]: "Permission"
}

/** Said by the server before it has changed anything. The rest may come when the change is made, or under way. */
const definite = new Set<number>([
  code.invalidArgument,
  code.notFound,
  code.permissionDenied,
  code.failedPrecondition,
  code.outOfRange,
  code.unimplemented,
  code.unauthenticated
])

/** A quota that is used up, or too many requests at once, may pass; so may what the connection is at fault for. */
const passing = new Set<number>([
  code.cancelled,
  code.deadlineExceeded,
  code.resourceExhausted,
  code.aborted,
  code.internal,
  code.unavailable
])

const hints: Record<number, string> = {
  [code.invalidArgument]: "Hint: if authentication is enabled, give user and password",
  [code.resourceExhausted]: "Hint: if the database has reached its quota, compact, defragment and disarm the alarm",
  [code.permissionDenied]: "Hint: the user needs readwrite permission on all keys under the prefix",
  [code.dataLoss]: "Hint: the members do not have the same data (alarm CORRUPT): see to the cluster first",
  [code.unimplemented]: "Hint: this library needs etcd 3.4 or newer, or what speaks its API v3"
}

/** The driver tells no code of what it met while it connected, and only a hint hangs on its words. */
const connecting: ReadonlyArray<readonly [RegExp, string]> = [
  [
    /unable to (verify|get)|self.signed/i,
    "Hint: the server's certificate is of an authority that is not known here: give that authority's as `tls: { ca }`"
  ],
  [
    /ALTNAME_INVALID|does not match certificate/i,
    "Hint: the server's certificate is not for this name: use one in the url that it is for"
  ],
  [
    /certificate has expired|not yet valid/i,
    "Hint: the server's certificate is out of date: renew it, and check the clocks"
  ],
  [
    /alert (unknown ca|bad certificate|certificate|handshake|access denied)|alert number (40|42|44|45|46|48|49|116)\b/i,
    "Hint: the server asks for a certificate that it accepts: give `tls: { cert, key }`, and present ones"
  ],
  [
    /wrong version number|packet length too long|EPROTO/i,
    "Hint: does the server speak TLS? If not, the url is one of etcd://"
  ],
  [/name resolution|ENOTFOUND|EAI_AGAIN/i, "Hint: the name in the url is not known"],
  [
    /Failed to connect|ECONN|ETIMEDOUT|EHOSTUNREACH|socket hang up|dropped|disconnected/i,
    "Hint: is it up, and is this its port for clients? If it speaks TLS, the url is one of etcds://"
  ]
]

const hintOf = (found: number | undefined, text: string): string | undefined =>
  found === code.unavailable
    ? connecting.find(([words]) => words.test(text))?.[1]
    : found === undefined
      ? undefined
      : hints[found]

const name = (operation: string) => `EtcdStorage.${operation}`

export const codeOf = (error: unknown): number | undefined => {
  const found = typeof error === "object" && error !== null && "code" in error ? error.code : undefined
  return typeof found === "number" ? found : undefined
}

/** Of the refusals with the code of a bad argument, that of `--max-txn-ops`. Only what is learnt from it hangs on its words. */
export const isTooManyParts = (error: unknown): boolean =>
  error instanceof Error && error.message.includes("too many operations")

/** As the driver tells it of a server that cannot be reached. */
export const unavailable = (error: unknown) => ({
  code: code.unavailable,
  details: error instanceof Error ? error.message : String(error)
})

export const isUnavailable = (error: unknown): boolean => codeOf(error) === code.unavailable

/** The driver's error, less the metadata and whatever else it carries along. */
const scrub = (error: unknown): Error => {
  const details = (error as { readonly details?: unknown } | null | undefined)?.details
  const copy = copyOf(error, ["code"])
  copy.name = "ServiceError"
  if (typeof details === "string") copy.message = withoutCredentials(details).trim()
  return copy
}

/** By its code alone. `"no"` if it is certain already that nothing was written. */
export const fromDriver = (operation: string, error: unknown, applied?: "no"): StorageError => {
  const found = codeOf(error)
  const cause = scrub(error)
  const hint = hintOf(found, cause.message)
  return new StorageError({
    reason: (found === undefined ? undefined : reasons[found]) ?? "Unknown",
    operation: name(operation),
    isRetryable: found !== undefined && passing.has(found),
    applied: applied ?? (found !== undefined && definite.has(found) ? "no" : "unknown"),
    message: `etcd failed${found === undefined ? "" : ` (gRPC code ${found})`}: ${cause.message}${hint === undefined ? "" : `. ${hint}`}`,
    cause
  })
}

/** Whoever we are, we were refused: reason `Permission` whatever the code. One who is asked again who they are may be another the next time. */
export const refused = (operation: string, error: unknown, isRetryable: boolean): StorageError =>
  new StorageError({
    reason: "Permission",
    operation: name(operation),
    isRetryable,
    applied: "no",
    message: `etcd does not accept this user and password: ${scrub(error).message}`,
    cause: scrub(error)
  })

/** What an option gave when it was asked for what it is now. */
export const nonsense = (operation: string, { message }: InvalidOptions): StorageError =>
  new StorageError({
    reason: "Connection",
    operation: name(operation),
    isRetryable: true,
    applied: "no",
    message: `the values given for this connection cannot be used: ${message}`
  })

class ForeignCluster extends Error {
  override readonly name = "ForeignCluster"
}

/** Locks of one cluster say nothing about those of another. */
export const foreign = (operation: string, endpoint: string, applied: "no" | "unknown"): StorageError => {
  const message =
    `${endpoint} belongs to another cluster of etcd than the one that this layer began with, whose locks it does not have. ` +
    "Hint: correct the name or the list of endpoints; if the locks have moved for good, restart all programs that use them"
  return new StorageError({
    reason: "Schema",
    operation: name(operation),
    isRetryable: false,
    applied,
    message,
    cause: new ForeignCluster(message)
  })
}

export const isForeign = (error: StorageError): boolean => error.cause instanceof ForeignCluster

export const unfit = (operation: string, endpoint: string, why: string): StorageError =>
  new StorageError({
    reason: "Connection",
    operation: name(operation),
    isRetryable: true,
    applied: "no",
    message: `${endpoint} serves no locks now: ${why}`
  })

/** Not what etcd answers: it may come from something else on that port. */
export const odd = (operation: string, applied: "no" | "unknown"): StorageError =>
  new StorageError({
    reason: "Unknown",
    operation: name(operation),
    isRetryable: true,
    applied,
    message: "an answer has not the shape of one of etcd: is it etcd that answers there?"
  })

export const noAnswer = (operation: string, millis: number, applied: "no" | "unknown"): StorageError =>
  new StorageError({
    reason: "Timeout",
    operation: name(operation),
    isRetryable: true,
    applied,
    message: `etcd did not answer within ${Math.round(millis)} ms${applied === "no" ? "" : "; the transaction may have been applied"}`
  })

export const closed = (operation: string): StorageError =>
  new StorageError({
    reason: "Closed",
    operation: name(operation),
    isRetryable: false,
    applied: "no",
    message: "the layer of EtcdStorage is closed"
  })

export const schema = (operation: string, message: string): StorageError =>
  new StorageError({ reason: "Schema", operation: name(operation), isRetryable: false, applied: "no", message })
