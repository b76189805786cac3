/** What programs see of locks as promises: no type of Effect is among them. */
/// <reference lib="esnext.disposable" preserve="true" />
import type { AuditEntry, LockEvent } from "./events.js"
import type { LockInformation } from "./information.js"

/**
 * A length of time: a number of milliseconds, or a text such as `"30 seconds"`.
 *
 * @since 0.5.0
 * @category models
 */
export type Duration =
  | number
  | `${number} ${"milli" | "millis" | "second" | "seconds" | "minute" | "minutes" | "hour" | "hours" | "day" | "days" | "week" | "weeks"}`

/**
 * Options of `connect`, which can be overridden for each acquire.
 *
 * @since 0.5.0
 * @category models
 */
export interface HoldOptions {
  /** The lease: how long after its last renewal the lock of a dead holder becomes free. Default 30 seconds. */
  readonly leaseExpireAfter?: Duration | undefined
  /** How often a hold is renewed. Default a third of the lease. */
  readonly leaseRefreshInterval?: Duration | undefined
  /**
   * How long `acquire` and `withLock` wait in total. Then they are rejected with `LockTimeout` if somebody has the lock, or with `StorageError` if the storage
   * does not answer. Default: forever. It also limits `tryAcquire` and `withLockIfAvailable`, which wait for one answer of the storage.
   */
  readonly acquireTimeout?: Duration | undefined
  /**
   * A hold counts as lost this long before its lease ends, by this process's clock. It must exceed the sum of: the largest step of the storage's clock during
   * a lease, the clock difference after a failover, and 0.1 % of the lease. Default: the larger of 100 ms and a twentieth of the lease.
   */
  readonly clockMargin?: Duration | undefined
  /** How long a hold may last. Then it is lost with reason `HeldTooLong`, so a body that hangs does not keep the lock forever. Default: `"infinity"`. */
  readonly holdAtMost?: Duration | "infinity" | undefined
  /**
   * How `withLock` ends if its body was fulfilled although the hold was already over: `"fail"`, the default, in `LockLost` with the `result`, or `"succeed"` in
   * that result.
   */
  readonly lostAtEnd?: "fail" | "succeed" | undefined
  /**
   * Tells people who a holder is. It decides nothing, so any number of owners may share it. Default: host name and process id. Empty for none. At most 255
   * UTF-16 units.
   */
  readonly ownerLabel?: string | undefined
}

/**
 * Options of one acquire.
 *
 * @since 0.5.0
 * @category models
 */
export interface AcquireOptions extends HoldOptions {
  /**
   * The reentrancy key: two acquires with the same owner id do *not* exclude each other, wherever they run. Default: a random one for each acquire, which
   * excludes all others. Pass one only to enter a lock again that the same piece of work already holds: `{ ownerId: lock.ownerId }`.
   */
  readonly ownerId?: string | undefined
  /**
   * Ends the wait for the lock. The promise is then rejected with the signal's reason, and nothing is held. While the body of `withLock` runs, it aborts the
   * `signal` of the body.
   */
  readonly signal?: AbortSignal | undefined
}

/**
 * A secret, or a function that gives the present one.
 *
 * @since 0.5.0
 * @category models
 */
export type Secret = string | (() => string | Promise<string>)

/**
 * @since 0.5.0
 * @category models
 */
export interface TlsOptions {
  readonly ca?: string | Uint8Array | undefined
  readonly cert?: string | Uint8Array | undefined
  readonly key?: string | Uint8Array | undefined
  /** The name that stands in the certificates of all nodes. Cassandra alone. */
  readonly servername?: string | undefined
  /** MySQL alone, as those that follow. */
  readonly passphrase?: string | undefined
  readonly ciphers?: string | undefined
  readonly minVersion?: string | undefined
  readonly maxVersion?: string | undefined
  readonly rejectUnauthorized?: boolean | undefined
  readonly verifyIdentity?: boolean | undefined
}

/**
 * Options of the storages, each described on the page of its storage. One that the storage of the URL does not have is refused.
 *
 * @since 0.5.0
 * @category models
 */
export interface StorageOptions {
  /** How long one storage operation may take. Default 5 seconds. All storages but memory. */
  readonly operationTimeout?: Duration | undefined
  /** Whether a missing table or index is made. Default `true`. SQL, SQLite, Elasticsearch, DynamoDB, Cassandra, Splunk. */
  readonly setup?: boolean | undefined
  /** The table. SQL, SQLite, DynamoDB, Cassandra. */
  readonly table?: string | undefined
  /** The schema of the table. PostgreSQL, SQL Server, Oracle. */
  readonly schema?: string | undefined
  /** The database of the table, or of the collection. MySQL, MongoDB. */
  readonly database?: string | undefined
  /** The most connections. Default 4. SQL, MongoDB, Elasticsearch, Consul, Splunk. */
  readonly poolSize?: number | undefined
  /** Whether waiters are woken when a lock is freed; for PostgreSQL also the URL to listen at. PostgreSQL, MySQL, Redis. */
  readonly notify?: boolean | { readonly url: Secret } | undefined
  /** Behind a pooler in transaction mode. PostgreSQL. */
  readonly pooler?: boolean | undefined
  /** The password, in place of that of the URL. SQL Server, Oracle, Redis. */
  readonly password?: Secret | undefined
  /** A token of Microsoft Entra. SQL Server. */
  readonly accessToken?: Secret | undefined
  /** What the driver takes for a connection. SQL Server, Oracle. */
  readonly connection?: object | undefined
  /** The beginning of all keys. Redis, etcd, Consul. */
  readonly prefix?: string | undefined
  /** How many replicas acknowledge a write. Redis. */
  readonly wait?: { readonly replicas: number; readonly timeout: Duration } | undefined
  /** Options of `ioredis`. Redis. */
  readonly redis?: object | undefined
  /** The collection. MongoDB, Splunk. */
  readonly collection?: string | undefined
  /** Whether waiters are woken by a change stream. MongoDB. */
  readonly wakeUps?: boolean | undefined
  /** How operations are made. MongoDB, Elasticsearch. */
  readonly mode?: "auto" | "pipeline" | "script" | "versioned" | undefined
  /** Who asks, in place of user and password in the URL. etcd, Elasticsearch, Cassandra, Splunk. */
  readonly user?: UserOptions | (() => UserOptions | Promise<UserOptions>) | undefined
  /** Certificates. MySQL, etcd, Elasticsearch, Consul, Cassandra, Splunk. */
  readonly tls?: TlsOptions | (() => TlsOptions | Promise<TlsOptions>) | undefined
  /** The alias of the index. Elasticsearch. */
  readonly index?: string | undefined
  /** In place of a user. Elasticsearch. */
  readonly apiKey?: Secret | undefined
  /** The token of the ACL system, or of who asks. Consul, Splunk. */
  readonly token?: Secret | undefined
  /** The app that has the collection. Splunk. */
  readonly app?: string | undefined
  /** Whose documents they are. Splunk. */
  readonly owner?: string | undefined
  /** Consul. */
  readonly datacenter?: string | undefined
  /** Of Consul Enterprise. */
  readonly namespace?: string | undefined
  /** For how many locks at once waiters are woken. Consul. */
  readonly waits?: number | undefined
  /** The node beneath which the locks are. ZooKeeper. */
  readonly root?: string | undefined
  /** Who may use the nodes that are made. ZooKeeper. */
  readonly acl?: "open" | "creator" | undefined
  /** The data centre whose nodes are asked. Cassandra. */
  readonly localDataCenter?: string | undefined
  /** Whether a majority of all data centres has to agree, or of that one alone. Cassandra. */
  readonly serialConsistency?: "SERIAL" | "LOCAL_SERIAL" | undefined
  /** Whether a global table is used in one region alone. DynamoDB. */
  readonly oneRegion?: boolean | undefined
  /** DynamoDB, if the URL does not say it. */
  readonly region?: string | undefined
  /** DynamoDB, if the URL does not say it. */
  readonly endpoint?: string | undefined
  /** DynamoDB. */
  readonly credentials?: CredentialsOptions | (() => CredentialsOptions | Promise<CredentialsOptions>) | undefined
  /** How durable a change is. SQLite. */
  readonly synchronous?: "full" | "normal" | undefined
}

/**
 * @since 0.5.0
 * @category models
 */
export interface UserOptions {
  readonly name: string
  readonly password: string
}

/**
 * @since 0.5.0
 * @category models
 */
export interface CredentialsOptions {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
}

/**
 * A line of the library's log.
 *
 * @since 0.5.0
 * @category models
 */
export interface LogEntry {
  readonly level: "debug" | "info" | "warn" | "error"
  readonly message: string
  /** Such as `lockId`, `ownerLabel`, `token`, `reason`. */
  readonly fields: Readonly<Record<string, unknown>>
}

/**
 * What is kept of events, and for how long.
 *
 * @since 0.5.0
 * @category models
 */
export interface AuditOptions {
  /** What the table, collection, stream or index is called. Default: that of the locks with `_audit` behind it. */
  readonly name?: string | undefined
  /** Makes it if it is missing. Default `true`. */
  readonly setup?: boolean | undefined
  /** Which events are kept, by their `type`. Default: all but `Renewed`. */
  readonly events?: ReadonlyArray<LockEvent["type"]> | undefined
  /** How long entries are kept. Default: 30 days. */
  readonly keep?: Duration | "infinity" | undefined
  /** About how many entries are kept. Redis and memory alone. */
  readonly mostEntries?: number | undefined
  /** How many events wait for the storage at most. Default: 10 000. */
  readonly capacity?: number | undefined
  /** How many are written at once, at most. Default: 500. */
  readonly batch?: number | undefined
  /** How long an event may wait for others to be written with it. Default: a second. */
  readonly every?: Duration | undefined
}

/**
 * @since 0.5.0
 * @category models
 */
export interface AuditQuery {
  /** Only what happened to this lock. */
  readonly lockId?: string | undefined
  /** Only what was written at this time or later, by the storage's clock. */
  readonly since?: Date | undefined
  /** So many at most. */
  readonly limit?: number | undefined
  /** Goes on with what is written from now on, and never ends. Default `false`. */
  readonly follow?: boolean | undefined
  /** What the table is called, as in `AuditOptions`. Default: that of the option `audit`. */
  readonly name?: string | undefined
}

/**
 * @since 0.5.0
 * @category models
 */
export interface ConnectOptions extends HoldOptions {
  /** Keeps the locks of several applications in one table apart. At most 64 UTF-16 units. */
  readonly namespace?: string | undefined
  /** Records of locks that have been free for longer than this are deleted. At least an hour; `"infinity"` or `false` for never. Default: a day. */
  readonly purgeAfter?: Duration | "infinity" | false | undefined
  /** Keeps what happens to the locks of this connection in their storage. Default `false`. Rejected with `AuditUnavailable` if the storage has no place for that. */
  readonly audit?: boolean | AuditOptions | undefined
  /** Options of the storage. */
  readonly storage?: StorageOptions | undefined
  /** Where the library's few log lines go: a hold that is in danger or lost, a release that fails, weak settings of a server. Default: the console. `false`: nowhere. */
  readonly log?: ((entry: LogEntry) => void) | false | undefined
}

/**
 * What `layerFromPool`, `layerFromClient` and `layer` of a storage's module give, for programs with a pool or a client of their own.
 *
 * @since 0.5.0
 * @category models
 */
export interface StorageLayer {
  readonly pipe: unknown
}

/**
 * A hold of a lock. `await using` releases it at the end of the block.
 *
 * @since 0.5.0
 * @category models
 */
export interface Lock extends AsyncDisposable {
  readonly lockId: string
  /** The reentrancy key of this hold: `withLock(lockId, body, { ownerId: lock.ownerId })` enters the lock again. */
  readonly ownerId: string
  /** Fencing token: grows with every new hold of this lock. Below 2^53. Send it with every write to the resource that the lock protects. */
  readonly token: number
  /** As last reported by the storage. No I/O. */
  readonly info: LockInformation
  /** Aborts when the hold is lost, before anybody else can have the lock, with the `LockLost` as its reason. Never for a hold that was released in order. */
  readonly signal: AbortSignal
  /**
   * Is rejected with `LockLost` when `signal` aborts: for `Promise.race`. It need not be handled: nothing is reported as an unhandled rejection. It stays
   * pending for a hold that was released in order.
   */
  readonly lost: Promise<never>
  /** For how many milliseconds the lock is still surely held. Throws `LockLost` if it is not. No I/O, so it can be called in a tight loop. */
  readonly check: () => number
  /** Renews the lease now, and gives what `check` gives then. Leases are renewed in the background anyway: use this for certainty before a long step. */
  readonly renew: () => Promise<number>
  /**
   * Gives the lock back, and ends when the storage has answered. Idempotent. It is never rejected: a release that fails is tried again in the background, until
   * the lease ends.
   */
  readonly release: () => Promise<void>
}

/**
 * Several holds as one: it is lost as soon as one of them is. `await using` releases all at the end of the block.
 *
 * @since 0.5.0
 * @category models
 */
export interface LockSet extends AsyncDisposable {
  /** In the order in which their ids were given, each with its fencing token. */
  readonly locks: ReadonlyArray<Lock>
  /** Aborts when one of them is lost, before anybody else can have that one, with the `LockLost` as its reason. Never for locks that were released in order. */
  readonly signal: AbortSignal
  /** Is rejected with `LockLost` when `signal` aborts. It need not be handled. */
  readonly lost: Promise<never>
  /** For how many milliseconds all of them are still surely held. Throws `LockLost` if one is not. No I/O. */
  readonly check: () => number
  /** Renews all leases now, and gives what `check` gives then. */
  readonly renew: () => Promise<number>
  /** Gives all of them back, as `Lock.release`. */
  readonly release: () => Promise<void>
}

/**
 * @since 0.5.0
 * @category models
 */
export interface OnceOptions extends Omit<AcquireOptions, "ownerId"> {
  /** The lock is held for at least so long from its claim. It must exceed what the clocks and the starts of the processes differ by, and be below the time from one run to the next. */
  readonly holdAtLeast: Duration
}

/**
 * What `withLockIfAvailable` and `once` give: whether the body ran, and its result.
 *
 * @since 0.5.0
 * @category models
 */
export type IfAvailable<A> =
  { readonly ran: true; readonly result: A } | { readonly ran: false; readonly result?: undefined }

/**
 * What runs under a lock. `signal` aborts when the lock is lost, and when the `signal` of the options does.
 *
 * @since 0.5.0
 * @category models
 */
export type Body<A> = (lock: Lock, signal: AbortSignal) => A | PromiseLike<A>

/**
 * What runs under several locks. `signal` aborts when one of them is lost, and when the `signal` of the options does.
 *
 * @since 0.5.0
 * @category models
 */
export type BodyOfAll<A> = (locks: LockSet, signal: AbortSignal) => A | PromiseLike<A>

/**
 * Of an upgrade: as for every acquire. Its owner is that of the lock.
 *
 * @since 0.5.0
 * @category models
 */
export type UpgradeOptions = Omit<AcquireOptions, "ownerId">

/**
 * Locks that many may hold to read, or one to write. Each is taken, kept and lost as an exclusive lock is.
 *
 * @since 0.5.0
 * @category models
 */
export interface ReadWriteLocks {
  /** As `Locks.withLock`, beside others that read. */
  readonly withReadLock: <A>(lockId: string, body: Body<A>, options?: AcquireOptions) => Promise<A>
  /** As `Locks.withLock`: alone. Rejected with `UpgradeRefused` for an owner that only reads. */
  readonly withWriteLock: <A>(lockId: string, body: Body<A>, options?: AcquireOptions) => Promise<A>
  /** As `Locks.acquire`, beside others that read. */
  readonly read: (lockId: string, options?: AcquireOptions) => Promise<Lock>
  /** As `Locks.acquire`: alone. Rejected with `UpgradeRefused` for an owner that only reads. */
  readonly write: (lockId: string, options?: AcquireOptions) => Promise<Lock>
  /** Reads beside others what may have to be written. One at a time. */
  readonly upgradable: (lockId: string, options?: AcquireOptions) => Promise<Lock>
  /** As `read`, but `undefined` at once if it would have to wait. */
  readonly tryRead: (lockId: string, options?: AcquireOptions) => Promise<Lock | undefined>
  /** As `write`, but `undefined` at once if it would have to wait. */
  readonly tryWrite: (lockId: string, options?: AcquireOptions) => Promise<Lock | undefined>
  /** As `upgradable`, but `undefined` at once if it would have to wait. */
  readonly tryUpgradable: (lockId: string, options?: AcquireOptions) => Promise<Lock | undefined>
  /** Writes under a lock that `upgradable` gave. When what this gives is released, that lock reads on. Waits for the readers that are in, and lets no more in. */
  readonly upgrade: (lock: Lock, options?: UpgradeOptions) => Promise<Lock>
}

/**
 * @since 0.5.0
 * @category models
 */
export interface PermitOptions extends AcquireOptions {
  /** How many permits there are in all, as this program sees it: from 1 to 1 000 000. */
  readonly limit: number
  /** How many this acquire takes: from 1 to `limit`. Default: 1. */
  readonly permits?: number | undefined
}

/**
 * So many permits for a whole fleet. Each hold is taken, kept and lost as an exclusive lock is.
 *
 * @since 0.5.0
 * @category models
 */
export interface Semaphores {
  /** As `Locks.withLock`, when there are so many permits. */
  readonly withPermits: <A>(lockId: string, body: Body<A>, options: PermitOptions) => Promise<A>
  /** As `withPermits`, but without a wait: if there are not so many, the body does not run. */
  readonly withPermitsIfAvailable: <A>(lockId: string, body: Body<A>, options: PermitOptions) => Promise<IfAvailable<A>>
  /** As `Locks.acquire`, when there are so many permits. */
  readonly acquire: (lockId: string, options: PermitOptions) => Promise<Lock>
  /** As `acquire`, but `undefined` at once if there are not so many. */
  readonly tryAcquire: (lockId: string, options: PermitOptions) => Promise<Lock | undefined>
}

/**
 * For as long as this process leads.
 *
 * @since 0.5.0
 * @category models
 */
export interface Term {
  /** Fencing token: greater in every term than in all before it, in whatever process. */
  readonly token: number
  /** The hold: `check` tells for how long this process surely leads. */
  readonly lock: Lock
  /** Stands down: the signal of the body aborts, and when the body has ended, others can lead at once. */
  readonly resign: () => void
}

/**
 * @since 0.5.0
 * @category models
 */
export interface LeadOptions extends Omit<HoldOptions, "acquireTimeout" | "lostAtEnd"> {
  /** What follows when the body ends by itself, and well. `"untilDone"`, the default: `lead` ends with its value. `"always"`: it campaigns again. */
  readonly again?: "untilDone" | "always" | undefined
  /** How long to wait, about, before it campaigns again after `resign`. `"never"`: `lead` is rejected with `Resigned`. Default: 10 seconds. */
  readonly afterResign?: Duration | "never" | undefined
  /** Ends the campaign, or the term. `lead` is then rejected with its reason, when the body has ended. */
  readonly signal?: AbortSignal | undefined
}

/**
 * What is run while this process leads. `signal` aborts when the leadership ends before the body does: what the body comes to after that does not count.
 *
 * @since 0.5.0
 * @category models
 */
export type LeadBody<A> = (term: Term, signal: AbortSignal) => A | PromiseLike<A>

/**
 * One scheduled time, which is run in one process of all.
 *
 * @since 0.5.0
 * @category models
 */
export interface Tick {
  /** The scheduled time, whenever it runs. */
  readonly time: Date
  /** Fencing token of this run: greater than that of every run before. */
  readonly token: number
  readonly lock: Lock
  /** Whether it was begun before, by a process that died: see `runs`. */
  readonly isAgain: boolean
}

/**
 * @since 0.5.0
 * @category models
 */
export interface ScheduleOptions extends Omit<HoldOptions, "acquireTimeout" | "lostAtEnd"> {
  /** What becomes of a tick that comes while the one before it still runs. `"skip"`, the default: it is passed over. `"queue"`: it runs when that has ended. */
  readonly overlap?: "skip" | "queue" | undefined
  /** What becomes of ticks that nobody began in time. `"skip"`, the default: they are passed over. `"latest"`: the last of them is run. `"all"`: all are, a thousand at most at a time. */
  readonly missed?: "skip" | "latest" | "all" | undefined
  /** How late a tick may begin before it counts as missed. Default: a minute. */
  readonly missedAfter?: Duration | undefined
  /** `"atMostOnce"`, the default: a tick is not run again. `"atLeastOnce"`: a tick whose run did not come to its end is run again, in whichever process is there. */
  readonly runs?: "atMostOnce" | "atLeastOnce" | undefined
  /** Ends the schedule in this process. */
  readonly signal?: AbortSignal | undefined
}

/**
 * One run of the past of a schedule.
 *
 * @since 0.5.0
 * @category models
 */
export interface ScheduleRun {
  /** The scheduled time. */
  readonly time: Date
  /** `skipped`: the run before it was still going on. `interrupted`: its program ended it, or its lock was lost. `died`: its process did, or it could not tell its end. */
  readonly outcome: "running" | "done" | "failed" | "interrupted" | "skipped" | "died"
  readonly token: number
  /** The `ownerLabel` of who ran it. */
  readonly by: string
  readonly began: Date
  readonly ended?: Date
}

/**
 * @since 0.5.0
 * @category models
 */
export interface LeaderOptions {
  /** About how often the storage is asked, each time a fourth more or less. Default: a second. */
  readonly pollEvery?: Duration | undefined
}

/**
 * The locks of one storage. `close` gives back what is held, and ends the connections.
 *
 * @since 0.5.0
 * @category models
 */
export interface Locks extends AsyncDisposable {
  /**
   * Runs a body under a lock: waits for the lock, and gives it back when the body has ended, however it ends. The result is that of the body.
   *
   * If the lock is lost, the `signal` of the body aborts before anybody else can have the lock. The promise waits until the body has ended, and is then
   * rejected with `LockLost`.
   *
   * Rejected with `LockTimeout`, `LockLost`, `StorageError`, `InvalidLockId`, `InvalidOptions`, the reason of the `signal` of the options, or what the body
   * throws.
   */
  readonly withLock: <A>(lockId: string, body: Body<A>, options?: AcquireOptions) => Promise<A>
  /** As `withLock`, but without a wait: if somebody else has the lock, the body does not run. */
  readonly withLockIfAvailable: <A>(lockId: string, body: Body<A>, options?: AcquireOptions) => Promise<IfAvailable<A>>
  /**
   * For a job that a timer starts in every process: as `withLockIfAvailable`, and the lock is held for at least `holdAtLeast`, though the job ends sooner. So a process whose timer is late finds it held.
   */
  readonly once: <A>(lockId: string, body: Body<A>, options: OnceOptions) => Promise<IfAvailable<A>>
  /**
   * Acquires a lock, and holds it until `release` or the end of the block of `await using`. Waits if somebody else has it. What the program does meanwhile is
   * not stopped when the lock is lost: pass `lock.signal` on, and call `lock.check()` before each step that matters.
   */
  readonly acquire: (lockId: string, options?: AcquireOptions) => Promise<Lock>
  /** As `acquire`, but `undefined` at once if somebody else has the lock. */
  readonly tryAcquire: (lockId: string, options?: AcquireOptions) => Promise<Lock | undefined>
  /**
   * Runs a body under several locks, all or none, as `withLock` does under one. All processes take them in one order, so that calls of this kind never wait for each
   * other in a circle. `acquireTimeout` is for all together.
   */
  readonly withLocks: <A>(lockIds: ReadonlyArray<string>, body: BodyOfAll<A>, options?: AcquireOptions) => Promise<A>
  /** As `acquire`, for several locks, all or none, in the order of `withLocks`. */
  readonly acquireAll: (lockIds: ReadonlyArray<string>, options?: AcquireOptions) => Promise<LockSet>
  /** As `acquireAll`, but `undefined` at once, holding nothing, if somebody has one of them. */
  readonly tryAcquireAll: (lockIds: ReadonlyArray<string>, options?: AcquireOptions) => Promise<LockSet | undefined>
  /** Many that read, or one that writes. */
  readonly readWrite: ReadWriteLocks
  /** At most N at once. */
  readonly semaphore: Semaphores
  /**
   * Campaigns for as long as it takes, and runs a body while this process leads: in one process of all that call it. If the leadership is lost, the signal of the body aborts, and it campaigns again when the
   * body has ended. If the body fails, it is rejected with what the body throws; at `close`, with a `StorageError` whose `reason` is `Closed`.
   */
  readonly lead: <A>(lockId: string, body: LeadBody<A>, options?: LeadOptions) => Promise<A>
  /**
   * Whether this connection leads: the first value at once, then each change, until `close`. Without I/O. What must not be done by a former leader checks `term.lock`, or sends `term.token`.
   */
  readonly isLeader: (lockId: string) => AsyncIterableIterator<boolean>
  /**
   * Who leads, for those who only look: the first value at once, then each change of leader, until `close`; `undefined` while nobody does. Diagnostic only: the answer may be stale when you read it. A term that
   * is shorter than `pollEvery` may be missed.
   */
  readonly leader: (lockId: string, options?: LeaderOptions) => AsyncIterableIterator<LockInformation | undefined>
  /**
   * Runs a task at certain times, each of them once in all processes that have a schedule of this name. `when` is a cron expression of five or six fields, or `{ every }`. A task that fails is logged, and the schedule
   * goes on. Fulfilled when the `signal` aborts, or at `close`; rejected if the options make no sense, or the storage refuses for good.
   */
  readonly schedule: (
    name: string,
    when: string | { readonly every: Duration },
    task: (tick: Tick, signal: AbortSignal) => unknown,
    options?: ScheduleOptions
  ) => Promise<void>
  /** How the last twenty ticks of a schedule went, the newest first. */
  readonly history: (name: string) => Promise<ReadonlyArray<ScheduleRun>>
  /** Who holds a lock, of whatever kind, if anybody does. Diagnostic only: the answer may be stale when you read it. */
  readonly get: (lockId: string) => Promise<LockInformation | undefined>
  /** All locks of the namespace that somebody holds, of every kind. They are read in pages as the loop goes on, so this is no snapshot of one moment. */
  readonly list: () => AsyncIterableIterator<LockInformation>
  /**
   * Takes a lock away from the hold with this token. Gives `false` if that hold is already over. For operators. Of a read-write lock or a semaphore, only that hold is ended: all of its owner, for holds of
   * one owner of a read-write lock have one token.
   *
   * `"leaseEnd"` keeps everybody out until the lease ends. It is safe, because the holder notices before that. `"now"` frees the lock at once, and the former
   * holder may go on until its next renewal.
   */
  readonly forceRelease: (
    lockId: string,
    options: { readonly token: number; readonly when: "now" | "leaseEnd" }
  ) => Promise<boolean>
  /**
   * What happens to the locks of this connection, from this call on, until `close`. Whoever reads it slowly, or not at all, holds up nothing: 1 024 events wait,
   * then the oldest are dropped, and one `Dropped` says how many.
   */
  readonly events: () => AsyncIterableIterator<LockEvent>
  /**
   * What has happened to the locks of the namespace, as far as it was kept: by connections with the option `audit`, and by `LockAudit`. In the order in which it was written. Rejected with
   * `AuditUnavailable` if the storage has no place for that.
   */
  readonly audit: (query?: AuditQuery) => AsyncIterableIterator<AuditEntry>
  /**
   * Refuses new acquires, ends holds with `Closed`, gives their bodies a second, releases the rest, and closes the connections. Idempotent. A pool or client of
   * the program stays open.
   */
  readonly close: () => Promise<void>
}
