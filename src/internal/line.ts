/**
 * The waiters of this process for one lock, first come, first served: only the head talks to the storage. An owner that holds the lock already, here
 * or as the last answer of the storage said, passes by the line: a reentry that queued behind a waiter for its own release would never end.
 */
import { Bell } from "./bell.js"
import type { LockRecord } from "../LockRecord.js"

export class Ticket {
  readonly bell = new Bell()
  /** Somebody said that trying again may pay. */
  hinted = false
  constructor(readonly ownerId: string) {}
}

export class Line {
  private readonly tickets = new Set<Ticket>()
  /** Owners that hold the lock in this process, and how often. */
  private readonly holders = new Map<string, number>()
  /** The holder that the storage last named to a waiter. */
  private named: LockRecord | undefined
  /** The lock was last freed here; and since when, and how often, it has gone from hand to hand here. */
  private freedHere = false
  private streakSince = 0
  private streak = 0

  get isEmpty(): boolean {
    return this.tickets.size === 0 && this.holders.size === 0
  }

  get holder(): LockRecord | undefined {
    return this.named
  }

  join(ticket: Ticket): void {
    this.tickets.add(ticket)
  }

  leave(ticket: Ticket): void {
    const wasHead = this.isHead(ticket)
    this.tickets.delete(ticket)
    if (wasHead) this.head()?.bell.ring()
  }

  /** Whether this ticket may ask the storage now. */
  mayGo(ticket: Ticket): boolean {
    if (this.holders.size > 0) return this.holders.has(ticket.ownerId)
    return this.isHead(ticket) || this.named?.ownerId === ticket.ownerId
  }

  /** The lock has gone round in this process for long enough: others should have a chance. */
  takePause(now: number, turns: number, millis: number): boolean {
    if (!this.freedHere || this.streak < turns || now - this.streakSince < millis) return false
    this.streak = 0
    return true
  }

  /** The storage said who holds it. */
  held(holder: LockRecord | undefined): void {
    this.named = holder
    this.freedHere = false
    if (holder !== undefined) this.ringOwner(holder.ownerId)
  }

  claimed(ownerId: string, now: number): void {
    this.named = undefined
    this.streak = this.freedHere ? this.streak + 1 : 0
    if (this.streak === 0) this.streakSince = now
    this.freedHere = false
    this.holders.set(ownerId, (this.holders.get(ownerId) ?? 0) + 1)
    this.ringOwner(ownerId)
  }

  /** A hold of this process is over, and the storage knows. */
  ended(ownerId: string): void {
    const count = (this.holders.get(ownerId) ?? 0) - 1
    if (count > 0) this.holders.set(ownerId, count)
    else this.holders.delete(ownerId)
    if (this.holders.size > 0) return
    this.freedHere = true
    this.hint()
  }

  /** Those who may ask the storage should do so soon. */
  hint(): void {
    const head = this.head()
    for (const ticket of this.tickets) {
      if (ticket !== head && this.named?.ownerId !== ticket.ownerId) continue
      ticket.hinted = true
      ticket.bell.ring()
    }
  }

  ringAll(): void {
    for (const ticket of this.tickets) ticket.bell.ring()
  }

  private head(): Ticket | undefined {
    for (const ticket of this.tickets) return ticket
    return undefined
  }

  private isHead(ticket: Ticket): boolean {
    return this.head() === ticket
  }

  private ringOwner(ownerId: string): void {
    for (const ticket of this.tickets) if (ticket.ownerId === ownerId) ticket.bell.ring()
  }
}

/** The lines of a layer. One that nobody needs any more is forgotten. */
export class Lines {
  private readonly lines = new Map<string, Line>()

  of(key: string): Line {
    let line = this.lines.get(key)
    if (line === undefined) this.lines.set(key, line = new Line())
    return line
  }

  tidy(key: string): void {
    if (this.lines.get(key)?.isEmpty === true) this.lines.delete(key)
  }

  hint(key: string): void {
    this.lines.get(key)?.hint()
    if (key === "all") { for (const line of this.lines.values()) line.hint() }
  }

  ringAll(): void {
    for (const line of this.lines.values()) line.ringAll()
  }
}
