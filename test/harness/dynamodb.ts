/** DynamoDB for tests: DynamoDB Local from Maven Central, in memory, which forgets everything when it ends. AWS itself is not to be had. */
import {
  DeleteTableCommand,
  DynamoDBClient,
  type DynamoDBClientConfig,
  ListTablesCommand
} from "@aws-sdk/client-dynamodb"
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import { randomBytes } from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import * as Instance from "./instance.js"
import * as Maven from "./maven.js"
import * as Sandbox from "./sandbox.js"
import { ServerUnavailable, tidy } from "./server.js"

export interface DynamoServer extends Instance.Life, Instance.Address {
  readonly url: string
  /** On a client of its own. */
  readonly admin: <A>(use: (client: DynamoDBClient) => Promise<A>) => Effect.Effect<A>
  /** The name of a table that is not there yet, and is dropped when the scope closes. */
  readonly freshTable: Effect.Effect<string, never, Scope.Scope>
}

export const environmentVariable = "EFFECT_STORAGE_LOCK_DYNAMODB_URL"

const server = "DynamoDB Local"
const artifact = "software.amazon.dynamodb:DynamoDBLocal:3.1.0"

/** It takes any. */
export const reach = (endpoint: string) =>
  ({
    endpoint,
    region: "local",
    credentials: { accessKeyId: "any", secretAccessKey: "any" }
  }) satisfies DynamoDBClientConfig

export const client = (url: string, config: DynamoDBClientConfig = {}) =>
  Effect.acquireRelease(
    Effect.sync(() => new DynamoDBClient({ ...reach(url), ...config })),
    (client) => Effect.sync(() => client.destroy())
  )

const use = <A>(url: string, body: (client: DynamoDBClient) => Promise<A>, config?: DynamoDBClientConfig) =>
  Effect.scoped(
    Effect.flatMap(client(url, config), (client) =>
      Effect.tryPromise({ try: () => body(client), catch: (cause) => cause as Error })
    )
  )

const ping = (url: string) => use(url, (client) => client.send(new ListTablesCommand({ Limit: 1 })), { maxAttempts: 1 })

const onServer = (url: string) => ({
  url,
  admin: <A>(body: (client: DynamoDBClient) => Promise<A>) => Effect.orDie(use(url, body)),
  freshTable: Effect.acquireRelease(
    Effect.sync(() => `storage_lock_${randomBytes(6).toString("hex")}`),
    (TableName) =>
      tidy(
        use(url, (client) => client.send(new DeleteTableCommand({ TableName }))),
        "5 seconds"
      )
  )
})

/** The server at this URL. */
export const at = (url: string): Effect.Effect<DynamoServer, ServerUnavailable> =>
  Effect.mapBoth(ping(url), {
    onFailure: ({ message }) =>
      new ServerUnavailable({ server, reason: `the given server does not answer: ${message}` }),
    onSuccess: () => {
      const { hostname, port } = new URL(url)
      return { ...onServer(url), host: hostname, port: Number(port), ...Instance.foreign(server) }
    }
  })

const launcher = fileURLToPath(new URL("./DynamoDbLocal.java", import.meta.url))

/** A private server. */
export const own: Effect.Effect<DynamoServer, ServerUnavailable, Scope.Scope> = Effect.gen(function* () {
  const jars = yield* Maven.fetch(server, [artifact])
  const sandbox = yield* Sandbox.make("dynamodb")
  const source = Path.join(sandbox.directory, Path.basename(launcher))
  Fs.copyFileSync(launcher, source)
  Fs.chmodSync(source, 0o644)
  const instance = yield* Instance.make({
    server,
    sandbox,
    command: (port) => ({
      file: "java",
      args: [...Maven.jvm, "-Xmx128m", "-cp", Path.join(jars, "*"), source, String(port)]
    }),
    ready: (port) => ping(`http://${Instance.host}:${port}`)
  })
  return { ...instance, ...onServer(`http://${instance.host}:${instance.port}`) }
})
