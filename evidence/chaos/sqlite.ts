/** A SQLite file, and what other programs do to it: keep it locked for longer than anybody waits, and die in the middle of a write. */
import Database from "better-sqlite3"
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import { type ChildProcess, fork } from "node:child_process"
import * as Path from "node:path"
import { program } from "../../scripts/compiled.js"
import * as Sandbox from "../../test/harness/sandbox.js"
import type { Running } from "./storages.js"

/** Another program writes in the file. Done when its transaction is open. */
const open = (filename: string) =>
  Effect.acquireRelease(
    Effect.callback<ChildProcess>((resume) => {
      const child = fork(program(new URL("./sqliteWriter.ts", import.meta.url)), [filename], {
        execArgv: [],
        cwd: Path.dirname(filename),
        stdio: ["ignore", "ignore", "inherit", "ipc"]
      })
      child.once("message", () => resume(Effect.succeed(child)))
      child.once("exit", () => resume(Effect.succeed(child)))
    }),
    (child) =>
      Effect.callback<void>((resume) => {
        if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
        child.once("exit", () => resume(Effect.void))
        child.kill("SIGKILL")
      })
  )

const ended = (child: ChildProcess) =>
  Effect.callback<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
  })

export const start: Effect.Effect<Running, never, Scope.Scope> = Effect.gen(function* () {
  const { directory } = yield* Sandbox.make("SQLite")
  const filename = Path.join(directory, "locks.db")
  const database = new Database(filename)
  const { version } = database.prepare("SELECT sqlite_version() AS version").get() as { version: string }
  database.close()
  return {
    url: filename,
    title: `SQLite ${version}`,
    address: undefined,
    protocol: "bytes",
    server: undefined,
    killConnections: undefined,
    own: {
      "file locked": (lease) =>
        Effect.scoped(
          Effect.gen(function* () {
            const child = yield* open(filename)
            yield* Effect.sleep(1.3 * lease)
            child.send("commit")
            yield* ended(child)
          })
        ),
      // Closing the scope kills it: what it wrote is in the file, and committed never.
      "writer killed": (lease) => Effect.scoped(Effect.andThen(open(filename), Effect.sleep(0.3 * lease)))
    }
  }
})
