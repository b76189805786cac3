import * as Either from "effect/Either"
import type * as Pg from "pg"
import { type Executor, longestTimer, type Query, type Result } from "../sql/executor.js"
import type { Row } from "../sql/record.js"
import * as errors from "./errors.js"
import type { Statement } from "./statements.js"

export interface PoolOptions {
  /** Named statements are parsed once per connection; behind a transaction pooler they may meet a server that never saw them. */
  readonly prepare: boolean
  readonly secret?: string | undefined
  readonly isClosed?: (() => boolean) | undefined
  /** Told when an operation had no connection within its limit. */
  readonly onNoConnection?: ((millis: number) => void) | undefined
}

const ignore = () => {}

type State =
  | { readonly _tag: "Connecting" }
  | { readonly _tag: "Executing"; readonly client: Pg.PoolClient }
  | { readonly _tag: "Done" }

const connecting: State = { _tag: "Connecting" }
const done: State = { _tag: "Done" }

/**
 * Statements straight on a `pg.Pool`: a callback and a timer each, for claims are many and small.
 *
 * An operation that is out of time destroys its connection. It is never cancelled at the server, because a cancel request that comes late hits whatever runs on that
 * connection next. One that is interrupted goes on by itself, to its answer or its time-out: it harms nobody, and a canceller for each would cost
 * more than the rest of what is done here.
 */
export const make = (pool: Pg.Pool, options: PoolOptions): Executor<Statement> => {
  const listened = new WeakSet<Pg.PoolClient>()
  /** When each connection last answered; and when one last did not. Older ones may be dead in silence: they are not tried one by one. */
  const answeredAt = new WeakMap<Pg.PoolClient, number>()
  let suspectAt = Number.NEGATIVE_INFINITY

  const suspect = () => {
    suspectAt = performance.now()
  }

  const run = (operation: string, { statement, values }: Query<Statement>, millis: number, answer: (result: Result) => void) => {
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
        state.client.release(true)
        end(Either.left(errors.noAnswer(operation, millis)))
      }
    }, Math.min(millis, longestTimer))

    const connect = () =>
      pool.connect((error, client) => {
        if (state._tag === "Done") return client?.release()
        if (error || client === undefined) {
          return end(Either.left(
            options.isClosed?.() === true
              ? errors.closed(operation)
              : errors.fromDriver(operation, error, "connecting", options.secret)
          ))
        }
        if ((answeredAt.get(client) ?? Number.POSITIVE_INFINITY) <= suspectAt) {
          client.release(true)
          return connect()
        }
        // A connection that breaks while it is out has nobody else to listen, and an unheard "error" ends the process.
        if (!listened.has(client)) {
          listened.add(client)
          client.on("error", ignore)
        }
        state = { _tag: "Executing", client }
        client.query(
          options.prepare
            ? { name: statement.name, text: statement.text, values: values as Array<unknown> }
            : { text: statement.text, values: values as Array<unknown> },
          (error: Error | null | undefined, result: Pg.QueryResult<Row>) => {
            if (state._tag === "Done") return
            if (error) {
              const keep = errors.keepsConnection(error)
              if (!keep) suspect()
              client.release(!keep)
              return end(Either.left(errors.fromDriver(operation, error, "executing", options.secret)))
            }
            answeredAt.set(client, performance.now())
            client.release()
            end(Either.right(result.rows))
          }
        )
      })
    connect()
  }

  return { run, width: pool.options?.max ?? 10 }
}
