/**
 * A real PostgreSQL for tests: one named by the environment, else a private instance, with durable writes as in earnest.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type * as ChildProcess from "node:child_process"
import { randomBytes } from "node:crypto"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import Pg from "pg"
import * as Binaries from "./postgresBinaries.js"
import * as Sandbox from "./sandbox.js"
import { freePort, ServerUnavailable } from "./server.js"

export interface PostgresServer {
  readonly url: string
  readonly host: string
  readonly port: number
  /** Whether the server is this test's own: only then can it be suspended, killed and started. */
  readonly owned: boolean
  /** The first process of a server of our own, as it is now. */
  readonly pid: () => number | undefined
  readonly dataDir: string | undefined
  /** Whether `pg_stat_statements` is loaded, and there in every fresh database. */
  readonly countsStatements: boolean
  /** One statement on a connection of its own, as superuser of a server of our own. A failing statement is a defect. */
  readonly admin: (sql: string, params?: ReadonlyArray<unknown>) => Effect.Effect<ReadonlyArray<any>>
  /** The URL of a new, empty database, dropped when the scope closes. */
  readonly freshDatabase: Effect.Effect<string, never, Scope.Scope>
  /** Stops all its processes where they stand. */
  readonly suspend: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
  /** As a power cut does: SIGKILL to all its processes. */
  readonly kill: Effect.Effect<void>
  /** In order, as an operator does. */
  readonly stop: Effect.Effect<void>
  /** Again, on the same port and the same data; returns when it answers. */
  readonly start: Effect.Effect<void>
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
    // A server that a test left dead or suspended goes away as a whole.
    (name) => Effect.ignore(query(url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`, undefined, 3_000))
  ).pipe(Effect.map((name) => withDatabase(url, name)))

const freshDatabase = (url: string) => Effect.orDie(makeDatabase(url))

/** A server that was there before us, seen through a database of our own. */
const foreign = (url: string, maintenance: string): Effect.Effect<PostgresServer> =>
  Effect.map(
    Effect.orElseSucceed(
      query(url, "SELECT 1 FROM pg_extension WHERE extname = 'pg_stat_statements'"),
      () => []
    ),
    (extensions) => {
      const parsed = new URL(url)
      const notOurs = Effect.dieMessage("this PostgreSQL is not the test's own: use Postgres.own to stop and start one")
      return {
        url,
        host: parsed.hostname,
        port: Number(parsed.port || 5432),
        owned: false,
        pid: () => undefined,
        dataDir: undefined,
        countsStatements: extensions.length > 0,
        admin: (sql, params) => Effect.orDie(query(url, sql, params)),
        freshDatabase: freshDatabase(maintenance),
        suspend: notOurs,
        resume: notOurs,
        kill: notOurs,
        stop: notOurs,
        start: notOurs
      }
    }
  )

/** A fresh database in the server at this URL. */
export const at = (url: string): Effect.Effect<PostgresServer, ServerUnavailable, Scope.Scope> =>
  makeDatabase(url).pipe(
    Effect.mapError(({ message }) =>
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
  Effect.gen(function*() {
    const sandbox = yield* Sandbox.make(server)
    const dataDir = Path.join(sandbox.directory, "data")
    const logFile = Path.join(sandbox.directory, "server.log")
    yield* initialise(sandbox, binaries, dataDir)

    const host = "127.0.0.1"
    const port = yield* freePort
    const url = `postgres://postgres@${host}:${port}/postgres`
    let child: ChildProcess.ChildProcess | undefined
    const running = () => child !== undefined && child.exitCode === null && child.signalCode === null

    const settings = [
      `listen_addresses=${host}`,
      "unix_socket_directories=",
      "shared_buffers=16MB",
      "max_connections=200",
      ...(binaries.countsStatements ? ["shared_preload_libraries=pg_stat_statements"] : [])
    ]
    const start = Effect.suspend(() => {
      child = sandbox.spawn(
        Path.join(binaries.bin, "postgres"),
        ["-D", dataDir, "-p", String(port), ...settings.flatMap((setting) => ["-c", setting])],
        { logFile, env: binaries.env }
      )
      const failed = () =>
        new ServerUnavailable({ server, reason: `it did not start: ${Fs.readFileSync(logFile, "utf8").slice(-1500)}` })
      return query(url, "SELECT 1", undefined, 1_000).pipe(
        Effect.retry({ while: running, schedule: Schedule.spaced("25 millis") }),
        Effect.timeout("60 seconds"),
        Effect.mapError(failed)
      )
    })
    const ended = Effect.sync(running).pipe(
      Effect.delay("5 millis"),
      Effect.repeat({ until: (still) => !still }),
      Effect.timeoutOption("5 seconds")
    )
    const stop = Effect.gen(function*() {
      // A suspended process hears nothing.
      yield* sandbox.signalAll("SIGCONT")
      for (const name of ["SIGINT", "SIGQUIT"] as const) {
        if (!running()) break
        child!.kill(name)
        yield* ended
      }
      yield* sandbox.killAll
      yield* ended
    })

    yield* Effect.acquireRelease(start, () => stop)
    if (binaries.countsStatements) {
      // In the template, so that every database made from it has the view.
      yield* Effect.orDie(query(withDatabase(url, "template1"), "CREATE EXTENSION pg_stat_statements"))
      yield* Effect.orDie(query(url, "CREATE EXTENSION pg_stat_statements"))
    }
    return {
      url,
      host,
      port,
      owned: true,
      pid: () => running() ? child!.pid : undefined,
      dataDir,
      countsStatements: binaries.countsStatements,
      admin: (sql, params) => Effect.orDie(query(url, sql, params)),
      freshDatabase: freshDatabase(url),
      suspend: Effect.asVoid(sandbox.signalAll("SIGSTOP")),
      resume: Effect.asVoid(sandbox.signalAll("SIGCONT")),
      kill: Effect.zipRight(sandbox.killAll, Effect.asVoid(ended)),
      stop,
      start: Effect.asVoid(Effect.orDie(start))
    } satisfies PostgresServer
  })

/** A private instance, whatever the environment says: for tests that suspend, kill or restart their server. */
export const own: Effect.Effect<PostgresServer, ServerUnavailable, Scope.Scope> = Effect.flatMap(Binaries.find, from)

/** The server that the environment names, through a database of our own in it; else a private instance. */
export const scoped: Effect.Effect<PostgresServer, ServerUnavailable, Scope.Scope> = Effect.suspend(() => {
  const url = process.env[environmentVariable]
  return url === undefined || url === "" ? own : at(url)
})

const ask = (port: number) =>
  Effect.async<string>((resume) => {
    let text = ""
    Net.connect(port, "127.0.0.1").setEncoding("utf8").on("data", (_) => (text += _)).on(
      "close",
      () => resume(Effect.succeed(text))
    ).on("error", (error) => resume(Effect.die(error)))
  })

/**
 * A fresh database in the one server of this test run, which starts when the first test file asks for it (see `globalSetup.ts`).
 * Not for tests that suspend or stop the server.
 */
export const shared: Effect.Effect<PostgresServer, ServerUnavailable, Scope.Scope> = Effect.gen(function*() {
  const { inject } = yield* Effect.promise(() => import("vitest"))
  const reply = JSON.parse(yield* ask(inject("sharedPostgres"))) as { url?: string; unavailable?: string }
  return yield* reply.url === undefined
    ? new ServerUnavailable({ server, reason: reply.unavailable ?? "the test run has none" })
    : at(reply.url)
})
