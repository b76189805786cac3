/**
 * A real PostgreSQL for tests: one named by the environment, else a private instance, with durable writes as in earnest.
 */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import { randomBytes } from "node:crypto"
import * as Path from "node:path"
import Pg from "pg"
import * as Instance from "./instance.js"
import * as Binaries from "./postgresBinaries.js"
import * as Sandbox from "./sandbox.js"
import { ServerUnavailable, tidy } from "./server.js"

export interface PostgresServer extends Instance.Life, Instance.Address {
  readonly url: string
  readonly dataDir: string | undefined
  /** Whether `pg_stat_statements` is loaded, and there in every fresh database. */
  readonly countsStatements: boolean
  /** One statement on a connection of its own, as superuser of a server of our own. A failing statement is a defect. */
  readonly admin: (sql: string, params?: ReadonlyArray<unknown>) => Effect.Effect<ReadonlyArray<any>>
  /** The URL of a new, empty database, dropped when the scope closes. */
  readonly freshDatabase: Effect.Effect<string, never, Scope.Scope>
}

export const environmentVariable = "EFFECT_STORAGE_LOCK_POSTGRES_URL"
const server = "PostgreSQL"

const query = (url: string, sql: string, params?: ReadonlyArray<unknown>, timeoutMillis = 10_000) =>
  Effect.tryPromise({
    try: async (): Promise<ReadonlyArray<any>> => {
      const client = new Pg.Client({ connectionString: url, connectionTimeoutMillis: timeoutMillis })
      client.on("error", () => {})
      await client.connect()
      try {
        const result = await client.query(params === undefined ? sql : { text: sql, values: [...params] })
        return result.rows ?? []
      } finally {
        await client.end()
      }
    },
    catch: (cause) => cause as Error
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
      return Effect.as(query(url, `CREATE DATABASE ${name} TEMPLATE template1`), name)
    }),
    (name) => tidy(query(url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`, undefined, 3_000), "5 seconds")
  ).pipe(Effect.map((name) => withDatabase(url, name)))

const freshDatabase = (url: string) => Effect.orDie(makeDatabase(url))

/** A server that was there before us, seen through a database of our own. */
const foreign = (url: string, maintenance: string): Effect.Effect<PostgresServer> =>
  Effect.map(
    Effect.orElseSucceed(query(url, "SELECT 1 FROM pg_extension WHERE extname = 'pg_stat_statements'"), () => []),
    (extensions) => {
      const parsed = new URL(url)
      return {
        url,
        host: parsed.hostname,
        port: Number(parsed.port || 5432),
        dataDir: undefined,
        countsStatements: extensions.length > 0,
        admin: (sql, params) => Effect.orDie(query(url, sql, params)),
        freshDatabase: freshDatabase(maintenance),
        ...Instance.foreign(server)
      }
    }
  )

/** A fresh database in the server at this URL. */
export const at = (url: string): Effect.Effect<PostgresServer, ServerUnavailable, Scope.Scope> =>
  makeDatabase(url).pipe(
    Effect.mapError(
      ({ message }) =>
        new ServerUnavailable({ server, reason: `the given server gives no database of our own: ${message}` })
    ),
    Effect.flatMap((fresh) => foreign(fresh, url))
  )

const initialise = (sandbox: Sandbox.Sandbox, binaries: Binaries.Binaries, dataDir: string) =>
  sandbox.run(
    Path.join(binaries.bin, "initdb"),
    ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions", "-D", dataDir],
    binaries.env
  )

/** A private instance with these binaries, whatever the environment says. */
export const from = (binaries: Binaries.Binaries): Effect.Effect<PostgresServer, ServerUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const sandbox = yield* Sandbox.make(server)
    const dataDir = Path.join(sandbox.directory, "data")
    yield* initialise(sandbox, binaries, dataDir)
    const urlAt = (port: number) => `postgres://postgres@${Instance.host}:${port}/postgres`
    const settings = [
      `listen_addresses=${Instance.host}`,
      "unix_socket_directories=",
      "shared_buffers=16MB",
      "max_connections=200",
      ...(binaries.countsStatements ? ["shared_preload_libraries=pg_stat_statements"] : [])
    ]
    const instance = yield* Instance.make({
      server,
      sandbox,
      command: (port) => ({
        file: Path.join(binaries.bin, "postgres"),
        args: ["-D", dataDir, "-p", String(port), ...settings.flatMap((setting) => ["-c", setting])],
        env: binaries.env
      }),
      ready: (port) => query(urlAt(port), "SELECT 1", undefined, 1_000),
      stopSignals: ["SIGINT", "SIGQUIT"]
    })
    const url = urlAt(instance.port)
    if (binaries.countsStatements) {
      // In the template, so that every database made from it has the view.
      yield* Effect.orDie(query(withDatabase(url, "template1"), "CREATE EXTENSION pg_stat_statements"))
      yield* Effect.orDie(query(url, "CREATE EXTENSION pg_stat_statements"))
    }
    return {
      ...instance,
      url,
      dataDir,
      countsStatements: binaries.countsStatements,
      admin: (sql, params) => Effect.orDie(query(url, sql, params)),
      freshDatabase: freshDatabase(url)
    } satisfies PostgresServer
  })

/** A private instance, whatever the environment says: for tests that suspend, kill or restart their server. */
export const own: Effect.Effect<PostgresServer, ServerUnavailable, Scope.Scope> = Effect.flatMap(Binaries.find, from)

/** The server that the environment names, through a database of our own in it; else a private instance. */
export const scoped: Effect.Effect<PostgresServer, ServerUnavailable, Scope.Scope> = Effect.suspend(() => {
  const url = process.env[environmentVariable]
  return url === undefined || url === "" ? own : at(url)
})

/** A private instance of the newest release. */
export const newest: Effect.Effect<PostgresServer, ServerUnavailable, Scope.Scope> = Effect.flatMap(
  Binaries.newest,
  from
)
