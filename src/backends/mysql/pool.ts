/** A small pool for locks alone, closed with its scope in bounded time. The driver's own could neither ask for its URL anew, nor keep a place for a session that is still at the server. */
import * as Effect from "#effect/Effect"
import * as fibers from "#effect/fibers"
import type * as Scope from "#effect/Scope"
import type * as Mysql from "mysql2"
import { givenUpBefore } from "../shared/patience.js"
import type { Executor } from "../sql/executor.js"
import * as opening from "./connection.js"
import * as limits from "./limits.js"
import type { Packet } from "./packet.js"
import * as poolExecutor from "./poolExecutor.js"

export interface OwnPoolOptions {
  readonly source: opening.Source
  readonly poolSize: number
  /** Milliseconds. */
  readonly operationTimeout: number
}

/** How long the goodbyes may take, in milliseconds. */
const farewell = 1_000

type Taker = (error: unknown, connection?: Mysql.Connection, openedAt?: number) => void

interface Waiting {
  readonly done: Taker
  readonly isWanted: () => boolean
}

/** An opening that took too long. */
const givenUp = new Error("a connection took too long to open")

const closed = () => new Error("the pool is closed")

/** Each place is that of a connection, of one that is being opened, or of a session that is still at the server. */
class Places implements poolExecutor.Connections {
  readonly idle: Array<Mysql.Connection> = []
  /** And when their opening began. */
  readonly live = new Map<Mysql.Connection, number>()
  readonly openings = new Set<opening.Opening>()
  readonly waiting: Array<Waiting> = []
  used = 0
  isClosed = false

  constructor(
    readonly options: opening.Options,
    readonly size: number
  ) {}

  take(isWanted: () => boolean, done: Taker): void {
    if (this.isClosed) return done(closed())
    this.waiting.push({ done, isWanted })
    this.serve()
  }

  /** The next that somebody still waits for. */
  private next(): Waiting | undefined {
    let next = this.waiting.shift()
    while (next !== undefined && !next.isWanted()) next = this.waiting.shift()
    return next
  }

  private serve(): void {
    while (this.idle.length > 0) {
      const next = this.next()
      if (next === undefined) return
      const connection = this.idle.pop()!
      next.done(undefined, connection, this.live.get(connection))
    }
    while (!this.isClosed && this.used < this.size && this.openings.size < this.waiting.length) this.open()
  }

  private open(): void {
    this.used++
    const since = performance.now()
    let over = false
    // It may fail at once, before there is something to forget.
    const opened: { one?: opening.Opening } = {}
    opened.one = opening.open(this.options, (error, connection) => {
      over = true
      if (opened.one !== undefined) this.openings.delete(opened.one)
      if (connection !== undefined) return this.opened(connection, since)
      this.used--
      // Whoever waits now has asked for another one, and is not to hear of this.
      if (error !== givenUp) this.next()?.done(this.isClosed ? closed() : error)
      this.serve()
    })
    if (!over) this.openings.add(opened.one)
  }

  private opened(connection: Mysql.Connection, since: number): void {
    if (this.isClosed) return connection.destroy()
    this.live.set(connection, since)
    const gone = () => this.leave(connection)
    connection.on("error", gone)
    connection.on("end", gone)
    this.give(connection)
  }

  give(connection: Mysql.Connection): void {
    if (!this.live.has(connection)) return
    if (this.isClosed) return this.drop(connection)
    this.idle.push(connection)
    this.serve()
  }

  drop(connection: Mysql.Connection): void {
    connection.destroy()
    this.leave(connection)
  }

  /** Its place is another's, whatever becomes of it. */
  leave(connection: Mysql.Connection): void {
    if (!this.live.delete(connection)) return
    const at = this.idle.indexOf(connection)
    if (at >= 0) this.idle.splice(at, 1)
    this.used--
    this.serve()
  }

  close(): void {
    this.isClosed = true
    for (const { done } of this.waiting.splice(0)) done(closed())
    for (const connection of this.idle.splice(0)) connection.end(() => this.leave(connection))
  }
}

export const make = (options: OwnPoolOptions): Effect.Effect<Executor<Packet>, never, Scope.Scope> =>
  Effect.flatMap(fibers.run, (run) =>
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => {
          const seconds = limits.secondsOf(options.operationTimeout)
          const places = new Places(
            { source: options.source, patience: options.operationTimeout, seconds, run },
            options.poolSize
          )
          const executor = poolExecutor.make(places, {
            width: options.poolSize,
            own: { seconds },
            isAsked: options.source.fixed === undefined,
            isClosed: () => places.isClosed,
            // A place of the pool that waits in vain is worth less than a new attempt: else a few seconds of a network that swallows everything cost as many seconds more.
            onNoConnection: (millis) => {
              const before = givenUpBefore(millis)
              for (const one of [...places.openings]) if (one.since <= before) one.abort(givenUp)
            }
          })
          return { executor, places }
        }),
        ({ executor, places }) =>
          Effect.callback<void>((resume) => {
            const until = performance.now() + farewell
            places.close()
            executor.abandon()
            const look = () => {
              if (places.live.size === 0 && places.openings.size === 0) return resume(Effect.void)
              if (performance.now() < until) return void setTimeout(look, 5)
              for (const connection of [...places.live.keys()]) places.drop(connection)
              for (const one of [...places.openings]) one.abort(givenUp)
              resume(Effect.void)
            }
            look()
          })
      ),
      ({ executor }) => executor
    )
  )
