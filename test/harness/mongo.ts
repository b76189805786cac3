/**
 * Servers of the MongoDB protocol for tests: a real MongoDB that the environment names, through databases of our own; and mongo-java-server, private and in memory, which
 * knows no update pipelines and forgets everything when it ends.
 */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import { type Db, type MongoClientOptions, MongoClient } from "mongodb"
import { randomBytes } from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import * as Instance from "./instance.js"
import * as Maven from "./maven.js"
import * as Sandbox from "./sandbox.js"
import { ServerUnavailable, tidy } from "./server.js"

export interface MongoServer extends Instance.Life, Instance.Address {
  /** With the name of a database of our own in its path. */
  readonly url: string
  /** On a client of its own. */
  readonly admin: <A>(use: (db: Db) => Promise<A>) => Effect.Effect<A>
  /** A replica set or a sharded cluster: it has change streams and transactions. */
  readonly replicated: boolean
  /** And not DocumentDB, FerretDB or another server of its protocol. */
  readonly isMongo: boolean
  /** The URL of a new, empty database, dropped when the scope closes. */
  readonly freshDatabase: Effect.Effect<string, never, Scope.Scope>
}

/** A real MongoDB. */
export const environmentVariable = "EFFECT_STORAGE_LOCK_MONGO_URL"
/** A server of its protocol that knows no update pipelines. */
export const javaEnvironmentVariable = "EFFECT_STORAGE_LOCK_MONGO_JAVA_URL"
const server = "MongoDB"

const artifact = "de.bwaldvogel:mongo-java-server-memory-backend:1.47.0"

/** As the driver reads it; lists of hosts are no URLs to Node. */
export const withDatabase = (url: string, database: string): string =>
  url.replace(/^(mongodb(?:\+srv)?:\/\/[^/?]+)(?:\/[^?]*)?/, (_, hosts: string) => `${hosts}/${database}`)

/** So that what passes a proxy is what a test does, and not what the driver does to watch its server. */
export const watchedSeldom = (url: string): string =>
  `${url}${url.includes("?") ? "&" : "?"}serverMonitoringMode=poll&heartbeatFrequencyMS=600000`

export const client = (url: string, options: MongoClientOptions = {}) =>
  Effect.acquireRelease(
    Effect.sync(() => new MongoClient(url, { serverSelectionTimeoutMS: 3_000, ...options })),
    (client) => Effect.promise(() => client.close().catch(() => {}))
  )

const use = <A>(url: string, body: (db: Db) => Promise<A>): Effect.Effect<A, Error> =>
  Effect.scoped(
    Effect.flatMap(client(url), (client) =>
      Effect.tryPromise({ try: () => body(client.db()), catch: (cause) => cause as Error })
    )
  )

const makeDatabase = (url: string): Effect.Effect<string, Error, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.suspend(() => {
      const fresh = withDatabase(url, `storage_lock_${randomBytes(6).toString("hex")}`)
      return Effect.as(
        use(fresh, (db) => db.command({ ping: 1 })),
        fresh
      )
    }),
    (fresh) =>
      tidy(
        use(fresh, (db) => db.dropDatabase()),
        "5 seconds"
      )
  )

const onServer = (url: string) => ({
  url,
  admin: <A>(body: (db: Db) => Promise<A>) => Effect.orDie(use(url, body)),
  freshDatabase: Effect.orDie(makeDatabase(url))
})

/** A fresh database in the server at this URL. */
export const at = (url: string): Effect.Effect<MongoServer, ServerUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const fresh = yield* makeDatabase(url)
    const hello = yield* use(fresh, (db) => db.command({ isMaster: 1 }))
    const build = yield* use(fresh, (db) => db.command({ buildInfo: 1 }))
    const [, host = "127.0.0.1", port] = /^mongodb:\/\/(?:[^@/]*@)?([^:,/?]+)(?::(\d+))?/.exec(url) ?? []
    return {
      ...onServer(fresh),
      host,
      port: Number(port ?? 27017),
      replicated: typeof hello.setName === "string" || hello.msg === "isdbgrid",
      isMongo: typeof build.gitVersion === "string" && build.ferretdb === undefined,
      ...Instance.foreign(server)
    }
  }).pipe(
    Effect.mapError(
      ({ message }) =>
        new ServerUnavailable({ server, reason: `the given server gives no database of our own: ${message}` })
    )
  )

/** The MongoDB that the environment names. There is none to be fetched. */
export const real: Effect.Effect<MongoServer, ServerUnavailable, Scope.Scope> = Effect.suspend(() => {
  const url = process.env[environmentVariable]
  return url === undefined || url === ""
    ? new ServerUnavailable({ server, reason: `${environmentVariable} does not name one` })
    : at(url)
})

/** Whether tests on a real MongoDB run: nobody has to have one, so its absence fails no run. */
export const hasReal = (process.env[environmentVariable] ?? "") !== ""

const launcher = fileURLToPath(new URL("./MongoJavaServer.java", import.meta.url))

const javaServer = (oplog: boolean): Effect.Effect<MongoServer, ServerUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const name = "mongo-java-server"
    const jars = yield* Maven.fetch(name, [artifact])
    const sandbox = yield* Sandbox.make(name)
    const source = Path.join(sandbox.directory, Path.basename(launcher))
    Fs.copyFileSync(launcher, source)
    Fs.chmodSync(source, 0o644)
    const urlAt = (port: number) => `mongodb://${Instance.host}:${port}/storage_lock?directConnection=true`
    const instance = yield* Instance.make({
      server: name,
      sandbox,
      command: (port) => ({
        file: "java",
        args: [...Maven.jvm, "-Xmx128m", "-cp", Path.join(jars, "*"), source, String(port), ...(oplog ? ["oplog"] : [])]
      }),
      ready: (port) => use(urlAt(port), (db) => db.command({ ping: 1 }))
    })
    return { ...instance, ...onServer(urlAt(instance.port)), replicated: false, isMongo: false }
  })

/** A private server without change streams, as a standalone MongoDB. */
export const own: Effect.Effect<MongoServer, ServerUnavailable, Scope.Scope> = javaServer(false)

/** A private server with change streams. */
export const withChangeStreams: Effect.Effect<MongoServer, ServerUnavailable, Scope.Scope> = javaServer(true)
