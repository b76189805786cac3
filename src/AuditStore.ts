/**
 * Where a storage keeps events of locks: the port beneath `LockAudit`, for whoever writes a storage. A storage offers it as `audit`.
 *
 * @since 0.5.0
 */
import "#effect/major"
import type * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import type { InvalidOptions, StorageError } from "./LockError.js"

/**
 * An entry as it is stored. All columns have a value: what an event does not have is empty, or 0.
 *
 * @since 0.5.0
 * @category models
 */
export interface Row {
  /** Unique, up to 64 characters of ASCII: the writer, a hyphen, and a number. Of one writer, a later one is greater, character by character. */
  readonly id: string
  /** When it happened, in milliseconds since the Unix epoch, by the clock of the process. */
  readonly at: number
  /** The `_tag` of the event. */
  readonly event: string
  readonly namespace: string
  readonly lockId: string
  readonly ownerId: string
  readonly ownerLabel: string
  /** Fencing token. */
  readonly token: number
  readonly host: string
  readonly pid: number
  /** All else of the event, as JSON. */
  readonly detail: string
}

/**
 * An entry as it is read.
 *
 * @since 0.5.0
 * @category models
 */
export interface Written extends Row {
  /** When it was written, in milliseconds since the Unix epoch, by the clock of the storage. Entries are read in this order, and those of one moment by their ids. */
  readonly writtenAt: number
}

/**
 * @since 0.5.0
 * @category models
 */
export interface PageQuery {
  /** The cursor of the page before. */
  readonly after: string | undefined
  /** Written at this time or later, in milliseconds since the Unix epoch. */
  readonly since: number | undefined
  /** Only entries of this namespace. */
  readonly namespace: string
  /** Only entries of this lock. */
  readonly lockId: string | undefined
  readonly limit: number
}

/**
 * @since 0.5.0
 * @category models
 */
export interface Page {
  readonly rows: ReadonlyArray<Written>
  /** Where the next page begins, or `undefined` if there was none when this one was read. */
  readonly next: string | undefined
}

/**
 * A table of entries, or what the storage has for one.
 *
 * @since 0.5.0
 * @category models
 */
export interface AuditStore {
  /** Writes all, or none, or the first of them: they are of one writer, in order, and it writes one batch after the other. Entries that are there already stay as they are: a batch whose reply was lost is written again. */
  readonly append: (rows: ReadonlyArray<Row>) => Effect.Effect<void, StorageError>
  readonly page: (query: PageQuery) => Effect.Effect<Page, StorageError>
  /** Deletes what was written longer ago than so many milliseconds, some at a time. */
  readonly drop: (olderThan: number) => Effect.Effect<void, StorageError>
}

/**
 * @since 0.5.0
 * @category models
 */
export interface PlaceOptions {
  /** What the table, collection, stream or index is called. Default: that of the storage. */
  readonly name: string | undefined
  /** Whether to make it if it is missing. */
  readonly setup: boolean
  /** About how many entries to keep, if the storage can count them cheaply. A storage that cannot refuses it. */
  readonly mostEntries: number | undefined
}

/**
 * Opens the table in the connections of the storage, for as long as the scope. A name that cannot be is refused before any I/O.
 *
 * @since 0.5.0
 * @category models
 */
export type Place = (options: PlaceOptions) => Effect.Effect<AuditStore, StorageError | InvalidOptions, Scope.Scope>
