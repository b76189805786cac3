/**
 * The waiters of this process for one lock, first come, first served: only the head talks to the storage. An owner that holds the lock already, here
 * or as the last answer of the storage said, skips the queue: a reentry that queued behind a waiter for its own release would never end.
 */
import { Signal } from "./signal.js"
import type { StorageError } from "../LockError.js"
import type { Place } from "./claimant.js"
import { LinkedList } from "./linkedList.js"
import type { LockRecord } from "../LockRecord.js"
import { StorageHealth } from "./storageHealth.js"
import { Tally } from "./tally.js"
import { Turns } from "./turns.js"

/**
 * After a lock was taken so often, and for so long, by this process alone, other processes get a pause to come in: their hints may travel for longer than this process needs to take it again. While nobody comes,
 * such times grow, so that a process that is alone with a lock does not lose more than a hundredth of its time; whoever comes later waits for one of them. In milliseconds.
 */
const turnsInARow = 8
const firstStreak = 100
const longestStreak = 2000
export const pauseForOthers = 20

export class Waiter {
  readonly signal = new Signal()
  /** Somebody said that trying again may pay. */
  hinted = false
  before: this | undefined
  after: this | undefined
  /** Its place in the queue. */
  place = 0
  /** `shared`: others may have this owner id, too. One that was made for this waiter nobody else has. */
  constructor(
    readonly ownerId: string,
    readonly shared = true
  ) {}
}

export class LockQueue {
  /** Those who wait. Of most locks that are held nobody wants anything: then there is no list. */
  protected waiters: LinkedList<Waiter> | undefined
  /** Those that may have to skip the others, by owner. */
  private byOwner: Map<string, Set<Waiter>> | undefined
  /** Owners that hold the lock in this process, and how often. */
  protected readonly holders = new Tally()
  /** The holder that the storage last named to a waiter. */
  protected named: LockRecord | undefined
  /** When the lock was last freed here, if others have not been let in since; and since when, and how often, it has gone from hand to hand here. */
  private freedAt: number | undefined
  private streakSince = 0
  private streak = 0
  /** After how long others are let in. */
  private streakLimit = firstStreak
  /** Of the record, if nobody else has written it since it was last claimed, or given back, here. */
  private version = 0
  /** It was freed here while others here waited for it: it goes on to them, without regard to other processes for now. */
  private handsOn = false
  /** Until when the first in the queue leaves the lock to others. The pause is the queue's: who leaves it does not end it. */
  pausesUntil: number | undefined
  /** Made when there is something to remember: most locks are free, or held by those who want nothing more. */
  private turns: Turns | undefined
  /** Where the hold of this process was acquired. */
  private heldAt: Place | undefined
  /** Whether the storage answers those of this process who ask it for this lock. Nobody asks while it is held here. */
  private health: StorageHealth | undefined

  /** How many wait. */
  get length(): number {
    return this.waiters?.size ?? 0
  }

  get isEmpty(): boolean {
    return this.length === 0 && this.holders.size === 0
  }

  get holder(): LockRecord | undefined {
    return this.named
  }

  /** Whether even its first claim must await the turn of this process: one that has just given the lock back would be faster than all who wait for it. */
  join(waiter: Waiter, now: number): boolean {
    const isBack = this.isEmpty && (this.turns === undefined || this.turns.comesBack(now))
    ;(this.waiters ??= new LinkedList()).add(waiter)
    if (waiter.shared) {
      const byOwner = (this.byOwner ??= new Map())
      const same = byOwner.get(waiter.ownerId)
      if (same === undefined) byOwner.set(waiter.ownerId, new Set([waiter]))
      else same.add(waiter)
    }
    return !isBack
  }

  leave(waiter: Waiter): void {
    const wasHead = this.isHead(waiter)
    this.waiters?.delete(waiter)
    const same = this.byOwner?.get(waiter.ownerId)
    if (same?.delete(waiter) === true && same.size === 0) this.byOwner?.delete(waiter.ownerId)
    // Nobody is left to hand it on to: whoever comes next awaits the turn of this process, as everybody who comes.
    if (this.length === 0) {
      this.handsOn = false
      this.waiters = undefined
    }
    if (wasHead) this.waiters?.first?.signal.notify()
  }

  /** Whether this waiter may ask the storage now. */
  mayGo(waiter: Waiter): boolean {
    if (this.holders.size > 0) return this.isHolder(waiter.ownerId)
    return this.isHead(waiter) || this.named?.ownerId === waiter.ownerId
  }

  /** From when on this waiter, which may go, should ask. */
  due(waiter: Waiter, now: number): number {
    return this.handsOn || this.holders.size > 0 || this.named?.ownerId === waiter.ownerId
      ? now
      : (this.turns?.due(now) ?? now)
  }

  /** From when on this waiter, which may go, should ask though nothing has told it to. */
  quietFrom(waiter: Waiter, now: number): number {
    return Math.max(this.due(waiter, now), this.turns?.quietFrom() ?? now)
  }

  /** Where the hold was acquired that all here wait for. */
  get holderHere(): Place | undefined {
    return this.holders.size > 0 ? this.heldAt : undefined
  }

  /** Whether there is anything to keep when nobody needs this queue. */
  remembers(now: number): boolean {
    return this.turns?.remembers(now) === true
  }

  /** It was freed here just now: whoever takes it next goes on with what has been counted. */
  isWarm(now: number): boolean {
    return this.freedAt !== undefined && now - this.freedAt < pauseForOthers
  }

  /** Somebody here asks the storage. */
  asks(now: number): void {
    ;(this.health ??= new StorageHealth()).asked(now)
  }

  /** It has answered, or failed. */
  heard(now: number, failure: StorageError | undefined): void {
    this.health?.heard(now, failure)
  }

  /** Why nobody who waits here since `began` can be told that somebody has the lock: how the storage has failed, or for how long it has been silent. */
  outage(began: number, now: number): StorageError | number | undefined {
    return this.health?.outage(began, now, this.named !== undefined)
  }

  isHolder(ownerId: string): boolean {
    return this.holders.of(ownerId) > 0
  }

  /** Whether the lock has gone round in this process for long enough: others should have a chance now. */
  takePause(now: number): boolean {
    if (!this.isWarm(now) || this.streak < turnsInARow || now - this.streakSince < this.streakLimit) return false
    // The next claim begins another streak, and its time.
    this.freedAt = undefined
    this.handsOn = false
    this.streakLimit = Math.min(2 * this.streakLimit, longestStreak)
    return true
  }

  /** The storage said who holds it. */
  held(holder: LockRecord | undefined, _waiter?: Waiter): void {
    this.named = holder
    this.handsOn = false
    this.meetsOthers()
    this.pausesUntil = undefined
    this.known.beaten(holder)
    if (holder !== undefined) this.notifyOwner(holder.ownerId)
  }

  /** `version`: of the record. */
  claimed(ownerId: string, now: number, version: number, place?: Place): void {
    this.heldAt = place
    // Each claim and each release is one write: where there are more, others may have had it meanwhile.
    if (version !== this.version + 1) this.meetsOthers()
    this.version = version
    this.named = undefined
    this.health = undefined
    this.streak = this.isWarm(now) ? this.streak + 1 : 0
    if (this.streak === 0) this.streakSince = now
    this.freedAt = undefined
    this.handsOn = false
    this.pausesUntil = undefined
    // Who only tries has not waited, though others may.
    if (this.holders.size === 0 && this.waiters?.first?.ownerId === ownerId) this.turns?.won()
    this.holders.add(ownerId)
    this.notifyOwner(ownerId)
  }

  /** A hold of this process is about to be given back. Tells whether that frees the lock, as far as this process knows. */
  ending(ownerId: string): boolean {
    const frees = this.holders.size === 1 && this.holders.of(ownerId) === 1
    if (frees) this.known.releases()
    return frees
  }

  /** It did not: its owner has the lock in another process, too, or had lost it. */
  notFreed(): void {
    this.turns?.notFreed()
  }

  /** The storage keeps nothing of a hold, and may have named it as the one that is in the way. */
  gone(holdId: string): void {
    const { holds } = this.named ?? {}
    if (holds?.length === 1 && holds[0] === holdId) this.named = undefined
  }

  /** The storage has told another process that this one gave it back. */
  awaited(now: number): void {
    this.known.awaited(now)
  }

  /** A hold of this process is over, and the storage knows. */
  ended(ownerId: string, now: number): void {
    this.holders.remove(ownerId)
    this.version++
    if (this.holders.size > 0) return
    this.heldAt = undefined
    this.freedAt = now
    this.handsOn = this.length > 0
    this.turns?.begin(now)
    this.hint()
  }

  /** The storage told that it was freed. `toOne`: this process alone. */
  freed(now: number, toOne = false): void {
    if (this.known.hint(now, toOne) && !this.handsOn) this.meetsOthers()
    this.hint()
  }

  /** Those who may ask the storage should do so soon. */
  hint(): void {
    const head = this.waiters?.first
    if (head !== undefined) tell(head)
    if (this.named !== undefined) this.byOwner?.get(this.named.ownerId)?.forEach(tell)
  }

  notifyAll(): void {
    for (let waiter = this.waiters?.first; waiter !== undefined; waiter = waiter.after) waiter.signal.notify()
  }

  private get known(): Turns {
    return (this.turns ??= new Turns())
  }

  private meetsOthers(): void {
    this.freedAt = undefined
    this.streakLimit = firstStreak
  }

  private isHead(waiter: Waiter): boolean {
    return this.waiters?.first === waiter
  }

  protected notifyOwner(ownerId: string): void {
    this.byOwner?.get(ownerId)?.forEach((waiter) => waiter.signal.notify())
  }
}

export const tell = (waiter: Waiter): void => {
  waiter.hinted = true
  waiter.signal.notify()
}
