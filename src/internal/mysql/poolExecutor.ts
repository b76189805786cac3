import * as Either from "effect/Either"
import type * as Mysql from "mysql2"
import { type Executor, longestTimer, type Query, type Result } from "../sql/executor.js"
import * as errors from "./errors.js"
import { type Packet, rollback, rowsOf, sqlOf } from "./packet.js"

export interface PoolOptions {
  readonly width: number
  readonly secret?: string | undefined
  readonly isClosed: () => boolean
  /** Told when an operation had no connection within its limit. */
  readonly onNoConnection?: ((millis: number) => void) | undefined
}

const ignore = () => {}

/** How long a connection may take to roll back before it is given up, in milliseconds. */
const patience = 1_000

type State =
  | { readonly _tag: "Connecting" }
  | { readonly _tag: "Executing"; readonly connection: Mysql.PoolConnection }
  | { readonly _tag: "Done" }

const connecting: State = { _tag: "Connecting" }
const done: State = { _tag: "Done" }

/** Nothing of the program's settings: our columns and our text are not to be changed on the way. */
const asIs: Omit<Mysql.QueryOptions, "sql"> = { values: [], rowsAsArray: false, nestTables: false, typeCast: true, namedPlaceholders: false }

/** A packet that failed may have left its transaction open. */
const giveBack = (connection: Mysql.PoolConnection) =>
  connection.query({ ...asIs, sql: rollback, timeout: patience }, (error) => error === null ? connection.release() : connection.destroy())

/**
 * Packets straight on a pool of `mysql2`: a callback and a timer each, for claims are many and small.
 *
 * The driver cannot stop a statement: an operation that is out of time destroys its connection. One that is interrupted goes on by itself, to its answer or its time-out.
 */
export const make = (pool: Mysql.Pool, options: PoolOptions): Executor<Packet> => {
  const listened = new WeakSet<Mysql.PoolConnection>()
  /** When each connection last answered; and when one last did not. Older ones may be dead in silence: they are not tried one by one. */
  const answeredAt = new WeakMap<Mysql.PoolConnection, number>()
  let suspectAt = Number.NEGATIVE_INFINITY

  const suspect = () => {
    suspectAt = performance.now()
  }

  const run = (operation: string, { statement: packet }: Query<Packet>, millis: number, answer: (result: Result) => void) => {
    let state: State = connecting

    const end = (result: Result) => {
      clearTimeout(timer)
      state = done
      answer(result)
    }

    const timer = setTimeout(() => {
      if (state._tag === "Connecting") {
        end(Either.left(errors.noConnection(operation, millis)))
        return options.onNoConnection?.(millis)
      }
      if (state._tag === "Executing") {
        suspect()
        state.connection.destroy()
        end(Either.left(errors.noAnswer(operation, millis)))
      }
    }, Math.min(millis, longestTimer))

    const failed = (connection: Mysql.PoolConnection, error: unknown) => {
      if (errors.keepsConnection(error)) {
        giveBack(connection)
      } else {
        suspect()
        connection.destroy()
      }
      end(
        packet.miss !== undefined && errors.numberOf(error) === packet.miss
          ? Either.right([])
          : Either.left(errors.fromDriver(operation, error, "executing", options.secret))
      )
    }

    const connect = () =>
      pool.getConnection((error, connection) => {
        if (state._tag === "Done") return error === null ? connection.release() : undefined
        if (error !== null) {
          return end(Either.left(
            options.isClosed() ? errors.closed(operation) : errors.fromDriver(operation, error, "connecting", options.secret)
          ))
        }
        if ((answeredAt.get(connection) ?? Number.POSITIVE_INFINITY) <= suspectAt) {
          connection.destroy()
          return connect()
        }
        // An "error" that nobody hears ends the process, and the pool listens to the first one only.
        if (!listened.has(connection)) {
          listened.add(connection)
          connection.on("error", ignore)
        }
        state = { _tag: "Executing", connection }
        connection.query({ ...asIs, sql: sqlOf(packet) }, (error, results) => {
          if (state._tag === "Done") return
          if (error !== null) return failed(connection, error)
          answeredAt.set(connection, performance.now())
          connection.release()
          end(Either.right(rowsOf(packet, results)))
        })
      })
    connect()
  }

  return { run, width: options.width }
}
