/**
 * The waiters of this process for one lock, first come, first served: only the head talks to the storage. An owner that holds the lock already, here
 * or as the last answer of the storage said, passes by the line: a reentry that queued behind a waiter for its own release would never end.
 */
import { Bell } from "./bell.js"
import type { LockRecord } from "../LockRecord.js"

/** How long at most a hint is left to others, what one place in the queue may cost, and when hints are too old to tell anything. In milliseconds. */
const longestTurn = 250
const longestSlot = 100
const memory = 1000

/**
 * When this process should claim, so that not every process that waits for a lock claims each time it is freed. All of them hear the same hints; so who has heard
 * most has waited longest, and is next. Who has heard three quarters of what it took the last time claims at once: the few that have waited longest compete, so that
 * the lock is seldom idle for want of one of them, and differences between processes shrink from turn to turn. Who is short of that leaves the lock to others
 * for as long as it takes to change hands so many times. A wrong guess costs one claim, or such a time, and the next win mends it.
 */
class Turns {
  /** Hints heard since this process began to wait: so often others went first. */
  private heard = 0
  /** How many it takes. 0: it has not met others, and always goes at once. */
  private depth = 0
  /** The hint of its own release is still to come, and says nothing of others. */
  private echo = false
  private began = Number.NEGATIVE_INFINITY
  private lastHint = Number.NEGATIVE_INFINITY
  /** Between hints, on average. */
  private interval = longestSlot

  begin(now: number): void {
    this.heard = 0
    this.began = now
  }

  /** Whether it has wanted nothing for so long that it cannot know who waits. */
  isAway(now: number): boolean {
    return now - this.began > this.interval / 4
  }

  releases(): void {
    this.echo = true
  }

  /** Whether somebody else has released it. */
  hint(now: number): boolean {
    const since = now - this.lastHint
    if (since < memory) this.interval += (since - this.interval) / 4
    else {
      this.interval = longestSlot
      this.depth = 0
    }
    this.lastHint = now
    const others = !this.echo
    this.echo = false
    if (others) this.heard++
    return others
  }

  /** Down at once, up in steps: a competitor that goes many times in a row is still only one. */
  won(): void {
    this.depth = Math.min(this.heard, 2 * this.depth + 1)
    this.heard = 0
  }

  remembers(now: number): boolean {
    return this.depth > 0 && now - this.lastHint < memory
  }

  /** From when on to claim. */
  due(now: number): number {
    if (!this.remembers(now)) return now
    const short = Math.max(0, Math.ceil(0.75 * this.depth) - this.heard)
    return Math.max(this.began, this.lastHint) + Math.min(longestTurn, short * Math.min(longestSlot, 1.25 * this.interval))
  }
}

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
  /** It was freed here while others here waited for it: it goes on to them, without regard to other processes for now. */
  private handsOn = false
  private readonly turns = new Turns()

  get isEmpty(): boolean {
    return this.tickets.size === 0 && this.holders.size === 0
  }

  get holder(): LockRecord | undefined {
    return this.named
  }

  /** Whether even its first claim must await the turn of this process: one that has just given the lock back would be faster than all who wait for it. */
  join(ticket: Ticket, now: number): boolean {
    const away = this.isEmpty && this.turns.isAway(now)
    if (away) this.turns.begin(now)
    this.tickets.add(ticket)
    return !away
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

  /** From when on this ticket, which may go, should ask. */
  due(ticket: Ticket, now: number): number {
    return this.handsOn || this.holders.size > 0 || this.named?.ownerId === ticket.ownerId ? now : this.turns.due(now)
  }

  /** Whether there is anything to keep when nobody needs this line. */
  remembers(now: number): boolean {
    return this.turns.remembers(now)
  }

  /** The lock has gone round in this process for long enough: others should have a chance. */
  takePause(now: number, turns: number, millis: number): boolean {
    if (!this.freedHere || this.streak < turns || now - this.streakSince < millis) return false
    this.streak = 0
    this.handsOn = false
    return true
  }

  /** The storage said who holds it. */
  held(holder: LockRecord | undefined): void {
    this.named = holder
    this.freedHere = this.handsOn = false
    if (holder !== undefined) this.ringOwner(holder.ownerId)
  }

  claimed(ownerId: string, now: number): void {
    this.named = undefined
    this.streak = this.freedHere ? this.streak + 1 : 0
    if (this.streak === 0) this.streakSince = now
    this.freedHere = this.handsOn = false
    // Who only tries has not waited.
    if (this.holders.size === 0 && this.tickets.size > 0) this.turns.won()
    this.holders.set(ownerId, (this.holders.get(ownerId) ?? 0) + 1)
    this.ringOwner(ownerId)
  }

  /** A hold of this process is about to be given back. */
  ending(ownerId: string): void {
    if (this.holders.size === 1 && this.holders.get(ownerId) === 1) this.turns.releases()
  }

  /** A hold of this process is over, and the storage knows. */
  ended(ownerId: string, now: number): void {
    const count = (this.holders.get(ownerId) ?? 0) - 1
    if (count > 0) this.holders.set(ownerId, count)
    else this.holders.delete(ownerId)
    if (this.holders.size > 0) return
    this.freedHere = true
    this.handsOn = this.tickets.size > 0
    this.turns.begin(now)
    this.hint()
  }

  /** The storage told that it was freed. */
  freed(now: number): void {
    if (this.turns.hint(now) && !this.handsOn) this.freedHere = false
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

/** How many lines are remembered that nobody needs. */
const mostIdle = 1000

/** The lines of a layer. One that nobody needs any more is forgotten, soon if it has met other processes. */
export class Lines {
  private readonly lines = new Map<string, Line>()
  /** Those that were kept when nobody needed them, the longest first. */
  private readonly idle = new Set<string>()

  of(key: string): Line {
    let line = this.lines.get(key)
    if (line === undefined) this.lines.set(key, line = new Line())
    return line
  }

  tidy(key: string, now: number): void {
    const line = this.lines.get(key)
    this.idle.delete(key)
    if (line?.isEmpty === true) {
      if (line.remembers(now)) this.idle.add(key)
      else this.lines.delete(key)
    }
    for (const oldest of this.idle) {
      const kept = this.lines.get(oldest)
      if (kept?.isEmpty === true && kept.remembers(now) && this.idle.size <= mostIdle) break
      this.idle.delete(oldest)
      if (kept?.isEmpty === true) this.lines.delete(oldest)
    }
  }

  hint(key: string, now: number): void {
    this.lines.get(key)?.freed(now)
    if (key === "all") { for (const line of this.lines.values()) line.hint() }
  }

  ringAll(): void {
    for (const line of this.lines.values()) line.ringAll()
  }
}
