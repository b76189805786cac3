/** What happens to the locks of a layer, for whoever listens. While nobody does, it costs a look at a field. */
import type * as Clock from "effect/Clock"
import * as Context from "#effect/Context"
import * as DateTime from "#effect/DateTime"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Stream from "#effect/Stream"
import { wallMillis } from "#effect/clocks"
import type { StorageError } from "../LockError.js"
import type { AcquireFailed, Acquired, Interrupted, LockEvent, Refused, Subject, TimedOut } from "../LockEvent.js"
import * as LockInformation from "../LockInformation.js"
import type { LockRecord } from "../LockRecord.js"
import { Backlog } from "./backlog.js"
import type { Claimant } from "./claimant.js"
import { Signal } from "./signal.js"
import type { Timeline } from "./timeline.js"

/** So many wait for a listener that does not keep up. */
const capacity = 1_024

/** As those are told of it who do not ask when it was. */
export type Untimed<E> = E extends unknown ? Omit<E, "at"> : never

type OfOwner<E> = E extends Subject ? Omit<E, keyof Subject> : never

/** What an acquire comes to. */
export type Outcome = OfOwner<Acquired | Refused | TimedOut | AcquireFailed | Interrupted>

type Listener = (event: LockEvent) => void

/** A call to the storage has ended, or is overdue. */
export type CallListener = (operation: string, failure: StorageError | undefined, millis: number) => void

const add = <A>(listeners: Set<A>, listener: A): (() => void) => {
  listeners.add(listener)
  return () => void listeners.delete(listener)
}

/** One listener's. */
class Buffer {
  private readonly events = new Backlog<LockEvent>(capacity)
  private isClosed = false
  private readonly signal = new Signal()

  add(event: LockEvent): void {
    this.events.add(event)
    this.signal.notify()
  }

  close(): void {
    this.isClosed = true
    this.signal.notify()
  }

  /** What there is, once there is something; with nothing to follow at the end. */
  readonly page: Effect.Effect<readonly [ReadonlyArray<LockEvent>, Option.Option<void>]> = Effect.suspend(() => {
    if (this.events.size === 0 && !this.isClosed) return Effect.flatMap(this.signal.wait, () => this.page)
    const count = this.events.takeGone()
    const events = this.events.take(capacity)
    return Effect.succeed([
      count === 0 ? events : [{ _tag: "Dropped", at: events[0]!.at, count }, ...events],
      this.isClosed ? Option.none() : Option.some(undefined)
    ])
  })
}

export class Events {
  private readonly listeners = new Set<Listener>()
  private readonly untimed = new Set<(event: Untimed<LockEvent>) => void>()
  private readonly callListeners = new Set<CallListener>()
  private readonly buffers = new Set<Buffer>()
  private readonly hintListeners = new Set<(key: string) => void>()
  /** A date costs more than the rest of an event, and those of one millisecond have one. */
  private latest: { readonly millis: number; readonly date: DateTime.Utc } | undefined
  private failingSince: number | undefined
  private isClosed = false

  /** `failed` is told what a listener, or a tracer, threw. */
  constructor(
    private readonly clock: Clock.Clock,
    private readonly timeline: Timeline,
    readonly failed: (defect: unknown) => void
  ) {}

  get isHeard(): boolean {
    return this.listeners.size > 0 || this.untimed.size > 0
  }

  get hearsCalls(): boolean {
    return this.callListeners.size > 0
  }

  /** How many listen, to whatever it is. */
  get listening(): number {
    return [this.listeners, this.untimed, this.callListeners, this.hintListeners, this.buffers].reduce(
      (sum, { size }) => sum + size,
      0
    )
  }

  publish(event: Untimed<LockEvent>): void {
    if (this.untimed.size > 0) this.tell(this.untimed, event)
    // The event is of this call alone: it need not be copied.
    if (this.listeners.size > 0) this.tell(this.listeners, Object.assign(event, { at: this.now() }))
  }

  publishOf({ lockId, ownerId, ownerLabel }: Claimant, event: OfOwner<LockEvent>): void {
    this.publish({ lockId, ownerId, ownerLabel, ...event })
  }

  /** A call to the storage has ended, or is overdue. `began`: on the timeline, if calls are heard. */
  called(operation: string, failure: StorageError | undefined, began: number | undefined): void {
    if (failure === undefined) {
      if (this.failingSince !== undefined) {
        const failedFor = Duration.millis(this.timeline.now() - this.failingSince)
        this.failingSince = undefined
        this.publish({ _tag: "StorageBack", failedFor })
      }
    } else if (this.failingSince === undefined && failure.reason !== "Conflict" && failure.reason !== "Closed") {
      this.failingSince = this.timeline.now()
      this.publish({ _tag: "StorageFailing", error: failure })
    }
    if (began !== undefined) this.tell(this.callListeners, operation, failure, this.timeline.now() - began)
  }

  /** Told within whatever happens, so it must be quick. Returns what ends it. */
  listen(listener: Listener): () => void {
    return add(this.listeners, listener)
  }

  listenUntimed(listener: (event: Untimed<LockEvent>) => void): () => void {
    return add(this.untimed, listener)
  }

  listenToCalls(listener: CallListener): () => void {
    return add(this.callListeners, listener)
  }

  /** The storage has said that a lock may be free: its stored id, or `"all"`. */
  hinted(key: string): void {
    this.tell(this.hintListeners, key)
  }

  listenToHints(listener: (key: string) => void): () => void {
    return add(this.hintListeners, listener)
  }

  /** From when it is run, until the layer closes. */
  readonly stream: Stream.Stream<LockEvent> = Stream.suspend(() => {
    const { forget, stream } = this.fromNow()
    return Stream.ensuring(stream, Effect.sync(forget))
  })

  /** From this call on. Until they are forgotten, events are kept for whoever runs the stream. */
  fromNow(): { readonly stream: Stream.Stream<LockEvent>; readonly forget: () => void } {
    const buffer = new Buffer()
    if (this.isClosed) buffer.close()
    const end = this.listen((event) => buffer.add(event))
    this.buffers.add(buffer)
    return {
      stream: Stream.paginate<void, LockEvent>(undefined, () => buffer.page),
      forget: () => {
        end()
        this.buffers.delete(buffer)
      }
    }
  }

  close(): void {
    this.isClosed = true
    for (const buffer of this.buffers) buffer.close()
  }

  /** Who throws harms nobody, and is told of nothing more. */
  private tell<A extends ReadonlyArray<unknown>>(listeners: Set<(...args: A) => void>, ...args: A): void {
    for (const listener of listeners) {
      try {
        listener(...args)
      } catch (defect) {
        listeners.delete(listener)
        this.failed(defect)
      }
    }
  }

  private now(): DateTime.Utc {
    const millis = Math.floor(wallMillis(this.clock))
    if (this.latest?.millis !== millis) this.latest = { millis, date: DateTime.makeUnsafe(millis) }
    return this.latest.date
  }
}

/** The events of another layer, for one that tells what it does as a part of that one, and ends before it. */
export const SharedEvents: Context.Reference<Events | undefined> = Context.Reference(
  "effect-storage-lock/internal/SharedEvents",
  { defaultValue: (): Events | undefined => undefined }
)

export const holderOf = (record: LockRecord | undefined, lockId: string) =>
  Option.map(Option.fromNullishOr(record), (_) => LockInformation.fromRecord(_, lockId))
