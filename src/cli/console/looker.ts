/**
 * Looks at the locks of a storage again and again, and keeps what it has seen. A storage that is away is asked again until it is back: what was seen last stays
 * until then.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { LockError, StorageError } from "../../promise/errors.js"
import type { LockInformation } from "../../promise/information.js"
import type { Locks } from "../../promise/types.js"
import { version } from "../version.js"
import { holdsOf, untold } from "../holds.js"
import { asHeld, difference, isRevoked, type Looked, type Seen, seenAs, type SeenHold } from "./changes.js"
import { type Span, StorageClock } from "./clock.js"
import { Latencies } from "./latencies.js"
import * as model from "./model.js"
import { pause } from "./pace.js"

export interface Options {
  readonly name: string
  readonly namespace: string
  readonly canWrite: boolean
  /** In milliseconds. */
  readonly every: number
  /** The most locks that are kept and shown. Default 1 000. */
  readonly most?: number
}

/** Who has asked once may ask again. */
const attention = 60_000
const lostKept = 50
/** A look that takes longer has failed, whatever the driver makes of it. */
const limit = 15_000

const isLoss = ({ kind }: model.Change): boolean => (model.losses as ReadonlyArray<string>).includes(kind)

/** What a person is told. What is not of this library may have a secret in it. */
export const said = (error: unknown): string =>
  error instanceof LockError ? error.message : "the storage did not answer as it should"

export class Looker {
  private readonly startedAt = new Date()
  private readonly clock = new StorageClock()
  readonly latencies = new Latencies()
  private locks: Locks | undefined
  private looked: Looked | undefined
  private span: Span | undefined
  private lost: ReadonlyArray<model.Change> = []
  private status: model.Storage["status"] = "starting"
  private since = this.startedAt
  private error: string | undefined
  private looking: Promise<void> | undefined
  private readonly forced = new Set<string>()
  private readonly listeners = new Set<(look: model.Look) => void>()
  private watchedUntil = 0
  private wake = new AbortController()
  private readonly end = new AbortController()
  failures = 0
  handOvers = 0
  readonly losses: Record<(typeof model.losses)[number], number> = { expired: 0, revoked: 0, unseen: 0 }

  constructor(
    private readonly connect: () => Promise<Locks>,
    readonly options: Options
  ) {}

  /** Fails only if it can never be: for want of a right, say, or of a driver. */
  async start(): Promise<void> {
    try {
      this.locks = await this.connect()
    } catch (error) {
      if (!(error instanceof StorageError) || !error.isRetryable) throw error
      this.failed(error)
    }
    void this.run()
  }

  async close(): Promise<void> {
    this.end.abort()
    this.wake.abort()
    await this.looking?.catch(() => {})
    await this.locks?.close()
  }

  private async run(): Promise<void> {
    let failures = 0
    while (!this.end.signal.aborted) {
      failures = await this.look().then(
        () => 0,
        () => failures + 1
      )
      if (this.end.signal.aborted) return
      const isWatched = this.listeners.size > 0 || Date.now() < this.watchedUntil
      this.wake = new AbortController()
      const millis = pause({ every: this.options.every, isWatched, failures, left: this.leastLeft })
      // Several consoles on one storage do not ask in step.
      await sleep(millis * (0.9 + 0.2 * Math.random()), undefined, { signal: this.wake.signal }).catch(() => {})
    }
  }

  private get leastLeft(): number {
    const all = [...(this.looked?.locks.values() ?? [])].flatMap(({ holds }) => [...holds.values()])
    const holds = all.filter(({ lock }) => !isRevoked(lock))
    return Math.min(Number.POSITIVE_INFINITY, ...holds.map(({ left }) => left))
  }

  /** One at a time: whoever asks meanwhile shares it. */
  look(): Promise<void> {
    return (this.looking ??= this.lookOnce().finally(() => (this.looking = undefined)))
  }

  private async lookOnce(): Promise<void> {
    const start = Date.now()
    const from = performance.now()
    try {
      const locks = (this.locks ??= await this.connect())
      const [found, isCut] = await this.all(locks)
      this.latencies.add(performance.now() - from)
      this.seen(found, isCut, { start, end: Date.now() })
    } catch (error) {
      this.failed(error)
      throw error
    }
  }

  private async all(locks: Locks): Promise<readonly [ReadonlyArray<LockInformation>, boolean]> {
    const most = this.options.most ?? 1_000
    const found: Array<LockInformation> = []
    const list = locks.list()
    const timer = setTimeout(() => void list.return?.(), limit)
    const stop = () => void list.return?.()
    this.end.signal.addEventListener("abort", stop, { once: true })
    const from = performance.now()
    try {
      for await (const lock of list) {
        if (found.length === most) return [found, true]
        found.push(lock)
      }
    } finally {
      clearTimeout(timer)
      this.end.signal.removeEventListener("abort", stop)
    }
    if (this.end.signal.aborted) throw new Error("the console has ended")
    if (performance.now() - from >= limit) {
      throw new StorageError(`the storage has not answered within ${limit / 1_000} seconds`, {
        reason: "Timeout",
        operation: "list",
        isRetryable: true,
        applied: "no"
      })
    }
    return [found.sort((a, b) => (a.lockId < b.lockId ? -1 : 1)), false]
  }

  private seen(found: ReadonlyArray<LockInformation>, isCut: boolean, span: Span): void {
    const before = this.looked
    const since = before === undefined || before.isCut ? undefined : this.span?.start
    for (const lock of found) {
      const isKnown = before?.locks.get(lock.lockId)?.lock.token === lock.token
      // Where several may hold it, one that is new here may have been there: as one of many, or under another token.
      for (const hold of holdsOf(lock))
        this.clock.see(hold, span, isKnown || hold.holder !== undefined ? undefined : since)
    }
    const now = { here: span.end, there: this.clock.now(span.end) }
    const { changes, gone, set, ...looked } = difference(before, found, isCut, now, (lock) =>
      this.forced.delete(forcedKey(lock.lockId, lock.token))
    )
    this.looked = looked
    this.span = span
    this.lost = [...changes.filter(isLoss).reverse(), ...this.lost].slice(0, lostKept)
    for (const change of changes) {
      if (isLoss(change)) this.losses[change.kind as keyof typeof this.losses]++
      if (change.nextToken !== undefined) this.handOvers++
    }
    this.become("ok", undefined)
    this.tell({ set: set.map((id) => this.view(looked.locks.get(id)!)), gone, changes })
  }

  private failed(error: unknown): void {
    if (this.end.signal.aborted) return
    this.failures++
    this.become(this.status === "starting" ? "starting" : "failing", said(error))
    this.tell({ set: [], gone: [], changes: [] })
  }

  private become(status: model.Storage["status"], error: string | undefined): void {
    if (this.status !== status) this.since = new Date()
    this.status = status
    this.error = error
  }

  private tell(what: Pick<model.Look, "set" | "gone" | "changes">): void {
    const look: model.Look = {
      at: new Date().toISOString(),
      storage: this.storage,
      ...what,
      isCut: this.looked?.isCut ?? false
    }
    for (const listener of this.listeners) listener(look)
  }

  /** From the next look on. Returns what ends it. */
  listen(listener: (look: model.Look) => void): () => void {
    this.listeners.add(listener)
    // Whoever comes wants to see what is, and not what was before a long pause.
    this.wake.abort()
    return () => void this.listeners.delete(listener)
  }

  /** Somebody has asked. A look that is no older than usual does; else there is a new one. */
  async fresh(mayAskAgain = true): Promise<void> {
    if (mayAskAgain) this.watchedUntil = Date.now() + attention
    if (this.status === "ok" && Date.now() - this.span!.end <= this.options.every * 1.2) return
    await this.look()
  }

  /** From the storage itself. */
  async get(lockId: string): Promise<model.Lock | undefined> {
    const lock = await this.connected().get(lockId)
    if (lock === undefined) return undefined
    const here = Date.now()
    return this.view(seenAs(lock, this.looked?.locks.get(lockId), this.clock.now(here)), here)
  }

  async release(lockId: string, { token, when }: model.Wish): Promise<model.Released | undefined> {
    const locks = this.connected()
    const key = forcedKey(lockId, token)
    const known = [...(this.looked?.locks.get(lockId)?.holds.values() ?? [])]
    if (when === "now" && known.some(({ lock }) => lock.token === token)) this.forced.add(key)
    const isDone = await locks.forceRelease(lockId, { token, when })
    if (!isDone) {
      this.forced.delete(key)
      return undefined
    }
    this.wake.abort()
    const lock = when === "now" ? undefined : await locks.get(lockId).catch(() => undefined)
    const hold = lock === undefined ? undefined : holdsOf(lock).find((each) => each.token === token)
    return { lockId, token, when, ...(hold === undefined ? {} : { freeAt: hold.leaseExpireTime.toISOString() }) }
  }

  private connected(): Locks {
    if (this.locks !== undefined) return this.locks
    throw new StorageError(this.error ?? "there is no connection to the storage yet", {
      reason: "Connection",
      operation: "connect",
      isRetryable: true,
      applied: "no"
    })
  }

  private view({ handOvers, holds, ...seen }: Seen, here = this.span?.end ?? Date.now()): model.Lock {
    const { lock } = seen
    const all = [...holds.values()].map((one) => ({ ...this.hold(one, here), ...asHeld(one.lock) }))
    return {
      ...this.hold(seen, here),
      lockId: lock.lockId,
      kind: lock.kind,
      version: lock.version,
      lockCount: lock.lockCount,
      isRevoked: all.every((one) => one.isRevoked),
      handOvers,
      ...(lock.holders === undefined ? {} : { holders: all, holderCount: all.length + untold(lock) })
    }
  }

  private hold({ left, length, lock }: SeenHold, here: number): model.Holder {
    return {
      ownerId: lock.ownerId,
      ownerLabel: lock.ownerLabel,
      token: lock.token,
      lockBeginTime: lock.lockBeginTime.toISOString(),
      leaseExpireTime: lock.leaseExpireTime.toISOString(),
      isRevoked: isRevoked(lock),
      heldFor: Math.max(0, this.clock.now(here) - lock.lockBeginTime.getTime()),
      leaseLeft: left,
      leaseLength: length
    }
  }

  get storage(): model.Storage {
    const { latencies } = this
    const { ahead } = this.clock
    return {
      name: this.options.name,
      status: this.status,
      since: this.since.toISOString(),
      looks: latencies.count,
      ...(this.error === undefined ? {} : { error: this.error }),
      ...(this.span === undefined
        ? {}
        : {
            lastLook: new Date(this.span.end).toISOString(),
            latency: latencies.last.at(-1)!,
            median: latencies.median,
            worst: latencies.worst
          }),
      ...(ahead === 0 ? {} : { clockAhead: ahead })
    }
  }

  get state(): model.State {
    const now = this.span === undefined ? 0 : this.clock.now(this.span.end)
    return {
      at: new Date().toISOString(),
      version,
      namespace: this.options.namespace,
      canWrite: this.options.canWrite,
      every: this.options.every,
      storage: this.storage,
      locks: [...(this.looked?.locks.values() ?? [])].map((seen) => this.view(leftAt(seen, now))),
      isCut: this.looked?.isCut ?? false,
      lost: this.lost,
      latencies: this.latencies.last
    }
  }
}

/** The same, as long as the leases are by then. */
const leftAt = (seen: Seen, now: number): Seen => {
  const at = <S extends SeenHold>(one: S): S => ({
    ...one,
    left: Math.max(0, one.lock.leaseExpireTime.getTime() - now)
  })
  return { ...at(seen), holds: new Map([...seen.holds].map(([key, one]) => [key, at(one)])) }
}

const forcedKey = (lockId: string, token: number): string => `${token} ${lockId}`
