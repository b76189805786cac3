import * as Result from "#effect/Result"
import type * as Pg from "pg"
import { type Executor, longestTimer, type Query, type Answer } from "../sql/executor.js"
import type { Row } from "../sql/record.js"
import * as errors from "./errors.js"
import * as sessions from "./sessions.js"
import type { Statement } from "./statements.js"

export interface PoolOptions {
  /** Behind a transaction pooler a named statement may meet a server that never saw it; else it is parsed once per connection. */
  readonly pooler: boolean
  /** Milliseconds. After them the server, too, has ended a statement. */
  readonly operationTimeout: number
  /** The settings of the connections are ours: then what they are refused for has to do with `pooler`. */
  readonly own: boolean
  /** Whether a connection is known to have a session of the server to itself, though `pooler` is set. */
  readonly isDirect?: ((client: Pg.PoolClient) => boolean) | undefined
  /** When the opening of a connection began, by `performance.now()`, where that is known: it may have been opened for somebody else long ago, and not been used since. */
  readonly openedAt?: ((client: Pg.PoolClient) => number | undefined) | undefined
  readonly isClosed?: (() => boolean) | undefined
  /** Told when an operation had no connection within its limit. */
  readonly onNoConnection?: ((millis: number) => void) | undefined
}

const ignore = () => {}

type State =
  | { readonly _tag: "Connecting" }
  | { readonly _tag: "Executing"; readonly client: Pg.PoolClient }
  /** `late` is told when the answer comes that nobody waits for any more. */
  | { readonly _tag: "Done"; readonly late: () => void }

const connecting: State = { _tag: "Connecting" }
const done: State = { _tag: "Done", late: ignore }

/** What a statement gives: rows, or an array of results where it was a text of several. */
const rowsOf = (result: unknown): ReadonlyArray<Row> | undefined => {
  if (Array.isArray(result)) return []
  const rows = (result as Partial<Pg.QueryResult<Row>> | null | undefined)?.rows
  return Array.isArray(rows) && rows.every((row) => typeof row === "object" && row !== null) ? rows : undefined
}

/**
 * Statements straight on a `pg.Pool`: a callback and a timer each, for claims are many and small. Nothing in a callback may throw: that would end the process.
 *
 * The session of an operation that is out of time is asked to stop and is never used again, because a request to stop that comes late hits whatever runs there next. An operation that
 * is interrupted goes on by itself, to its answer or its time-out: it harms nobody, and a canceller for each would cost more than the rest of what is done here.
 */
export const make = (pool: Pg.Pool, options: PoolOptions): Executor<Statement> => {
  const width = pool.options?.max ?? 10
  const givenUp = sessions.make({
    spare: width,
    longest: options.operationTimeout,
    cancel: (client) => !options.pooler || options.isDirect?.(client) === true
  })
  const facts = options.own ? options.pooler : options.pooler || undefined
  const listened = new WeakSet<Pg.PoolClient>()
  /** When each connection last answered; and when one last did not. Older ones may be dead in silence, or at a server that cannot write: they are not tried one by one. */
  const answeredAt = new WeakMap<Pg.PoolClient, number>()
  let suspectAt = Number.NEGATIVE_INFINITY

  const suspect = () => {
    suspectAt = performance.now()
  }

  const run = (
    operation: string,
    { statement, values }: Query<Statement>,
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

    const timer = setTimeout(
      () => {
        if (state._tag === "Connecting") {
          end(Result.fail(errors.noConnection(operation, millis)))
          return options.onNoConnection?.(millis)
        }
        if (state._tag === "Executing") {
          suspect()
          const late = givenUp.giveUp(state.client, millis)
          end(Result.fail(errors.noAnswer(operation, millis)))
          state = { _tag: "Done", late }
        }
      },
      Math.min(millis, longestTimer)
    )

    const failed = (error: unknown, phase: errors.Phase) =>
      end(
        Result.fail(
          options.isClosed?.() === true && phase === "connecting"
            ? errors.closed(operation)
            : errors.fromDriver(operation, error, phase, facts)
        )
      )

    const answered = (client: Pg.PoolClient, reused: boolean, error: Error | null | undefined, result: unknown) => {
      if (state._tag === "Done") return state.late()
      if (error) {
        const keep = errors.keepsConnection(error)
        if (!keep) suspect()
        client.release(!keep)
        // A connection from before a failover: nothing was done, and a new one may lead to the server that can.
        if (reused && tries++ < 1 && errors.isWrongServer(error)) {
          state = connecting
          return connect()
        }
        return failed(error, "executing")
      }
      const rows = rowsOf(result)
      if (rows === undefined) {
        client.release(true)
        return end(Result.fail(errors.odd(operation)))
      }
      answeredAt.set(client, performance.now())
      client.release()
      end(Result.succeed(rows))
    }

    const connect = () => {
      try {
        pool.connect((error, client) => {
          if (state._tag === "Done") return client?.release()
          if (error || client === undefined) return failed(error, "connecting")
          const before = answeredAt.get(client) ?? options.openedAt?.(client)
          if (before !== undefined && before <= suspectAt) {
            client.release(true)
            return connect()
          }
          // A connection that breaks while it is out has nobody else to listen, and an unheard "error" ends the process.
          if (!listened.has(client)) {
            listened.add(client)
            client.on("error", ignore)
          }
          state = { _tag: "Executing", client }
          try {
            client.query(
              options.pooler
                ? { text: statement.text, values: values as Array<unknown> }
                : { name: statement.name, text: statement.text, values: values as Array<unknown> },
              (error: Error | null | undefined, result: unknown) =>
                answered(client, before !== undefined && before < startedAt, error, result)
            )
          } catch (error) {
            client.release(true)
            failed(error, "executing")
          }
        })
      } catch (error) {
        failed(error, "connecting")
      }
    }
    connect()
  }

  return { run, width }
}
