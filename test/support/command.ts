/** The command `storage-lock` as a process, over a SQLite file of its own. */
import { type ChildProcess, spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { program } from "../../scripts/compiled.js"

export interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

export interface Running {
  readonly process: ChildProcess
  readonly ended: Promise<Ended>
}

export interface Place {
  readonly folder: string
  readonly database: string
  readonly start: (args: ReadonlyArray<string>, env?: NodeJS.ProcessEnv) => Running
  readonly run: (args: ReadonlyArray<string>, env?: NodeJS.ProcessEnv) => Promise<Ended>
  /** Ends what is still there. */
  readonly clear: () => void
}

export const place = (): Place => {
  const folder = Fs.mkdtempSync(Path.join(Os.tmpdir(), "storage-lock-command-"))
  const database = Path.join(folder, "locks.db")
  const processes = new Set<ChildProcess>()
  const start: Place["start"] = (args, env) => {
    const child = spawn(process.execPath, [program(new URL("../../src/cli/main.ts", import.meta.url)), ...args], {
      env: { ...process.env, NO_COLOR: "1", STORAGE_LOCK_URL: `sqlite:${database}`, ...env },
      stdio: ["ignore", "pipe", "pipe"]
    })
    processes.add(child)
    let out = ""
    let err = ""
    child.stdout.on("data", (data: Buffer) => (out += String(data)))
    child.stderr.on("data", (data: Buffer) => (err += String(data)))
    const ended = new Promise<Ended>((resolve) =>
      child.once("exit", (code) => {
        processes.delete(child)
        // Not at "close": a command that lives on keeps the pipes open, and that is for a test to find out.
        setTimeout(() => resolve({ code, out, err }), 50)
      })
    )
    return { process: child, ended }
  }
  return {
    folder,
    database,
    start,
    run: (args, env) => start(args, env).ended,
    clear: () => {
      for (const child of processes) child.kill("SIGKILL")
      Fs.rmSync(folder, { recursive: true, force: true })
    }
  }
}

/** Waits for something to be so. The test's own time limit ends it. */
export const eventually = async (is: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await is())) await new Promise((resolve) => setTimeout(resolve, 20))
}
