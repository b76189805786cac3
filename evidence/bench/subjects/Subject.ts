/** What a storage brings to the benchmark: its server, and every way there is to lock on it. */
import type * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import type { StorageName } from "../options.js"

/** Where the locks of one way are, as plain data: it goes to other processes. A URL, or a path. */
export interface Place {
  readonly url: string
  /** For what shares one server: a prefix of its own. */
  readonly prefix: string
}

export interface Settings {
  readonly leaseMillis: number
  /** How often ours renews; the default else. */
  readonly refreshMillis?: number
  /** How often what polls looks; its own default else. */
  readonly pollMillis?: number
}

export interface Held {
  readonly release: () => Promise<unknown>
}

/** One client of one process. */
export interface Locker {
  /** Waits until it has the lock. */
  readonly acquire: (lockId: string) => Promise<Held>
  /** Acquire and release at once, where that is written in another way. */
  readonly cycle?: (lockId: string) => Promise<unknown>
  /** As `acquire`, and says when the lock is lost, by the means that the library has for it. */
  readonly hold?: (lockId: string, lost: () => void) => Promise<Held>
  readonly close: () => Promise<unknown>
}

export interface Way {
  readonly name: string
  readonly role: "floor" | "ours" | "peer"
  /** Whose versions are named. */
  readonly packages: ReadonlyArray<string>
  /** They are among those of others, though this is no peer. */
  readonly borrows?: true
  /** How its work differs from a leased lock's, if it does. */
  readonly note?: string
  /** Waits by looking again and again: measured at its default, and tuned. */
  readonly polls?: true
  /** Has a means to tell a holder of its loss: `hold`. */
  readonly tells?: true
  /** One client holds many locks without a connection for each. */
  readonly many?: false
  /** `acquire` does not wait: there is no hand-off, and no contention. */
  readonly waits?: false
  /** A second way of the same library, for the hand-off alone. */
  readonly variant?: true
  /** Rejects if it cannot be had. */
  readonly open: (place: Place, settings: Settings) => Promise<Locker>
}

/** What the server did since it was started, for one place. */
export interface Work {
  /** Statements or commands of clients. */
  readonly requests: number
  /** Time spent on them by the server's own account. */
  readonly millis: number | undefined
}

export interface Server {
  /** Version and durability. */
  readonly setting: string
  /** A new place, given back when the scope closes. */
  readonly fresh: Effect.Effect<Place, unknown, Scope.Scope>
  /** `undefined`: it counts nothing. */
  readonly work: ((place: Place) => Effect.Effect<Work, unknown>) | undefined
  /** It counts the statements of a text, not texts: where requests of several ways are compared, a proxy counts the turns on the wire. */
  readonly countsStatements?: true
  /** Stops answering, until the scope closes. `undefined`: it is not ours to stop. */
  readonly stall: ((places: ReadonlyArray<Place>) => Effect.Effect<void, unknown, Scope.Scope>) | undefined
  /** Where a proxy that counts round trips goes, and how it tells requests apart. `undefined`: there is no wire. */
  readonly wire: { readonly host: string; readonly port: number; readonly protocol: "postgres" | "bytes" } | undefined
}

export interface StorageSubject {
  readonly name: StorageName
  readonly title: string
  readonly server: Effect.Effect<Server, unknown, Scope.Scope>
  readonly ways: ReadonlyArray<Way>
  /** Those that are known and not measured, and why. */
  readonly absent?: ReadonlyArray<{ readonly name: string; readonly reason: string }>
}

/** A way at its default or tuned. */
export interface Candidate {
  readonly name: string
  readonly way: Way
  readonly settings: Settings
}

/** Of every contender. */
export const leaseMillis = 10_000
export const tunedMillis = 10

export const candidates = (ways: ReadonlyArray<Way>): ReadonlyArray<Candidate> =>
  ways.flatMap((way): ReadonlyArray<Candidate> => [
    { name: way.name, way, settings: { leaseMillis } },
    ...(way.polls === true && way.role === "peer"
      ? [
          {
            name: `${way.name}, polls tuned to ${tunedMillis} ms`,
            way,
            settings: { leaseMillis, pollMillis: tunedMillis }
          }
        ]
      : [])
  ])
