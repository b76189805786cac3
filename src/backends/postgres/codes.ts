/** What a code means, by where an operation was when it came. */
import type { StorageErrorReason } from "../../LockError.js"

/**
 * Where an operation was when it failed: not yet connected, which is never applied; setting up the table at the start; or running a statement, when all depends on the code.
 */
export type Phase = "connecting" | "preparing" | "executing"

/** The driver's and Node's own, and SQLSTATEs that mean the same everywhere. */
const anywhere: Record<string, StorageErrorReason> = {
  ECONNREFUSED: "Connection",
  ECONNRESET: "Connection",
  ECONNABORTED: "Connection",
  ETIMEDOUT: "Connection",
  EPIPE: "Connection",
  ENOTFOUND: "Connection",
  EAI_AGAIN: "Connection",
  EHOSTUNREACH: "Connection",
  ENETUNREACH: "Connection",
  ENOENT: "Connection",
  "57P01": "Connection",
  "57P02": "Connection",
  "57P03": "Connection",
  "57P05": "Connection",
  "53300": "Connection",
  // A prepared statement that is gone or there twice: a pooler hands our statements to different servers.
  "26000": "Connection",
  "42P05": "Connection",
  "57014": "Timeout",
  "55P03": "Timeout",
  "40001": "Conflict",
  "40P01": "Conflict",
  "23505": "Conflict",
  "42501": "Permission",
  // Answers of the wrong server: a replica, or a primary that is none any more. The next connection may find the right one.
  "25006": "Connection",
  "42P01": "Schema",
  "42601": "Schema",
  "42703": "Schema",
  "42704": "Schema",
  "42804": "Schema",
  "42883": "Schema",
  "42P10": "Schema",
  "3F000": "Schema",
  "3D000": "Schema",
  "0A000": "Schema"
}

/** The start-up packet was refused, options and all: by a proxy that takes none, or by a server that does not know one of them. */
const startUp = ["0A000", "08P01", "42704", "42601", "22023", "55P02"]

const inPhase: Record<Phase, Record<string, StorageErrorReason>> = {
  connecting: Object.fromEntries(startUp.map((code) => [code, "Connection"])),
  preparing: {},
  // "cached plan must not change result type": the table was changed, and a new connection plans again.
  executing: { "0A000": "Connection" }
}

const byClass: Record<string, StorageErrorReason> = { "08": "Connection", "28": "Permission" }

/** Node's codes of five letters (EPIPE) have no digit; every SQLSTATE of an error has one. */
export const isSqlState = (code: string | undefined): code is string =>
  code !== undefined && /^[0-9A-Z]{5}$/.test(code) && /\d/.test(code)

export const reasonOf = (code: string | undefined, phase: Phase): StorageErrorReason => {
  if (code !== undefined) {
    const known = inPhase[phase][code] ?? anywhere[code] ?? (isSqlState(code) ? byClass[code.slice(0, 2)] : undefined)
    if (known !== undefined) return known
    if (isSqlState(code)) return "Unknown"
  }
  // The driver's own errors bear no code; whatever they say, the connection is at fault. So are the many codes of TLS.
  return phase === "connecting" || code === undefined ? "Connection" : "Unknown"
}

/** SQLSTATEs after which the connection is as good as before. After any other error it is not used again. */
const harmless = /^(2[1-4]|40|42|54|55)|^57014$|^53[14]00$/

export const keepsConnection = (code: string | undefined): boolean =>
  isSqlState(code) && code !== "42P05" && harmless.test(code)

/** After these the server may have committed all the same: the session ended, or it says itself that it does not know. */
const indefinite = /^(08|57P|XX|F0|58)|^40003$/

export const isDefinite = (code: string | undefined, phase: Phase): boolean =>
  phase === "connecting" || (isSqlState(code) && !indefinite.test(code))

/** Resources that may come back, and what another attempt may get past. */
export const retryable = (reason: StorageErrorReason, code: string | undefined): boolean =>
  reason === "Connection" ||
  reason === "Timeout" ||
  reason === "Conflict" ||
  (isSqlState(code) && code.startsWith("53"))

/** This server cannot write: it is a replica, or read-only. Nothing was done, and no connection to it is worth keeping. */
export const isWrongServer = (code: string | undefined): boolean => code === "25006"

const certificate =
  "the server's certificate was not accepted. Name the authority that signed it by `sslrootcert=/path/ca.pem` in the URL (or NODE_EXTRA_CA_CERTS). " +
  "`sslmode=no-verify` encrypts and trusts anybody"

const hints: Record<string, string> = {
  ECONNREFUSED: "nothing listens there: is the server up, and are host and port right?",
  ENOTFOUND: "the host name is not known: is it right?",
  EAI_AGAIN: "the host name could not be looked up just now",
  ENOENT:
    "the server's socket, or a file of certificates that the URL names, is not there: is the server up, and is the path right?",
  DEPTH_ZERO_SELF_SIGNED_CERT: certificate,
  SELF_SIGNED_CERT_IN_CHAIN: certificate,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: certificate,
  UNABLE_TO_GET_ISSUER_CERT: certificate,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: certificate,
  CERT_SIGNATURE_FAILURE: certificate,
  CERT_UNTRUSTED: certificate,
  CERT_HAS_EXPIRED: "the server's certificate has expired: renew it at the server",
  CERT_NOT_YET_VALID: "the server's certificate is not valid yet: compare the clocks",
  CERT_REVOKED: "the server's certificate was revoked",
  ERR_TLS_CERT_ALTNAME_INVALID:
    "the server's certificate is for another name: use in the URL a host name that stands in it (`uselibpqcompat=true&sslmode=verify-ca` with `sslrootcert` does not look at the name)",
  "26000": "a pooler may stand between: then set `pooler: true`",
  "42P05": "a pooler may stand between: then set `pooler: true`",
  "53300": "the server has no connection left: raise max_connections, or lower poolSize",
  "53100": "the server's disk is full",
  "57P01": "an administrator, or a shutdown, ended the connection",
  "57P03": "the server is starting up or shutting down",
  "57014": "the server ended the statement for its time",
  "55P03": "another transaction has the row, or the table, locked",
  "25006":
    "the server is read-only (a replica, a primary that was demoted, or default_transaction_read_only); the next attempt uses a new connection",
  "28P01": "user or password is wrong",
  "28000":
    "the server does not let this user in from here (pg_hba.conf), or not without TLS: then add `sslmode=verify-full` to the URL",
  "3D000": "the database does not exist",
  "3F000": "the schema does not exist: create it, or name another by `schema`",
  "42P01":
    "the table does not exist (any more): run the text of PostgresStorage.ddl, or start a layer with `setup: true`",
  "42703":
    "the table is not as this version needs it: run the text of PostgresStorage.ddl, or start a layer with `setup: true`"
}

const rights = "the role needs USAGE on the schema and SELECT, INSERT, UPDATE and DELETE on the table"

const hintsOf: Record<Phase, Record<string, string>> = {
  connecting: {
    "42501": "the role needs CONNECT on the database, and the right to each setting that the URL or PGOPTIONS asks for",
    "57014": "the server gave up while it let us in"
  },
  preparing: {
    "42501": `${rights}; to make the table, CREATE on the schema; to change one that is older, its ownership`,
    "0A000": "the server does not know what the set-up asks: PostgreSQL 12 or newer is needed",
    "42601": "the server does not know what the set-up asks: PostgreSQL 12 or newer is needed"
  },
  executing: {
    "42501": `${rights}, and row-level security must hide none of its rows from it`,
    "0A000": "the table was changed; the next attempt uses a new connection"
  }
}

/** What a person can do about it. `pooler`: that option; where it is set already, nobody is told to set it. */
export const hintOf = (code: string | undefined, phase: Phase, pooler: boolean | undefined): string | undefined => {
  if (code === undefined) return undefined
  if (phase === "connecting" && startUp.includes(code)) {
    return pooler === true
      ? "what stands there refuses the connection though it asks for no settings of ours: look at the URL's own parameters and PGOPTIONS"
      : pooler === false
        ? "a pooler or proxy may refuse the settings that a connection asks for: then set `pooler: true`"
        : "the server or a proxy refuses a setting that the program's pool asks for"
  }
  const hint = hintsOf[phase][code] ?? hints[code]
  if (pooler === true && hint?.includes("`pooler: true`") === true)
    return "though nothing is prepared under `pooler: true`: does something between prepare statements?"
  return hint
}
