/** A connection that serves nothing until the server itself has confirmed all that it relies on. */
import * as Cause from "#effect/Cause"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import type * as fibers from "#effect/fibers"
import * as Tedious from "tedious"
import { StorageError } from "../../LockError.js"
import { Connection } from "./guarded.js"
import { sameName } from "./names.js"
import type { Source } from "./source.js"

export { Connection }

export interface Options {
  readonly source: Source
  readonly run: fibers.Run
  /** Of the sessions, in milliseconds: what waits for a lock before its batch has set a time-out of its own, which is when it is compiled. */
  readonly lockTimeout: number
  /** For how long the source may be asked, in milliseconds. */
  readonly patience: number
}

/** What the server says is not what was asked of it. */
class Unconfirmed extends Error {
  readonly code = "EUNCONFIRMED"
  constructor(
    message: string,
    readonly number?: number | undefined
  ) {
    super(message)
    this.name = "Unconfirmed"
  }
}

const greeting = (lockTimeout: number): string =>
  `SET NOCOUNT ON; SET LOCK_TIMEOUT ${lockTimeout}; SET XACT_ABORT ON; SET ROWCOUNT 0; SET TEXTSIZE 2147483647;
SELECT DB_NAME() AS [database], @@LOCK_TIMEOUT AS lock_timeout, @@TRANCOUNT AS transactions;`

type Columns = ReadonlyArray<{ readonly metadata: { readonly colName: string }; readonly value: unknown }>

const unconfirmed = (rows: unknown, asked: string | undefined, lockTimeout: number): Unconfirmed | undefined => {
  const columns: unknown = Array.isArray(rows) ? rows[0] : undefined
  if (!Array.isArray(columns)) return new Unconfirmed("the server did not confirm the settings of the connection")
  const told = new Map((columns as Columns).map(({ metadata, value }) => [metadata.colName, value]))
  const database = told.get("database")
  if (
    Number(told.get("lock_timeout")) !== lockTimeout ||
    Number(told.get("transactions")) !== 0 ||
    typeof database !== "string"
  ) {
    return new Unconfirmed("the server did not take the settings of the connection")
  }
  return asked === undefined || asked === "" || sameName(asked, database)
    ? undefined
    : new Unconfirmed(`the server opened the database ${JSON.stringify(database)}, not ${JSON.stringify(asked)}`)
}

/** `done` is called once. Returns what gives the attempt up. */
export const connect = (
  options: Options,
  done: (result: Connection | { readonly error: unknown }) => void
): (() => void) => {
  let ended = false
  let connection: Connection | undefined
  const end = (result: Connection | { readonly error: unknown }) => {
    if (ended) return
    ended = true
    if (!(result instanceof Connection)) connection?.close()
    done(result)
  }
  const fail = (error: unknown) => end({ error })

  const greet = (made: Connection) => {
    const asked = made.config.options.database
    const request = new Tedious.Request(greeting(options.lockTimeout), (error, _, rows: unknown) => {
      if (error) return fail(error)
      const fault = unconfirmed(rows, asked, options.lockTimeout)
      if (fault !== undefined) fail(fault)
      else end(made)
    })
    made.execSqlBatch(request)
  }

  const open = (config: Tedious.ConnectionConfiguration) => {
    // Given up while the source was asked.
    if (ended) return
    let made: Connection
    try {
      made = connection = new Connection(config)
    } catch (error) {
      return fail(error)
    }
    // As when the server hangs up in the middle.
    made.on("end", () => fail(new Unconfirmed("the connection was closed before it was made")))
    made.connect((error) => {
      const [first] = made.told
      if (error !== undefined && error !== null) {
        // The number of a refused login is told by the message alone.
        fail(first?.number === undefined ? error : Object.assign(error, { number: first.number }))
      } else if (first !== undefined) {
        // The driver passes over this: what comes after it in its batch of settings may not have been done.
        fail(new Unconfirmed(`the server refused a setting of the connection: ${first.message}`, first.number))
      } else if (made.config.options.encrypt === true && !made.secured) {
        fail(new Unconfirmed("the connection is not encrypted"))
      } else {
        greet(made)
      }
    })
  }

  const { fixed, now } = options.source
  if (fixed !== undefined) {
    open(fixed)
  } else {
    const asked = Effect.timeoutOrElse(now, {
      duration: Duration.millis(options.patience),
      orElse: () =>
        Effect.fail(
          new StorageError({
            reason: "Timeout",
            operation: "MssqlStorage.connect",
            isRetryable: true,
            applied: "no",
            message: `what the options are now was asked for, and not told within ${Math.round(options.patience)} ms`
          })
        )
    })
    options.run.callback(asked, (exit) => (exit._tag === "Success" ? open(exit.value) : fail(Cause.squash(exit.cause))))
  }
  return () => fail(new Unconfirmed("given up"))
}
