/** A real Oracle Database for tests, which only the environment can name: there is none to fetch. Each test gets a table of its own in the user's schema. */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import { randomBytes } from "node:crypto"
import * as Redacted from "effect/Redacted"
import oracledb from "oracledb"
import { InvalidOptions } from "../../src/LockError.js"
import * as url from "../../src/backends/oracle/url.js"
import type * as Instance from "./instance.js"
import { ServerUnavailable, tidy } from "./server.js"

export interface OracleServer extends Instance.Address {
  readonly url: string
  /** One statement on a connection of its own. */
  readonly query: (sql: string) => Effect.Effect<ReadonlyArray<Record<string, any>>, Error>
  /** The name of a table that is not there yet; dropped when the scope closes. */
  readonly freshTable: Effect.Effect<string, never, Scope.Scope>
  /** A pool of the program's, closed when the scope closes; with what each session is set to. */
  readonly pool: (...session: ReadonlyArray<string>) => Effect.Effect<Pool, Error, Scope.Scope>
}

export type Pool = Awaited<ReturnType<typeof oracledb.createPool>>

export const environmentVariable = "EFFECT_STORAGE_LOCK_ORACLE_URL"
const server = "Oracle Database"

const promised = <A>(run: () => Promise<A>): Effect.Effect<A, Error> =>
  Effect.tryPromise({
    try: run,
    catch: (error) => (error instanceof Error ? error : new Error(String(error)))
  })

const made = (given: string, attributes: url.Attributes): OracleServer => {
  const query = (sql: string) =>
    promised(async () => {
      const connection = await oracledb.getConnection({ connectTimeout: 20, ...attributes })
      try {
        const { rows } = await connection.execute(sql, {}, { autoCommit: true, outFormat: oracledb.OUT_FORMAT_OBJECT })
        return (rows ?? []) as ReadonlyArray<Record<string, any>>
      } finally {
        await connection.close()
      }
    })
  const parsed = new URL(given)
  return {
    url: given,
    host: parsed.hostname,
    port: Number(parsed.port || 1521),
    query,
    freshTable: Effect.acquireRelease(
      Effect.sync(() => `ESL_${randomBytes(6).toString("hex").toUpperCase()}`),
      (name) => tidy(query(`DROP TABLE "${name}" PURGE`), "30 seconds")
    ),
    pool: (...session) =>
      Effect.acquireRelease(
        promised(() =>
          oracledb.createPool({
            ...attributes,
            poolMin: 0,
            poolMax: 8,
            queueTimeout: 20_000,
            sessionCallback: (
              connection: Awaited<ReturnType<typeof oracledb.getConnection>>,
              _: string,
              done: (error?: unknown) => void
            ) => {
              const options = { autoCommit: false, outFormat: oracledb.OUT_FORMAT_OBJECT }
              session
                .reduce((before, sql) => before.then(() => connection.execute(sql, {}, options)), Promise.resolve({}))
                .then(() => done(), done)
            }
          })
        ),
        (pool) => Effect.ignore(promised(() => pool.close(0)))
      )
  }
}

/** The server that the environment names, if it answers. */
export const scoped: Effect.Effect<OracleServer, ServerUnavailable> = Effect.suspend(() => {
  const given = process.env[environmentVariable]
  const unavailable = (reason: string) => new ServerUnavailable({ server, reason })
  if (given === undefined || given === "")
    return unavailable(
      `there is none to be had here; name one by ${environmentVariable}=oracle://user:password@host:1521/service`
    )
  const attributes = url.parse(environmentVariable, Redacted.make(given))
  if (attributes instanceof InvalidOptions) return unavailable(attributes.message)
  const found = made(given, attributes)
  return found.query("SELECT 1 AS n FROM DUAL").pipe(
    Effect.mapError(({ message }) => unavailable(`the given server does not answer: ${message}`)),
    Effect.as(found)
  )
})
