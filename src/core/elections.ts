/** Which elections the lock services of this process have won: for `isLeader`, for metrics, and for `resign`. */
import type { Service } from "./api.js"

/** A term has begun or ended. */
export interface Change {
  readonly lockId: string
  /** Whether one leads now. */
  readonly leads: boolean
  /** How long it was, in milliseconds, if it has ended. */
  readonly led: number | undefined
}

/** A term under way. */
export interface Leading {
  readonly lockId: string
  readonly resign: () => void
}

export class Elections {
  private readonly terms = new Set<Leading>()
  private readonly listeners = new Set<(change: Change) => void>()

  leads(lockId: string): boolean {
    for (const term of this.terms) if (term.lockId === lockId) return true
    return false
  }

  begun(term: Leading): void {
    this.terms.add(term)
    this.tell({ lockId: term.lockId, leads: true, led: undefined })
  }

  /** Once for each that has begun. */
  ended(term: Leading, led: number): void {
    if (this.terms.delete(term)) this.tell({ lockId: term.lockId, leads: this.leads(term.lockId), led })
  }

  /** Whether there was one to end. */
  resign(lockId: string): boolean {
    const terms = Array.from(this.terms).filter((term) => term.lockId === lockId)
    for (const term of terms) term.resign()
    return terms.length > 0
  }

  /** Returns what ends it. */
  listen(listener: (change: Change) => void): () => void {
    this.listeners.add(listener)
    return () => void this.listeners.delete(listener)
  }

  private tell(change: Change): void {
    for (const listener of this.listeners) listener(change)
  }
}

const byService = new WeakMap<Service, Elections>()

export const of = (service: Service): Elections => {
  let elections = byService.get(service)
  if (elections === undefined) byService.set(service, (elections = new Elections()))
  return elections
}
