/** What a number or a code means, by where an operation was when it came. Numbers from 8000 on are TiDB's own. */
import type { StorageErrorReason } from "../../LockError.js"

/** Where an operation was when it failed: not yet connected, which is never applied; setting up the table at the start; or running a packet, when all depends on the number. */
export type Phase = "connecting" | "preparing" | "executing"

const numbered = (reason: StorageErrorReason, numbers: ReadonlyArray<number>) =>
  numbers.map((number) => [number, reason] as const)

/** This server cannot write: a replica, a primary that was demoted, or one that is closed to us. Another connection may lead to the right one. */
const wrongServer = new Set([1290, 1792, 1836, 1874, 3032, 3989])

const byNumber = new Map<number, StorageErrorReason>([
  ...numbered(
    "Connection",
    [
      1040, 1041, 1047, 1053, 1077, 1078, 1079, 1080, 1129, 1135, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1226, 1927,
      3032, 3168, 3169, 4031
    ]
  ),
  ...numbered("Connection", [9001, 9002, 9003, 9005]),
  ...numbered("Connection", [...wrongServer]),
  ...numbered("Timeout", [1205, 1317, 1969, 3024]),
  // A statement that the session has not prepared (any more), or may not prepare: the next try prepares it, or does without.
  ...numbered("Conflict", [1243, 1461, 1615]),
  ...numbered("Conflict", [1020, 1062, 1213, 3101, 8002, 8005, 8022, 8028, 9007]),
  ...numbered(
    "Permission",
    [1044, 1045, 1095, 1130, 1142, 1143, 1227, 1251, 1410, 1698, 1820, 1862, 3118, 3159, 3878, 3955, 4151]
  ),
  ...numbered("Schema", [1046, 1049, 1054, 1060, 1064, 1101, 1136, 1146, 1264, 1292, 1305, 1364, 1366, 1406])
])

/** At a start these speak of what the user may do, and of a server that is too old; later of a table that was changed under us. */
const whenConnecting = new Map<number, StorageErrorReason>(
  numbered("Connection", [1043, 1105, 1156, 1157, 1158, 1193, 1231])
)

const byCode: Record<string, StorageErrorReason> = Object.fromEntries(
  [
    "ECONNREFUSED",
    "ECONNRESET",
    "ECONNABORTED",
    "ETIMEDOUT",
    "EPIPE",
    "ENOTFOUND",
    "EAI_AGAIN",
    "EHOSTUNREACH",
    "ENETUNREACH",
    "ENOENT",
    "PROTOCOL_CONNECTION_LOST",
    "PROTOCOL_SEQUENCE_TIMEOUT",
    "PROTOCOL_PACKETS_OUT_OF_ORDER",
    "HANDSHAKE_NO_SSL_SUPPORT",
    "HANDSHAKE_SSL_ERROR"
  ].map((code) => [code, "Connection"])
)

/** The disk, a table or a log has no room left. Nothing was done; room may come back. */
const noRoom = new Set([1021, 1026, 1030, 1114, 1197, 1206, 1534, 1598, 1637, 3019])

/** What the server ran out of, and gets back. */
const passing = new Set([...noRoom, ...wrongServer, 1037, 1038])

/**
 * After these the transaction is over or can be rolled back, and the connection is as good as before. After any other error it is not used again: of a server that cannot write, above all.
 */
const harmless = new Set([
  1020, 1021, 1062, 1094, 1095, 1114, 1142, 1146, 1197, 1205, 1206, 1213, 1317, 1969, 3024, 8002, 8022, 9007
])

/** The session ended, or the server says itself that it does not know: it may have committed all the same. */
const indefinite = new Set([
  1026, 1030, 1053, 1077, 1078, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1180, 1184, 1598, 1927, 3168, 3169, 4031
])

/** Not one transaction each: what went before the failure stays. */
const piecemeal = new Set(["renew", "purge"])

export const isWrongServer = (number: number | undefined): boolean => number !== undefined && wrongServer.has(number)

export const keepsConnection = (number: number | undefined): boolean => number !== undefined && harmless.has(number)

export const reasonOf = (number: number | undefined, code: string | undefined, phase: Phase): StorageErrorReason => {
  if (number !== undefined)
    return (
      (phase === "connecting" ? whenConnecting.get(number) : undefined) ??
      byNumber.get(number) ??
      (phase === "connecting" ? "Connection" : "Unknown")
    )
  // The driver's own errors may bear no code; whatever they say, the connection is at fault. So are the many codes of TLS.
  return code === undefined || phase === "connecting" ? "Connection" : (byCode[code] ?? "Unknown")
}

export const isDefinite = (operation: string, number: number | undefined, phase: Phase): boolean =>
  phase === "connecting" ||
  isWrongServer(number) ||
  (number !== undefined &&
    !piecemeal.has(operation) &&
    !indefinite.has(number) &&
    // TiDB's own: some of them say that the fate of a commit is not known.
    (number < 8000 || byNumber.get(number) === "Conflict"))

/** `isAsked`: user and password may be others at the next connection. */
export const retryable = (
  reason: StorageErrorReason,
  number: number | undefined,
  phase: Phase,
  isAsked: boolean
): boolean =>
  reason === "Connection" ||
  reason === "Timeout" ||
  reason === "Conflict" ||
  passing.has(number ?? 0) ||
  (isAsked && phase === "connecting" && (number === 1045 || number === 1698))

const encrypt =
  "add `ssl-mode=VERIFY_IDENTITY` to the URL (with `ssl-ca=/path/ca.pem` where the authority is your own), or `ssl-mode=REQUIRED`, which verifies nothing"
const readOnly =
  "the server is read-only (a replica, or a primary that was demoted); the next attempt uses a new connection"
const full = "the server has no room left: a renewal or a release may pass where a claim does not"

const hints: Record<string, string | undefined> = {
  ECONNREFUSED: "nothing listens there: is the server up, and are host and port right?",
  ENOTFOUND: "the host name is not known: is it right?",
  EAI_AGAIN: "the host name could not be looked up just now",
  ENOENT:
    "the server's socket, or a file of certificates that the URL names, is not there: is the server up, and is the path right?",
  HANDSHAKE_NO_SSL_SUPPORT:
    "the URL asks for TLS, and the server has none: give it a certificate, or set `ssl-mode=DISABLED`",
  1021: full,
  1040: "the server has no connection left: raise max_connections, or lower poolSize",
  1044: "the user may not use this database",
  1046: "name the database in the URL, or by `database`",
  1049: "the database does not exist: create it",
  1114: full,
  1129: "the server has blocked this host after too many failures to connect: FLUSH HOSTS, and look why they failed",
  1142: "the user needs SELECT, INSERT, UPDATE and DELETE on the table",
  1146: "the table does not exist (any more): run the text of MysqlStorage.ddl, or start a layer with `setup: true`",
  1054: "the table is not as this version needs it: run the text of MysqlStorage.ddl, or start a layer with `setup: true`",
  1203: "the user has no connection left: raise max_user_connections, or lower poolSize",
  1205: "another transaction has the row, or the table, locked",
  1226: "the user has used up one of its limits (max_user_connections, or so many an hour)",
  1290: readOnly,
  1792: "the session is read-only (transaction_read_only); the next attempt uses a new connection",
  1836: readOnly,
  1874: readOnly,
  3032: "the server is in offline mode",
  3159: `the server takes encrypted connections only: ${encrypt}`,
  3989: "the database is read-only (ALTER DATABASE … READ ONLY); the next attempt uses a new connection"
}

const hintsOf: Record<Phase, Record<string, string | undefined>> = {
  connecting: {
    1045: `user or password is wrong, or this user is let in with TLS only: then ${encrypt}`,
    1105: "does something other than MySQL answer there?",
    1130: "the server does not let this host in: the user is made for others",
    1251: "the server asks for a way to log in that the driver does not know: change the user's authentication plugin"
  },
  preparing: {
    1064: "a proxy may refuse several statements in one packet, or the server is none of the MySQL family",
    1142: "the user needs SELECT, INSERT, UPDATE and DELETE on the table; to make it, CREATE; to change one that is older, ALTER"
  },
  executing: {
    1064: "a proxy or a pool may refuse several statements in one packet: the pool needs `multipleStatements: true`"
  }
}

/** The driver gives all failures of TLS one code; what OpenSSL and Node say of them is the same everywhere. */
const hintOfTls = (said: string): string =>
  /expired/i.test(said)
    ? "the server's certificate has expired: renew it at the server"
    : /not yet valid/i.test(said)
      ? "the server's certificate is not valid yet: compare the clocks"
      : /revoked/i.test(said)
        ? "the server's certificate was revoked"
        : /altname|does not match/i.test(said)
          ? "the server's certificate is for another name: use in the URL a host name that stands in it, or `ssl-mode=VERIFY_CA`, which does not look at the name"
          : /certificate/i.test(said)
            ? "the server's certificate was not accepted. Name the authority that signed it by `ssl-ca=/path/ca.pem` in the URL, by `tls: { ca }`, or by NODE_EXTRA_CA_CERTS. `ssl-mode=REQUIRED` encrypts and trusts anybody"
            : "the server and this program could not agree on TLS: look at tls_version of the server, and whether it asks for a certificate of ours (`ssl-cert` and `ssl-key`)"

/** What a person can do about it. */
export const hintOf = (named: number | string | undefined, phase: Phase, said: string): string | undefined =>
  named === undefined
    ? undefined
    : named === "HANDSHAKE_SSL_ERROR"
      ? hintOfTls(said)
      : (hintsOf[phase][named] ?? hints[named])
