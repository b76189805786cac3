/**
 * What the search looks at: one lock, some clients, their messages, an operator, and the time. A state is a row of bytes.
 *
 * Time runs in ticks. A tick is `unit` microseconds of the storage, more than there can be hold periods in one tick: as in reality, the clock outruns the tokens.
 */
import * as LockRecord from "../../src/LockRecord.js"

export type StepFunction = (
  record: LockRecord.LockRecord | undefined,
  request: LockRecord.Request,
  now: number
) => LockRecord.Step<any>

/** What a client does with what it is told: the rules of `hold.ts` and `acquire.ts`, so that they can be broken one by one. */
export interface ClientRule {
  /** All in ticks. `answered`: when the reply was there. */
  readonly deadline: (start: number, answered: number, lease: number, validFor: number, margin: number) => number
  /** A renewal that is answered after the deadline counts, if nobody has looked at the deadline yet. */
  readonly revivesUnnoticed: boolean
  /** A renewal that is answered after the loss counts. */
  readonly revivesLost: boolean
  /** A claim that nobody wants any more is released. */
  readonly settles: boolean
  /** A claim that was answered too late is tried again under another hold id. */
  readonly freshIdentity: boolean
  /** The hold ends when its release is sent, not when it is answered. */
  readonly endsBeforeRelease: boolean
  /** Deadlines only grow. */
  readonly deadlineGrows: boolean
}

export interface Bound {
  readonly name: string
  /** The owner of each client. */
  readonly owners: ReadonlyArray<number>
  /** Of each client: the leases of its hold ids, in ticks, in the order in which it uses them. */
  readonly leases: ReadonlyArray<ReadonlyArray<number>>
  readonly margin: number
  /** How far the storage's clock may be ahead of the clients' at any moment; it steps both ways. */
  readonly skew: number
  /** The last tick. */
  readonly ticks: number
  /** Requests under way for which nobody waits any more. */
  readonly late: number
  /** Requests that the network delivers twice, beyond the clients' own repeats. */
  readonly duplicates: number
  readonly revokes: number
  /** Ticks for which a free or expired row is kept. `undefined`: no purge. */
  readonly memory: number | undefined
}

export interface Subject {
  readonly step: StepFunction
  readonly rule: ClientRule
  /** Whether the row may be dropped; `before` as in `MemoryStorage.purge`. */
  readonly purges: (record: LockRecord.LockRecord, before: number, now: number) => boolean
}

/** As `acquire.ts` and `hold.ts` have it. */
export const rule: ClientRule = {
  deadline: (start, _answered, lease, validFor, margin) => start + Math.min(lease, validFor) - margin,
  revivesUnnoticed: false,
  revivesLost: false,
  settles: true,
  freshIdentity: true,
  endsBeforeRelease: true,
  deadlineGrows: true
}

export const subject: Subject = {
  step: LockRecord.step,
  rule,
  purges: (record, before) => record.leaseExpireTime < before
}

export const unit = 16

/** The head of a state. After it, `bound.late` bytes of late requests (sorted), then a slot for each hold id. */
export const head = {
  tick: 0,
  skew: 1,
  /** Of the purged record; 0 while there is one. */
  lastToken: 2,
  lastVersion: 3,
  recordHigh: 4,
  recordLow: 5,
  /** The token that the operator has read, on the way to the storage. */
  revoking: 6,
  revokes: 7,
  duplicates: 8
} as const
export const headSize = 9

/** A slot: one hold id, from the claim to the last trace of it. */
export const slot = {
  stage: 0,
  /** Held: the deadline. Settling: when it stops to try. In ticks; 0 once it has passed. */
  until: 1,
  token: 2,
  /** Until when a claim of unknown fate may be applied. 0: none may. */
  unsure: 3,
  /** The token of the hold period that was revoked with "now". */
  forced: 4,
  /** A late request put it in, or prolonged it, when nobody wanted it any more; or it was not to be released for a whole lease. */
  stray: 5,
  call: 6,
  start: 7,
  validFor: 8,
  answeredToken: 9,
  give: 10
} as const
export const slotSize = 11

export const Stage = { idle: 0, wanting: 1, held: 2, settling: 3, gone: 4 } as const
export const Call = { none: 0, claim: 1, claimed: 2, refused: 3, renew: 4, renewed: 5, notHeld: 6 } as const
export const Give = { none: 0, release: 1, released: 2, notHeld: 3 } as const

export const kinds = ["Claim", "Renew", "Release"] as const
export const Kind = { claim: 0, renew: 1, release: 2 } as const

/** The hold ids, owners and leases of a bound, by slot. */
export class Names {
  readonly count: number
  readonly client: Array<number> = []
  readonly owner: Array<string> = []
  readonly holdId: Array<string> = []
  readonly lease: Array<number> = []
  readonly slotOf = new Map<string, number>()
  readonly longestLease: number
  readonly previous: Array<number | undefined> = []

  constructor(readonly bound: Bound) {
    bound.owners.forEach((owner, client) =>
      bound.leases[client]!.forEach((lease, nth) => {
        const name = "ABC"[owner]!
        this.previous.push(nth === 0 ? undefined : this.client.length - 1)
        this.slotOf.set(`${name}${client + 1}${"xyz"[nth]}`, this.client.length)
        this.holdId.push(`${name}${client + 1}${"xyz"[nth]}`)
        this.client.push(client)
        this.owner.push(name)
        this.lease.push(lease)
      })
    )
    this.count = this.client.length
    this.longestLease = Math.max(...this.lease)
  }

  request(kind: number, index: number): LockRecord.Request {
    const holdId = this.holdId[index]!
    const lease = this.lease[index]! * unit
    switch (kind) {
      case Kind.claim:
        return { _tag: "Claim", lockId, ownerId: this.owner[index]!, holdId, lease }
      case Kind.renew:
        return { _tag: "Renew", lockId, holdId, lease }
      default:
        return { _tag: "Release", lockId, holdId }
    }
  }
}

export const lockId = "lock"
