/**
 * A small pool of connections that serve locks alone: a callback and a timer for each operation.
 *
 * An operation that is out of time closes its connection, and the server then rolls its batch back if it was not committed. It is never cancelled: a cancellation that comes late
 * would have to be waited for. One that is interrupted goes on by itself, to its answer or its time-out.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Scope from "effect/Scope"
import * as Tedious from "tedious"
import { type Executor, longestTimer, type Query, type Result } from "../sql/executor.js"
import type { Row } from "../sql/record.js"
import * as errors from "./errors.js"
import { decoded, parameter } from "./parameters.js"
import type { Statement } from "./statements.js"

export interface Options {
  readonly connection: Tedious.ConnectionConfiguration
  readonly secret: string | undefined
  readonly poolSize: number
  /** Milliseconds. */
  readonly operationTimeout: number
}

interface Member {
  readonly connection: Tedious.Connection
  state: "connecting" | "idle" | "busy" | "gone"
  /** When it last answered. */
  answeredAt: number
}

interface Waiter {
  readonly begin: (member: Member) => void
  readonly fail: (error: unknown) => void
}

/** How long the goodbyes may take, in milliseconds. */
const farewell = 1_000

/** After so long an idle connection is closed, if it is not the only one. Longer than a refresh interval, so that a renewal finds its connection open. */
const idleTimeout = 60_000

const rowOf = (columns: ReadonlyArray<{ readonly metadata: { readonly colName: string }; readonly value: unknown }>): Row => {
  const row: Record<string, unknown> = {}
  for (const { metadata, value } of columns) row[metadata.colName] = decoded(value)
  return row
}

const open = (options: Options) => {
  const members = new Set<Member>()
  /** The one that answered last is taken first. */
  const idle: Array<Member> = []
  const waiters = new Set<Waiter>()
  /** When a connection last failed or did not answer. What was opened before may be dead in silence: such are not tried one by one. */
  let suspectAt = Number.NEGATIVE_INFINITY
  let closed = false
  let connecting = 0

  const drop = (member: Member) => {
    if (member.state === "gone") return
    if (member.state === "idle") idle.splice(idle.indexOf(member), 1)
    member.state = "gone"
    members.delete(member)
    member.connection.close()
  }

  const connect = () => {
    const connection = new Tedious.Connection(options.connection)
    const member: Member = { connection, state: "connecting", answeredAt: 0 }
    members.add(member)
    connecting++
    // The number of a refused login is told here only.
    let number: number | undefined
    connection.on("errorMessage", (token) => (number ??= (token as unknown as { readonly number?: number }).number))
    // An "error" that nobody hears ends the process.
    connection.on("error", () => {
      if (member.state === "idle") drop(member)
    })
    connection.on("end", () => {
      if (member.state === "idle") drop(member)
    })
    connection.connect((error) => {
      if (member.state !== "connecting") return
      connecting--
      if (error === undefined || error === null) {
        if (closed) return drop(member)
        member.answeredAt = performance.now()
        give(member)
      } else {
        drop(member)
        const [first] = waiters
        if (first !== undefined) {
          waiters.delete(first)
          first.fail(number === undefined ? error : Object.assign(error, { number }))
        }
      }
      pump()
    })
  }

  const give = (member: Member) => {
    const [first] = waiters
    if (first === undefined) {
      member.state = "idle"
      idle.push(member)
    } else {
      waiters.delete(first)
      member.state = "busy"
      first.begin(member)
    }
  }

  const pump = () => {
    while (waiters.size > 0 && idle.length > 0) {
      const member = idle.pop()!
      member.state = "busy"
      if (member.answeredAt <= suspectAt) drop(member)
      else {
        const [first] = waiters
        waiters.delete(first!)
        first!.begin(member)
      }
    }
    while (!closed && connecting < waiters.size && members.size < options.poolSize) connect()
    const eldest = idle[0]
    if (idle.length > 1 && eldest !== undefined && performance.now() - eldest.answeredAt > idleTimeout) drop(eldest)
  }

  const execute = (member: Member, { statement, values }: Query<Statement>, done: (error: Error | undefined, rows: ReadonlyArray<Row>) => void) => {
    const request = new Tedious.Request(statement.text, (error, _, rows) => done(error ?? undefined, error ? [] : (rows as ReadonlyArray<never>).map(rowOf)))
    statement.kinds.forEach((kind, i) => {
      const { options, type, value } = parameter(kind, values[i])
      request.addParameter(String(i + 1), type, value, options)
    })
    member.connection.execSql(request)
  }

  const run = (operation: string, query: Query<Statement>, millis: number, answer: (result: Result) => void) => {
    if (closed) return answer(Either.left(errors.closed(operation)))
    let running: Member | undefined
    let ended = false
    const end = (result: Result) => {
      if (ended) return
      ended = true
      clearTimeout(timer)
      waiters.delete(waiter)
      answer(result)
    }
    const waiter: Waiter = {
      fail: (error) => end(Either.left(error === undefined ? errors.closed(operation) : errors.fromDriver(operation, error, "connecting", options.secret))),
      begin: (member) => {
        running = member
        execute(member, query, (error, rows) => {
          if (ended) return
          // A transaction that an error left open goes with its connection.
          const keep = (error === undefined || errors.keepsConnection(error)) && !member.connection.inTransaction && !closed
          if (keep) {
            member.answeredAt = performance.now()
            give(member)
          } else {
            if (!closed) suspectAt = performance.now()
            drop(member)
          }
          end(error === undefined ? Either.right(rows) : Either.left(errors.fromDriver(operation, error, "executing", options.secret)))
          pump()
        })
      }
    }
    const timer = setTimeout(() => {
      if (running === undefined) return end(Either.left(errors.noConnection(operation, millis)))
      suspectAt = performance.now()
      end(Either.left(errors.noAnswer(operation, millis)))
      drop(running)
      pump()
    }, Math.min(millis, longestTimer))
    waiters.add(waiter)
    pump()
  }

  const close = Effect.async<void>((resume) => {
    closed = true
    for (const waiter of [...waiters]) waiter.fail(undefined)
    for (const member of [...idle]) drop(member)
    for (const member of [...members]) {
      // One without a socket would connect all the same, and be left: it is closed when it has one, or gives up.
      if (member.state === "connecting" && member.connection.socket !== undefined) drop(member)
    }
    const until = performance.now() + farewell
    const look = () => {
      const busy = [...members].filter((member) => member.state === "busy")
      if (busy.length > 0 && performance.now() < until) return void setTimeout(look, 5)
      for (const member of busy) drop(member)
      resume(Effect.void)
    }
    look()
  })

  return { executor: { run, width: options.poolSize } satisfies Executor<Statement>, close }
}

export const make = (options: Options): Effect.Effect<Executor<Statement>, never, Scope.Scope> =>
  Effect.map(Effect.acquireRelease(Effect.sync(() => open(options)), (pool) => pool.close), (pool) => pool.executor)
