/**
 * Locks for programs without Effect: promises, `AbortSignal`s, async iterators, and errors that are plain classes. No type of Effect is in its declarations.
 *
 * It is the same lock as `StorageLock`, over the same storages, and both can be used on one storage at once. `effect` has to be installed, and is not seen.
 *
 * @since 0.5.0
 */
import "#effect/major"
import * as connecting from "./connect.js"
import type { ConnectOptions, Locks, Secret, StorageLayer } from "./types.js"

export {
  AuditUnavailable,
  InvalidLockId,
  InvalidOptions,
  LockError,
  type LockErrorCode,
  LockLost,
  LockTimeout,
  type LostReason,
  MissingDriver,
  Resigned,
  StorageError,
  type StorageErrorReason,
  UnknownScheme,
  UpgradeRefused
} from "./errors.js"
export type { AuditEntry, LockEvent } from "./events.js"
export type { Holder, LockInformation } from "./information.js"
export type {
  AcquireOptions,
  AuditOptions,
  AuditQuery,
  Body,
  BodyOfAll,
  ConnectOptions,
  CredentialsOptions,
  Duration,
  HoldOptions,
  IfAvailable,
  OnceOptions,
  LeadBody,
  LeaderOptions,
  LeadOptions,
  Lock,
  Locks,
  LockSet,
  LogEntry,
  PermitOptions,
  ReadWriteLocks,
  ScheduleOptions,
  ScheduleRun,
  Secret,
  Semaphores,
  StorageLayer,
  StorageOptions,
  Term,
  Tick,
  TlsOptions,
  UpgradeOptions,
  UserOptions
} from "./types.js"

/**
 * Connects to the storage at a URL. Once, for the whole program: it has one pool, and one refresher for all locks.
 *
 * The scheme says which storage it is: `postgres:`, `mysql:`, `mariadb:`, `tidb:`, `sqlserver:`, `oracle:`, `mongodb:`, `redis:`, `valkey:`, `etcd:`,
 * `elasticsearch:`, `opensearch:`, `consul:`, `zookeeper:`, `cassandra:`, `scylla:`, `splunk:`, `dynamodb:`, `sqlite:`, `memory:`, and their forms for TLS. Only the driver of that storage has to be installed.
 * In place of a URL it takes a function that gives the present one, for passwords that change, or a layer of this library, for a pool or client of the program.
 *
 * Rejected with `UnknownScheme`, `MissingDriver`, `InvalidOptions`, each before any I/O, or `StorageError`.
 *
 * @example
 * ```ts
 * import { connect, LockTimeout } from "effect-storage-lock/promise"
 *
 * const locks = await connect("postgres://app:secret@localhost/app", { leaseExpireAfter: "30 seconds" })
 * try {
 *   await locks.withLock("nightly-report", async (lock, signal) => {
 *     await fetch(`https://example.com/report?token=${lock.token}`, { method: "POST", signal })
 *   }, { acquireTimeout: "5 seconds" })
 * } catch (error) {
 *   if (!(error instanceof LockTimeout)) throw error
 *   console.log(`taken by ${error.heldBy?.ownerLabel}`)
 * } finally {
 *   await locks.close()
 * }
 * ```
 *
 * @since 0.5.0
 * @category constructors
 */
export const connect = (storage: Secret | StorageLayer, options: ConnectOptions = {}): Promise<Locks> =>
  connecting.connect(storage, options)
