/** Queries straight on the connections of a pool. */
import * as Result from "#effect/Result"
import type { StorageError } from "../../LockError.js"
import { type Answer, type Executor, longestTimer, type Query } from "./executor.js"
import type { Row } from "./record.js"

/** Where an operation was when it failed. */
export type Phase = "connecting" | "executing"

/**
 * `done` is called with an error, or with a connection and when its opening began, by `performance.now()`, where that is known: it may have been opened for somebody else long ago, and not been used
 * since.
 */
export type Taker<C> = (error: unknown, connection?: C, openedAt?: number) => void

/** Where connections come from. */
export interface Connections<C> {
  /** `done` is called once, at once or later; it need not be, if by then it is not wanted any more. */
  readonly take: (isWanted: () => boolean, done: Taker<C>) => void
  readonly give: (connection: C) => void
  /** Closes it, and gives its place to another. */
  readonly drop: (connection: C) => void
  readonly isClosed: () => boolean
  /** Told when an operation had no connection within its limit. */
  readonly onNoConnection?: ((millis: number) => void) | undefined
}

/** What an operation is, to a driver and its errors. */
export interface Driver<S, C> {
  readonly width: number
  /** How often another connection is tried for one operation. */
  readonly mostTries: number
  /** Sends it, where `left` of the milliseconds are left. `done` is called once, with an error, or with what reads the answer and throws where it cannot. */
  readonly execute: (
    connection: C,
    query: Query<S>,
    millis: number,
    left: number,
    done: (error: unknown, read: () => ReadonlyArray<Row>) => void
  ) => void
  /** Nobody waits for its answer any more. Returns what is to be called if that comes all the same. */
  readonly giveUp: (connection: C, millis: number) => () => void
  /** Gives a connection back that is as good as before, after an error. */
  readonly recover: (connection: C) => void
  readonly keepsConnection: (error: unknown) => boolean
  /** Its session is still what it was at its start. Asked after each answer. */
  readonly isFit?: ((connection: C) => boolean) | undefined
  /** Nothing was done, and another connection may lead to the server that can. `isOld`: this one was there before the operation. */
  readonly isWrongServer: (error: unknown, isOld: boolean) => boolean
  /** The error is an answer: there is nothing to be done, no row. */
  readonly isMiss?: ((query: Query<S>, error: unknown) => boolean) | undefined
  readonly errors: {
    readonly closed: (operation: string) => StorageError
    readonly noConnection: (operation: string, millis: number) => StorageError
    readonly noAnswer: (operation: string, millis: number) => StorageError
    readonly odd: (operation: string, cause: unknown) => StorageError
    readonly fromDriver: (operation: string, error: unknown, phase: Phase) => StorageError
  }
}

interface Emitter {
  readonly on: (event: "error", listener: () => void) => unknown
}

const ignore = () => {}

type State<C> =
  | { readonly _tag: "Connecting" }
  | { readonly _tag: "Executing"; readonly connection: C }
  /** `late` is told when the answer comes that nobody waits for any more. */
  | { readonly _tag: "Done"; readonly late: () => void }

const connecting = { _tag: "Connecting" } as const
const done = { _tag: "Done", late: ignore } as const

/**
 * A callback and a timer for each query, for claims are many and small. Nothing in a callback may throw: that would end the process.
 *
 * The connection of an operation that is out of time is never used again. An operation that is interrupted goes on by itself, to its answer or its time-out: it harms nobody, and a canceller for each
 * would cost more than the rest of what is done here.
 */
export const make = <S, C extends Emitter>(connections: Connections<C>, driver: Driver<S, C>): Executor<S> => {
  const { errors, mostTries, width } = driver
  const listened = new WeakSet<C>()
  /** When each connection last answered; and when one last did not. Older ones may be dead in silence, or at a server that cannot write: they are not tried one by one. */
  const answeredAt = new WeakMap<C, number>()
  let suspectAt = Number.NEGATIVE_INFINITY
  const suspect = () => {
    suspectAt = performance.now()
  }
  const isFit = (connection: C) => driver.isFit?.(connection) !== false

  const run = (operation: string, query: Query<S>, millis: number, answer: (result: Answer) => void) => {
    const startedAt = performance.now()
    let state: State<C> = connecting
    let tries = 0

    const end = (result: Answer, late = ignore) => {
      clearTimeout(timer)
      state = late === ignore ? done : { _tag: "Done", late }
      answer(result)
    }
    const fail = (error: StorageError) => end(Result.fail(error))

    const timer = setTimeout(
      () => {
        if (state._tag === "Connecting") {
          fail(errors.noConnection(operation, millis))
          return connections.onNoConnection?.(millis)
        }
        if (state._tag === "Executing") {
          const { connection } = state
          suspect()
          // Before it is hung up on, of which the driver may tell at once.
          state = done
          end(Result.fail(errors.noAnswer(operation, millis)), driver.giveUp(connection, millis))
        }
      },
      Math.min(millis, longestTimer)
    )

    /** The connection is not tried again, nor are those that have not answered since. */
    const mistrust = (connection: C) => {
      suspect()
      connections.drop(connection)
    }

    /** Its transaction may be open: then only its end is sure to end that. */
    const isInTransaction = query.next !== undefined

    const failed = (connection: C, isOld: boolean, error: unknown) => {
      const isWrong = driver.isWrongServer(error, isOld)
      const keeps = isFit(connection) && driver.keepsConnection(error)
      if (!keeps) mistrust(connection)
      else if (isInTransaction) connections.drop(connection)
      else driver.recover(connection)
      // Such as a connection from before a failover.
      if (isWrong && tries++ < mostTries) {
        state = connecting
        return connect()
      }
      if (driver.isMiss?.(query, error) === true) return end(Result.succeed([]))
      fail(errors.fromDriver(operation, error, "executing"))
    }

    const answered = (
      connection: C,
      isOld: boolean,
      { next }: Query<S>,
      error: unknown,
      read: () => ReadonlyArray<Row>
    ): void => {
      if (state._tag === "Done") return state.late()
      if (error !== null && error !== undefined) return failed(connection, isOld, error)
      let rows
      let further
      try {
        rows = read()
        further = next?.(rows)
      } catch (cause) {
        connections.drop(connection)
        return fail(errors.odd(operation, cause))
      }
      if (further !== undefined) return execute(connection, isOld, further)
      if (isFit(connection)) {
        answeredAt.set(connection, performance.now())
        connections.give(connection)
      } else mistrust(connection)
      end(Result.succeed(rows))
    }

    const isWanted = () => state._tag !== "Done"

    const unconnected = (error: unknown) =>
      fail(connections.isClosed() ? errors.closed(operation) : errors.fromDriver(operation, error, "connecting"))

    const taken: Taker<C> = (error, connection, openedAt) => {
      if (!isWanted()) return connection === undefined ? undefined : connections.give(connection)
      if (connection === undefined) return unconnected(error)
      const before = answeredAt.get(connection) ?? openedAt
      if (before !== undefined && before <= suspectAt) {
        connections.drop(connection)
        return connect()
      }
      // A connection that breaks while it is out has nobody else to listen, and an unheard "error" ends the process.
      if (!listened.has(connection)) {
        listened.add(connection)
        connection.on("error", ignore)
      }
      execute(connection, before !== undefined && before < startedAt, query)
    }

    const execute = (connection: C, isOld: boolean, query: Query<S>): void => {
      state = { _tag: "Executing", connection }
      try {
        driver.execute(connection, query, millis, startedAt + millis - performance.now(), (error, read) =>
          answered(connection, isOld, query, error, read)
        )
      } catch (error) {
        connections.drop(connection)
        fail(errors.fromDriver(operation, error, "executing"))
      }
    }

    const connect = (): void => {
      try {
        connections.take(isWanted, taken)
      } catch (error) {
        unconnected(error)
      }
    }
    connect()
  }

  return { run, width }
}
