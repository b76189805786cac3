/** A connection that serves nothing until the server itself has confirmed what is relied on: its version, and in which database it is. */
import * as Cause from "#effect/Cause"
import type * as fibers from "#effect/fibers"
import type { Connection, Driver } from "./driver.js"
import * as errors from "./errors.js"
import { attempt, hangUp } from "./socket.js"
import type { Source } from "./source.js"
import type * as url from "./url.js"

/** Which database it is: a container has a name of its own, and a standby that takes over has the same names. */
export interface Place {
  name: string | undefined
}

export interface Options {
  readonly driver: Driver
  readonly source: Source
  readonly run: fibers.Run
  /** Milliseconds that all of it may take. */
  readonly patience: number
  /** The database of the first connection, which every later one has to be in. */
  readonly place: Place
}

const oldest = 1202000000

export const greeting = `SELECT SYS_CONTEXT('USERENV', 'DB_NAME') AS "database", SYS_CONTEXT('USERENV', 'CON_NAME') AS "container" FROM DUAL`

const timedOut = () => Object.assign(new Error("no connection was made in time"), { code: "NJS-510" })

/** `done` is called once: with an error, or with a connection that is ready. Nothing here throws. Returns what gives the attempt up. */
export const open = (
  { driver, patience, place, run, source }: Options,
  done: (error: unknown, connection?: Connection) => void
): (() => void) => {
  let over = false
  let made: Connection | undefined
  let abort = () => {}

  const end = (error: unknown, connection?: Connection) => {
    if (over) return
    over = true
    clearTimeout(timer)
    if (connection === undefined) {
      abort()
      if (made !== undefined) hangUp(made)
    }
    done(error, connection)
  }
  const timer = setTimeout(() => end(timedOut()), Math.ceil(patience))

  const confirm = async (connection: Connection) => {
    const version = connection.oracleServerVersion
    if (version !== undefined && version < oldest) throw errors.tooOld(String(version))
    const { rows } = await connection.execute(
      greeting,
      {},
      {
        autoCommit: false,
        outFormat: driver.OUT_FORMAT_OBJECT,
        maxRows: 0,
        resultSet: false,
        fetchTypeHandler: undefined
      }
    )
    const row = (rows as ReadonlyArray<Readonly<Record<string, unknown>>> | undefined)?.[0]
    if (typeof row?.database !== "string") throw errors.odd("connect")
    const name = `${row.database}/${String(row.container)}`
    if (place.name !== undefined && place.name !== name) throw errors.elsewhere(name, place.name)
    place.name = name
  }

  const go = async (attributes: url.Attributes) => {
    // In whole seconds, beyond ours: whoever waits has given up by then.
    const connectTimeout = Math.max(1, Math.ceil(patience / 1_000))
    const trying = attempt(() => driver.getConnection({ connectTimeout, ...attributes }))
    abort = trying.abort
    const connection = await trying.made
    // An "error" that nobody hears ends the process.
    connection.on("error", () => {})
    // Given up meanwhile.
    if (over) return hangUp(connection)
    made = connection
    await confirm(connection)
    end(undefined, connection)
  }

  const begin = (attributes: url.Attributes) => {
    go(attributes).catch((error: unknown) => end(error ?? new Error("the driver failed, and said nothing")))
  }

  if (source.fixed !== undefined) begin(source.fixed)
  else
    run.callback(source.now, (exit) => {
      if (over) return
      if (exit._tag === "Success") begin(exit.value)
      else end(Cause.squash(exit.cause))
    })
  return () => end(timedOut())
}
