/** Processes that do as they are told, and are replaced when they die or do not answer: what a peer does to its process harms nobody else. */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import type { Candidate, Place } from "./subjects/Subject.js"
import type { Command } from "./worker.js"

interface Reply {
  readonly id: number
  readonly result?: unknown
  readonly failed?: string
}

export class Worker {
  private child: ChildProcess | undefined
  private ready: Promise<unknown> | undefined
  private readonly pending = new Map<
    number,
    { readonly resolve: (result: any) => void; readonly reject: (error: Error) => void }
  >()
  /** What a process that comes after a dead one opens first. */
  private readonly open = new Map<string, Command>()
  private made = 1

  constructor(private readonly file: string) {}

  private start(): Promise<unknown> {
    // What runs TypeScript here runs it there.
    const loader = this.file.endsWith(".ts") ? ["--import", "tsx"] : []
    const child = fork(this.file, [], {
      execArgv: ["--expose-gc", ...loader],
      stdio: ["ignore", "ignore", "ignore", "ipc"]
    })
    this.child = child
    const ready = new Promise<unknown>((resolve, reject) => this.pending.set(0, { resolve, reject }))
    child.on("message", (message) => {
      const { failed, id, result } = message as Reply
      const waiting = this.pending.get(id)
      this.pending.delete(id)
      if (failed === undefined) waiting?.resolve(result)
      else waiting?.reject(new Error(failed))
    })
    // A channel that closed under a message is told by the exit.
    child.on("error", () => {})
    child.on("exit", (code, signal) => {
      if (this.child !== child) return
      this.child = undefined
      const error = new Error(`its process ended with ${signal ?? code}`)
      const all = [...this.pending.values()]
      this.pending.clear()
      all.forEach(({ reject }) => reject(error))
    })
    return ready.then(async () => {
      for (const [key, command] of [...this.open]) {
        await this.send(command, 30_000).catch(() => this.open.delete(key))
      }
    })
  }

  private send<A>(command: Command, timeoutMillis: number): Promise<A> {
    const id = this.made++
    return new Promise<A>((resolve, reject) => {
      const late = setTimeout(() => {
        this.pending.delete(id)
        // Whatever it does: it does it no longer.
        this.child?.kill("SIGKILL")
        reject(new Error(`no answer to "${command.do}" within ${timeoutMillis / 1000} s`))
      }, timeoutMillis)
      this.pending.set(id, {
        resolve: (result) => {
          clearTimeout(late)
          resolve(result as A)
        },
        reject: (error) => {
          clearTimeout(late)
          reject(error)
        }
      })
      this.child?.send({ id, command })
    })
  }

  async tell<A = void>(command: Command, timeoutMillis = 30_000): Promise<A> {
    if (this.child === undefined) this.ready = this.start()
    await this.ready
    const result = await this.send<A>(command, timeoutMillis)
    if (command.do === "open") this.open.set(command.key, command)
    if (command.do === "close") this.open.delete(command.key)
    return result
  }

  /** When its process is no more. */
  async ended(): Promise<void> {
    if (this.child !== undefined) await once(this.child, "exit")
  }

  /** It ends by itself when nobody speaks to it any more; else it is ended. */
  async stop(): Promise<void> {
    const child = this.child
    if (child === undefined) return
    const ended = once(child, "exit")
    if (child.connected) child.disconnect()
    const late = setTimeout(() => child.kill("SIGKILL"), 3_000)
    await ended
    clearTimeout(late)
  }
}

export type Crew = ReadonlyArray<Worker>

/** They start when they are first told something. */
export const make = (
  size: number,
  file = new URL("./worker.js", import.meta.url)
): Effect.Effect<Crew, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => Array.from({ length: size }, () => new Worker(fileURLToPath(file)))),
    (crew) => Effect.promise(() => Promise.all(crew.map((worker) => worker.stop())))
  )

export const opening = (
  storage: string,
  key: string,
  { settings, way }: Candidate,
  place: Place
): Extract<Command, { readonly do: "open" }> => ({
  do: "open",
  key,
  storage,
  way: way.name,
  place,
  settings
})

/** Open in all of these, closed in all of them however it ends. */
export const withOpen = async <A>(
  workers: ReadonlyArray<Worker>,
  command: Extract<Command, { readonly do: "open" }>,
  use: () => Promise<A>
): Promise<A> => {
  const close = () =>
    Promise.all(workers.map((worker) => worker.tell({ do: "close", key: command.key }, 60_000).catch(() => {})))
  try {
    // One before the others: some make their table when they start.
    await workers[0]?.tell(command)
    await Promise.all(workers.slice(1).map((worker) => worker.tell(command)))
    return await use()
  } finally {
    await close()
  }
}
