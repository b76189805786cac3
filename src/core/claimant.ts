/** Who wants a lock, or has it: the identity that an acquire has at the storage, where it was called, and a hold as the parts of a layer see it. */
import type * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import type { LostReason, StorageError } from "../LockError.js"
import type { Claim, LockRecord, RenewOutcome } from "../LockRecord.js"
import type * as Storage from "../Storage.js"
import type { Links } from "./linkedList.js"
import { Signal } from "./signal.js"
import type { Resolved } from "./options.js"

/** What is asked of a lock that several may hold at once: as what, or how much of it. */
export type Share = Pick<Claim, "mode" | "permits" | "limit">

/** Where an acquire was called. */
export interface Place {
  readonly fiber: number
  readonly span: string | undefined
  /** Of `acquire` and `tryAcquire`. */
  readonly scope: Scope.Scope | undefined
  readonly enclosing: Enclosing | undefined
}

/** A hold in whose body we are. */
export interface Enclosing {
  readonly hold: RenewableHold
  /** The fiber that runs the body. */
  readonly fiber: number
  /** The next one outward, and whether it surely waits for this one: not if there is a forked fiber between them. */
  readonly outer: Enclosing | undefined
  readonly isDirect: boolean
}

/**
 * One acquire's identity at the storage. It lives on after the acquire, until it is certain that the storage keeps nothing for it.
 */
export class Claimant {
  /** Claims that have not ended. */
  inflight = 0
  private signal: Signal | undefined
  /** When a claim last ended without telling whether it was applied: for a lease from then on, it may still be. */
  unsure: number | undefined
  /** On the timeline: when the lease of what it has or had ends, as far as is known. */
  until = Number.NEGATIVE_INFINITY
  /** A claim was answered `Claimed`, whatever was answered to others of it since: they may have been applied in another order. */
  mayHold = false
  constructor(
    readonly key: string,
    readonly lockId: string,
    readonly ownerId: string,
    readonly holdId: string,
    readonly options: Resolved,
    readonly place?: Place,
    /** Of a lock that several may hold. */
    readonly share?: Share
  ) {}

  get lease(): number {
    return this.options.lease
  }

  get ownerLabel(): string {
    return this.options.ownerLabel
  }

  /** Whether the storage may have something of it. Also if it was long ago that a claim's fate became unknown: it may have deepened a hold that has been renewed since. */
  get mayBeIn(): boolean {
    return this.mayHold || this.inflight > 0 || this.unsure !== undefined
  }

  /** A claim has ended. */
  ended(): void {
    this.inflight--
    this.signal?.notify()
  }

  /** Waits for the end of the next claim that ends. Nearly nobody does. */
  get nextEnd(): Effect.Effect<void> {
    return (this.signal ??= new Signal()).wait
  }
}

/** A hold, from the claim that won it to its end. */
export interface RenewableHold extends Links {
  readonly claimant: Claimant
  readonly options: Resolved
  readonly storage: Storage.Service
  readonly state: "held" | "released" | "lost"
  readonly record: LockRecord
  readonly token: number
  /** Milliseconds since the Unix epoch, by the storage's clock. */
  readonly leaseEnd: number
  /** On the timeline: until then, nobody else can have the lock. Only grows. */
  readonly deadline: number
  /** On the timeline. */
  readonly renewAt: number
  renewing: boolean
  /** It is lost, and not given back yet. */
  readonly owesRelease: boolean
  /** How many listen for its loss. */
  readonly listening: number
  /** What a renewal that was started at `start` told. */
  readonly renewed: (start: number, outcome: RenewOutcome) => void
  readonly renewFailed: (error: StorageError) => void
  readonly lose: (reason: LostReason, detail?: string) => void
  readonly giveBack: () => void
  readonly renumber: (token: number) => void
}
