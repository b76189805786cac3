/** A small pool for locks alone. A driver's own could neither ask for its URL again, nor keep a place for a session that is still at the server. */
import type * as Effect from "#effect/Effect"
import { givenUpBefore } from "../shared/patience.js"
import { farewell, longest as longestGoodbye } from "./farewell.js"
import type { Connections, Taker } from "./poolExecutor.js"

export interface Driver<C> {
  /** `done` is called once: with an error, or with a connection that is ready. Returns what gives the attempt up, and then `done` is called. */
  readonly open: (done: (error: unknown, connection?: C) => void) => () => void
  /** Calls `gone` when the connection has ended by itself. May be called again and again then. */
  readonly watch: (connection: C, gone: () => void) => void
  /** Says goodbye, and calls `gone` when that is done. A dead network never does it: the pool waits for a bounded time. */
  readonly end: (connection: C, gone: () => void) => void
  /** Closes it at once, whatever the other side does, so that nothing of it is left in this process. Does no harm to one that is closed. */
  readonly destroy: (connection: C) => void
}

interface Waiting<C> {
  readonly done: Taker<C>
  readonly isWanted: () => boolean
}

interface Opening {
  /** By `performance.now()`. */
  readonly since: number
  isGivenUp: boolean
  abort: () => void
}

/** After so many milliseconds an idle connection is closed, if it is not the only one. Longer than a refresh interval, so that a renewal finds its connection open. */
const idleTimeout = 60_000

const closed = () => new Error("the pool is closed")

/** Each place is that of a connection, of one that is being opened, or of a session that is still at the server. */
export class OwnPool<C> implements Connections<C> {
  /** The one that answered last is taken first. */
  private readonly idle: Array<{ readonly connection: C; readonly since: number }> = []
  /** And when their opening began. */
  private readonly live = new Map<C, number>()
  private readonly openings = new Set<Opening>()
  private readonly waiting: Array<Waiting<C>> = []
  private used = 0
  private closing = false

  constructor(
    private readonly driver: Driver<C>,
    private readonly size: number
  ) {}

  readonly isClosed = (): boolean => this.closing

  readonly take = (isWanted: () => boolean, done: Taker<C>): void => {
    if (this.closing) return done(closed())
    this.waiting.push({ done, isWanted })
    this.serve()
  }

  readonly give = (connection: C): void => {
    if (!this.live.has(connection)) return
    if (this.closing) return this.drop(connection)
    this.idle.push({ connection, since: performance.now() })
    this.serve()
  }

  readonly drop = (connection: C): void => {
    this.driver.destroy(connection)
    this.forget(connection)
  }

  /** Its place is another's, whatever becomes of it. */
  readonly forget = (connection: C): void => {
    if (!this.live.delete(connection)) return
    const at = this.idle.findIndex((one) => one.connection === connection)
    if (at >= 0) this.idle.splice(at, 1)
    this.used--
    this.serve()
  }

  /** A place of the pool that waits in vain is worth less than a new attempt: else a few seconds of a network that swallows everything cost as many seconds more. */
  readonly onNoConnection = (millis: number): void => this.giveUp(givenUpBefore(millis))

  /** In bounded time. */
  readonly close = (): Effect.Effect<void> =>
    farewell(
      () => {
        this.closing = true
        for (const { done } of this.waiting.splice(0)) done(closed())
        for (const { connection } of this.idle.splice(0)) this.part(connection)
      },
      () => this.live.size === 0 && this.openings.size === 0,
      () => {
        for (const connection of [...this.live.keys()]) this.drop(connection)
        this.giveUp(Number.POSITIVE_INFINITY)
      }
    )

  /** The next that somebody still waits for. */
  private next(): Waiting<C> | undefined {
    let next = this.waiting.shift()
    while (next !== undefined && !next.isWanted()) next = this.waiting.shift()
    return next
  }

  private serve(): void {
    while (this.idle.length > 0) {
      const next = this.next()
      if (next === undefined) break
      const { connection } = this.idle.pop()!
      next.done(undefined, connection, this.live.get(connection))
    }
    while (!this.closing && this.used < this.size && this.openings.size < this.waiting.length) this.open()
    const eldest = this.idle[0]
    if (this.idle.length > 1 && eldest !== undefined && performance.now() - eldest.since > idleTimeout) {
      this.idle.shift()
      this.part(eldest.connection)
    }
  }

  private open(): void {
    this.used++
    const opening: Opening = { since: performance.now(), isGivenUp: false, abort: () => {} }
    this.openings.add(opening)
    // It may fail at once.
    opening.abort = this.driver.open((error, connection) => {
      this.openings.delete(opening)
      if (connection !== undefined) return this.opened(connection, opening.since)
      this.used--
      // Whoever waits now has asked for another one, and is not to hear of one that was given up.
      if (!opening.isGivenUp) this.next()?.done(this.closing ? closed() : error)
      this.serve()
    })
  }

  private opened(connection: C, since: number): void {
    if (this.closing) return this.driver.destroy(connection)
    this.live.set(connection, since)
    this.driver.watch(connection, () => this.forget(connection))
    this.give(connection)
  }

  private giveUp(before: number): void {
    for (const opening of [...this.openings]) {
      if (opening.since > before) continue
      opening.isGivenUp = true
      opening.abort()
    }
  }

  private part(connection: C): void {
    const timer = setTimeout(() => this.drop(connection), longestGoodbye)
    timer.unref()
    this.driver.end(connection, () => {
      clearTimeout(timer)
      this.forget(connection)
    })
  }
}
