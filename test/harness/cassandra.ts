/**
 * Cassandra 5 for tests: a real server from Maven Central, on loopback, with a small heap and its data on disk; or one that the environment names. ScyllaDB is in no registry.
 */
import { auth, Client, type ClientOptions, type types } from "cassandra-driver"
import * as Effect from "#effect/Effect"
import * as Schedule from "#effect/Schedule"
import type * as Scope from "#effect/Scope"
import { randomBytes } from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Instance from "./instance.js"
import * as Maven from "./maven.js"
import * as Proxy from "./proxy.js"
import * as Sandbox from "./sandbox.js"
import { freePort, ServerUnavailable, tidy } from "./server.js"

export interface CassandraServer extends Instance.Life, Instance.Address {
  /** With the keyspace that the tests have. */
  readonly url: string
  readonly keyspace: string
  /** Statements, as whoever may do everything, on a client that is there until the end. */
  readonly admin: (cql: string, parameters?: ReadonlyArray<unknown>) => Effect.Effect<ReadonlyArray<types.Row>>
  /** The name of a table that is not there yet, and is dropped when the scope closes. */
  readonly freshTable: Effect.Effect<string, never, Scope.Scope>
}

export const environmentVariable = "EFFECT_STORAGE_LOCK_CASSANDRA_URL"

const server = "Cassandra 5"
const artifact = "org.apache.cassandra:cassandra-all:5.0.9"

/** What it has to have of the machine, as its own start script says. */
const modules = {
  "--add-exports": [
    "java.base/jdk.internal.misc",
    "java.base/java.lang.ref",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "jdk.unsupported/sun.misc",
    "jdk.attach/sun.tools.attach"
  ],
  "--add-opens": [
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.io",
    "java.base/java.nio",
    "java.base/java.net",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/sun.nio.ch",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.util.jar",
    "jdk.management/com.sun.management.internal"
  ]
}

/** Of files in PEM: it speaks TLS alone, to who shows a certificate of the authority. `key`: the server's key and certificate in one file. */
export interface Tls {
  readonly key: string
  readonly ca: string
}

export interface Setting {
  /** There are roles; `cassandra` with this name as its password may do everything. */
  readonly roles?: boolean | undefined
  readonly tls?: Tls | undefined
  /** What else stands in its configuration, in YAML. */
  readonly more?: ReadonlyArray<string> | undefined
}

export const superuser = "cassandra"

interface Node {
  readonly host: string
  readonly port: number
  readonly storagePort: number
  readonly seed: string
  readonly token: string
}

/** All that is written is on the disk before it is acknowledged, as it has to be where there is one node alone. */
const yaml = (directory: string, node: Node, { more = [], roles, tls }: Setting): string =>
  [
    "cluster_name: tests",
    "num_tokens: 1",
    `initial_token: "${node.token}"`,
    "auto_bootstrap: false",
    "auto_snapshot: false",
    "partitioner: org.apache.cassandra.dht.Murmur3Partitioner",
    "endpoint_snitch: SimpleSnitch",
    "paxos_variant: v2",
    "commitlog_sync: batch",
    "commitlog_segment_size: 4MiB",
    // With files in memory it does not find them again after a restart.
    "disk_access_mode: standard",
    "memtable_heap_space: 32MiB",
    "memtable_offheap_space: 32MiB",
    "file_cache_size: 32MiB",
    "key_cache_size: 4MiB",
    "concurrent_reads: 8",
    "concurrent_writes: 8",
    "concurrent_compactors: 1",
    `commitlog_directory: ${directory}/commitlog`,
    `data_file_directories: [${directory}/data]`,
    `saved_caches_directory: ${directory}/saved_caches`,
    `hints_directory: ${directory}/hints`,
    `cdc_raw_directory: ${directory}/cdc_raw`,
    "seed_provider:",
    "  - class_name: org.apache.cassandra.locator.SimpleSeedProvider",
    "    parameters:",
    `      - seeds: "${node.seed}:${node.storagePort}"`,
    `listen_address: ${node.host}`,
    `storage_port: ${node.storagePort}`,
    "start_native_transport: true",
    `rpc_address: ${node.host}`,
    `native_transport_port: ${node.port}`,
    ...(roles === true
      ? [
          "authenticator: PasswordAuthenticator",
          "authorizer: CassandraAuthorizer",
          "role_manager: CassandraRoleManager",
          // What is granted or taken counts at once.
          "permissions_validity: 0ms",
          "roles_validity: 0ms",
          "credentials_validity: 0ms"
        ]
      : []),
    ...(tls === undefined
      ? []
      : [
          "client_encryption_options:",
          "  enabled: true",
          "  optional: false",
          "  require_client_auth: true",
          "  ssl_context_factory:",
          "    class_name: org.apache.cassandra.security.PEMBasedSslContextFactory",
          `  keystore: ${tls.key}`,
          `  truststore: ${tls.ca}`
        ]),
    ...more
  ].join("\n")

const logging =
  '<configuration><appender name="S" class="ch.qos.logback.core.ConsoleAppender"><encoder><pattern>%d{HH:mm:ss.SSS} %-5level %logger{0} %msg%n</pattern></encoder></appender>' +
  '<root level="WARN"><appender-ref ref="S"/></root></configuration>'

/** A client for the tests themselves. It is told the whole truth about a node that is down, at once. */
export const client = (
  { host, port }: Instance.Address,
  options: Partial<ClientOptions> = {}
): Effect.Effect<Client, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(
      () =>
        new Client({
          contactPoints: [`${host}:${port}`],
          localDataCenter: "datacenter1",
          protocolOptions: { port },
          ...options
        })
    ),
    (client) => Effect.promise(() => client.shutdown().catch(() => {}))
  )

const asking = (client: Client, cql: string, parameters: ReadonlyArray<unknown> = []) =>
  Effect.tryPromise({
    try: async () => (await client.execute(cql, [...parameters], { prepare: parameters.length > 0 })).rows ?? [],
    catch: (cause) => cause as Error
  })

const keyspace = "tests"

const replicated = (copies: number) =>
  `CREATE KEYSPACE IF NOT EXISTS ${keyspace} WITH replication = {'class': 'SimpleStrategy', 'replication_factor': ${copies}}`

const credentialsOf = ({ roles, tls }: Setting): Partial<ClientOptions> => ({
  ...(roles === true ? { authProvider: new auth.PlainTextAuthProvider(superuser, superuser) } : {}),
  ...(tls === undefined
    ? {}
    : {
        sslOptions: {
          ca: Fs.readFileSync(tls.ca),
          cert: Fs.readFileSync(tls.key),
          key: Fs.readFileSync(tls.key),
          rejectUnauthorized: true
        }
      })
})

/** It takes statements of who may do everything. */
const ready = (address: Instance.Address, options: Partial<ClientOptions>, copies: number) =>
  Effect.scoped(
    Effect.flatMap(client(address, options), (client) =>
      Effect.timeout(asking(client, replicated(copies)), "20 seconds")
    )
  )

const using = (address: Instance.Address, options: Partial<ClientOptions>, within: string) => {
  // A client is made for each statement: one that was made before a restart would first have to notice it.
  const admin: CassandraServer["admin"] = (cql, parameters) =>
    Effect.orDie(Effect.scoped(Effect.flatMap(client(address, options), (client) => asking(client, cql, parameters))))
  return {
    keyspace: within,
    url: `cassandra://${address.host}:${address.port}/${within}`,
    admin,
    freshTable: Effect.acquireRelease(
      Effect.sync(() => `storage_lock_${randomBytes(6).toString("hex")}`),
      (table) => tidy(admin(`DROP TABLE IF EXISTS ${within}.${table}`), "10 seconds")
    )
  }
}

/** The server at this URL, with its keyspace. */
export const at = (url: string): Effect.Effect<CassandraServer, ServerUnavailable> =>
  Effect.suspend(() => {
    const { hostname, password, pathname, port, username } = new URL(url)
    const address = { host: hostname, port: Number(port || 9042) }
    const options: Partial<ClientOptions> =
      username === ""
        ? {}
        : { authProvider: new auth.PlainTextAuthProvider(decodeURIComponent(username), decodeURIComponent(password)) }
    return Effect.scoped(
      Effect.flatMap(client(address, options), (client) => asking(client, "SELECT key FROM system.local"))
    ).pipe(
      Effect.mapBoth({
        onFailure: ({ message }) =>
          new ServerUnavailable({ server, reason: `the given server does not answer: ${message}` }),
        onSuccess: () => ({
          ...Instance.foreign(server),
          ...address,
          ...using(address, options, pathname.slice(1)),
          url
        })
      })
    )
  })

const started = (
  setting: Setting,
  copies: number,
  nodeOf: (port: number) => Node,
  at?: { readonly host: string; readonly port: number }
) =>
  Effect.gen(function* () {
    const jars = yield* Maven.fetch(server, [artifact])
    const agent = Fs.readdirSync(jars).find((name) => /^jamm-.*\.jar$/.test(name))
    const sandbox = yield* Sandbox.make(server)
    const { directory } = sandbox
    const options = credentialsOf(setting)
    const put = (name: string, text: string): string => {
      const path = Path.join(directory, name)
      Fs.writeFileSync(path, text, { mode: 0o644 })
      return path
    }
    const log = put("logback.xml", logging)
    const instance = yield* Instance.make({
      server,
      sandbox,
      at,
      command: (port) => ({
        file: "java",
        args: [
          ...Maven.jvm,
          "-Xms64m",
          "-Xmx256m",
          "-XX:MaxDirectMemorySize=128m",
          `-javaagent:${Path.join(jars, agent!)}`,
          "-Djdk.attach.allowAttachSelf=true",
          `-Djava.io.tmpdir=${directory}`,
          `-Dlogback.configurationFile=${log}`,
          `-Dcassandra.config=file://${put("cassandra.yaml", yaml(directory, nodeOf(port), setting))}`,
          `-Dcassandra.storagedir=${directory}`,
          "-Dcassandra-foreground=yes",
          "-Dcassandra.skip_wait_for_gossip_to_settle=0",
          "-Dcassandra.ring_delay_ms=1000",
          "-Dcassandra.superuser_setup_delay_ms=0",
          ...Object.entries(modules).flatMap(([flag, names]) => names.flatMap((name) => [flag, `${name}=ALL-UNNAMED`])),
          "-cp",
          Path.join(jars, "*"),
          "org.apache.cassandra.service.CassandraDaemon"
        ]
      }),
      ready: (port) => ready({ host: at?.host ?? Instance.host, port }, options, copies),
      patience: "3 minutes"
    })
    return { ...instance, ...using(instance, options, keyspace) } satisfies CassandraServer
  })

/** A node that waits for no other has no cause to give up on a statement: on a busy machine it would, and leave the outcome open, where tests count what is asked. */
const patient = ["read_request_timeout: 60s", "write_request_timeout: 60s", "cas_contention_timeout: 60s"]

/** A private node by itself, whatever the environment says: for tests that suspend, kill or restart their server. */
export const own = (setting: Setting = {}): Effect.Effect<CassandraServer, ServerUnavailable, Scope.Scope> =>
  Effect.flatMap(freePort, (storagePort) =>
    started({ ...setting, more: [...patient, ...(setting.more ?? [])] }, 1, (port) => ({
      host: Instance.host,
      port,
      storagePort,
      seed: Instance.host,
      token: "0"
    }))
  )

export interface Pair {
  readonly nodes: readonly [CassandraServer, CassandraServer]
  /** What clients find of each node: a proxy before it, by which it is known in the cluster. */
  readonly links: readonly [Proxy.Proxy, Proxy.Proxy]
  /** Of both links, with the keyspace of the tests. */
  readonly url: string
  /** Of one link. */
  readonly urlOf: (link: 0 | 1) => string
  /** Each node has seen the other, and both are asked for a majority. */
  readonly whole: Effect.Effect<void>
}

/** Two nodes that are one cluster, on two addresses of loopback, each with a copy of all that there is: a majority is both. */
export const pair = (protocol: Proxy.Options["protocol"]): Effect.Effect<Pair, ServerUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const [port, storagePort] = [yield* freePort, yield* freePort]
    const node = (host: string, link: string, token: string) => {
      const more = [
        `broadcast_rpc_address: ${link}`,
        // As late as a busy machine may be, and still soon enough to be waited for.
        "phi_convict_threshold: 8"
      ]
      return Effect.all([
        started({ more }, 2, () => ({ host, port, storagePort, seed: Instance.host, token }), { host, port }),
        Proxy.make({ host, port }, { protocol, at: { host: link, port } })
      ])
    }
    const links = ["127.0.1.1", "127.0.1.2"] as const
    const [first, before] = yield* node(Instance.host, links[0], "-4611686018427387904")
    const [second, behind] = yield* node("127.0.0.2", links[1], "4611686018427387904")
    const nodes = [first, second] as const
    const known = Effect.sync(() => `ready_${randomBytes(4).toString("hex")}`)
    const whole = Effect.forEach(
      nodes,
      (node) =>
        Effect.flatMap(known, (id) =>
          Effect.sandbox(node.admin(`INSERT INTO ${keyspace}.ready (id) VALUES (?) IF NOT EXISTS`, [id]))
        ),
      { discard: true }
    ).pipe(Effect.retry({ schedule: Schedule.spaced("200 millis") }), Effect.timeout("2 minutes"), Effect.orDie)
    yield* first.admin(`CREATE TABLE IF NOT EXISTS ${keyspace}.ready (id text PRIMARY KEY)`)
    yield* whole
    const urlAt = (...hosts: ReadonlyArray<string>) =>
      `cassandra://${hosts.map((host) => `${host}:${port}`).join()}/${keyspace}`
    return {
      nodes,
      links: [before, behind],
      url: urlAt(...links),
      urlOf: (link) => urlAt(links[link]),
      whole
    } satisfies Pair
  })
