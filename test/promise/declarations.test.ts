/** What a program is compiled with that has no types of Effect: the declarations as they are published, and nothing else. */
import { assert, beforeAll, describe, it } from "#harness/vitest"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import Ts from "typescript"
import type * as Duration from "#effect/Duration"
import type * as core from "../../src/core/api.js"
import type * as Cassandra from "../../src/backends/cassandra/CassandraStorage.js"
import type * as Consul from "../../src/backends/consul/ConsulStorage.js"
import type * as DynamoDb from "../../src/backends/dynamodb/DynamoDbStorage.js"
import type * as Elasticsearch from "../../src/backends/elasticsearch/ElasticsearchStorage.js"
import type * as Etcd from "../../src/backends/etcd/EtcdStorage.js"
import type * as Mongo from "../../src/backends/mongo/MongoStorage.js"
import type * as Mssql from "../../src/backends/mssql/MssqlStorage.js"
import type * as Mysql from "../../src/backends/mysql/MysqlStorage.js"
import type * as Oracle from "../../src/backends/oracle/OracleStorage.js"
import type * as Postgres from "../../src/backends/postgres/PostgresStorage.js"
import type * as Redis from "../../src/backends/redis/RedisStorage.js"
import type * as Sqlite from "../../src/backends/sqlite/SqliteStorage.js"
import type * as Splunk from "../../src/backends/splunk/SplunkStorage.js"
import type * as Zookeeper from "../../src/backends/zookeeper/ZookeeperStorage.js"
import type * as plain from "../../src/promise/index.js"

const root = fileURLToPath(new URL("../../", import.meta.url))
const entry = Path.join(root, "src/promise/index.ts")

/** The declarations of this module and of what they name, by the path of each. */
const declared = (): ReadonlyMap<string, string> => {
  const { config } = Ts.readConfigFile(Path.join(root, "tsconfig.json"), Ts.sys.readFile)
  const { options } = Ts.parseJsonConfigFileContent(config, Ts.sys, root)
  const program = Ts.createProgram([entry], { ...options, noEmit: false, declaration: true, emitDeclarationOnly: true })
  const found = new Map<string, string>()
  const visit = (file: string) => {
    const output = file.replace(/\.ts$/, ".d.ts")
    if (found.has(output)) return
    program.emit(program.getSourceFile(file), (_, text) => found.set(output, text), undefined, true)
    for (const { fileName } of Ts.preProcessFile(found.get(output)!).importedFiles) {
      assert.match(fileName, /^\.|^#effect\/major$/, `${output} names ${fileName}`)
      if (fileName.startsWith(".")) visit(Path.resolve(Path.dirname(file), fileName.replace(/\.js$/, ".ts")))
    }
  }
  visit(entry)
  return found
}

const program = `import {
  connect, InvalidOptions, type Lock, LockError, type LockErrorCode, LockLost, LockTimeout, type Locks, type LockSet, StorageError, UnknownScheme
} from "./index.js"

const locks: Locks = await connect("postgres://app@localhost/app", {
  namespace: "app", leaseExpireAfter: "30 seconds", storage: { table: "locks", operationTimeout: 2_000 }
})
const result: number = await locks.withLock("a", async (lock, signal) => {
  signal.throwIfAborted()
  return lock.token + lock.check()
}, { acquireTimeout: "5 seconds", signal: new AbortController().signal })
const answer = await locks.withLockIfAvailable("a", () => "text")
if (answer.ran) console.log(answer.result.length)
{
  await using lock: Lock = await locks.acquire("a")
  const lost: Promise<never> = lock.lost
  await Promise.race([lost, lock.renew()])
}
{
  await using reader: Lock = await locks.readWrite.upgradable("a", { acquireTimeout: 5 })
  await using writer: Lock = await locks.readWrite.upgrade(reader)
  const permits: Lock | undefined = await locks.semaphore.tryAcquire("a", { limit: 5, permits: 2 })
  const set: LockSet | undefined = await locks.tryAcquireAll(["a", "b"])
  console.log(writer.token, permits?.token, set?.locks.length)
}
// @ts-expect-error without a limit
await locks.semaphore.acquire("a")
const led: number = await locks.lead("a", (term, signal) => (signal.aborted ? 0 : term.token), { again: "untilDone" })
void locks.schedule("a", { every: "10 minutes" }, (tick) => console.log(tick.time.toISOString(), led))
for await (const { holders = [], kind } of locks.list()) console.log(kind, holders.map(({ mode, permits }) => mode ?? permits))
for await (const event of locks.events()) if (event.type === "Lost") console.log(event.reason, event.at.getTime())
for await (const { leaseExpireTime } of locks.list()) console.log(leaseExpireTime.toISOString())
try {
  await locks.close()
} catch (error) {
  if (error instanceof LockTimeout) console.log(error.heldBy?.ownerLabel)
  else if (error instanceof LockLost) console.log(error.reason satisfies string)
  else if (error instanceof StorageError) console.log(error.isRetryable)
  else if (error instanceof UnknownScheme || error instanceof InvalidOptions) console.log(error.message)
  else if (error instanceof LockError) console.log(error.code satisfies LockErrorCode)
}
// @ts-expect-error misspelt
await connect("memory:", { leaseExpireAftr: 1 })
// @ts-expect-error misspelt
await connect("memory:", { storage: { tabel: "mine" } })
// @ts-expect-error no length of time
await locks.acquire("a", { acquireTimeout: "5 secs" })
// @ts-expect-error of all locks
await locks.acquire("a", { namespace: "mine" })
console.log(result)
`

describe("the declarations", () => {
  let files: ReadonlyMap<string, string>
  beforeAll(() => {
    files = declared()
  })

  it("name nothing but each other", () => {
    assert.isAtLeast(files.size, 3)
    for (const [file, text] of files) assert.notMatch(text, /["']@?effect["'/]/, file)
  })

  it("are enough for a program that has no types of Effect, checked as strictly as can be", () => {
    const main = Path.join(root, "src/promise/main.ts")
    const texts = new Map([...files, [main, program]])
    const options: Ts.CompilerOptions = {
      target: Ts.ScriptTarget.ES2022,
      module: Ts.ModuleKind.NodeNext,
      moduleResolution: Ts.ModuleResolutionKind.NodeNext,
      lib: ["lib.es2022.d.ts", "lib.dom.d.ts"],
      types: [],
      strict: true,
      exactOptionalPropertyTypes: true,
      skipLibCheck: false,
      noEmit: true
    }
    const host = Ts.createCompilerHost(options)
    const { getSourceFile } = host
    // Of the disk only what TypeScript brings along: nothing is found in node_modules, and no source of ours.
    const isLib = (name: string) => /\/typescript\/lib\/lib\..*\.d\.ts$/.test(name)
    host.fileExists = (name) =>
      texts.has(name) || isLib(name) || (name.endsWith("package.json") && Ts.sys.fileExists(name))
    host.readFile = (name) =>
      texts.get(name) ?? (name.endsWith("package.json") ? JSON.stringify({ type: "module" }) : Ts.sys.readFile(name))
    host.getSourceFile = (name, version, ...rest) => {
      const text = texts.get(name)
      return text === undefined
        ? isLib(name)
          ? getSourceFile(name, version, ...rest)
          : undefined
        : Ts.createSourceFile(name, text.replace('import "#effect/major";', ""), version, true)
    }
    const diagnostics = Ts.getPreEmitDiagnostics(Ts.createProgram([main], options, host))
    assert.deepStrictEqual(
      diagnostics.map((_) => `${_.file?.fileName}: ${Ts.flattenDiagnosticMessageText(_.messageText, "\n")}`),
      []
    )
  })
})

/** That the plain options are those that there are: the compiler looks. */
type Storages =
  | Cassandra.Options
  | Consul.Options
  | DynamoDb.Options
  | Elasticsearch.Options
  | Etcd.Options
  | Mongo.Options
  | Mssql.Options
  | Mysql.Options
  | Oracle.Options
  | Postgres.Options
  | Redis.Options
  | Splunk.Options
  | Sqlite.Options
  | Zookeeper.Options
type KeysOf<Union> = Union extends unknown ? keyof Union : never
/** What the URL says, and what is of Effect alone. */
type Elsewhere = "url" | "filename" | "versionMissRetry" | "retry"
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never

const isSame: [
  Same<keyof plain.StorageOptions, Exclude<KeysOf<Storages>, Elsewhere>>,
  Same<keyof plain.ConnectOptions, Exclude<keyof core.Options, Elsewhere> | "audit" | "storage" | "log">,
  Same<keyof plain.AcquireOptions, Exclude<keyof core.AcquireOptions, Elsewhere> | "signal">,
  plain.Duration extends Duration.Input ? true : never,
  Omit<plain.AcquireOptions, "signal"> extends core.AcquireOptions ? true : never,
  Omit<plain.ConnectOptions, "audit" | "storage" | "log"> extends core.Options ? true : never
] = [true, true, true, true, true, true]

describe("the plain options", () => {
  it("are those of the lock and of the storages", () => assert.lengthOf(isSame, 6))
})
