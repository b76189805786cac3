/** Failures of Cassandra as typed errors: the reason, whether the call may have been applied, and what a person can do. */
import { copyOf } from "../shared/driverError.js"
import { StorageError, type StorageErrorReason } from "../../LockError.js"

/** What kind of call it was: what only reads is surely not applied. */
export type Kind = "reads" | "writes"

interface Judged {
  readonly reason: StorageErrorReason
  readonly isRetryable: boolean
  readonly applied: "no" | "unknown"
}

const judged = (reason: StorageErrorReason, isRetryable: boolean, applied: "no" | "unknown"): Judged => ({
  reason,
  isRetryable,
  applied
})

const refused = (reason: StorageErrorReason) => judged(reason, false, "no")

/** Nothing was done, and it may be done in a moment, or elsewhere. */
const notNow = judged("Connection", true, "no")

/** A ballot may have been accepted by some replicas, and may yet be finished by whoever comes next. */
const unsure = judged("Timeout", true, "unknown")

/** What the server says, by its code. */
const codes: Readonly<Record<number, Judged & { readonly name: string }>> = {
  0x0000: { name: "server error", ...judged("Connection", true, "unknown") },
  0x000a: { name: "protocol error", ...refused("Unknown") },
  0x0100: { name: "bad credentials", ...refused("Permission") },
  0x1000: { name: "unavailable", ...notNow },
  // Also said after all is decided, of replicas that are told of it later.
  0x1001: { name: "overloaded", ...unsure },
  0x1002: { name: "bootstrapping", ...notNow },
  0x1003: { name: "truncate error", ...judged("Connection", true, "unknown") },
  0x1100: { name: "write timeout", ...unsure },
  // Of a write: in its second round, perhaps, after some replicas have accepted the first.
  0x1200: { name: "read timeout", ...unsure },
  0x1300: { name: "read failure", ...unsure },
  0x1400: { name: "function failure", ...refused("Unknown") },
  0x1500: { name: "write failure", ...unsure },
  0x1600: { name: "CDC write failure", ...unsure },
  0x1700: { name: "CAS write unknown", ...unsure },
  0x2000: { name: "syntax error", ...refused("Schema") },
  0x2100: { name: "unauthorized", ...refused("Permission") },
  0x2200: { name: "invalid", ...refused("Schema") },
  0x2300: { name: "config error", ...refused("Schema") },
  0x2400: { name: "already exists", ...refused("Schema") },
  0x2500: { name: "unprepared", ...notNow }
}

/** What the driver says, by the name of its error. */
const names: Readonly<Record<string, Judged>> = {
  OperationTimedOutError: unsure,
  // With one node to be asked: it was not.
  NoHostAvailableError: notNow,
  BusyConnectionError: judged("Timeout", true, "no"),
  AuthenticationError: refused("Permission"),
  ArgumentError: refused("Schema"),
  NotSupportedError: refused("Schema"),
  TypeError: refused("Unknown")
}

/** Of the network, where a connection is made. */
const network = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ECONNRESET",
  "ETIMEDOUT",
  "EPIPE"
])

const hints: Readonly<Record<string, string>> = {
  "0x1000": "fewer replicas are alive than a majority",
  "0x2100":
    "the role needs SELECT and MODIFY on the table, and CREATE on the keyspace if the table is to be made by the layer",
  "0x2200": "is it the right keyspace? `ddl` prints the table, or leave out `setup: false`",
  AuthenticationError: "are the name and the password of the role right?"
}

interface Thrown {
  readonly name?: unknown
  readonly message?: unknown
  readonly code?: unknown
  readonly consistencies?: unknown
  readonly isSocketError?: unknown
  readonly requestNotWritten?: unknown
  readonly innerErrors?: unknown
}

/** SERIAL, LOCAL_SERIAL. Of any other level it was said after all was decided. */
const isOfBallot = (level: unknown): boolean => level === 8 || level === 9

const codeText = (code: number): string => `0x${code.toString(16).padStart(4, "0")}`

/** A code of the server or of the network, or else the name of the error. */
export const codeOf = (error: unknown): string => {
  const { code, name } = Object(error) as Thrown
  return typeof code === "number"
    ? codeText(code)
    : typeof code === "string" && code !== ""
      ? code
      : typeof name === "string"
        ? name
        : ""
}

const judge = (error: unknown): Judged => {
  if (error instanceof StorageError) return error
  const { code, consistencies, isSocketError, name, requestNotWritten } = Object(error) as Thrown
  if (typeof code === "number") {
    const known = codes[code]
    if (known === undefined) return judged("Unknown", false, "unknown")
    return code === 0x1000 && consistencies !== undefined && !isOfBallot(consistencies) ? unsure : known
  }
  if (isSocketError === true) return judged("Connection", true, requestNotWritten === true ? "no" : "unknown")
  if (typeof code === "string" && (network.has(code) || /CERT|SSL|TLS|SELF_SIGNED/.test(code)))
    return judged("Connection", true, "unknown")
  return (typeof name === "string" ? names[name] : undefined) ?? judged("Unknown", false, "unknown")
}

const make = (
  { applied, isRetryable, reason }: Judged,
  operation: string,
  message: string,
  cause?: Error
): StorageError =>
  new StorageError({
    reason,
    operation: `CassandraStorage.${operation}`,
    isRetryable,
    applied,
    message,
    ...(cause === undefined ? {} : { cause })
  })

/** What was found at each node that could not be asked. Some are told by a text. */
const within = (error: unknown): ReadonlyArray<unknown> => {
  const { innerErrors } = Object(error) as Thrown
  return typeof innerErrors === "object" && innerErrors !== null ? Object.values(innerErrors) : []
}

const isToBeMended = (error: unknown): boolean => ["Permission", "Schema"].includes(judge(error).reason)

/** Of what was found at several nodes: what a person has to fix, if anything. */
const foremost = (error: unknown): unknown => {
  const all = within(error)
  return all.find(isToBeMended) ?? all.find((each) => typeof each === "object" && each !== null) ?? error
}

export const fromDriver = (operation: string, thrown: unknown, kind: Kind): StorageError => {
  // The driver has not asked any: what it tells is why.
  const unasked = codeOf(thrown) === "NoHostAvailableError"
  const source = unasked ? foremost(thrown) : thrown
  const found = judge(source)
  const facts = !unasked
    ? kind === "reads"
      ? { ...found, applied: "no" as const }
      : found
    : isToBeMended(source)
      ? refused(found.reason)
      : notNow
  const code = codeOf(source)
  const cause = copyOf(source, ["code", "consistencies", "received", "blockFor", "writeType", "isSocketError"])
  const known = typeof (cause as Thrown).code === "number" ? codes[(cause as Thrown).code as number]?.name : undefined
  const hint = hints[code]
  return make(
    facts,
    operation,
    `${unasked ? "no node of Cassandra can be asked" : "Cassandra failed"}${code === "" || code === "Error" ? "" : ` (${code}${known === undefined ? "" : ` ${known}`})`}${
      cause.message === "" ? "" : `: ${cause.message}`
    }${hint === undefined ? "" : `. Hint: ${hint}`}`,
    cause
  )
}

/** Of nodes that are down, with why the last connection could not be made. `asked`: who we are is asked for again, and may be another the next time. */
export const because = (operation: string, error: StorageError, trouble: unknown, asked: boolean): StorageError => {
  if (!(trouble instanceof Error) || codeOf(error.cause) !== "NoHostAvailableError") return error
  const { applied, cause, isRetryable, message, reason } = fromDriver(operation, trouble, "reads")
  const facts = isToBeMended(trouble) && !asked ? judged(reason, isRetryable, applied) : notNow
  return make(
    facts,
    operation,
    `no node of Cassandra can be asked. The last that was tried: ${message}`,
    cause as Error
  )
}

const has = (codes: ReadonlyArray<string>) => (error: StorageError) => codes.includes(codeOf(error.cause))

/** The node was not asked, or takes nothing for now: another one may. */
export const isElsewhere = (error: StorageError): boolean =>
  error.reason === "Connection" && error.isRetryable && error.applied === "no" && codeOf(error.cause) !== "0x1000"

/** The node does not answer, or the way to it is broken. */
export const isSilent = (error: StorageError): boolean =>
  error.cause === undefined
    ? error.reason === "Timeout"
    : has(["OperationTimedOutError"])(error) || (error.cause as Thrown).isSocketError === true

/** Others are at it, or replicas are late: it may be asked again in a moment. */
export const mayPass = (error: StorageError): boolean =>
  error.isRetryable && has(["0x0000", "0x1001", "0x1100", "0x1200", "0x1300", "0x1500", "0x1700"])(error)

export const isMissing = has(["0x2200"])

export const noAnswer = (operation: string, millis: number, kind: Kind): StorageError =>
  make(
    kind === "reads" ? { ...unsure, applied: "no" } : unsure,
    operation,
    `Cassandra did not answer within ${Math.round(millis)} ms${kind === "reads" ? "" : "; the write may have been applied"}`
  )

export const noNode = (operation: string): StorageError =>
  make(notNow, operation, "no node of Cassandra is known that could be asked")

export const closed = (operation: string, applied: "no" | "unknown"): StorageError =>
  make(
    judged("Closed", false, applied),
    operation,
    `the layer of CassandraStorage is closed${applied === "no" ? "" : "; the write may have been applied"}`
  )

export const nonsense = (operation: string, { message }: Error): StorageError =>
  make(notNow, operation, `the values given for this connection cannot be used: ${message}`)

export const schema = (operation: string, message: string): StorageError => make(refused("Schema"), operation, message)
