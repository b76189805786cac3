/** What became of a request that was not answered as it should be, as a failure of a storage. */
import { type InvalidOptions, StorageError, type StorageErrorReason } from "../../LockError.js"
import { copyOf, withoutCredentials } from "../shared/driverError.js"
import { chain, codeOf } from "./codes.js"
import type { Failure, Kind, Response } from "./exchange.js"

/** Whose errors they are. */
export interface Names {
  /** Of the module. */
  readonly storage: string
  /** Of what answers, in a sentence. */
  readonly product: string
  /** What should listen at that port, where it is more than the product. */
  readonly port?: string | undefined
  /** The statuses by which it does not accept who asks. Default: 401 alone. */
  readonly refused?: ReadonlyArray<number> | undefined
}

export type Applied = "no" | "unknown"

/** Only a hint hangs on words, for what has no code. */
const hints: ReadonlyArray<readonly [RegExp, string]> = [
  [
    /UNABLE_TO_(VERIFY|GET)|SELF_SIGNED/,
    "the server's certificate is of an authority that is not known here: give that authority's as `tls: { ca }`"
  ],
  [/ALTNAME_INVALID/, "the server's certificate is not for this name: use one in the url that it is for"],
  [/CERT_HAS_EXPIRED|CERT_NOT_YET_VALID/, "the server's certificate is out of date: renew it, and check the clocks"],
  [
    /SSLV3_ALERT|TLSV1?\d*_ALERT|ERR_SSL_TLS/,
    "the server asks for a certificate that it accepts: give `tls: { cert, key }`, and present ones"
  ],
  [/EPROTO|WRONG_VERSION_NUMBER/, "does the server speak TLS? If not, the url is one of http://"],
  [/ENOTFOUND|EAI_/, "the name in the url is not known"],
  [/ECONNREFUSED|EHOSTUNREACH|ENETUNREACH/, "is it up, and is this its port?"],
  [/ECONNRESET|HPE_/, "if it speaks TLS, the url is one of https://"]
]

/** The driver's errors, less what hangs on them. */
const scrub = (error: unknown): Error => {
  const parts = chain(error)
  const copy = copyOf(parts[parts.length - 1] ?? error, ["code"])
  if (copy.message === "") copy.message = codeOf(error) ?? ""
  return copy
}

/** What an answer comes to. */
export interface Judged {
  readonly reason: StorageErrorReason
  readonly isRetryable: boolean
  readonly applied: Applied
  readonly hint?: string | undefined
}

export const make = (
  names: Names,
  operation: string,
  facts: Omit<Judged, "hint"> & { readonly message: string; readonly cause?: unknown }
): StorageError => new StorageError({ ...facts, operation: `${names.storage}.${operation}` })

export const unanswered = (
  names: Names,
  operation: string,
  { error, kind }: Failure,
  millis: number,
  applied: Applied
): StorageError => {
  if (kind === "silent")
    return make(names, operation, {
      reason: "Timeout",
      isRetryable: true,
      applied,
      message: `${names.product} did not answer within ${Math.round(millis)} ms${applied === "no" ? "" : "; the operation may have been applied"}`
    })
  const cause = scrub(error)
  const hint = hints.find(([words]) => words.test(codeOf(error) ?? ""))?.[1]
  return make(names, operation, {
    reason: "Connection",
    isRetryable: true,
    applied,
    message: `${names.product} ${kind === "unreached" ? "could not be reached" : "broke the connection off"}${
      cause.message === "" ? "" : `: ${cause.message}`
    }${hint === undefined ? "" : `. Hint: ${hint}`}`,
    cause
  })
}

/** What a server says that does not do what it is asked for. */
class Refusal extends Error {
  constructor(
    { product }: Names,
    words: string,
    readonly status: number
  ) {
    super(words)
    this.name = `${product}Error`
  }
}

/** `words`: for people alone. `doubtful`: an earlier try of the same request may have been done, whatever this one says. */
export const refused = (
  names: Names,
  operation: string,
  { applied, hint, isRetryable, reason }: Judged,
  words: string,
  { doubtful, status }: Pick<Response, "doubtful" | "status">,
  kind: Kind
): StorageError => {
  const text = withoutCredentials(words).slice(0, 500)
  return make(names, operation, {
    reason,
    isRetryable,
    applied: kind === "reads" ? "no" : doubtful === true ? "unknown" : applied,
    message: `${names.product} failed (${status})${text === "" ? "" : `: ${text}`}${hint === undefined ? "" : `. Hint: ${hint}`}`,
    cause: new Refusal(names, text, status)
  })
}

export const statusOf = ({ cause }: StorageError): number | undefined =>
  cause instanceof Refusal ? cause.status : undefined

/** Not what such a server answers: it may come from something else on that port. */
export const odd = (names: Names, operation: string, kind: Kind, what: string): StorageError =>
  make(names, operation, {
    reason: "Unknown",
    isRetryable: false,
    applied: kind === "reads" ? "no" : "unknown",
    message: `${what}: is it ${names.port ?? names.product} that answers there?`
  })

/** What an option gave when it was asked for what it is now. */
export const nonsense = (names: Names, operation: string, { message }: InvalidOptions): StorageError =>
  make(names, operation, {
    reason: "Connection",
    isRetryable: true,
    applied: "no",
    message: `the values given for this connection cannot be used: ${message}`
  })

export const closed = (names: Names, operation: string, applied: Applied): StorageError =>
  make(names, operation, {
    reason: "Closed",
    isRetryable: false,
    applied,
    message:
      applied === "no"
        ? `the layer of ${names.storage} is closed`
        : `the layer of ${names.storage} was closed during the operation, which may have been applied`
  })
