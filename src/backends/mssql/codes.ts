/** What the numbers of the server's errors and the codes of the driver mean, and what to do about them. */
import type { StorageErrorReason } from "../../LockError.js"
import type { Phase } from "../sql/clientExecutor.js"
import { notNow, openTransaction, otherDatabase } from "./statements.js"

/** By the server's error number. */
const byNumber = new Map<number, StorageErrorReason>()
const all = (reason: StorageErrorReason, ...numbers: ReadonlyArray<number>) => {
  for (const number of numbers) byNumber.set(number, reason)
}
// The service is busy, moves, fails over, starts, stops, or ended the session; most of these are of Azure SQL.
all(
  "Connection",
  64,
  121,
  233,
  596,
  615,
  911,
  921,
  922,
  923,
  926,
  4060,
  4064,
  4221,
  6005,
  9001,
  10053,
  10054,
  10060,
  10922,
  10928,
  10929,
  10936,
  17142,
  18401,
  40143,
  40197,
  40501,
  40540,
  40549
)
all("Connection", 40550, 40551, 40552, 40553, 40613, 49918, 49919, 49920, 42108, 42109, openTransaction, otherDatabase)
// The database is restored, taken down, changed or used by one alone just now; and no more connections are let in.
all("Connection", 924, 927, 942, 952, 954, 17809, 18461)
// The database is read-only: a secondary, a primary that was demoted, or set so.
const readOnly = [3906, 3908]
// The database of an availability group is not (yet) open here.
const secondary = [976, 978, 979, 982, 983, 988, 41104, 41142]
all("Connection", ...readOnly, ...secondary)
all("Timeout", 1222, notNow)
// Deadlocks, update conflicts of snapshot isolation and of tables in memory, and the race to a key.
all("Conflict", 1205, 2601, 2627, 3960, 3961, 41301, 41302, 41305, 41325, 41839)
// Logins and rights.
all(
  "Permission",
  229,
  230,
  262,
  297,
  300,
  916,
  1088,
  2760,
  15247,
  18450,
  18452,
  18456,
  18470,
  18486,
  18487,
  18488,
  40532,
  40615,
  40914,
  47073
)
all("Schema", 201, 206, 207, 208, 213, 257, 515, 2628, 2714, 8114, 8152)
// Memory, space, log and quotas, which may come back.
const full = [
  701, 802, 1101, 1105, 1121, 1204, 1827, 3958, 3966, 3967, 8645, 8651, 9002, 40544, 41805, 41822, 41823, 41840
]
all("Unknown", ...full)

const passing = new Set(full)

/** Where they come, the batch did nothing. */
const elsewhere = new Set([...readOnly, ...secondary, openTransaction, otherDatabase])

const byCode = new Map<string, StorageErrorReason>([
  ...[
    "ESOCKET",
    "ECLOSE",
    "EINSTLOOKUP",
    "EINVALIDSTATE",
    "EUNCONFIRMED",
    "ECONNREFUSED",
    "ECONNRESET",
    "ECONNABORTED",
    "EPIPE",
    "ETIMEDOUT",
    "ENOTFOUND",
    "EAI_AGAIN",
    "EHOSTUNREACH",
    "ENETUNREACH"
  ].map((code) => [code, "Connection"] as const),
  ["ETIMEOUT", "Timeout"],
  ["ECANCEL", "Timeout"],
  ["ELOGIN", "Permission"],
  ["EFEDAUTH", "Permission"],
  ["EENCRYPT", "Permission"],
  ["EPARAM", "Unknown"]
])

const certificate =
  "the server's certificate was not accepted: name the authority that signed it (NODE_EXTRA_CA_CERTS=/path/ca.pem, or `connection: { options: { cryptoCredentialsDetails: { ca } } }`), " +
  "or trust any by `trustServerCertificate=true`, which lets whoever is between read the password"
const space = "the database, its log, tempdb or its quota is full: make room, or let it grow"
const leads = "the next attempt uses a new connection: does the name lead to the primary?"

const hints = new Map<string | number, string>([
  ["ECONNREFUSED", "nothing listens there: is the server up, and are host and port right?"],
  ["ENOTFOUND", "the host name is not known: is it right?"],
  ["EAI_AGAIN", "the host name could not be looked up just now"],
  ["EINSTLOOKUP", "the SQL Server Browser did not tell the port of the instance: give the port"],
  ["EENCRYPT", "the server takes encrypted connections only: set `encrypt` to true or strict"],
  ["ENOENCRYPTION", "give the server a certificate; or, where the way to it is trusted, set `encrypt` to false"],
  ["EPROTOCOL", "are host and port those of a SQL Server, and does it want `encrypt` strict, or not?"],
  ["EFEDAUTH", "the driver got no token of Microsoft Entra: its own words are in `cause`"],
  ...[
    "DEPTH_ZERO_SELF_SIGNED_CERT",
    "SELF_SIGNED_CERT_IN_CHAIN",
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "UNABLE_TO_GET_ISSUER_CERT",
    "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
    "CERT_SIGNATURE_FAILURE",
    "CERT_UNTRUSTED"
  ].map((code) => [code, certificate] as const),
  ["CERT_HAS_EXPIRED", "the server's certificate has expired: renew it at the server"],
  ["CERT_NOT_YET_VALID", "the server's certificate is not valid yet: compare the clocks"],
  ["CERT_REVOKED", "the server's certificate was revoked"],
  [
    "ERR_TLS_CERT_ALTNAME_INVALID",
    "the server's certificate is for another name: connect by a name that it has, or say that name by `hostNameInCertificate` in the URL (`serverName` in `connection`)"
  ],
  [
    "ERR_SSL_UNSUPPORTED_PROTOCOL",
    "the server speaks an old TLS only: allow it there, or by `connection: { options: { cryptoCredentialsDetails: { minVersion } } }`"
  ],
  [
    "ERR_SSL_WRONG_VERSION_NUMBER",
    "the server speaks no TLS from the first byte on: strict needs SQL Server 2022 or Azure SQL; set `encrypt` to true"
  ],
  [
    "ERR_SSL_PACKET_LENGTH_TOO_LONG",
    "the server speaks no TLS from the first byte on: strict needs SQL Server 2022 or Azure SQL; set `encrypt` to true"
  ],
  [
    208,
    "the table does not exist (or this login must not see it): run the text of MssqlStorage.ddl, or set `setup: true`"
  ],
  [207, "the table is not one of locks: name another by `table`"],
  [229, "the login needs SELECT, INSERT, UPDATE and DELETE on the table"],
  [262, "the login may not create tables: run the text of MssqlStorage.ddl by one that may, and set `setup: false`"],
  [2714, "an object of this name is there that is no table, or that this login must not see"],
  [2760, "the schema does not exist, or this login must not use it"],
  [1222, "another transaction has the row locked"],
  ...readOnly.map(
    (number) =>
      [number, `the database is read-only (a secondary, a primary that was demoted, or set so); ${leads}`] as const
  ),
  ...secondary.map((number) => [number, `the database is not open for writes on this replica; ${leads}`] as const),
  [40613, "Azure SQL moves or wakes the database: it is there again in a moment"],
  ...[10928, 10929, 40501, 49918, 49919, 49920].map(
    (number) =>
      [
        number,
        "Azure SQL has reached a limit of this database or its pool, of sessions or workers: try later, or raise it"
      ] as const
  ),
  [911, "the database does not exist"],
  [4060, "the database does not exist, or is not open, or this login has no user in it"],
  [
    18456,
    "login or password is wrong; where passwords or tokens live shortly, give an Effect that tells the present one"
  ],
  [40615, "the firewall of the server does not let this address in"],
  ...full
    .filter((number) => ![701, 802, 1204, 8645, 8651, 41805].includes(number))
    .map((number) => [number, space] as const),
  [openTransaction, "the program left a transaction open on this connection of its pool"],
  [
    otherDatabase,
    "something has said USE on this connection, or the default database of the login was changed: name the database where you connect"
  ]
])

export const reasonOf = (number: number | undefined, code: string | undefined, phase: Phase): StorageErrorReason => {
  const known = number === undefined ? undefined : byNumber.get(number)
  if (known !== undefined) return known
  if (number !== undefined && phase === "executing") return "Unknown"
  // Without a number, as from the program's client, a login may have failed in a failover as well as for a wrong password.
  if (code === "ELOGIN" && number === undefined) return "Connection"
  const reason = code === undefined ? undefined : byCode.get(code)
  if (reason !== undefined) return reason
  // The many codes of TLS; and whatever bears no code is the driver's own word on a connection.
  return phase === "connecting" || code === undefined ? "Connection" : "Unknown"
}

export const isKnown = (number: number | undefined): boolean => number !== undefined && byNumber.has(number)
export const isPassing = (number: number | undefined): boolean => number !== undefined && passing.has(number)
export const isElsewhere = (number: number | undefined): boolean => number !== undefined && elsewhere.has(number)

/** The first of these that has one. */
export const hintOf = (...keys: ReadonlyArray<string | number | undefined>): string | undefined =>
  keys.map((key) => (key === undefined ? undefined : hints.get(key))).find((hint) => hint !== undefined)
