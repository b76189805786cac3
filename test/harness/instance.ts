/** The life of a private server in a sandbox: started, suspended, killed and started again on the same port and the same data. */
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Schedule from "#effect/Schedule"
import type * as Scope from "#effect/Scope"
import type * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type * as Sandbox from "./sandbox.js"
import { freePort, ServerUnavailable } from "./server.js"

/** What can be done to a server that is the test's own. To one that was there before, all of it is a defect. */
export interface Life {
  /** Whether the server is this test's own: only then can it be suspended, killed and started. */
  readonly owned: boolean
  /** The first process of a server of our own, as it is now. */
  readonly pid: () => number | undefined
  /** Stops all its processes where they stand; returns when they do. */
  readonly suspend: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
  /** As a power cut does: SIGKILL to all its processes. */
  readonly kill: Effect.Effect<void>
  /** In order, as an operator does. */
  readonly stop: Effect.Effect<void>
  /** Again, on the same port and the same data; returns when it answers. */
  readonly start: Effect.Effect<void>
}

export interface Address {
  readonly host: string
  readonly port: number
}

export const host = "127.0.0.1"

export interface Options {
  /** Its name, for messages. */
  readonly server: string
  readonly sandbox: Sandbox.Sandbox
  /** How it is started at this port, as often as asked. */
  readonly command: (port: number) => {
    readonly file: string
    readonly args: ReadonlyArray<string>
    readonly env?: Record<string, string> | undefined
  }
  /** Succeeds when it answers; is asked again while it fails. */
  readonly ready: (port: number) => Effect.Effect<unknown, unknown>
  /** What tells it to stop, and what if it does not within five seconds. Default: SIGTERM. */
  readonly stopSignals?: ReadonlyArray<NodeJS.Signals> | undefined
  /** Where it is to listen. Default: a port that is free, on 127.0.0.1. */
  readonly at?: Address | undefined
  /** How long it may take to answer. Default: four minutes. */
  readonly patience?: "1 minute" | "3 minutes" | undefined
}

/** Runs it until the scope closes. */
export const make = (options: Options): Effect.Effect<Life & Address, ServerUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const { sandbox, server } = options
    const { host: address, port } = options.at ?? { host, port: yield* freePort }
    const logFile = Path.join(sandbox.directory, "server.log")
    let child: ChildProcess.ChildProcess | undefined
    const running = () => child !== undefined && child.exitCode === null && child.signalCode === null

    const start = Effect.suspend(() => {
      const { args, env, file } = options.command(port)
      child = sandbox.spawn(file, args, { logFile, env })
      // No time-outs: what begins and ends with a scope cannot be interrupted.
      const until = performance.now() + Duration.toMillis(options.patience ?? "4 minutes")
      return options.ready(port).pipe(
        Effect.retry({
          while: () => running() && performance.now() < until,
          schedule: Schedule.spaced("25 millis")
        }),
        Effect.mapError(
          () =>
            new ServerUnavailable({
              server,
              reason: `it did not start: ${Fs.readFileSync(logFile, "utf8").slice(-1500)}`
            })
        )
      )
    })
    const ended = Effect.sync(running).pipe(
      Effect.delay("5 millis"),
      Effect.repeat({ until: (still) => !still, times: 1_000 })
    )
    const stop = Effect.gen(function* () {
      // A suspended process hears nothing.
      yield* sandbox.signalAll("SIGCONT")
      for (const name of options.stopSignals ?? ["SIGTERM"]) {
        if (!running()) break
        child!.kill(name)
        yield* ended
      }
      yield* sandbox.killAll
      yield* ended
    })
    yield* Effect.acquireRelease(start, () => stop)
    return {
      host: address,
      port,
      owned: true,
      pid: () => (running() ? child!.pid : undefined),
      suspend: sandbox.suspendAll,
      resume: Effect.asVoid(sandbox.signalAll("SIGCONT")),
      kill: Effect.andThen(sandbox.killAll, Effect.asVoid(ended)),
      stop,
      start: Effect.asVoid(Effect.orDie(start))
    }
  })

/** Of a server that is not ours. */
export const foreign = (server: string): Life => {
  const notOurs = Effect.die(`this ${server} is not the test's own: it cannot be stopped and started`)
  return {
    owned: false,
    pid: () => undefined,
    suspend: notOurs,
    resume: notOurs,
    kill: notOurs,
    stop: notOurs,
    start: notOurs
  }
}
