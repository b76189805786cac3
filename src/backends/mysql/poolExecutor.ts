/** Packets straight on connections of `mysql2`. The driver cannot stop a statement: the session of an operation that is out of time is never used again. */
import type * as Mysql from "mysql2"
import type { Executor } from "../sql/executor.js"
import * as shared from "../sql/poolExecutor.js"
import * as errors from "./errors.js"
import * as limits from "./limits.js"
import { type Packet, rollback, rowsOf, textOf, type Wrap } from "./packet.js"
import * as sessions from "./sessions.js"

export interface Options {
  readonly width: number
  /** Whether the connections, and so the settings of their sessions, are ours; and the limits that they were made with. */
  readonly own: { readonly seconds: number } | undefined
  /** User and password are asked for again at each connection. */
  readonly isAsked: boolean
}

export interface PoolExecutor extends Executor<Packet> {
  /** Hangs up on the sessions that nobody waits for. */
  readonly abandon: () => void
}

/** How long a connection may take to roll back before it is given up, in milliseconds. */
const patience = 1_000

/** `max_prepared_stmt_count` is reached. */
const tooManyPrepared = 1461

/** Nothing of the program's settings: our columns and our text are not to be changed on the way. */
const asIs: Omit<Mysql.QueryOptions, "sql"> = {
  values: [],
  rowsAsArray: false,
  nestTables: false,
  typeCast: true,
  namedPlaceholders: false
}

export const make = (connections: sessions.Connections, { isAsked, own, width }: Options): PoolExecutor => {
  const givenUp = sessions.make(width, connections)
  /** How long a session of ours waits for locks, where it is not what it was made with. */
  const limitOf = new WeakMap<Mysql.Connection, number>()

  /** What each session of ours has prepared. One of the program's may be reset between two packets. */
  const preparedBy = new WeakMap<Mysql.Connection, Set<string>>()
  let prepares = own !== undefined

  const preparedOf = (connection: Mysql.Connection): Set<string> => {
    const known = preparedBy.get(connection) ?? new Set()
    preparedBy.set(connection, known)
    return known
  }

  const wrap = (connection: Mysql.Connection, seconds: number): Wrap => {
    if (own === undefined) return { before: limits.borrow(seconds), after: limits.giveBack, mayHoldBack: true }
    const prepared = prepares ? preparedOf(connection) : undefined
    if ((limitOf.get(connection) ?? own.seconds) === seconds) return { prepared }
    limitOf.set(connection, seconds)
    return { before: limits.change(seconds), prepared }
  }

  const executor = shared.make<Packet, Mysql.Connection>(connections, {
    width,
    // All that the program's pool has may be from before a failover, whoever has used it last.
    mostTries: own === undefined ? width : 1,
    execute: (connection, { statement: packet }, millis, _left, done) => {
      const text = textOf(packet, wrap(connection, limits.secondsOf(millis)))
      connection.query({ ...asIs, sql: text.sql }, (error, results) => {
        // The server has no room for more that is prepared: it is asked again, in plain text.
        if (errors.numberOf(error) === tooManyPrepared) prepares = false
        done(error, () => rowsOf(packet, text, results))
      })
    },
    giveUp: givenUp.giveUp,
    // A packet that failed may have left its transaction open.
    recover: (connection) => {
      // What the packet began with may not have been done.
      if (own !== undefined) limitOf.delete(connection)
      preparedBy.delete(connection)
      const sql = `${rollback};\n${own === undefined ? limits.giveBack : limits.change(own.seconds)}`
      connection.query({ ...asIs, sql, timeout: patience }, (error) =>
        error === null ? connections.give(connection) : connections.drop(connection)
      )
    },
    keepsConnection: errors.keepsConnection,
    isWrongServer: (error, isOld) => (isOld || own === undefined) && errors.isWrongServer(error),
    isMiss: ({ statement: { miss } }, error) => miss !== undefined && errors.numberOf(error) === miss,
    errors: {
      ...errors,
      fromDriver: (operation, error, phase) =>
        errors.fromDriver(operation, error, phase, isAsked && phase === "connecting")
    }
  })

  return { ...executor, abandon: givenUp.abandon }
}
