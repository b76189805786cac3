/** Failures of ZooKeeper as typed errors: the reason, whether the call may have been applied, and what a person can do. */
import { copyOf } from "../shared/driverError.js"
import { type InvalidOptions, StorageError, type StorageErrorReason } from "../../LockError.js"
import { Failure, type Kind } from "./client/failure.js"
import { code } from "./client/protocol.js"

const name = (operation: string) => `ZookeeperStorage.${operation}`

type Applied = "no" | "unknown"

const reasons: Record<Kind, StorageErrorReason> = {
  connect: "Connection",
  refused: "Connection",
  auth: "Permission",
  lost: "Connection",
  silent: "Timeout",
  odd: "Unknown",
  closed: "Closed"
}

/** The words of Node and of TLS have no code that tells them apart, and only a hint hangs on them. */
const connecting: ReadonlyArray<readonly [RegExp, string]> = [
  [
    /unable to (verify|get)|self.signed/i,
    "Hint: the server's certificate is of an authority that is not known here: give that authority's as `tls: { ca }`"
  ],
  [
    /altnames?|does not match certificate/i,
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
    /wrong version number|packet length too long|EPROTO|before secure TLS connection/i,
    "Hint: does the server speak TLS? If not, the url is one of zookeeper://"
  ],
  [/ENOTFOUND|EAI_AGAIN/i, "Hint: the name in the url is not known"],
  [
    /before it opened a session|ECONNRESET|socket hang up/i,
    "Hint: a server without a quorum refuses everybody. If this port speaks TLS, the url is one of zookeepers://"
  ],
  [/ECONN|ETIMEDOUT|EHOSTUNREACH/i, "Hint: is it up, and is this its port for clients?"]
]

const hinted = (text: string): string => {
  const hint = connecting.find(([words]) => words.test(text))?.[1]
  return hint === undefined ? text : `${text}. ${hint}`
}

/** Why there is no answer. `applied`: whether something of it may have been done. */
export const failed = (operation: string, failure: Failure, applied: Applied): StorageError => {
  const { kind, message } = failure
  return new StorageError({
    reason: reasons[kind],
    operation: name(operation),
    isRetryable: kind !== "closed" && kind !== "auth",
    applied,
    message:
      kind === "closed"
        ? "the layer of ZookeeperStorage is closed"
        : kind === "odd"
          ? `${message}: is it ZooKeeper that answers there?`
          : `ZooKeeper failed: ${applied === "no" ? hinted(message) : `${message}; the change may have been made`}`,
    cause: copyOf(failure, ["kind"])
  })
}

interface Told {
  readonly reason: StorageErrorReason
  readonly isRetryable: boolean
  readonly text: string
}

const told: Record<number, Told> = {
  [code.systemError]: { reason: "Connection", isRetryable: true, text: "the server is in trouble" },
  [code.unimplemented]: {
    reason: "Schema",
    isRetryable: false,
    text: "it does not know this request: ZooKeeper 3.6 or newer is needed"
  },
  [code.operationTimeout]: { reason: "Timeout", isRetryable: true, text: "it took too long" },
  [code.noAuth]: {
    reason: "Permission",
    isRetryable: false,
    text: "it is not allowed. Hint: the user needs the permissions r, w and c on the root, and r and w on each node below it; of a password that is wrong ZooKeeper says no more than this"
  },
  [code.invalidAcl]: {
    reason: "Permission",
    isRetryable: false,
    text: 'it does not take these permissions. Hint: `acl: "creator"` needs a user'
  },
  [code.authFailed]: { reason: "Permission", isRetryable: false, text: "it does not accept this user" },
  [code.sessionExpired]: { reason: "Connection", isRetryable: true, text: "the session has expired" },
  [code.sessionMoved]: { reason: "Connection", isRetryable: true, text: "the session has moved to another server" },
  [code.notReadOnly]: { reason: "Connection", isRetryable: true, text: "the server only reads now" },
  [code.quotaExceeded]: { reason: "Unknown", isRetryable: true, text: "a quota is used up" },
  [code.throttled]: { reason: "Timeout", isRetryable: true, text: "the server has too much to do" }
}

/** What the server said instead of doing it. */
export const refused = (operation: string, found: number, applied: Applied = "no"): StorageError => {
  const { isRetryable, reason, text } = told[found] ?? { reason: "Unknown", isRetryable: false, text: "it refused" }
  return new StorageError({
    reason,
    operation: name(operation),
    isRetryable,
    applied,
    message: `ZooKeeper failed (code ${found}): ${text}`
  })
}

/** What an option gave when it was asked for what it is now. */
export const nonsense = (operation: string, { message }: InvalidOptions): StorageError =>
  new StorageError({
    reason: "Connection",
    operation: name(operation),
    isRetryable: true,
    applied: "no",
    message: `the values given for this connection cannot be used: ${message}`
  })

export const noAnswer = (operation: string, millis: number): StorageError =>
  failed(operation, new Failure("silent", `there was no answer within ${Math.round(millis)} ms`), "no")

class ForeignRoot extends Error {
  override readonly name = "ForeignRoot"
}

/** Locks of one root say nothing about those of another. */
export const foreign = (operation: string, root: string, isGone: boolean): StorageError => {
  const message =
    (isGone
      ? `the root ${JSON.stringify(root)} is gone`
      : `the root ${JSON.stringify(root)} is another one than this layer began with`) +
    ": it was deleted, or the servers are those of another ensemble, whose locks are not the ones that are held here. " +
    "Hint: correct the servers' names; if the locks have moved for good, restart all programs that use them"
  return new StorageError({
    reason: "Schema",
    operation: name(operation),
    isRetryable: false,
    applied: "no",
    message,
    cause: new ForeignRoot(message)
  })
}

export const isForeign = (error: StorageError): boolean => error.cause instanceof ForeignRoot

/** A node that was deleted by hand and recreated has been written to for the one that it was. */
export const replaced = (operation: string, lockId: string): StorageError =>
  new StorageError({
    reason: "Schema",
    operation: name(operation),
    isRetryable: false,
    applied: "unknown",
    message: `the node of ${JSON.stringify(lockId)} was deleted by hand and recreated, and who held it has lost it. Hint: delete no node of a lock; free it by an empty value`
  })

export const tooLarge = (operation: string, bytes: number): StorageError =>
  new StorageError({
    reason: "TooLarge",
    operation: name(operation),
    isRetryable: false,
    applied: "no",
    message: `a record of ${bytes} bytes is more than ZooKeeper takes, which ends the connection without a word`
  })

export const schema = (operation: string, message: string): StorageError =>
  new StorageError({ reason: "Schema", operation: name(operation), isRetryable: false, applied: "no", message })
