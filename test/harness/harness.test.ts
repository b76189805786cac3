import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Scope from "#effect/Scope"
import * as fibers from "#effect/fibers"
import * as Fiber from "#effect/Fiber"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Debian from "./debian.js"
import * as Instance from "./instance.js"
import * as Postgres from "./postgres.js"
import * as Shared from "./shared.js"
import * as program from "../support/program.js"
import * as Processes from "./processes.mjs"
import * as Sandbox from "./sandbox.js"
import { describeServer, required } from "./server.js"

const eventually = (holds: () => boolean) =>
  Effect.sync(holds).pipe(Effect.delay("20 millis"), Effect.repeat({ until: (_) => _ }), Effect.timeout("4 minutes"))

describe("a sandbox", () => {
  it.live("ends its processes and removes its directory with the scope", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const sandbox = yield* Scope.provide(Sandbox.make("sleep"), scope)
      const child = sandbox.spawn("sh", ["-c", "sleep 1000 & sleep 1000"], {
        logFile: Path.join(sandbox.directory, "log")
      })
      yield* eventually(() => Processes.members(sandbox.directory, [child.pid!]).length >= 3)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(Processes.members(sandbox.directory, [child.pid!]), [])
      assert.isFalse(Fs.existsSync(sandbox.directory))
    })
  )

  it.live("stands still as a whole, also where it starts processes while it is told to", () =>
    Effect.gen(function* () {
      const sandbox = yield* Sandbox.make("forks")
      // One after the other: never more than three, however slow the machine.
      const child = sandbox.spawn("sh", ["-c", "while :; do sh -c 'sleep 0.001'; done"], {
        logFile: Path.join(sandbox.directory, "log")
      })
      yield* eventually(() => Processes.members(sandbox.directory, [child.pid!]).length > 1)
      for (let i = 0; i < 100; i++) {
        yield* sandbox.suspendAll
        const pids = () => Processes.members(sandbox.directory, [child.pid!]).sort().join()
        const stand = pids()
        yield* Effect.sleep("3 millis")
        assert.strictEqual(pids(), stand)
        yield* sandbox.signalAll("SIGCONT")
        yield* Effect.sleep("2 millis")
      }
    }).pipe(Effect.scoped)
  )

  it.live("ends a server that does not listen to its signal, with the scope", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const sandbox = yield* Scope.provide(Sandbox.make("deaf"), scope)
      const deaf = Path.join(sandbox.directory, "deaf")
      const server = yield* Scope.provide(
        Instance.make({
          server: "deaf",
          sandbox,
          command: () => ({ file: "sh", args: ["-c", `trap '' TERM; touch ${deaf}; while :; do sleep 1; done`] }),
          ready: () => Effect.suspend(() => (Fs.existsSync(deaf) ? Effect.void : Effect.fail("not yet")))
        }),
        scope
      )
      const pid = server.pid()!
      yield* Scope.close(scope, Exit.void)
      assert.throws(() => process.kill(pid, 0))
    })
  )

  const ownerFile = program.bundled(new URL("./owner.ts", import.meta.url))
  for (const name of ["SIGKILL", "SIGTERM", "SIGINT"] as const) {
    it.live(`leaves nothing behind when its owner ends by ${name}`, () =>
      Effect.gen(function* () {
        const owner = ChildProcess.spawn(process.execPath, [ownerFile()], { stdio: ["ignore", "pipe", "inherit"] })
        const { directory, pids } = yield* Effect.callback<{ directory: string; pids: ReadonlyArray<number> }>(
          (resume) => {
            owner.stdout.setEncoding("utf8").once("data", (line: string) => resume(Effect.succeed(JSON.parse(line))))
          }
        )
        assert.isAtLeast(pids.length, 3)
        assert.isTrue(Fs.existsSync(directory))
        owner.kill(name)
        yield* eventually(() => !Fs.existsSync(directory))
        // A reused pid is not one of ours.
        yield* eventually(() => Processes.members(directory, [...pids]).length === 0)
      })
    )
  }
})

describe("a server that cannot be had", () => {
  it("is a failure in CI and when it is asked for", () => {
    assert.isTrue(required({ CI: "true" }))
    assert.isTrue(required({ CI: "1" }))
    assert.isTrue(required({ EFFECT_STORAGE_LOCK_REQUIRE_SERVERS: "1" }))
    assert.isFalse(required({}))
    assert.isFalse(required({ CI: "false" }))
  })

  it.live("says which and why", () =>
    Effect.gen(function* () {
      const error = yield* Effect.scoped(Postgres.at("postgres://postgres@127.0.0.1:1/postgres")).pipe(Effect.flip)
      assert.strictEqual(error._tag, "ServerUnavailable")
      assert.include(error.message, "PostgreSQL is not available: the given server gives no database of our own")
    })
  )
})

describe("the system's package sources", () => {
  it.live("are taken as far as they are of its own release", () =>
    Effect.gen(function* () {
      const { directory } = yield* Sandbox.make("sources")
      Fs.mkdirSync(Path.join(directory, "sources.list.d"))
      Fs.writeFileSync(
        Path.join(directory, "sources.list"),
        "# deb http://m/old bookworm main\ndeb [signed-by=/k] http://m/debian bookworm main\ndeb http://m/other trixie main\n"
      )
      Fs.writeFileSync(
        Path.join(directory, "sources.list.d", "a.sources"),
        "Types: deb\n# a comment\nURIs: http://m/debian\nSuites: bookworm-updates sid\nComponents: main\n\n" +
          "Types: deb\nURIs: http://m/node\nSuites: nodistro\nComponents: main\n"
      )
      assert.deepStrictEqual(Debian.ownSources("bookworm", directory), {
        list: "deb [signed-by=/k] http://m/debian bookworm main",
        deb822: "Types: deb\nURIs: http://m/debian\nSuites: bookworm-updates\nComponents: main"
      })
    })
  )
})

await describeServer("PostgreSQL of one's own", Postgres.own, (server) => {
  it.live("is durable, and counts statements where it can", () =>
    Effect.gen(function* () {
      const settings = yield* server.admin(
        "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes')"
      )
      assert.deepStrictEqual(new Set(settings.map((_) => _.setting)), new Set(["on"]))
      assert.isTrue(server.owned)
      if (server.countsStatements) yield* server.admin("SELECT count(*) FROM pg_stat_statements")
    })
  )

  it.live("gives databases of their own, and takes them back", () =>
    Effect.gen(function* () {
      const name = yield* Effect.scoped(Effect.map(server.freshDatabase, (url) => new URL(url).pathname.slice(1)))
      assert.lengthOf(yield* server.admin("SELECT 1 FROM pg_database WHERE datname = $1", [name]), 0)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const database = yield* Effect.flatMap(server.freshDatabase, Postgres.at)
          assert.isFalse(database.owned)
          yield* database.admin("CREATE TABLE t (i int)")
          assert.lengthOf(yield* database.admin("SELECT * FROM t"), 0)
        })
      )
    })
  )

  it.live("keeps what was committed over a kill and a start", () =>
    Effect.gen(function* () {
      yield* server.admin("CREATE TABLE kept AS SELECT 42 AS answer")
      const before = server.pid()
      yield* server.kill
      assert.isUndefined(server.pid())
      assert.isTrue(Exit.isFailure(yield* Effect.exit(server.admin("SELECT 1"))))
      yield* server.start
      assert.notStrictEqual(server.pid(), before)
      assert.deepStrictEqual(yield* server.admin("SELECT answer FROM kept"), [{ answer: 42 }])
      yield* server.stop
      yield* server.start
      assert.deepStrictEqual(yield* server.admin("SELECT answer FROM kept"), [{ answer: 42 }])
    })
  )

  it.live("is silent while it is suspended, and answers after", () =>
    Effect.gen(function* () {
      yield* server.suspend
      const fiber = yield* Effect.forkChild(server.admin("SELECT 7 AS seven"))
      yield* Effect.sleep("300 millis")
      assert.isUndefined(fibers.exitOf(fiber))
      yield* server.resume
      assert.deepStrictEqual(yield* Fiber.join(fiber), [{ seven: 7 }])
    })
  )

  it.live("is removed even when it is suspended", () =>
    Effect.gen(function* () {
      const dataDir = yield* Effect.scoped(
        Effect.gen(function* () {
          const another = yield* Postgres.own
          yield* another.suspend
          return another.dataDir!
        })
      )
      assert.isFalse(Fs.existsSync(Path.dirname(dataDir)))
    })
  )
})

await describeServer("the shared PostgreSQL", Shared.postgres, (server) => {
  it.live("gives each that asks a database of its own", () =>
    Effect.gen(function* () {
      const other = yield* Shared.postgres
      assert.notStrictEqual(server.url, other.url)
      assert.strictEqual(server.port, other.port)
      yield* server.admin("CREATE TABLE mine (i int)")
      assert.deepStrictEqual(yield* other.admin("SELECT to_regclass('mine') AS found"), [{ found: null }])
    })
  )
})
