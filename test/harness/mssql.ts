/**
 * A real SQL Server for tests, which only the environment can name: there is none to fetch. Each test gets a database of its own in it.
 */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import { randomBytes } from "node:crypto"
import * as Tedious from "tedious"
import type * as Instance from "./instance.js"
import type * as Proxy from "./proxy.js"
import { ServerUnavailable, tidy } from "./server.js"

export interface MssqlServer extends Instance.Address {
  readonly url: string
  /** One batch on a connection of its own, in the server's first database. A failing one is a defect. */
  readonly admin: (sql: string) => Effect.Effect<ReadonlyArray<Record<string, any>>>
  /** One batch in the database of this URL. */
  readonly query: (url: string, sql: string) => Effect.Effect<ReadonlyArray<Record<string, any>>, Error>
  /** The URL of a new, empty database, dropped when the scope closes; with what comes behind its name in CREATE, and what is to be set (of `ALTER DATABASE …`) then. */
  readonly freshDatabase: (
    create?: string,
    ...alter: ReadonlyArray<string>
  ) => Effect.Effect<string, never, Scope.Scope>
  /** How a proxy before this server tells requests apart. */
  readonly protocol: Proxy.Options["protocol"]
}

export const environmentVariable = "EFFECT_STORAGE_LOCK_MSSQL_URL"
const server = "SQL Server"

export const config = (url: string): Tedious.ConnectionConfiguration => {
  const parsed = new URL(url)
  const flag = (name: string, otherwise: boolean) => (parsed.searchParams.get(name) ?? String(otherwise)) === "true"
  const database = decodeURIComponent(parsed.pathname.slice(1))
  return {
    server: parsed.hostname,
    authentication: {
      type: "default",
      options: { userName: decodeURIComponent(parsed.username), password: decodeURIComponent(parsed.password) }
    },
    options: {
      port: Number(parsed.port || 1433),
      encrypt: flag("encrypt", true),
      trustServerCertificate: flag("trustServerCertificate", false),
      rowCollectionOnRequestCompletion: true,
      connectTimeout: 10_000,
      ...(database === "" ? {} : { database })
    }
  }
}

const query = (url: string, sql: string): Effect.Effect<ReadonlyArray<Record<string, any>>, Error> =>
  Effect.callback((resume) => {
    const connection = new Tedious.Connection(config(url))
    connection.on("error", () => {})
    connection.connect((refused) => {
      if (refused) return resume(Effect.fail(refused))
      connection.execSqlBatch(
        new Tedious.Request(
          sql,
          (error, _, rows: ReadonlyArray<ReadonlyArray<{ metadata: { colName: string }; value: unknown }>>) => {
            connection.close()
            resume(
              error
                ? Effect.fail(error)
                : Effect.succeed(
                    rows.map((row) => Object.fromEntries(row.map(({ metadata, value }) => [metadata.colName, value])))
                  )
            )
          }
        )
      )
    })
  })

const withDatabase = (url: string, database: string): string => {
  const parsed = new URL(url)
  parsed.pathname = `/${database}`
  return parsed.toString()
}

const makeDatabase = (
  url: string,
  create: string,
  alter: ReadonlyArray<string>
): Effect.Effect<string, Error, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.gen(function* () {
      const name = `storage_lock_${randomBytes(6).toString("hex")}`
      yield* query(url, `CREATE DATABASE [${name}] ${create}`)
      for (const setting of alter) yield* query(url, `ALTER DATABASE [${name}] ${setting}`)
      return name
    }),
    (name) =>
      tidy(
        // Azure SQL knows no single user, and needs none.
        Effect.catch(
          query(url, `ALTER DATABASE [${name}] SET SINGLE_USER WITH ROLLBACK IMMEDIATE; DROP DATABASE [${name}]`),
          () => query(url, `DROP DATABASE [${name}]`)
        ),
        "30 seconds"
      )
  ).pipe(Effect.map((name) => withDatabase(url, name)))

/** A message is as many packets as its bytes need; the last one says so. */
const ends = (): ((chunk: Buffer) => number) => {
  let rest = Buffer.alloc(0)
  return (chunk) => {
    rest = Buffer.concat([rest, chunk])
    let complete = 0
    while (rest.length >= 8) {
      const length = rest.readUInt16BE(2)
      if (rest.length < length || length < 8) break
      if ((rest[1]! & 1) === 1) complete++
      rest = rest.subarray(length)
    }
    return complete
  }
}

const frames = (): Proxy.Watch => {
  const asked = ends()
  const answered = ends()
  return { asked, answered: (chunk) => answered(chunk) > 0 }
}

const at = (url: string): Effect.Effect<MssqlServer, ServerUnavailable, Scope.Scope> =>
  makeDatabase(url, "", []).pipe(
    Effect.mapError(
      ({ message }) =>
        new ServerUnavailable({ server, reason: `the given server gives no database of our own: ${message}` })
    ),
    Effect.map((fresh) => {
      const parsed = new URL(url)
      return {
        url: fresh,
        host: parsed.hostname,
        port: Number(parsed.port || 1433),
        admin: (sql) => Effect.orDie(query(fresh, sql)),
        query,
        freshDatabase: (create = "", ...alter) => Effect.orDie(makeDatabase(url, create, alter)),
        // What is encrypted shows no packets.
        protocol: parsed.searchParams.get("encrypt") === "false" ? frames : "bytes"
      } satisfies MssqlServer
    })
  )

/** The server that the environment names, through a database of our own in it. */
export const scoped: Effect.Effect<MssqlServer, ServerUnavailable, Scope.Scope> = Effect.suspend(() => {
  const url = process.env[environmentVariable]
  return url === undefined || url === ""
    ? new ServerUnavailable({
        server,
        reason: `there is none to be had here; name one by ${environmentVariable}=mssql://user:password@host:1433/master?encrypt=false`
      })
    : at(url)
})
