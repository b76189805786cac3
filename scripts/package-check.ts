/**
 * Is what would be published of use to those who install it? Packs the package, has publint and arethetypeswrong judge it, then installs it into
 * projects outside of this one, which have effect and at most one driver, compiles a program there as strictly as can be, and runs it.
 */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { buildSync } from "esbuild"
import * as Etcd from "../test/harness/etcd.js"
import * as Mongo from "../test/harness/mongo.js"
import * as Mysql from "../test/harness/mysql.js"
import * as Postgres from "../test/harness/postgres.js"
import * as Redis from "../test/harness/redis.js"
import * as Search from "../test/harness/search.js"
import { required, type ServerUnavailable } from "../test/harness/server.js"
import { prebuilt } from "./prebuilt.js"

const root = fileURLToPath(new URL("../", import.meta.url))
const manifest = JSON.parse(Fs.readFileSync(Path.join(root, "package.json"), "utf8")) as {
  name: string
  devDependencies: Record<string, string>
  allowScripts: Record<string, boolean>
}

/** What differs for Effect 4. */
const next = JSON.parse(Fs.readFileSync(Path.join(root, "scripts/effect4/package.json"), "utf8")) as {
  version: string
  devDependencies: Record<string, string | null>
}

const natives = prebuilt()

const results: Array<{ readonly name: string; readonly passed: boolean }> = []

const run = (command: string, args: ReadonlyArray<string>, cwd = root, env: Record<string, string> = {}): string => {
  const done = spawnSync(command, args, { cwd, encoding: "utf8", env: { ...process.env, ...env }, maxBuffer: 1 << 26 })
  if (done.status !== 0) {
    throw new Error(`${command} ${args.join(" ")}\n${done.error?.message ?? ""}${done.stdout}${done.stderr}`)
  }
  return done.stdout
}

const step = <A>(name: string, act: () => A): A | undefined => {
  const start = Date.now()
  let passed = false
  try {
    const result = act()
    passed = true
    return result
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    return undefined
  } finally {
    results.push({ name, passed })
    console.log(`${passed ? "passed" : "FAILED"}  ${name} (${((Date.now() - start) / 1000).toFixed(1)} s)`)
  }
}

interface Consumer {
  readonly name: string
  /** Besides effect. */
  readonly needs: ReadonlyArray<string>
  /** What must not have come along. */
  readonly without: ReadonlyArray<string>
  readonly env?: Record<string, string> | undefined
  readonly runs: boolean
  /** The module of `server.ts`'s program. */
  readonly module?: string | undefined
  /** Not there while it is compiled: no declaration may need it. */
  readonly untyped?: ReadonlyArray<string> | undefined
  /** What its bundle leaves outside, though it is not installed: it is loaded only where it is asked for. */
  readonly leaves?: ReadonlyArray<string> | undefined
  readonly major?: "4" | undefined
}

/** The same versions as in development; also the driver's own peers, or npm takes the newest that fit. */
const versions = (names: ReadonlyArray<string>, major?: "4") =>
  Object.fromEntries(
    names.map((name) => [
      name,
      (major === "4" ? next.devDependencies[name] : undefined) ?? manifest.devDependencies[name]!
    ])
  )

const resolutions = { nodenext: ["NodeNext", "NodeNext"], bundler: ["ESNext", "Bundler"] } as const

const consume = (work: string, tarball: string, consumer: Consumer): void => {
  const title = consumer.major === undefined ? consumer.name : `${consumer.name} on Effect ${consumer.major}`
  const project = Path.join(work, title.replaceAll(" ", "-"))
  const installed = step(`${title}: installs`, () => {
    Fs.mkdirSync(project)
    const program = consumer.module === undefined ? consumer.name : "server"
    const text = Fs.readFileSync(Path.join(root, "scripts/package-check", `${program}.ts`), "utf8")
    Fs.writeFileSync(Path.join(project, "main.ts"), text.replaceAll("PostgresStorage", consumer.module ?? ""))
    Fs.writeFileSync(
      Path.join(project, "package.json"),
      JSON.stringify({
        name: "consumer",
        private: true,
        type: "module",
        dependencies: {
          [manifest.name]: `file:${tarball}`,
          ...versions(["effect", ...consumer.needs], consumer.major)
        },
        devDependencies: versions(["typescript", "@types/node"]),
        allowScripts: manifest.allowScripts
      })
    )
    run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"], project, natives)
    for (const name of consumer.without) {
      if (Fs.existsSync(Path.join(project, "node_modules", name))) throw new Error(`${name} came along`)
    }
    return true
  })
  if (installed === undefined) return
  for (const [name, [module, moduleResolution]] of Object.entries(resolutions)) {
    // What resolves for one module resolves for all: the core and one driver show it.
    if (name === "bundler" && !["core", "promise", "postgres"].includes(consumer.name)) continue
    step(`${title}: compiles under ${name}, with its dependencies' types checked`, () => {
      Fs.writeFileSync(
        Path.join(project, `tsconfig.${name}.json`),
        JSON.stringify({
          compilerOptions: {
            module,
            moduleResolution,
            target: "ES2022",
            lib: ["ES2022", "DOM"],
            types: ["node"],
            strict: true,
            exactOptionalPropertyTypes: true,
            skipLibCheck: false,
            outDir: name
          },
          files: ["main.ts"]
        })
      )
      const away = (consumer.untyped ?? []).map((each) => [
        Path.join(project, "node_modules", each),
        Path.join(project, `without-${each}`)
      ])
      for (const [here, there] of away) Fs.renameSync(here!, there!)
      try {
        run("npx", ["--no-install", "tsc", "-p", `tsconfig.${name}.json`], project)
      } finally {
        for (const [here, there] of away) Fs.renameSync(there!, here!)
      }
    })
  }
  if (consumer.runs) {
    step(`${title}: runs`, () => run(process.execPath, ["nodenext/main.js"], project, consumer.env))
    step(`${title}: is bundled without a warning, its driver left outside, and runs`, () => {
      const { warnings } = buildSync({
        absWorkingDir: project,
        entryPoints: ["main.ts"],
        outdir: "bundled",
        outExtension: { ".js": ".mjs" },
        bundle: true,
        // Else what is left outside is loaded at once.
        splitting: consumer.leaves !== undefined,
        platform: "node",
        target: "node20",
        format: "esm",
        external: [...consumer.needs, ...(consumer.leaves ?? [])],
        logLevel: "silent"
      })
      if (warnings.length > 0) throw new Error(warnings.map(({ text }) => text).join("\n"))
      run(process.execPath, ["bundled/main.mjs"], project, consumer.env)
    })
  }
}

/** The page of the console, with its parts, and its API. */
const looksAtConsole = `import { spawn } from "node:child_process"
const console_ = spawn(process.execPath, ["node_modules/effect-storage-lock/dist/cli/main.js", "console", "--port", "0"])
const [url] = await new Promise((resolve) => console_.stdout.once("data", (data) => resolve(String(data).split("\\n"))))
const [page, locks] = await Promise.all([fetch(url), fetch(url + "locks")])
const text = await page.text()
if (!text.includes("EventSource") || !text.includes("prefers-color-scheme")) throw new Error(text.slice(0, 500))
console.log(page.status, locks.status)
console_.kill()`

/** The command that comes along, as somebody runs it who has installed nothing but this and a driver. */
const commands = (work: string, consumer: string): void => {
  step(`${consumer}: its command runs one under a lock`, () => {
    const project = Path.join(work, consumer.replaceAll(" ", "-"))
    const env = { STORAGE_LOCK_URL: `sqlite:${Path.join(project, "command.db")}` }
    const lock = (...args: ReadonlyArray<string>) => run("npx", ["--no-install", "storage-lock", ...args], project, env)
    const said = lock("run", "a", "--", process.execPath, "-p", "process.env.STORAGE_LOCK_TOKEN")
    if (!/^\d+\n$/.test(said)) throw new Error(said)
    if (lock("list") !== "") throw new Error("it has not released the lock")
    const served = run(process.execPath, ["--input-type=module", "-e", looksAtConsole], project, env)
    if (served !== "200 200\n") throw new Error(`the console: ${served}`)
  })
}

/** Of each module that needs nothing but effect, in a project that has the other major of it. */
const refuses = (work: string, tarball: string, major: "3" | "4", other: string): void => {
  step(`for Effect ${major}, beside Effect ${other}: says what to install, in one sentence`, () => {
    const project = Path.join(work, `wrong-${major}`)
    Fs.mkdirSync(project)
    Fs.writeFileSync(
      Path.join(project, "package.json"),
      JSON.stringify({ name: "consumer", private: true, type: "module" })
    )
    run(
      "npm",
      [
        "install",
        "--no-audit",
        "--no-fund",
        "--prefer-offline",
        "--loglevel=error",
        "--force",
        `effect@${other}`,
        tarball
      ],
      project
    )
    for (const subpath of [
      "",
      "/StorageLock",
      "/Storage",
      "/TimeProvider",
      "/VersionedStore",
      "/LockRecord",
      "/LockEvent",
      "/LockInformation",
      "/FleetSchedule",
      "/LeaderElection",
      "/LockManager",
      "/AuditStore",
      "/LockAudit",
      "/LockKind",
      "/StorageReadWriteLock",
      "/StorageSemaphore",
      "/LockMetrics",
      "/LockError",
      "/MemoryStorage",
      "/SqlFence",
      "/promise"
    ]) {
      const said = run(
        process.execPath,
        [
          "-e",
          `import(${JSON.stringify(manifest.name + subpath)}).then(() => console.log("loaded"), ({ message }) => console.log(message))`
        ],
        project
      )
      if (!new RegExp(`^This effect-storage-lock is the one for Effect ${major}, .*npm install [^\n]*\n$`).test(said))
        throw new Error(`${subpath}: ${said}`)
    }
  })
}

/** Each module that needs a driver, where there is none: how a storage is asked for, and what must be installed. */
const drivers: Record<string, readonly [options: string, packages: ReadonlyArray<string>]> = {
  SqliteStorage: ['{ filename: "locks.db" }', ["better-sqlite3"]],
  PostgresStorage: ['{ url: Redacted.make("postgres://localhost/app") }', ["pg"]],
  MysqlStorage: ['{ url: Redacted.make("mysql://localhost/app") }', ["mysql2"]],
  MssqlStorage: ['{ url: Redacted.make("mssql://localhost/app") }', ["tedious"]],
  OracleStorage: ['{ url: Redacted.make("oracle://app:secret@localhost/app") }', ["oracledb"]],
  MongoStorage: ['{ url: Redacted.make("mongodb://localhost/app") }', ["mongodb"]],
  RedisStorage: ['{ url: Redacted.make("redis://localhost") }', ["ioredis"]],
  EtcdStorage: ['{ url: Redacted.make("http://localhost:2379") }', ["@grpc/grpc-js", "@grpc/proto-loader"]],
  DynamoDbStorage: ['{ region: "local" }', ["@aws-sdk/client-dynamodb"]],
  CassandraStorage: ['{ url: Redacted.make("cassandra://localhost/app") }', ["cassandra-driver"]]
}

/** The same of URLs. */
const urls: Record<string, string> = {
  SqliteStorage: "sqlite:locks.db",
  PostgresStorage: "postgres://localhost/app",
  MysqlStorage: "mysql://localhost/app",
  MssqlStorage: "sqlserver://localhost/app",
  OracleStorage: "oracle://app:secret@localhost/app",
  MongoStorage: "mongodb://localhost/app",
  RedisStorage: "redis://localhost",
  EtcdStorage: "etcd://localhost",
  DynamoDbStorage: "dynamodb://local"
}

/** In a project that has only effect. */
const misses = (work: string, major: "3" | "4"): void => {
  const project = Path.join(work, major === "3" ? "core" : "core-on-Effect-4")
  for (const [module, [options, packages]] of Object.entries(drivers)) {
    step(`for Effect ${major}, without a driver: ${module} says what to install, in one sentence`, () => {
      const said = run(
        process.execPath,
        [
          "--input-type=module",
          "-e",
          `import { Effect, Layer, Redacted } from "effect"
import * as Module from "${manifest.name}/${module}"
Effect.runPromise(Effect.scoped(Layer.build(Module.layer(${options})))).then(() => console.log("made"), ({ message }) => console.log(message))`
        ],
        project
      )
      const expected = `${module} of ${manifest.name} needs ${packages.join(" and ")}, which ${packages.length === 1 ? "is" : "are"} not installed: \`npm install ${packages.join(" ")}\`.\n`
      if (said !== expected) throw new Error(said)
    })
  }
  step(`for Effect ${major}, without a driver: connect names it, for each URL`, () => {
    const said = run(
      process.execPath,
      [
        "--input-type=module",
        "-e",
        `import { connect, MissingDriver } from "${manifest.name}/promise"
for (const url of ${JSON.stringify(Object.values(urls))})
  await connect(url).then(() => console.log("made"), (error) => console.log(error instanceof MissingDriver, error.code, error.packages.join(" ")))`
      ],
      project
    )
    const expected = Object.keys(urls).map((module) => `true MISSING_DRIVER ${drivers[module]![1].join(" ")}\n`)
    if (said !== expected.join("")) throw new Error(said)
  })
}

const urlOf = (server: { readonly url: string; readonly freshDatabase?: Effect.Effect<string, never, Scope.Scope> }) =>
  server.freshDatabase ?? Effect.succeed(server.url)

const program = Effect.gen(function* () {
  const work = yield* Effect.acquireRelease(
    Effect.sync(() => Fs.realpathSync(Fs.mkdtempSync(Path.join(Os.tmpdir(), "storage-lock-package-")))),
    (work) => Effect.sync(() => Fs.rmSync(work, { recursive: true, force: true }))
  )
  const tarball = step("builds and packs", () => {
    run("npm", ["run", "build"])
    const [packed] = JSON.parse(run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", work])) as [
      { filename: string; files: ReadonlyArray<{ path: string }> }
    ]
    const stray = packed.files.filter(
      ({ path }) =>
        !/^(dist\/|src\/|docs\/|examples\/|evidence\/bench\/RESULTS\.md$|evidence\/bench\/charts\/|package\.json$|README\.md$|CONTRIBUTING\.md$|CHANGELOG\.md$|LICENSE$)/.test(
          path
        )
    )
    if (stray.length > 0) throw new Error(`these would be published too: ${stray.map((_) => _.path).join(", ")}`)
    for (const needed of [
      "README.md",
      "LICENSE",
      "dist/index.js",
      "dist/index.d.ts",
      "dist/cli/console/page/index.html"
    ]) {
      if (!packed.files.some(({ path }) => path === needed)) throw new Error(`${needed} is missing`)
    }
    return Path.join(work, packed.filename)
  })
  if (tarball === undefined) return
  step("publint", () => run("npx", ["--no-install", "publint", "run", tarball, "--strict"]))
  step("arethetypeswrong", () => run("npx", ["--no-install", "attw", tarball, "--profile", "esm-only"]))

  const absent = [
    "pg",
    "mysql2",
    "tedious",
    "oracledb",
    "mongodb",
    "ioredis",
    "@grpc/grpc-js",
    "@aws-sdk/client-dynamodb",
    "cassandra-driver",
    "better-sqlite3",
    "@effect/sql",
    "@effect/vitest",
    "vitest"
  ]
  const promise: Consumer = {
    name: "promise",
    needs: [],
    without: absent,
    runs: true,
    untyped: ["effect"],
    leaves: ["@effect/platform", ...Object.values(drivers).flatMap(([, packages]) => packages)]
  }
  consume(work, tarball, { name: "core", needs: [], without: absent, runs: true })
  consume(work, tarball, promise)
  misses(work, "3")
  const tarball4 = step("builds and packs for Effect 4", () => {
    run("npx", ["--no-install", "tsx", "scripts/effect4.ts", "pack", "--pack-destination", work])
    return Path.join(work, `${manifest.name}-${next.version}.tgz`)
  })
  if (tarball4 !== undefined) {
    step("publint for Effect 4", () => run("npx", ["--no-install", "publint", "run", tarball4, "--strict"]))
    step("arethetypeswrong for Effect 4", () => run("npx", ["--no-install", "attw", tarball4, "--profile", "esm-only"]))
    consume(work, tarball4, { name: "core", needs: [], without: absent, runs: true, major: "4" })
    consume(work, tarball4, { ...promise, major: "4" })
    misses(work, "4")
    refuses(work, tarball4, "4", versions(["effect"])["effect"]!)
    refuses(work, tarball, "3", versions(["effect"], "4")["effect"]!)
  }
  consume(work, tarball, {
    name: "sqlite",
    needs: ["better-sqlite3"],
    without: ["pg", "vitest", "@effect/sql", "@types/better-sqlite3"],
    runs: true
  })
  commands(work, "sqlite")
  const effectSql = ["@effect/sql", "@effect/experimental", "@effect/platform"]
  const servers = [
    {
      name: "postgres",
      module: "PostgresStorage",
      own: Postgres.scoped,
      needs: ["pg", "@types/pg", "@effect/sql-pg", ...effectSql],
      without: ["better-sqlite3", "mysql2"]
    },
    {
      name: "mysql",
      module: "MysqlStorage",
      own: Mysql.mysql8,
      needs: ["mysql2", "@effect/sql-mysql2", ...effectSql],
      without: ["pg", "tedious"]
    },
    { name: "mongo", module: "MongoStorage", own: Mongo.own, needs: ["mongodb"], without: ["pg", "@effect/sql"] },
    { name: "redis", module: "RedisStorage", own: Redis.own, needs: ["ioredis"], without: ["pg", "@effect/sql"] },
    {
      name: "etcd",
      module: "EtcdStorage",
      own: Etcd.own("etcd 3.4"),
      needs: ["@grpc/grpc-js", "@grpc/proto-loader"],
      without: ["pg", "@effect/sql"]
    },
    {
      name: "elasticsearch",
      module: "ElasticsearchStorage",
      own: Search.own("OpenSearch 2"),
      needs: ["@effect/platform"],
      without: ["pg", "@effect/sql"]
    }
  ]
  for (const { module, name, needs, own, without } of servers) {
    yield* Effect.scoped(
      Effect.gen(function* () {
        const server = yield* Effect.result<{ readonly url: string }, ServerUnavailable, Scope.Scope>(own)
        if (server._tag === "Failure") {
          if (required()) results.push({ name: server.failure.message, passed: false })
          console.error(`NOT TESTED: the ${name} program does not run: ${server.failure.message}`)
        }
        // Some servers give a URL that names no database yet.
        const url = server._tag === "Success" ? yield* urlOf(server.success) : ""
        consume(work, tarball, {
          name,
          module,
          needs,
          without: [...without, "vitest"],
          runs: server._tag === "Success",
          env: { DATABASE_URL: url }
        })
      })
    )
  }
})

await Effect.runPromise(Effect.scoped(program))
const failed = results.filter(({ passed }) => !passed).length
console.log(`${results.length - failed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
