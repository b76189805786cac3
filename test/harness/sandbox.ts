/**
 * A temporary directory and the processes that run in it. Both are gone when the scope closes, when the process exits, and, by a
 * watchdog, even when it is killed.
 */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import * as Processes from "./processes.mjs"
import { ServerUnavailable } from "./server.js"

export interface Sandbox {
  readonly directory: string
  /** Runs a command to its end, with what it prints as the answer. */
  readonly run: (
    command: string,
    args: ReadonlyArray<string>,
    env?: Record<string, string>
  ) => Effect.Effect<string, ServerUnavailable>
  /** Starts a process whose output goes to `logFile`. */
  readonly spawn: (
    command: string,
    args: ReadonlyArray<string>,
    options: { readonly logFile: string; readonly env?: Record<string, string> | undefined }
  ) => ChildProcess.ChildProcess
  readonly signalAll: (name: NodeJS.Signals) => Effect.Effect<number>
  /** SIGSTOP to all; returns when they stand still. */
  readonly suspendAll: Effect.Effect<void>
  /** SIGKILL to all; returns when none is left. */
  readonly killAll: Effect.Effect<void>
}

/** Whom a server runs as when we are root: most refuse to run as root. It needs an entry in the user database. */
export const unprivileged: { readonly uid: number; readonly gid: number } | undefined = (() => {
  if (process.getuid?.() !== 0) return undefined
  const users = Fs.readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map((line) => line.split(":"))
  const user = ["postgres", "nobody"].map((name) => users.find((_) => _[0] === name)).find((_) => _ !== undefined)
  return user === undefined ? undefined : { uid: Number(user[2]), gid: Number(user[3]) }
})()

const alive = new Map<string, ReadonlyArray<number>>()
let hooked = false
const destroyOnExit = () => {
  if (hooked) return
  hooked = true
  process.on("exit", () => alive.forEach((started, directory) => Processes.destroy(directory, started)))
}

const watchdogFile = fileURLToPath(new URL("./watchdog.mjs", import.meta.url))

export const make = (server: string): Effect.Effect<Sandbox, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const directory = Fs.realpathSync(Fs.mkdtempSync(Path.join(Os.tmpdir(), "storage-lock-")))
        if (unprivileged !== undefined) Fs.chownSync(directory, unprivileged.uid, unprivileged.gid)
        const started: Array<number> = []
        alive.set(directory, started)
        destroyOnExit()
        // A group of its own, so that Ctrl-C does not reach it; no output, so that nobody waits for the end of it.
        const watchdog = ChildProcess.spawn(process.execPath, [watchdogFile, directory], {
          detached: true,
          cwd: "/",
          env: {},
          stdio: ["pipe", "ignore", "ignore"]
        })
        watchdog.unref()
        watchdog.stdin.on("error", () => {})
        ;(watchdog.stdin as unknown as { unref?: () => void }).unref?.()
        return { directory, started, watchdog }
      }),
      ({ directory, started, watchdog }) =>
        Effect.sync(() => {
          Processes.destroy(directory, started)
          alive.delete(directory)
          watchdog.stdin.end()
        })
    ),
    ({ directory, started, watchdog }): Sandbox => {
      const options = (env: Record<string, string> | undefined) => ({
        cwd: directory,
        // Nothing of the developer's settings (PGPORT, LANG, …) may reach the server.
        env: { PATH: process.env["PATH"] ?? "", HOME: directory, TMPDIR: directory, LC_ALL: "C", ...env },
        ...unprivileged
      })
      const track = <P extends ChildProcess.ChildProcess>(child: P): P => {
        if (child.pid !== undefined) {
          started.push(child.pid)
          watchdog.stdin.write(`${child.pid}\n`)
        }
        return child
      }
      return {
        directory,
        run: (command, args, env) =>
          Effect.callback<string, ServerUnavailable>((resume) => {
            const fail = (reason: string) => resume(new ServerUnavailable({ server, reason }))
            const child = track(
              ChildProcess.execFile(command, args, { ...options(env), maxBuffer: 1 << 26 }, (error, out, err) =>
                error === null
                  ? resume(Effect.succeed(out))
                  : fail(`${Path.basename(command)} failed: ${error.message}\n${err.slice(-2000)}`)
              )
            )
            return Effect.sync(() => void child.kill("SIGKILL"))
          }),
        spawn: (command, args, { env, logFile }) => {
          const log = Fs.openSync(logFile, "a")
          try {
            const child = track(ChildProcess.spawn(command, args, { ...options(env), stdio: ["ignore", log, log] }))
            child.unref()
            child.on("error", () => {})
            return child
          } finally {
            Fs.closeSync(log)
          }
        },
        signalAll: (name) => Effect.sync(() => Processes.signal(directory, started, name)),
        // Again and again: one may have been started after the others were listed, and before its parent stood still. Who waits for a child to begin another program (`vfork`) does not stand still
        // while the child does: they go on for a moment then.
        suspendAll: Effect.sync(() => Processes.signal(directory, started, "SIGSTOP")).pipe(
          Effect.andThen(Effect.sleep("1 millis")),
          Effect.andThen(Effect.sync(() => Processes.areStopped(directory, started))),
          Effect.repeat({ until: (stand) => stand, times: 100 }),
          Effect.tap((stand) => Effect.sync(() => stand || Processes.signal(directory, started, "SIGCONT"))),
          Effect.repeat({ until: (stand) => stand }),
          Effect.asVoid
        ),
        killAll: Effect.suspend(() => Effect.sync(() => Processes.signal(directory, started, "SIGKILL"))).pipe(
          Effect.delay("10 millis"),
          Effect.repeat({ until: (left) => left === 0 }),
          Effect.asVoid
        )
      }
    }
  )
