/** How each connection of a pool of our own is made: by what the URL says then. It serves only when the server itself has confirmed all that we rely on. */
import * as Effect from "#effect/Effect"
import type * as fibers from "#effect/fibers"
import * as Mysql from "mysql2"
import * as Net from "node:net"
import type { StorageError } from "../../LockError.js"
import { InvalidOptions } from "../../LockError.js"
import { isFixed, now, type Present } from "../shared/currentValue.js"
import * as errors from "./errors.js"
import * as limits from "./limits.js"
import * as tls from "./tls.js"
import { type Target, url } from "./url.js"

/** Where to connect, given once, or asked for at each connection. */
export interface Source {
  readonly fixed: Target | undefined
  readonly now: Effect.Effect<Target, StorageError>
}

const combined = (target: Target, options: unknown, within: string): Target | InvalidOptions => {
  const fault = tls.fault(options)
  if (fault !== undefined) return fault
  return target.ssl === undefined
    ? { ...target, ssl: tls.ofOptions(options as tls.TlsOptions) }
    : new InvalidOptions({
        field: `${within}tls`,
        kind: "given beside a URL that asks for TLS, too",
        rule: "said in one place"
      })
}

const resolve = (address: unknown, options: unknown, within: string): Target | InvalidOptions => {
  const target = url(`${within}url`, address)
  return target instanceof InvalidOptions || options === undefined ? target : combined(target, options, within)
}

/** A value that is given is checked at once; one that is asked, whenever it is asked. `within`: of which option they are parts. */
export const source = (
  address: Present<unknown>,
  options: Present<unknown> | undefined,
  within = ""
): Source | InvalidOptions => {
  if (isFixed(address) && isFixed(options)) {
    const fixed = resolve(address, options, within)
    return fixed instanceof InvalidOptions ? fixed : { fixed, now: Effect.succeed(fixed) }
  }
  if (isFixed(address)) {
    const known = url(`${within}url`, address)
    if (known instanceof InvalidOptions) return known
  }
  if (options !== undefined && isFixed(options)) {
    const fault = tls.fault(options)
    if (fault !== undefined) return fault
  }
  const asked = Effect.all([now("MysqlStorage.connect", "url", address), now("MysqlStorage.connect", "tls", options)])
  return {
    fixed: undefined,
    now: Effect.flatMap(asked, ([address, options]) => {
      const target = resolve(address, options, within)
      return target instanceof InvalidOptions
        ? errors.unfit(`what was asked for a new connection cannot be used: ${target.message}`)
        : Effect.succeed(target)
    })
  }
}

/** As the driver does it. */
const dial = ({ host, port, socketPath }: Mysql.ConnectionOptions): Net.Socket => {
  if (socketPath !== undefined) return Net.connect(socketPath)
  const socket = Net.connect({ port: port!, host: host!, noDelay: true, keepAlive: true })
  // The name that a certificate is held against. Node sets it for names alone, and the driver tells it none for an address: then it would be held against "localhost".
  if (Net.isIP(host!) !== 0) Object.assign(socket, { _host: host })
  return socket
}

/** What of the session we rely on, in the server's own words. */
const look = `SELECT @@autocommit AS autocommit, @@sql_mode AS sql_mode, @@sql_select_limit AS sql_select_limit, @@innodb_lock_wait_timeout AS row_wait, @@lock_wait_timeout AS table_wait,
@@character_set_client AS client, DATABASE() AS named LIMIT 1`

const greatest = "18446744073709551615"

const settings = (seconds: number): string =>
  `SET SESSION autocommit = 1, sql_mode = 'STRICT_TRANS_TABLES', sql_select_limit = ${greatest}, ${limits.assignments(seconds)}`

/** What is not as it was asked for, if anything. */
const unconfirmed = (answer: unknown, target: Target, seconds: number): string | undefined => {
  const row = (answer as ReadonlyArray<ReadonlyArray<Record<string, unknown>>>)[1]![0]!
  const named = row.named === null ? "none" : String(row.named)
  const wanted = target.config.database
  const differs = (what: string, is: unknown) =>
    `${what} of the connection is ${String(is)}, though it was set to another: does a proxy between change or share sessions?`
  return Number(row.autocommit) !== 1
    ? differs("autocommit", row.autocommit)
    : row.sql_mode !== "STRICT_TRANS_TABLES"
      ? differs("sql_mode", row.sql_mode)
      : String(row.sql_select_limit) !== greatest
        ? differs("sql_select_limit", row.sql_select_limit)
        : Number(row.row_wait) !== seconds
          ? differs("innodb_lock_wait_timeout", row.row_wait)
          : Number(row.table_wait) !== seconds
            ? differs("lock_wait_timeout", row.table_wait)
            : !/^utf8(mb[34])?$/.test(String(row.client))
              ? differs("character_set_client", row.client)
              : wanted !== undefined && named.toLowerCase() !== wanted.toLowerCase()
                ? `the connection is in the database ${named}, and the URL names ${wanted}: does init_connect, or a proxy between, choose another? Two processes would lock in two tables`
                : undefined
}

export interface Options {
  readonly source: Source
  /** Milliseconds that all of it may take. */
  readonly patience: number
  /** The server gives up waiting for a lock after so many seconds. */
  readonly seconds: number
  readonly run: fibers.Run
}

const timedOut = () => Object.assign(new Error("connect ETIMEDOUT"), { code: "ETIMEDOUT", syscall: "connect" })

/** `done` is called once: with an error, or with a connection that is ready. Nothing here throws. Returns what gives the attempt up. */
export const open = (
  { patience, run, seconds, source }: Options,
  done: (error: unknown, connection?: Mysql.Connection) => void
): (() => void) => {
  let socket: Net.Socket | undefined
  let over = false
  let stopAsking: (() => void) | undefined

  const end = (error: unknown, connection?: Mysql.Connection) => {
    if (over) return
    over = true
    clearTimeout(timer)
    stopAsking?.()
    if (connection === undefined) socket?.destroy()
    done(error, connection)
  }
  const timer = setTimeout(
    () =>
      end(
        stopAsking === undefined
          ? timedOut()
          : errors.unfit("`url` or `tls` was asked for what it is now, and did not answer in time")
      ),
    Math.ceil(Math.min(patience, source.fixed?.patience ?? patience))
  )

  const confirm = (connection: Mysql.Connection, target: Target) =>
    connection.query(`${settings(seconds)};\n${look}`, (error: unknown, answer: unknown) => {
      if (error !== null) return end(error)
      try {
        const fault = unconfirmed(answer, target, seconds)
        return fault === undefined ? end(undefined, connection) : end(errors.unfit(fault))
      } catch (cause) {
        end(errors.odd("connect", cause))
      }
    })

  const go = (target: Target) => {
    if (over) return
    try {
      const connection = Mysql.createConnection({
        ...target.config,
        ...(target.ssl === undefined ? {} : { ssl: target.ssl() }),
        multipleStatements: true,
        supportBigNumbers: true,
        bigNumberStrings: false,
        // The time-out is ours.
        connectTimeout: 0,
        stream: () => (socket = dial(target.config))
      })
      // An "error" that nobody hears ends the process.
      connection.on("error", end)
      connection.connect((error) => (error === null || error === undefined ? confirm(connection, target) : end(error)))
    } catch (error) {
      // A file of certificates that is gone, or a certificate that is none.
      process.nextTick(end, error)
    }
  }

  if (source.fixed !== undefined) go(source.fixed)
  else {
    let asked = false
    const stop = run.callback(Effect.result(source.now), (exit) => {
      stopAsking = undefined
      asked = true
      if (exit._tag === "Failure") return end(errors.unfit("what a new connection needs could not be asked for"))
      if (exit.value._tag === "Failure") return end(exit.value.failure)
      go(exit.value.success)
    })
    if (!asked) stopAsking = () => stop()
  }
  return () => end(timedOut())
}
