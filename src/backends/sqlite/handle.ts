/** One connection to SQLite, as statements see it. */
import type * as Effect from "#effect/Effect"
import type { StorageError } from "../../LockError.js"

export type Named = Readonly<Record<string, unknown>>

export type Run = <Row>(
  operation: string,
  text: string,
  params?: Named
) => Effect.Effect<ReadonlyArray<Row>, StorageError>

/** What the driver does at once is done at once. It knows no retries: where something is in the way, that is for `run` and `write`. */
export interface AtOnce {
  /** Throws what the driver throws. Whether the file was the right one tells `isCurrent`. */
  readonly read: (text: string, params: Named) => ReadonlyArray<unknown>
  /** Whether what was read just now is of the file that stands at the path. */
  readonly isCurrent: () => boolean
  /** `done` is called once, at once or with others of this turn of the event loop; or `otherwise`, if that came to nothing, or to nothing that lasts. */
  readonly write: (
    text: string,
    params: Named,
    done: (rows: ReadonlyArray<unknown>) => void,
    otherwise: () => void
  ) => void
}

/** One connection of our own: no transaction of the program is ever on it. */
export interface Handle {
  /** The statement commits by itself, at once. */
  readonly run: Run
  /** The same, for what writes: it may commit together with others of the same turn of the event loop. */
  readonly write: Run
  readonly atOnce: AtOnce
}
