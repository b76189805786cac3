/** What the server's numbers and the driver's codes mean, and what to do about them. */
import type { StorageErrorReason } from "../../LockError.js"
import type { Phase } from "../sql/poolExecutor.js"

const byNumber = new Map<number, StorageErrorReason>()
const all = (reason: StorageErrorReason, ...numbers: ReadonlyArray<number>) => {
  for (const number of numbers) byNumber.set(number, reason)
}

/** The session has ended with these, or nobody can tell what became of the block: the first are those that the driver itself takes for that. */
const ended = [
  22, 28, 31, 45, 378, 600, 602, 603, 609, 1012, 1041, 1043, 1089, 1092, 2396, 3113, 3114, 3122, 3135, 12153, 12537,
  12547, 12570, 12583, 27146, 28511, 56600, 1090, 2399, 12571, 12805, 24550, 25408
]
all("Connection", ...ended)

/** SET TRANSACTION was not the first of its transaction: the connection has one open that is not ours. */
export const openTransaction = 1453
/** A standby, a primary that was demoted, or a database that is open for reading. */
export const readOnly = 16000

// The server starts, stops, changes its role, or lets nobody more in; and what a listener answers.
all("Connection", 18, 20, 1033, 1034, 1109, 1219, 2391, 16456, 65011, 65054, openTransaction)
all("Connection", 12505, 12514, 12516, 12518, 12519, 12520, 12521, 12526, 12527, 12528, 12529, 12541, 12545)
/** Somebody asked for the end of the call: it may have come to its own before. */
const cancelled = 1013
// Locks of rows and of tables that were waited for in vain.
all("Timeout", 51, 54, 2049, 4021, 12170, 30006, cancelled)
// Deadlocks, a snapshot that is too old or another transaction in its way, the race to a key, and a claim that lost too often.
all("Conflict", 1, 60, 1403, 1555, 8176, 8177)
// Logins and rights.
all("Permission", 1005, 1017, 1031, 1035, 1045, 1536, 1950, 28000, 28001, 28009, 28040, 28150, readOnly)
all("Schema", 904, 913, 932, 942, 947, 955, 1400, 1747, 4063, 6550, 8103)
// Memory, space, undo and the archive of logs, which may come back.
const full = [257, 1000, 1650, 1652, 1653, 1654, 1688, 1691, 1692, 4030, 4031, 12953, 16038, 19809, 19815, 27102, 30036]
all("Unknown", ...full)

const endings = new Set(ended)
const passing = new Set(full)

/** They say where it failed, and not why: that stands behind them. */
const wrappers = new Set([604, 4088, 6508, 6512, 6550])

const byCode = new Map<string, StorageErrorReason>()
const codes = (reason: StorageErrorReason, ...numbers: ReadonlyArray<number>) => {
  for (const number of numbers) byCode.set(`NJS-${String(number).padStart(3, "0")}`, reason)
}
// Closed, broken, refused, not to be found, of a wrong certificate, or of a connect string that leads nowhere.
codes("Connection", 3, 82, 173, 500, 501, 503, 504, 505, 506, 507, 508, 511, 512, 513, 514, 515, 517, 518, 519, 520)
codes("Connection", 521, 522, 529, 530)
// No connection, no place in the queue for one, no answer.
codes("Timeout", 40, 76, 123, 510)
codes("Closed", 64, 65)
codes("Permission", 84, 85, 86, 87, 101, 116, 136, 168)
codes("Schema", 138)

/** Said before anything was sent. */
const unsent = new Set(["NJS-003", "NJS-040", "NJS-064", "NJS-065", "NJS-076", "NJS-082"])

const hints = new Map<number | string, string>([
  [1, "another process made this row at the same time"],
  [54, "another transaction has the row locked"],
  [30006, "another transaction has the row locked: is there one that somebody left open?"],
  [
    942,
    "the table does not exist (or this user must not see it): run the text of OracleStorage.ddl, or set `setup: true`"
  ],
  [904, "the table is not one of locks: name another by `table`"],
  [955, "an object of this name is there that is no table, or that this user must not see"],
  [1017, "user or password is wrong; where passwords live shortly, give an Effect that tells the present one"],
  [28000, "the account is locked: by an administrator, or by too many wrong passwords"],
  [28001, "the password has expired"],
  [
    1031,
    "the user needs SELECT, INSERT, UPDATE and DELETE on the table (READ is not enough); to create it, CREATE TABLE and a quota on the tablespace"
  ],
  [1045, "the user needs CREATE SESSION"],
  [1950, "the user has no quota on the tablespace: create the table by one that has, and set `setup: false`"],
  [1536, "the user's quota on the tablespace is used up"],
  [
    readOnly,
    "the database is open for reading alone (a standby, or a primary that was demoted): connect by a service that leads to the primary"
  ],
  [openTransaction, "the program left a transaction open on this connection of its pool"],
  [6502, "too many nested holds, or too much data, for the column: a lock has room for some 88 nested holds"],
  [12899, "too many nested holds, or too much data, for the column: a lock has room for some 88 nested holds"],
  [257, "the archive of redo logs is full: the server writes nothing until there is room"],
  [4031, "the shared pool is full"],
  [1000, "the session has no cursor left: raise open_cursors, or lower the driver's statement cache"],
  [12514, "the listener does not know the service (yet): is its name right, and is the database open?"],
  ["NJS-503", "nothing listens there: is the server up, and are host and port right?"],
  ["NJS-530", "the host name is not known: is it right?"],
  ["NJS-511", "the listener does not let this client in, or has no place for it"],
  ["NJS-518", "the listener does not know the service (yet): is its name right, and is the database open?"],
  ["NJS-515", "a service name has more than one letter in the short form of a connect string"],
  [
    "NJS-040",
    "the program's pool gave no connection in time: make it larger than the number of transactions that acquire inside"
  ],
  ["NJS-076", "the program's pool has its queue full: raise `queueMax`, or make the pool larger"],
  ["NJS-138", "Oracle Database 12.2 or later is needed"],
  [
    "NJS-116",
    "the password of this user is kept in the form of Oracle 10g, which the driver does not speak: set it again at the server"
  ],
  ["NJS-101", "user or password is missing"]
])

/** The number that says why; the text of an error has it behind the one that says where. */
export const numberIn = (number: number | undefined, message: string): number | undefined => {
  if (number === undefined || !wrappers.has(number)) return number
  const others = [...message.matchAll(/ORA-(\d{5})/g)].map(([, digits]) => Number(digits))
  return others.find((other) => !wrappers.has(other) && byNumber.has(other)) ?? number
}

export const reasonOf = (number: number | undefined, code: string | undefined, phase: Phase): StorageErrorReason => {
  const known = number === undefined ? undefined : byNumber.get(number)
  if (known !== undefined) return known
  if (number !== undefined) return phase === "connecting" ? "Connection" : "Unknown"
  return (code === undefined ? undefined : byCode.get(code)) ?? (phase === "connecting" ? "Connection" : "Unknown")
}

export const isEnding = (number: number | undefined): boolean => number !== undefined && endings.has(number)
export const isPassing = (number: number | undefined): boolean => number !== undefined && passing.has(number)

/** The server told, in a session that goes on: the block has rolled back what it did. Or nothing was sent. */
export const isDefinite = (number: number | undefined, code: string | undefined, phase: Phase): boolean =>
  phase === "connecting" ||
  (number !== undefined ? !endings.has(number) && number !== cancelled : code !== undefined && unsent.has(code))

/** Whether a connection is as good as before. */
export const keepsConnection = (number: number | undefined): boolean =>
  number !== undefined && !endings.has(number) && ![cancelled, openTransaction, readOnly].includes(number)

/** The first of these that has one. */
export const hintOf = (...keys: ReadonlyArray<string | number | undefined>): string | undefined =>
  keys.map((key) => (key === undefined ? undefined : hints.get(key))).find((hint) => hint !== undefined)
