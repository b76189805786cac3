/**
 * What a case of the kit is, and what it is given.
 */
import * as Data from "effect/Data"
import * as Effect from "#effect/Effect"
import type * as Duration from "#effect/Duration"
import type * as Layer from "#effect/Layer"
import type * as Scope from "#effect/Scope"
import type * as LockRecord from "../LockRecord.js"
import type * as Storage from "../Storage.js"
import type * as VersionedStore from "../VersionedStore.js"

/**
 * What the kit cannot do to a storage by itself. Each hook is optional. A case whose hook is missing is skipped, and says so.
 *
 * @since 0.1.0
 * @category models
 */
export interface Hooks {
  /** Moves the storage's clock forward. Without it the cases wait in real time, with short leases. */
  readonly advance?: ((span: Duration.Duration) => Effect.Effect<void, unknown>) | undefined
  /**
   * Runs the effect as a program that has a transaction open on the same client, rolls that transaction back, and gives the effect's result.
   */
  readonly inTransaction?: (<A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, unknown, R>) | undefined
  /** The next operation is applied by the server, but its reply does not arrive. */
  readonly loseReply?: Effect.Effect<void, unknown> | undefined
  /** Runs the effect while the server takes requests and answers none. */
  readonly hang?: (<A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, unknown, R>) | undefined
  /** Stops the server and starts it again on the same data; returns when it accepts connections. */
  readonly restart?: Effect.Effect<void, unknown> | undefined
  /**
   * Runs the effect with the *client's* wall clock off by this much. Default: `shiftClock`, which shifts Effect's `Clock`; for a storage outside
   * of this process `shiftDate` shifts the global `Date` too.
   */
  readonly shiftClient?:
    (<A, E, R>(effect: Effect.Effect<A, E, R>, millis: number) => Effect.Effect<A, E, R>) | undefined
  /**
   * Runs the effect while only the wake-ups (a channel, a queue of notifications, the right to publish) fail.
   */
  readonly breakHints?: (<A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, unknown, R>) | undefined
  /**
   * Runs the effect while the server refuses writes that need room, as it does when its disk, memory or quota is full.
   */
  readonly refuseWrites?: (<A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, unknown, R>) | undefined
}

/**
 * A storage to be checked.
 *
 * @since 0.1.0
 * @category models
 */
export interface Target {
  readonly name: string
  /** Each build is what one process has, with connections of its own. All builds must see the same data. */
  readonly layer: Layer.Layer<Storage.Storage, any>
  readonly hooks?: Hooks | undefined
  /**
   * The smaller port over the same data, if there is one. The kit uses it to write what no storage does by itself: a token of the future, as after a clock
   * that stepped back; a record that vanishes under a live hold; an older record, as after a restore. Without it the cases that need it are skipped.
   */
  readonly versioned?: Layer.Layer<VersionedStore.VersionedStore, any> | undefined
  /**
   * `"shared"` (the default, except for `MemoryStorage`): every build of the layer sees the same locks. `"own"`: each build is a storage of its own by
   * design, so cases with several connections run on one.
   */
  readonly builds?: "shared" | "own" | undefined
  /**
   * Whether its releases are told to who waits in other processes. If so, wake-ups that never come are a failure; if not given, the case is skipped, and says so, where none
   * comes.
   */
  readonly wakesUp?: boolean | undefined
  /**
   * The kind of its locks, as `LockRecord.kind` has it. Default: `exclusive`. What only exclusive locks promise is skipped for others, and the claims are those that nobody else goes beside.
   *
   * @since 0.5.0
   */
  readonly kind?: string | undefined
  /** Repeats the random sequences of a failed run. Default: a new seed each time. A failure names it. */
  readonly seed?: number | undefined
  /** How many random sequences are run. Default: 25, or the share of it that `effort` says. */
  readonly sequences?: number | undefined
  /**
   * How much is done of what is done many times, as a share of what is usual, more than 0: rounds of races, random sequences, locks of a list, and groups of ids that look alike, which
   * the seed chooses. Default: 1. Less is enough for a layer that sends the same requests over another connection, where the first is checked with all effort; every case is still run.
   *
   * @since 0.5.0
   */
  readonly effort?: number | undefined
}

/**
 * A moment, for telling how long something took by the storage's clock.
 *
 * @since 0.1.0
 * @category models
 */
export interface Mark {
  readonly real: number
  readonly wall: number
  readonly advanced: number
}

/**
 * What a case can use.
 *
 * @since 0.1.0
 * @category models
 */
export interface Env {
  readonly name: string
  readonly storage: Storage.Service
  readonly guarantees: Storage.Guarantees
  /** Another build of the layer, closed with the scope; the same storage again if each build is a storage of its own. */
  readonly connect: Effect.Effect<Storage.Service, unknown, Scope.Scope>
  /** Whether builds see each other. */
  readonly shared: boolean
  readonly expectShared: boolean
  /** Whether wake-ups must come. */
  readonly expectWakeUps: boolean
  readonly kind: string
  readonly hooks: Hooks
  /** The smaller port over the same data, closed with the scope; absent where the target has none. */
  readonly versioned: Effect.Effect<VersionedStore.Service, unknown, Scope.Scope> | undefined
  /** In front of every lock id of this run of this case. */
  readonly prefix: string
  readonly lockId: (label?: string) => string
  readonly holdId: () => string
  readonly seed: number
  readonly sequences: number
  /** How often something is repeated, or of how many, that is usually so often; once at least. */
  readonly times: (usual: number) => number
  /** As many of them, chosen by the seed. */
  readonly some: <A>(usual: ReadonlyArray<A>) => ReadonlyArray<A>
  /** Leases in microseconds: one that never ends within a case, and one that is worth waiting for. */
  readonly long: number
  readonly short: number
  readonly mark: Effect.Effect<Mark>
  /**
   * Microseconds that have surely passed, and that can at most have passed, by the storage's clock: with room for its grain, and for a wall clock that is slewed or set meanwhile.
   * Where more precision is asked for, the storage's own times in its records have it.
   */
  readonly since: (mark: Mark) => Effect.Effect<{ readonly least: number; readonly most: number }>
  /** Lets microseconds pass: by the hook if there is one, else by waiting. */
  readonly pass: (micros: number) => Effect.Effect<void, unknown>
}

/**
 * One promise of the port, as a program that fails if a storage breaks it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Case {
  /** States the promise. */
  readonly name: string
  /** A short name for the rule behind it. Several cases may check one rule. */
  readonly rule: string
  /** Skipped, visibly, without this hook, or without the target's `versioned`. */
  readonly needs?: keyof Hooks | "versioned" | undefined
  readonly run: (env: Env) => Effect.Effect<void, unknown, Scope.Scope>
}

/**
 * A storage has broken its promise.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConformanceFailure extends Data.TaggedError("ConformanceFailure")<{
  readonly message: string
  /** What the storage answered. */
  readonly actual?: unknown
}> {}

/**
 * A case that says nothing about this storage, and why.
 *
 * @since 0.1.0
 * @category errors
 */
export class NotApplicable extends Data.TaggedError("NotApplicable")<{ readonly reason: string }> {}

const show = (value: unknown): string => {
  const text = JSON.stringify(value, (_, part) => (typeof part === "bigint" ? String(part) : part))
  return text === undefined ? String(value) : text.length > 600 ? `${text.slice(0, 600)}…` : text
}

export const fail = (message: string, actual?: unknown): Effect.Effect<never, ConformanceFailure> =>
  Effect.fail(
    new ConformanceFailure(actual === undefined ? { message } : { message: `${message}; got ${show(actual)}`, actual })
  )

/** The promise is kept if this is true. */
export const that = (kept: boolean, promise: string, actual?: unknown): Effect.Effect<void, ConformanceFailure> =>
  kept ? Effect.void : fail(promise, actual)

export const skip = (reason: string): Effect.Effect<never, NotApplicable> => Effect.fail(new NotApplicable({ reason }))

export type Claimed = Extract<LockRecord.ClaimOutcome, { readonly _tag: "Claimed" }>

/** A `Held` as rule 7 wants it: with the holder, and when to come again. */
export interface Held {
  readonly holder: LockRecord.LockRecord
  readonly retryAfter: number
}

export const claimed = (
  outcome: LockRecord.ClaimOutcome,
  promise: string
): Effect.Effect<Claimed, ConformanceFailure> =>
  outcome._tag === "Claimed" ? Effect.succeed(outcome) : fail(`${promise}: expected Claimed`, outcome)

export const held = (outcome: LockRecord.ClaimOutcome, promise: string): Effect.Effect<Held, ConformanceFailure> =>
  outcome._tag !== "Held"
    ? fail(`${promise}: expected Held`, outcome)
    : outcome.holder === undefined || outcome.retryAfter === undefined
      ? fail(`${promise}: Held must name the holder and tell retryAfter`, outcome)
      : Effect.succeed({ holder: outcome.holder, retryAfter: outcome.retryAfter })
