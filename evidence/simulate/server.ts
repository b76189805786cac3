/** The storage of a simulation: the library's own memory storages, behind a clock that can be wrong, stalls, and a replica that lags. */
import * as Effect from "#effect/Effect"
import type * as Exit from "#effect/Exit"
import * as Option from "#effect/Option"
import * as Stream from "#effect/Stream"
import type { LockRecord } from "../../src/LockRecord.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import type * as Storage from "../../src/Storage.js"
import type * as VersionedStore from "../../src/VersionedStore.js"
import { read } from "../kinds/oracle.js"
import type { Event, Kept as EachKept } from "./history.js"
import { epoch, Machine } from "./machine.js"
import type { Plan } from "./plan.js"
import type { World } from "./world.js"

/** What the network carries to the storage: an operation on whichever port it has. */
export type Operation<A, E> = (ports: Ports) => Effect.Effect<A, E>

export interface Ports {
  readonly native: Storage.Service
  readonly versioned: VersionedStore.Service
}

/** Operations that write nothing. */
const reads: ReadonlySet<string> = new Set(["read", "time", "get", "list"])

interface Kept {
  readonly owner: string
  readonly holds: ReadonlyArray<string>
  readonly token: number
  readonly ends: number
  readonly version: number
  readonly each?: ReadonlyArray<Hold> | undefined
  /** Those whose lease is over, too. */
  readonly all?: ReadonlyArray<Hold> | undefined
  readonly pending?: string | undefined
}

/** One of several holds of a lock. */
interface Hold extends EachKept {
  readonly beat: number
}

/** In milliseconds. */
const thisCentury = 1_600_000_000_000

/** The port that a plan's storage does not have. */
export const none = undefined as never

const shared: ReadonlySet<string> = new Set(["readWrite", "semaphore"])

const free: Kept = { owner: "", holds: [], token: 0, ends: 0, version: 0 }

export class Server {
  private ports: Ports
  private readonly machine: Machine
  private offset = 0
  private leapt = 0
  /** Told of a lock id that became free. */
  readonly hearers = new Set<(lockId: string) => void>()
  private stalledUntil = 0
  private readonly known = new Map<string, Kept>()
  /** All that ever was applied, for a replica to have some of it. */
  private readonly log: Array<{
    readonly at: number
    readonly time: number
    readonly operation: Operation<unknown, unknown>
  }> = []
  private readonly promotes: boolean
  private replayed: number | undefined
  /** How often the clock was set, in all and when a lock was looked at last. */
  private changes = 0
  private readonly seen = new Map<string, number>()

  constructor(
    private readonly world: World,
    private readonly plan: Plan,
    private readonly record: (event: Event) => void
  ) {
    this.machine = new Machine("storage", world, `storage ${plan.seed}`, 1, 0, (text) =>
      record({ type: "log", t: world.now, p: "storage", text })
    )
    this.ports = this.empty()
    this.promotes = plan.faults.some(({ kind }) => kind === "promote")
  }

  /** Microseconds by the storage's clock. */
  time(): number {
    return (
      this.replayed ??
      Math.floor((this.begin + this.world.now * this.plan.storageRate + this.offset + this.leapt) * 1000)
    )
  }

  /** A clock that is provided must be of this century. */
  private get begin(): number {
    return this.plan.storage === "provided" ? epoch + thisCentury : epoch
  }

  private empty(): Ports {
    const time = Effect.sync(() => this.time())
    if (this.plan.storage !== "native") {
      return {
        native: none,
        versioned: Effect.runSync(
          MemoryStorage.makeVersioned({ time: this.plan.storage === "versioned" ? time : "none" })
        )
      }
    }
    const { storage: native, versioned } = Effect.runSync(MemoryStorage.makePorts({ time }))
    this.machine.fork(Stream.runForEach(native.wakeUps, (lockId) => Effect.sync(() => this.wake(lockId))))
    return { native, versioned }
  }

  private wake(lockId: string): void {
    for (const hear of this.hearers) hear(lockId)
  }

  setClock(offset: number): void {
    this.changes++
    this.offset = offset
  }

  leap(by: number): void {
    this.changes++
    this.leapt += by
  }

  stall(millis: number): void {
    this.stalledUntil = Math.max(this.stalledUntil, this.world.now + millis)
  }

  /** A replica takes over that has not all of what was acknowledged. */
  promote(lag: number, millis: number, offset: number): void {
    const known = this.log.filter(({ at }) => at <= this.world.now - lag)
    this.log.length = 0
    this.ports = this.empty()
    for (const { at, operation, time } of known) {
      this.replayed = time
      Effect.runSyncExit(operation(this.ports))
      this.log.push({ at, operation, time })
    }
    this.replayed = undefined
    for (const lockId of this.known.keys()) this.look("storage", "promotion", lockId)
    this.stall(millis)
    this.world.after(millis, () => this.setClock(offset))
  }

  /** All records are gone, as after an eviction or a flush. */
  flush(): void {
    this.log.length = 0
    this.ports = this.empty()
    for (const lockId of this.known.keys()) this.look("storage", "flush", lockId)
  }

  /** A request that was sent at `sent` arrives; `answer` is called when it has been applied. */
  arrive<A, E>(
    by: string,
    op: string,
    sent: number,
    lockIds: ReadonlyArray<string>,
    operation: Operation<A, E>,
    answer: (exit: Exit.Exit<A, E>) => void
  ): void {
    if (this.stalledUntil > this.world.now) {
      this.world.at(this.stalledUntil, () => this.arrive(by, op, sent, lockIds, operation, answer))
      return
    }
    for (const lockId of lockIds) if (this.mayHaveEnded(lockId)) this.look("storage", "time", lockId)
    if (this.plan.storage === "native" && this.promotes)
      this.log.push({ at: this.world.now, time: this.time(), operation })
    const exit = Effect.runSyncExit(operation(this.ports))
    if (!reads.has(op)) {
      for (const lockId of lockIds) this.look(by, op, lockId, sent)
    }
    answer(exit)
  }

  /** Whether time alone may have changed what is kept: most looks are spared by this. */
  private mayHaveEnded(lockId: string): boolean {
    const kept = this.known.get(lockId)
    return (
      kept !== undefined &&
      kept.holds.length > 0 &&
      (kept.ends <= this.world.now + 1 ||
        kept.each?.some(({ ends }) => ends <= this.world.now + 1) === true ||
        this.changes !== this.seen.get(lockId))
    )
  }

  /** Whether a record is live, told without touching it. */
  live(lockId: string): boolean {
    this.look("storage", "time", lockId)
    const kept = this.known.get(lockId)
    return kept !== undefined && kept.holds.length > 0 && kept.ends > this.world.now
  }

  private kept(lockId: string): Kept {
    const before = this.known.get(lockId) ?? free
    if (this.plan.kinds === true) {
      const record = Option.getOrUndefined(Effect.runSync(Effect.orDie(this.ports.versioned.get(lockId))))
      if (record !== undefined && shared.has(record.kind)) return this.asShared(before, record)
    }
    if (this.plan.storage === "native") {
      const found = Option.getOrUndefined(Effect.runSync(Effect.orDie(this.ports.native.get(lockId))))
      if (found === undefined) return { ...free, token: before.token, version: before.version }
      return this.asKept(before, found.record, found.validFor)
    }
    const record = Option.getOrUndefined(Effect.runSync(Effect.orDie(this.ports.versioned.get(lockId))))
    if (record === undefined) return { ...free, token: before.token }
    // An observed lease runs from the write of its record, and is its length. One of a clock that leaps ends where it would have.
    if (this.plan.storage === "observed" || this.plan.storage === "provided")
      return record.version === before.version
        ? before
        : this.asKept(
            before,
            record,
            this.plan.storage === "observed" ? record.leaseExpireTime : record.leaseExpireTime - this.time()
          )
    const left = record.leaseExpireTime - this.time()
    return left > 0 ? this.asKept(before, record, left) : { ...free, token: record.token, version: record.version }
  }

  /** Of a lock that several may have: each of their holds, for as long as its own lease. */
  private asShared(before: Kept, record: LockRecord): Kept {
    const { holds, pending } = read(record)
    const last = new Map((before.all ?? []).map((hold) => [hold.hold, hold]))
    const watched = this.plan.storage === "observed" || this.plan.storage === "provided"
    const endOf = (hold: string, beat: number, end: number): number => {
      const known = last.get(hold)
      if (watched && known?.beat === beat) return known.ends
      const left = this.plan.storage === "observed" ? end : end - this.time()
      const ends = this.world.now + left / 1000 / this.plan.storageRate
      return known?.beat === beat && Math.abs(known.ends - ends) < 0.01 ? known.ends : ends
    }
    const all = holds
      .filter(({ id }) => record.holds.includes(id))
      .map(({ id, lease: { beat, end }, owner, token }) => ({
        hold: id,
        owner,
        token,
        beat,
        ends: endOf(id, beat, end)
      }))
    const each = all.filter(({ ends }) => ends > this.world.now)
    return {
      owner: "",
      holds: each.map(({ hold }) => hold),
      token: record.token,
      ends: Math.max(0, ...each.map(({ ends }) => ends)),
      version: record.version,
      each,
      all,
      pending: pending?.id
    }
  }

  private asKept(before: Kept, { holds, ownerId: owner, token, version }: LockRecord, validFor: number): Kept {
    const ends = this.world.now + validFor / 1000 / this.plan.storageRate
    // The same end, seen again, differs by what is rounded.
    return {
      owner,
      holds,
      token,
      version,
      ends: version === before.version && Math.abs(before.ends - ends) < 0.01 ? before.ends : ends
    }
  }

  private look(p: string, op: string, lockId: string, sent?: number): void {
    this.seen.set(lockId, this.changes)
    const before = this.known.get(lockId) ?? free
    const now = this.kept(lockId)
    if (now.version === before.version && now.ends === before.ends && now.holds.length === before.holds.length) return
    this.known.set(lockId, now)
    const { each, ends, holds, owner, pending, token } = now
    this.record({
      type: "state",
      t: this.world.now,
      p: "storage",
      lock: lockId,
      op,
      by: p,
      owner,
      holds,
      token,
      ends,
      sent,
      ...(each === undefined
        ? {}
        : { each: each.map(({ ends, hold, owner, token }) => ({ hold, owner, token, ends })) }),
      ...(pending === undefined ? {} : { pending })
    })
    if (this.plan.storage === "native") return
    const isFreed = holds.length === 0 && before.holds.length > 0
    const isOut = (id: string | undefined) => id !== undefined && id !== pending && !holds.includes(id)
    if (isFreed || (each !== undefined && (before.holds.some(isOut) || isOut(before.pending)))) this.wake(lockId)
  }

  close(): void {
    this.machine.kill()
  }
}
