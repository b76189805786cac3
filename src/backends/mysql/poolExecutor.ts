import * as Result from "#effect/Result"
import type * as Mysql from "mysql2"
import type { StorageError } from "../../LockError.js"
import { type Executor, longestTimer, type Query, type Answer } from "../sql/executor.js"
import * as errors from "./errors.js"
import * as limits from "./limits.js"
import { type Packet, rollback, rowsOf, sqlOf, type Wrap } from "./packet.js"
import * as sessions from "./sessions.js"

/** Where connections come from. */
export interface Connections {
  /**
   * `done` is called once, at once or later; it need not be, if by then it is not wanted any more. With a connection, and when its opening began, where that is known: it may have been opened for
   * somebody else long ago, and not been used since.
   */
  readonly take: (
    isWanted: () => boolean,
    done: (error: unknown, connection?: Mysql.Connection, openedAt?: number) => void
  ) => void
  readonly give: (connection: Mysql.Connection) => void
  /** Closes it, and gives its place to another. */
  readonly drop: (connection: Mysql.Connection) => void
}

export interface Options {
  readonly width: number
  /** Whether the connections, and so the settings of their sessions, are ours; and the limits that they were made with. */
  readonly own: { readonly seconds: number } | undefined
  /** User and password are asked for anew at each connection. */
  readonly isAsked: boolean
  readonly isClosed: () => boolean
  /** Told when an operation had no connection within its limit. */
  readonly onNoConnection?: ((millis: number) => void) | undefined
}

export interface PoolExecutor extends Executor<Packet> {
  /** Hangs up on the sessions that nobody waits for. */
  readonly abandon: () => void
}

const ignore = () => {}

/** How long a connection may take to roll back before it is given up, in milliseconds. */
const patience = 1_000

type State =
  | { readonly _tag: "Connecting" }
  | { readonly _tag: "Executing"; readonly connection: Mysql.Connection; readonly seconds: number }
  /** `late` is told when the answer comes that nobody waits for any more. */
  | { readonly _tag: "Done"; readonly late: () => void }

const connecting: State = { _tag: "Connecting" }
const done: State = { _tag: "Done", late: ignore }

/** Nothing of the program's settings: our columns and our text are not to be changed on the way. */
const asIs: Omit<Mysql.QueryOptions, "sql"> = {
  values: [],
  rowsAsArray: false,
  nestTables: false,
  typeCast: true,
  namedPlaceholders: false
}

/**
 * Packets straight on connections of `mysql2`: a callback and a timer each, for claims are many and small. Nothing in a callback may throw: that would end the process.
 *
 * The driver cannot stop a statement: the session of an operation that is out of time is never used again. An operation that is interrupted goes on by itself, to its answer or its time-out.
 */
export const make = (connections: Connections, options: Options): PoolExecutor => {
  const { own, width } = options
  const givenUp = sessions.make({ spare: width, drop: (connection) => connections.drop(connection) })
  const listened = new WeakSet<Mysql.Connection>()
  /** When each connection last answered; and when one last did not. Older ones may be dead in silence, or at a server that cannot write: they are not tried one by one. */
  const answeredAt = new WeakMap<Mysql.Connection, number>()
  let suspectAt = Number.NEGATIVE_INFINITY
  /** How long a session of ours waits for locks, where it is not what it was made with. */
  const limitOf = new WeakMap<Mysql.Connection, number>()

  const suspect = () => {
    suspectAt = performance.now()
  }

  const wrap = (connection: Mysql.Connection, seconds: number): Wrap => {
    if (own === undefined) return { before: limits.borrow(seconds), after: limits.giveBack }
    if ((limitOf.get(connection) ?? own.seconds) === seconds) return {}
    limitOf.set(connection, seconds)
    return { before: limits.change(seconds) }
  }

  /** A packet that failed may have left its transaction open. */
  const giveBack = (connection: Mysql.Connection) => {
    // What the packet began with may not have been done.
    if (own !== undefined) limitOf.delete(connection)
    const sql = own === undefined ? `${rollback};\n${limits.giveBack}` : `${rollback};\n${limits.change(own.seconds)}`
    connection.query({ ...asIs, sql, timeout: patience }, (error) =>
      error === null ? connections.give(connection) : connections.drop(connection)
    )
  }

  const run = (
    operation: string,
    { statement: packet }: Query<Packet>,
    millis: number,
    answer: (result: Answer) => void
  ) => {
    const startedAt = performance.now()
    let state: State = connecting
    let tries = 0

    const end = (result: Answer) => {
      clearTimeout(timer)
      state = done
      answer(result)
    }
    const fail = (error: StorageError) => end(Result.fail(error))

    const timer = setTimeout(
      () => {
        if (state._tag === "Connecting") {
          fail(errors.noConnection(operation, millis))
          return options.onNoConnection?.(millis)
        }
        if (state._tag === "Executing") {
          const { connection, seconds } = state
          suspect()
          fail(errors.noAnswer(operation, millis))
          state = { _tag: "Done", late: givenUp.giveUp(connection, limits.longest(seconds)) }
        }
      },
      Math.min(millis, longestTimer)
    )

    const failed = (connection: Mysql.Connection, reused: boolean, error: unknown) => {
      const isWrong = errors.isWrongServer(error)
      if (errors.keepsConnection(error)) giveBack(connection)
      else {
        suspect()
        connections.drop(connection)
      }
      // A connection from before a failover: nothing was done, and a new one may lead to the server that can. What the program's pool has may all be from before.
      if (isWrong && reused && tries++ < (own === undefined ? width : 1)) {
        state = connecting
        return connect()
      }
      if (packet.miss !== undefined && errors.numberOf(error) === packet.miss) return end(Result.succeed([]))
      fail(errors.fromDriver(operation, error, "executing"))
    }

    const answered = (
      connection: Mysql.Connection,
      wrapped: Wrap,
      reused: boolean,
      error: unknown,
      results: unknown
    ) => {
      if (state._tag === "Done") return state.late()
      if (error !== null && error !== undefined) return failed(connection, reused, error)
      let rows
      try {
        rows = rowsOf(packet, results, wrapped)
      } catch (cause) {
        connections.drop(connection)
        return fail(errors.odd(operation, cause))
      }
      answeredAt.set(connection, performance.now())
      connections.give(connection)
      end(Result.succeed(rows))
    }

    const execute = (connection: Mysql.Connection, reused: boolean) => {
      const seconds = limits.secondsOf(millis)
      state = { _tag: "Executing", connection, seconds }
      try {
        const wrapped = wrap(connection, seconds)
        connection.query({ ...asIs, sql: sqlOf(packet, wrapped) }, (error, results) =>
          answered(connection, wrapped, reused, error, results)
        )
      } catch (error) {
        connections.drop(connection)
        fail(errors.fromDriver(operation, error, "executing"))
      }
    }

    const isWanted = () => state._tag !== "Done"

    const taken = (error: unknown, connection?: Mysql.Connection, openedAt?: number): void => {
      if (!isWanted()) return connection === undefined ? undefined : connections.give(connection)
      if (connection === undefined) {
        return fail(
          options.isClosed()
            ? errors.closed(operation)
            : errors.fromDriver(operation, error, "connecting", options.isAsked)
        )
      }
      const before = answeredAt.get(connection) ?? openedAt
      if (before !== undefined && before <= suspectAt) {
        connections.drop(connection)
        return connect()
      }
      // An "error" that nobody hears ends the process, and a pool of the driver listens to the first one only.
      if (!listened.has(connection)) {
        listened.add(connection)
        connection.on("error", ignore)
      }
      execute(connection, own === undefined || (before !== undefined && before < startedAt))
    }

    const connect = (): void => {
      try {
        connections.take(isWanted, taken)
      } catch (error) {
        fail(errors.fromDriver(operation, error, "connecting", options.isAsked))
      }
    }
    connect()
  }

  return { run, width, abandon: givenUp.abandon }
}
