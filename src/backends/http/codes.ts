/** What is known of an error of Node.js, or of one that a client wraps around it. */

/** Before a connection was there, so nothing was sent on it. */
const unreached = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EAI_FAIL",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EADDRNOTAVAIL",
  "EACCES",
  "EINVAL",
  "UND_ERR_CONNECT_TIMEOUT",
  "ERR_INVALID_URL",
  "EPROTO",
  // Of certificates.
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "CERT_HAS_EXPIRED",
  "CERT_NOT_YET_VALID",
  "CERT_UNTRUSTED",
  "CERT_REJECTED",
  "ERR_TLS_CERT_ALTNAME_INVALID"
])

/** The error, and what it says that it comes from. Several addresses of one name fail together, as one error. */
export const chain = (error: unknown): ReadonlyArray<Record<string, unknown>> => {
  const found: Array<Record<string, unknown>> = []
  let next = error
  while (typeof next === "object" && next !== null && found.length < 10 && !found.includes(next as never)) {
    found.push(next as Record<string, unknown>)
    const { cause, reason, errors } = next as Record<string, unknown>
    next = cause ?? (typeof reason === "object" ? reason : undefined) ?? (Array.isArray(errors) ? errors[0] : undefined)
  }
  return found
}

export const codeOf = (error: unknown): string | undefined =>
  chain(error)
    .map(({ code }) => code)
    .find((code): code is string => typeof code === "string")

export const isUnreached = (error: unknown): boolean => unreached.has(codeOf(error) ?? "")
