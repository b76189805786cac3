/**
 * A small pool of connections that serve locks alone: a callback and a timer for each operation.
 *
 * A batch that is out of time is stopped: the server is told to cancel it, and its connection is closed when that is confirmed, or when it was waited for in vain. What of these may go on at
 * the server is counted, so that it never has more of this pool than twice its size. One that is interrupted goes on by itself, to its answer or its time-out.
 */
import * as Effect from "#effect/Effect"
import * as fibers from "#effect/fibers"
import * as Result from "#effect/Result"
import type * as Scope from "#effect/Scope"
import * as Tedious from "tedious"
import { StorageError } from "../../LockError.js"
import { type Executor, longestTimer, type Query, type Answer } from "../sql/executor.js"
import type { Row } from "../sql/record.js"
import * as connection from "./connection.js"
import * as errors from "./errors.js"
import { decoded, parameter } from "./parameters.js"
import type { Source } from "./source.js"
import { lockTimeoutOf, type Statement, textWithin } from "./statements.js"

export interface Options {
  readonly source: Source
  readonly poolSize: number
  /** Milliseconds. */
  readonly operationTimeout: number
}

interface Member {
  state: "connecting" | "idle" | "busy" | "stopping" | "gone"
  connection: connection.Connection | undefined
  /** The database in which it was found at its start. */
  database: string | undefined
  /** When it last answered. */
  answeredAt: number
  giveUp: () => void
}

interface Waiter {
  readonly begin: (member: Member, connection: connection.Connection) => void
  readonly fail: (error: unknown) => void
}

/** How long the goodbyes may take, in milliseconds. */
const farewell = 1_000

/** After so long an idle connection is closed, if it is not the only one. Longer than a refresh interval, so that a renewal finds its connection open. */
const idleTimeout = 60_000

/** After so many milliseconds the server has found by itself that a client is gone: its keep-alive is of 30 seconds and ten tries. */
const longestSession = 45_000

/** How long a cancellation is waited for, in milliseconds. */
const patience = (millis: number): number => Math.min(500, Math.max(50, millis / 4))

const rowOf = (
  columns: ReadonlyArray<{ readonly metadata: { readonly colName: string }; readonly value: unknown }>
): Row => {
  const row: Record<string, unknown> = {}
  for (const { metadata, value } of columns) row[metadata.colName] = decoded(value)
  return row
}

type Done = (error: unknown, rows: ReadonlyArray<Row>) => void

const execute = (on: connection.Connection, { statement, values }: Query<Statement>, millis: number, done: Done) => {
  try {
    const request = new Tedious.Request(textWithin(statement, millis), (error, _, rows: unknown) => {
      let read: ReadonlyArray<Row> = []
      let fault: unknown = error ?? undefined
      try {
        if (fault === undefined) read = (rows as ReadonlyArray<never>).map(rowOf)
      } catch (cause) {
        fault = cause
      }
      done(fault, read)
    })
    statement.kinds.forEach((kind, i) => {
      const { options, type, value } = parameter(kind, values[i])
      request.addParameter(String(i + 1), type, value, options)
    })
    on.execSql(request)
  } catch (cause) {
    done(cause, [])
  }
}

const open = (poolSize: number, settings: connection.Options) => {
  const members = new Set<Member>()
  /** The one that answered last is taken first. */
  const idle: Array<Member> = []
  const waiters = new Set<Waiter>()
  /** When a connection last failed or did not answer. What was opened before may be dead in silence: such are not tried one by one. */
  let suspectAt = Number.NEGATIVE_INFINITY
  let closed = false
  let connecting = 0
  /** Sessions whose batch may go on at the server, though their connection is closed. */
  let left = 0
  /** Stopped in vain, and still in their places, since too many are left already. */
  const overdue: Array<() => void> = []

  const drop = (member: Member) => {
    if (member.state === "gone") return
    if (member.state === "idle") idle.splice(idle.indexOf(member), 1)
    member.state = "gone"
    members.delete(member)
    member.connection?.close()
  }

  const open = () => {
    const member: Member = {
      state: "connecting",
      connection: undefined,
      database: undefined,
      answeredAt: 0,
      giveUp: () => {}
    }
    members.add(member)
    connecting++
    member.giveUp = connection.connect(settings, (result) => {
      connecting--
      if ("error" in result) {
        drop(member)
        const [first] = waiters
        if (first !== undefined) {
          waiters.delete(first)
          first.fail(result.error)
        }
      } else {
        member.connection = result
        member.database = result.database
        result.on("end", () => {
          if (member.state === "idle") drop(member)
        })
        result.on("error", () => {
          if (member.state === "idle") drop(member)
        })
        if (closed || member.state === "gone") result.close()
        else {
          member.answeredAt = performance.now()
          give(member)
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
      first.begin(member, member.connection!)
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
        first!.begin(member, member.connection!)
      }
    }
    while (!closed && connecting < waiters.size && members.size < poolSize) open()
    const eldest = idle[0]
    if (idle.length > 1 && eldest !== undefined && performance.now() - eldest.answeredAt > idleTimeout) drop(eldest)
  }

  /** It is told to stop. Its place is free when that is confirmed, or when it may be left to itself. */
  const stop = (member: Member, millis: number) => {
    member.state = "stopping"
    member.connection?.cancel()
    const leave = () => {
      if (member.state !== "stopping") return overdue.shift()?.()
      left++
      drop(member)
      setTimeout(() => {
        left--
        overdue.shift()?.()
      }, longestSession).unref()
      pump()
    }
    setTimeout(() => {
      if (member.state !== "stopping") return
      if (left < poolSize) leave()
      else overdue.push(leave)
    }, patience(millis)).unref()
  }

  const run = (operation: string, query: Query<Statement>, millis: number, answer: (result: Answer) => void) => {
    if (closed) return answer(Result.fail(errors.closed(operation)))
    const until = performance.now() + millis
    let running: Member | undefined
    let ended = false
    let again = false
    const end = (result: Answer) => {
      if (ended) return
      ended = true
      clearTimeout(timer)
      waiters.delete(waiter)
      answer(result)
    }
    const waiter: Waiter = {
      fail: (error) =>
        end(
          Result.fail(
            error === undefined
              ? errors.closed(operation)
              : error instanceof StorageError
                ? error
                : errors.fromDriver(operation, error, "connecting")
          )
        ),
      begin: (member, on) => {
        running = member
        execute(on, query, until - performance.now(), (error, rows) => {
          // Out of time before: it has stopped, or its connection is gone.
          if (ended) {
            drop(member)
            return pump()
          }
          // A transaction that an error left open goes with its connection, as does a database that is another than before.
          const keep =
            (error === undefined || errors.keepsConnection(error)) &&
            !on.inTransaction &&
            on.database === member.database &&
            !closed
          if (keep) {
            member.answeredAt = performance.now()
            give(member)
          } else {
            if (!closed) suspectAt = performance.now()
            drop(member)
          }
          // This server does not do it, or not on this connection, and did not: the next connection may lead to the one that does.
          if (error !== undefined && !again && !closed && errors.isElsewhere(error) && performance.now() < until) {
            again = true
            running = undefined
            waiters.add(waiter)
          } else {
            end(
              error === undefined ? Result.succeed(rows) : Result.fail(errors.fromDriver(operation, error, "executing"))
            )
          }
          pump()
        })
      }
    }
    const timer = setTimeout(
      () => {
        if (running === undefined) return end(Result.fail(errors.noConnection(operation, millis)))
        suspectAt = performance.now()
        end(Result.fail(errors.noAnswer(operation, millis)))
        stop(running, millis)
        pump()
      },
      Math.min(millis, longestTimer)
    )
    waiters.add(waiter)
    pump()
  }

  const close = Effect.callback<void>((resume) => {
    closed = true
    for (const waiter of [...waiters]) waiter.fail(undefined)
    for (const member of [...idle]) drop(member)
    for (const member of [...members]) {
      if (member.state === "stopping") drop(member)
      if (member.state === "connecting") {
        drop(member)
        member.giveUp()
      }
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

  return { executor: { run, width: poolSize } satisfies Executor<Statement>, close }
}

export const make = ({
  operationTimeout,
  poolSize,
  source
}: Options): Effect.Effect<Executor<Statement>, never, Scope.Scope> =>
  Effect.flatMap(fibers.run, (run) =>
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() =>
          open(poolSize, { source, run, lockTimeout: lockTimeoutOf(operationTimeout), patience: operationTimeout })
        ),
        (pool) => pool.close
      ),
      (pool) => pool.executor
    )
  )
