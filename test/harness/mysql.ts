/** Real servers of the MySQL family for tests: one named by the environment, else a private instance, with durable writes as in earnest. */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import Mysql from "mysql2"
import { randomBytes } from "node:crypto"
import * as Path from "node:path"
import * as Instance from "./instance.js"
import * as Binaries from "./mysqlBinaries.js"
import * as Sandbox from "./sandbox.js"
import { ServerUnavailable, tidy } from "./server.js"

export interface MysqlServer extends Instance.Life, Instance.Address {
  readonly url: string
  /** One packet of statements on a connection of its own, as administrator of a server of our own. A failing one is a defect. */
  readonly admin: (sql: string, values?: ReadonlyArray<unknown>) => Effect.Effect<ReadonlyArray<any>>
  /** The URL of a new, empty database, dropped when the scope closes. */
  readonly freshDatabase: Effect.Effect<string, never, Scope.Scope>
}

/** What the last statement gives. */
export const query = (url: string, sql: string, values?: ReadonlyArray<unknown>, timeoutMillis = 10_000) =>
  Effect.callback<ReadonlyArray<any>, Error>((resume) => {
    const connection = Mysql.createConnection({ uri: url, multipleStatements: true, connectTimeout: timeoutMillis })
    const end = (result: Effect.Effect<ReadonlyArray<any>, Error>) => {
      connection.destroy()
      // The driver's own waits for the server to hang up, too.
      ;(connection as unknown as { readonly stream: { readonly destroy: () => void } }).stream.destroy()
      resume(result)
    }
    connection.on("error", (error) => end(Effect.fail(error)))
    connection.query({ sql, values: [...(values ?? [])] as Array<string>, timeout: timeoutMillis }, (error, rows) => {
      if (error !== null) return end(Effect.fail(error))
      const last = Array.isArray(rows) && Array.isArray(rows[rows.length - 1]) ? rows[rows.length - 1] : rows
      end(Effect.succeed(Array.isArray(last) ? last : []))
    })
  })

const withDatabase = (url: string, database: string): string => {
  const parsed = new URL(url)
  parsed.pathname = `/${database}`
  return parsed.toString()
}

const makeDatabase = (url: string): Effect.Effect<string, Error, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.suspend(() => {
      const name = `storage_lock_${randomBytes(6).toString("hex")}`
      return Effect.as(query(url, `CREATE DATABASE ${name}`), name)
    }),
    (name) => tidy(query(url, `DROP DATABASE IF EXISTS ${name}`, undefined, 3_000), "5 seconds")
  ).pipe(Effect.map((name) => withDatabase(url, name)))

/** A fresh database in the server at this URL. */
export const at =
  (server: string) =>
  (url: string): Effect.Effect<MysqlServer, ServerUnavailable, Scope.Scope> =>
    makeDatabase(url).pipe(
      Effect.mapError(
        ({ message }) =>
          new ServerUnavailable({ server, reason: `the given server gives no database of our own: ${message}` })
      ),
      Effect.map((fresh): MysqlServer => {
        const parsed = new URL(url)
        return {
          url: fresh,
          host: parsed.hostname,
          port: Number(parsed.port || 3306),
          admin: (sql, values) => Effect.orDie(query(fresh, sql, values)),
          freshDatabase: Effect.orDie(makeDatabase(url)),
          ...Instance.foreign(server)
        }
      })
    )

/** A server of our own, whatever its program. */
export const of = (instance: Instance.Life & Instance.Address): MysqlServer => {
  const url = urlAt(instance.port)
  return {
    ...instance,
    url,
    admin: (sql, values) => Effect.orDie(query(url, sql, values)),
    freshDatabase: Effect.orDie(makeDatabase(url))
  }
}

export const urlAt = (port: number): string => `mysql://root@${Instance.host}:${port}/`

/** A private instance with these programs, whatever the environment says. */
const from = (
  find: Effect.Effect<Binaries.Binaries, ServerUnavailable>,
  settings: ReadonlyArray<string> = []
): Effect.Effect<MysqlServer, ServerUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const binaries = yield* find
    const sandbox = yield* Sandbox.make(binaries.server)
    const dataDir = Path.join(sandbox.directory, "data")
    yield* binaries.initialise(sandbox, dataDir)
    const instance = yield* Instance.make({
      server: binaries.server,
      sandbox,
      command: (port) => ({
        file: binaries.file,
        args: [
          ...binaries.args,
          `--datadir=${dataDir}`,
          `--bind-address=${Instance.host}`,
          `--port=${port}`,
          // A socket's path may not be long.
          "--socket=s.sock",
          `--pid-file=${Path.join(sandbox.directory, "pid")}`,
          "--innodb-buffer-pool-size=32M",
          "--max-connections=300",
          ...binaries.settings,
          ...settings
        ],
        env: binaries.env
      }),
      ready: (port) => query(urlAt(port), "SELECT 1", undefined, 1_000)
    })
    return of(instance)
  })

export const mysql8 = from(Binaries.mysql8)
export const mysql9 = from(Binaries.mysql9)
export const mariadb10 = from(Binaries.mariadb10)
export const mariadb11 = from(Binaries.mariadb11)

/** With settings of the test's own. */
export const mysql8With = (settings: ReadonlyArray<string>) => from(Binaries.mysql8, settings)
export const mariadb11With = (settings: ReadonlyArray<string>) => from(Binaries.mariadb11, settings)
