/** Failures of DynamoDB as typed errors: the reason, whether the call may have been applied, and what a person can do. */
import { copyOf } from "../shared/driverError.js"
import { type InvalidOptions, StorageError, type StorageErrorReason } from "../../LockError.js"

/** What kind of call it was: what only reads is surely not applied. */
export type Kind = "reads" | "writes"

/** Refused for its rate: nothing was done, and it may be tried again. */
const throttled = new Set([
  "ProvisionedThroughputExceededException",
  "RequestLimitExceeded",
  "ThrottlingException",
  "Throttling",
  "LimitExceededException"
])

/** Others wrote at the same moment: nothing was done. */
const conflicting = new Set(["TransactionConflictException", "ReplicatedWriteConflictException"])

/** Who we are is not known, or no longer: credentials that are asked for again may be others. */
const unknownCredentials = new Set([
  "UnrecognizedClientException",
  "InvalidSignatureException",
  "ExpiredTokenException",
  "ExpiredToken",
  "InvalidClientTokenId",
  "InvalidAccessKeyId",
  "MissingAuthenticationTokenException",
  "MissingAuthenticationToken",
  "IncompleteSignatureException",
  "IncompleteSignature",
  "RequestExpired",
  "RequestTimeTooSkewed",
  "CredentialsProviderError",
  "TokenProviderError"
])

/** Nothing was done. A key of KMS that cannot be used now may be usable later. */
const refused: Readonly<Record<string, StorageErrorReason>> = {
  AccessDeniedException: "Permission",
  AccessDenied: "Permission",
  OptInRequired: "Permission",
  ResourceNotFoundException: "Schema",
  TableNotFoundException: "Schema",
  ResourceInUseException: "Schema",
  ValidationException: "Unknown",
  SerializationException: "Unknown",
  UnknownOperationException: "Schema",
  ItemCollectionSizeLimitExceededException: "Unknown"
}

/** There is nobody at the address. */
const unsent: Readonly<Record<string, StorageErrorReason>> = {
  ECONNREFUSED: "Connection",
  ENOTFOUND: "Connection",
  EAI_AGAIN: "Connection",
  EHOSTUNREACH: "Connection",
  ENETUNREACH: "Connection",
  DEPTH_ZERO_SELF_SIGNED_CERT: "Connection",
  SELF_SIGNED_CERT_IN_CHAIN: "Connection",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "Connection",
  CERT_HAS_EXPIRED: "Connection",
  ERR_TLS_CERT_ALTNAME_INVALID: "Connection"
}

/** It may have been done. */
const broken: Readonly<Record<string, StorageErrorReason>> = {
  InternalServerError: "Connection",
  InternalServerErrorException: "Connection",
  InternalFailure: "Connection",
  ServiceUnavailable: "Connection",
  ServiceUnavailableException: "Connection",
  ECONNRESET: "Connection",
  EPIPE: "Connection",
  ETIMEDOUT: "Timeout",
  TimeoutError: "Timeout",
  RequestTimeout: "Timeout",
  AbortError: "Connection"
}

const hints: Readonly<Record<string, string>> = {
  AccessDeniedException:
    "the identity needs dynamodb:GetItem, UpdateItem, DescribeTable and Scan on the table, and CreateTable if it is to be made",
  ResourceNotFoundException:
    "is it the right region? `ddl` prints the template of the table, or leave out `setup: false`",
  UnrecognizedClientException: "these credentials are not known in this region",
  InvalidSignatureException: "the secret is wrong, or the clock of this machine is",
  ExpiredTokenException:
    "the session of these credentials is over: give `credentials` as a function, or leave them out",
  CredentialsProviderError: "the SDK found no credentials: set AWS_PROFILE or AWS_ACCESS_KEY_ID, or give `credentials`",
  ProvisionedThroughputExceededException: "the table's capacity is too small, or one lock is asked for too often",
  ECONNREFUSED: "is `endpoint` right?",
  ENOTFOUND: "is there such a region?"
}

interface Thrown {
  readonly name?: unknown
  readonly code?: unknown
  readonly $metadata?: { readonly httpStatusCode?: unknown; readonly requestId?: unknown } | undefined
}

/** The code of the network first: a connection that was reset is called a `TimeoutError`. */
export const codeOf = (error: unknown): string => {
  const { code, name } = Object(error) as Thrown
  return typeof code === "string" && code !== "" ? code : typeof name === "string" ? name : ""
}

export const isThrottled = (error: StorageError): boolean => throttled.has(codeOf(error.cause))

export const hasUnknownCredentials = (error: StorageError): boolean => unknownCredentials.has(codeOf(error.cause))

export const isMissing = (error: StorageError): boolean => codeOf(error.cause) === "ResourceNotFoundException"

export const isInUse = (error: StorageError): boolean => codeOf(error.cause) === "ResourceInUseException"

/** There is nobody there: whoever asks knows best when to ask again. */
export const isRefused = (error: StorageError): boolean => unsent[codeOf(error.cause)] !== undefined

/** Nothing was done, and it may be done in a moment. */
export const mayPass = (error: StorageError): boolean =>
  isThrottled(error) || (error.reason === "Conflict" && error.applied === "no")

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
    operation: `DynamoDbStorage.${operation}`,
    isRetryable,
    applied,
    message,
    ...(cause === undefined ? {} : { cause })
  })

interface Judged {
  readonly reason: StorageErrorReason
  readonly isRetryable: boolean
  readonly applied: "no" | "unknown"
}

const judge = (code: string, status: number | undefined): Judged => {
  if (throttled.has(code)) return { reason: "Timeout", isRetryable: true, applied: "no" }
  if (conflicting.has(code)) return { reason: "Conflict", isRetryable: true, applied: "no" }
  if (unknownCredentials.has(code)) return { reason: "Permission", isRetryable: false, applied: "no" }
  const definite = refused[code]
  if (definite !== undefined) return { reason: definite, isRetryable: false, applied: "no" }
  const absent = unsent[code]
  if (absent !== undefined) return { reason: absent, isRetryable: true, applied: "no" }
  const unsure = broken[code]
  if (unsure !== undefined) return { reason: unsure, isRetryable: true, applied: "unknown" }
  // What is not known by name is known by its status.
  if (status === 429) return { reason: "Timeout", isRetryable: true, applied: "no" }
  if (status === 401 || status === 403) return { reason: "Permission", isRetryable: false, applied: "no" }
  if (status !== undefined && status >= 400 && status < 500)
    return { reason: "Unknown", isRetryable: false, applied: "no" }
  return {
    reason: status === undefined ? "Unknown" : "Connection",
    isRetryable: status !== undefined,
    applied: "unknown"
  }
}

export const fromDriver = (operation: string, thrown: unknown, kind: Kind): StorageError => {
  const code = codeOf(thrown)
  const status = (Object(thrown) as Thrown).$metadata?.httpStatusCode
  const cause = copyOf(thrown, ["code", "$fault"])
  const { applied, isRetryable, reason } = judge(code, typeof status === "number" ? status : undefined)
  const hint = hints[code]
  return make(
    reason,
    operation,
    isRetryable,
    kind === "reads" ? "no" : applied,
    `DynamoDB failed${code === "" ? "" : ` (${code})`}${cause.message === "" || cause.message === code ? "" : `: ${cause.message}`}${
      hint === undefined ? "" : `. Hint: ${hint}`
    }`,
    cause
  )
}

/** Who is asked again who they are may be another the next time. */
export const maybeOthers = ({ applied, cause, message, operation, reason }: StorageError): StorageError =>
  new StorageError({ applied, cause, message, operation, reason, isRetryable: true })

export const noAnswer = (operation: string, millis: number, kind: Kind): StorageError =>
  make(
    "Timeout",
    operation,
    true,
    kind === "reads" ? "no" : "unknown",
    `DynamoDB did not answer within ${Math.round(millis)} ms${kind === "reads" ? "" : "; the write may have been applied"}`
  )

export const closed = (operation: string, applied: "no" | "unknown"): StorageError =>
  make(
    "Closed",
    operation,
    false,
    applied,
    `the layer of DynamoDbStorage is closed${applied === "no" ? "" : "; the write may have been applied"}`
  )

export const nonsense = (operation: string, { message }: InvalidOptions): StorageError =>
  make("Connection", operation, true, "no", `the values given for this connection cannot be used: ${message}`)

export const schema = (operation: string, message: string): StorageError =>
  make("Schema", operation, false, "no", message)
