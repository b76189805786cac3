/** Every example runs as its reader would run it, ends by itself, and prints what its table says. */
import * as Reactivity from "@effect/experimental/Reactivity"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { afterAll, beforeAll, describe, expect, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import { createSocket } from "node:dgram"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { layer as ownBackend } from "../../examples/ownBackend.js"
import * as CassandraStorage from "../../src/backends/cassandra/CassandraStorage.js"
import * as DynamoDbStorage from "../../src/backends/dynamodb/DynamoDbStorage.js"
import * as ZookeeperStorage from "../../src/backends/zookeeper/ZookeeperStorage.js"
import * as Conformance from "../../src/testing/index.js"
import * as Shared from "../harness/shared.js"
import * as Splunk from "../harness/splunk.js"
import { describeServer } from "../harness/server.js"
import * as program from "../support/program.js"

const root = fileURLToPath(new URL("../../", import.meta.url))
const folder = join(root, "examples")

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "storage-lock-"))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const sourceOf = (name: string) => new URL(`../../examples/${name}`, import.meta.url)
const bundled = program.bundled(
  ...readdirSync(folder)
    .filter((file) => file.endsWith(".ts"))
    .map(sourceOf)
)

const run = async (name: string, env: NodeJS.ProcessEnv) => {
  const { code, stderr, stdout } = await program.ended(
    program.start(bundled(sourceOf(`${name}.ts`)), [], {
      cwd: root,
      env: { ...process.env, LOCK_FILE: join(directory, `${name}.db`), ...env }
    })
  )
  return { code, stderr, lines: stdout.trimEnd().split("\n") }
}

const examples: Record<string, ReadonlyArray<string>> = {
  memory: ["held by worker-1, 1 time; the token has its value: true", "held after the scope: false"],
  memoryConfigured: [
    "surely held for more than the 10 seconds of the layer: true",
    "in the same namespace: true",
    "in another: false",
    'leaseRefreshInterval must be a duration above zero and below the lease of 1s, but is "2 seconds"'
  ],
  sqlite: ["nobody else does this now"],
  sqliteConfigured: ["worker-1 holds nightly-report"],
  readWriteLock: ["readers at once: 5", "the first writer, late: StaleToken", 'the price: [{"price":5}]'],
  semaphore: [
    "never more than four permits at once: true",
    "more than one at once: true",
    "permits must be a whole number from 1 to the limit, 4, but is 5",
    "the storage has a record of the kind: semaphore"
  ],
  fleetSchedule: ["each tick ran once: true", "cleaned up; the late one: None"],
  leaderElection: [
    "9 lines, 3 of each: true",
    "each has led once: true",
    "the looker has seen leaders: true",
    "a former leader is refused: true",
    "hello, once"
  ],
  tenWorkers: ["10 workers with 5 turns each: 50", "tokens grow from turn to turn: true"],
  fencedWrites: ["the late write: StaleToken", "balance: 111"],
  reentrancy: [
    "inside: held 2 times, with one token: true",
    "another owner gets it: false",
    "without an owner id: false",
    "held at the end: false"
  ],
  lostLease: [
    "withLock: the body was interrupted",
    "withLock: Expired",
    "check: LockLost",
    "lost: Expired",
    "guard: LockLost",
    "unsafeRemainingMillis: left the loop"
  ],
  tryAndTimeout: [
    "tryAcquire: somebody else has it",
    "withLockIfAvailable: None",
    "withLock: held by worker-1, its lease lasts beyond now: true",
    '<id> waited <time> for the lock "foo": it is held by worker-1 (owner <id>) since <time>, lease until <time>'
  ],
  forkedWork: [
    "a child of withLock ends, and the lock is held",
    "a fiber in the scope ends, and the lock is held",
    "a daemon ends, and the lock is free"
  ],
  config: ["a lease of 30s"],
  operators: [
    "bar by worker-2, foo by worker-1",
    "worker-1 is told: Forced",
    "worker-3 has a greater token: true",
    "again: false",
    "purged: 0"
  ],
  closing: [
    "a promise under the lock: 2",
    "the body was interrupted",
    "the job ended: Closed",
    "held in the storage: false"
  ],
  interrupt: ["held before: true", "held after the interruption: false"],
  ownBackend: ["worker-1 held foo"],
  promise: [
    "withLock: 2",
    "acquire: for more than 20 seconds: true",
    "tryAcquire: undefined",
    "withLockIfAvailable: false",
    "LOCK_TIMEOUT: held by worker-1",
    "aborted: TimeoutError",
    "LOCK_LOST: Forced"
  ]
}

const onPostgres: Record<string, ReadonlyArray<string>> = {
  postgres: ["nobody else does this now"],
  postgresConfigured: ["worker-1 held nightly-report"],
  ownPgClient: ["transaction: rolled back, rows: 0", "lock: still held"],
  ownPgPool: ["held", "the pool still serves: 1"]
}

const onMysql: Record<string, ReadonlyArray<string>> = {
  mysql: ["nobody else does this now"],
  mysqlConfigured: ["held nightly-report", "with a greater token: true"]
}

const onMssql: Record<string, ReadonlyArray<string>> = { mssql: ["nobody else does this now"] }

const onOracle: Record<string, ReadonlyArray<string>> = { oracle: ["nobody else does this now"] }

const onMongo: Record<string, ReadonlyArray<string>> = {
  mongo: ["nobody else does this now"],
  mongoConfigured: ["worker-1 held nightly-report"]
}

const onRedis: Record<string, ReadonlyArray<string>> = {
  redis: ["nobody else does this now"],
  redisConfigured: ["worker-1 held nightly-report", "held", "the client still serves: PONG"],
  rotatingPassword: ["held: true", "renewed with the new password: true"]
}

const onEtcd: Record<string, ReadonlyArray<string>> = {
  etcd: ["nobody else does this now"],
  etcdConfigured: ["worker-1 held nightly-report", "and gave it back: true"]
}

const onSearch: Record<string, ReadonlyArray<string>> = {
  elasticsearch: ["nobody else does this now"],
  elasticsearchConfigured: ["worker-1 held nightly-report", "and gave it back: true"]
}

const onDynamoDb: Record<string, ReadonlyArray<string>> = {
  dynamodb: ["nobody else does this now"],
  dynamodbConfigured: [
    ...DynamoDbStorage.ddl({ table: "app_locks" }).split("\n"),
    "worker-1 held nightly-report",
    "and gave it back: true"
  ]
}

const onConsul: Record<string, ReadonlyArray<string>> = {
  consul: ["nobody else does this now"],
  consulConfigured: ["worker-1 held nightly-report", "and gave it back: true"]
}

const onZookeeper: Record<string, ReadonlyArray<string>> = {
  zookeeper: ["nobody else does this now"],
  zookeeperConfigured: [
    ...ZookeeperStorage.ddl({ root: "/app/locks", acl: "creator" }).trim().split("\n"),
    "worker-1 held nightly-report",
    "and gave it back: true"
  ]
}

const onSplunk: Record<string, ReadonlyArray<string>> = {
  splunk: ["nobody else does this now"],
  splunkConfigured: [
    "[app_locks]",
    "access = read : [ lock_user ], write : [ lock_user ]",
    "worker-1 held nightly-report",
    "and gave it back: true"
  ]
}

const onCassandra: Record<string, ReadonlyArray<string>> = {
  cassandra: ["nobody else does this now"],
  cassandraConfigured: [
    CassandraStorage.ddl({ table: "app_locks" }),
    "worker-1 held nightly-report",
    "and gave it back: true"
  ]
}

const onNtp: Record<string, ReadonlyArray<string>> = {
  ntpTime: ["nightly-report is held by the time of the server: true"]
}

const onAnyStorage: typeof examples = { anyStorage: ["five steps: 5"] }

const check = (all: typeof examples, env: NodeJS.ProcessEnv = {}) => {
  for (const [name, lines] of Object.entries(all)) {
    it(`${name}.ts`, async () => {
      const ran = await run(name, env)
      // A storage that finds something to warn of at its start says so in the log, and so is what becomes of holds.
      expect({
        ...ran,
        lines: ran.lines.filter((line) => !/level=WARN|WARN \(|message="effect-storage-lock: /.test(line))
      }).toEqual({ code: 0, stderr: "", lines })
    })
  }
}

describe("examples", () => {
  check(examples)

  describe("in memory", () => check(onAnyStorage, { LOCK_URL: "memory:" }))

  it("anyStorage.ts on SQLite", async () => {
    expect((await run("anyStorage", { LOCK_URL: `sqlite:${join(directory, "any.db")}` })).lines).toEqual(
      onAnyStorage["anyStorage"]
    )
  })

  it("each is run here, and has its line in the table", () => {
    const all = readdirSync(folder)
      .filter((file) => file.endsWith(".ts"))
      .sort()
    // Two ask for a server's parts one by one: only type-checked here.
    const known = {
      ...examples,
      ...onPostgres,
      ...onMysql,
      ...onMssql,
      mssqlConfigured: [],
      ...onOracle,
      oracleConfigured: [],
      ...onMongo,
      ...onRedis,
      ...onEtcd,
      ...onSearch,
      ...onDynamoDb,
      ...onConsul,
      ...onCassandra,
      ...onZookeeper,
      ...onSplunk,
      ...onNtp,
      ...onAnyStorage
    }
    expect(
      Object.keys(known)
        .map((name) => `${name}.ts`)
        .sort()
    ).toEqual(all)
    const table = [...readFileSync(join(folder, "README.md"), "utf8").matchAll(/^\| \[`(\w+\.ts)`\]\((\w+\.ts)\)/gm)]
    expect(table.map(([, name]) => name).sort()).toEqual(all)
    expect(table.map(([, , link]) => link).sort()).toEqual(all)
  })

  describe("with a time server", () => {
    const server = createSocket("udp4")
    const env: NodeJS.ProcessEnv = {}
    beforeAll(async () => {
      // As one that is set by a good clock: stratum 1, and off by a few milliseconds at most.
      server.on("message", (question, { address, port }) => {
        const answer = Buffer.alloc(48)
        answer[0] = 0x24
        answer[1] = 1
        answer.writeUInt32BE(200, 8)
        question.copy(answer, 24, 40, 48)
        const now = Date.now() / 1000 + 2_208_988_800
        answer.writeUInt32BE(Math.floor(now), 40)
        answer.writeUInt32BE(Math.floor((now % 1) * 2 ** 32), 44)
        server.send(answer, port, address)
      })
      await new Promise<void>((resolve) => server.bind(0, "127.0.0.1", resolve))
      env.NTP_SERVER = `127.0.0.1:${server.address().port}`
    })
    afterAll(() => new Promise<void>((resolve) => server.close(() => resolve())))
    check(onNtp, env)
  })

  it("config.ts reads the environment", async () => {
    expect((await run("config", { LOCK_LEASE: "20 seconds" })).lines).toEqual(["a lease of 20s"])
    const refused = await run("config", { LOCK_LEASE: "soon" })
    expect(refused.code).toBe(1)
    expect(refused.stderr).toContain("LOCK_LEASE")
  })
})

await describeServer("examples on PostgreSQL", Shared.postgres, (server) => {
  check({ ...onPostgres, ...onAnyStorage }, { DATABASE_URL: server.url, LOCK_URL: server.url })
})

await describeServer("examples on MySQL", Shared.mysql("mysql8"), (server) => {
  check({ ...onMysql, ...onAnyStorage }, { DATABASE_URL: server.url, LOCK_URL: server.url })
})

await describeServer("examples on MariaDB", Shared.mysql("mariadb11"), (server) => {
  check(onAnyStorage, { LOCK_URL: server.url })
})

await describeServer("examples on the protocol of MongoDB", Shared.mongo, (server) => {
  check({ ...onMongo, ...onAnyStorage }, { MONGODB_URL: server.url, LOCK_URL: server.url })
})

await describeServer("examples on Redis", Shared.redis, (server) => {
  check({ ...onRedis, ...onAnyStorage }, { REDIS_URL: server.url, LOCK_URL: server.url })
})

await describeServer("examples on etcd", Shared.etcd, (server) => {
  check({ ...onEtcd, ...onAnyStorage }, { ETCD_URL: server.url, LOCK_URL: server.url })
})

await describeServer("examples on OpenSearch", Shared.opensearch, (server) => {
  check({ ...onSearch, ...onAnyStorage }, { SEARCH_URL: server.url, LOCK_URL: server.url })
})

await describeServer("examples on DynamoDB", Shared.dynamodb, (server) => {
  check(onDynamoDb, {
    DYNAMODB_URL: server.url,
    AWS_REGION: "eu-central-1",
    AWS_ACCESS_KEY_ID: "any",
    AWS_SECRET_ACCESS_KEY: "any",
    NODE_NO_WARNINGS: "1"
  })
})

await describeServer("examples on Consul", Shared.consul, (server) => {
  check({ ...onConsul, ...onAnyStorage }, { CONSUL_URL: server.url, LOCK_URL: server.url.replace("http:", "consul:") })
})

await describeServer("examples on ZooKeeper", Shared.zookeeper, (server) => {
  check({ ...onZookeeper, ...onAnyStorage }, { ZOOKEEPER_URL: server.url, LOCK_URL: server.url })
})

await describeServer("examples on a stand-in for Splunk", Splunk.double(), (server) => {
  check(onSplunk, { SPLUNK_URL: server.url, SPLUNK_TOKEN: "eyJ.token" })
})

await describeServer("examples on Cassandra", Shared.cassandra, (server) => {
  check({ ...onCassandra, ...onAnyStorage }, { CASSANDRA_URL: server.url, LOCK_URL: server.url })
})

/** The program has a transaction open on the very file, and rolls it back. */
const inTransaction =
  (filename: string) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.gen(function* () {
      const client = yield* SqliteClient.make({ filename })
      return yield* effect.pipe(
        Effect.flatMap((value) => Effect.fail({ rolledBackWith: value })),
        client.withTransaction,
        Effect.catchIf(
          (error): error is { readonly rolledBackWith: A } =>
            typeof error === "object" && error !== null && "rolledBackWith" in error,
          ({ rolledBackWith }) => Effect.succeed(rolledBackWith)
        )
      )
    }).pipe(Effect.scoped, Effect.provide(Reactivity.layer)) as Effect.Effect<A, unknown, R>

describe("the backend of ownBackend.ts", () => {
  /** What a file in this process cannot be made to do, or does not do by design. */
  const beyond = ["advance", "loseReply", "hang", "restart", "breakHints", "refuseWrites", "versioned"]
  for (const each of Conformance.cases) {
    if (beyond.includes(each.needs ?? "") || each.rule === "wake-ups") continue
    it.live(`${each.name} [${each.rule}]`, () =>
      Effect.gen(function* () {
        const filename = join(directory, "conformance.db")
        const result = yield* Conformance.check(each, {
          name: "ownBackend",
          layer: ownBackend(filename),
          hooks: { inTransaction: inTransaction(filename), shiftClient: Conformance.shiftDate },
          sequences: 10
        })
        expect(result).toEqual({ _tag: "Passed" })
      })
    )
  }
})
