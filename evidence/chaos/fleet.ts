/** The workers: each in its place, behind a proxy and a clock of its own, with a successor as soon as it dies. */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import { type ChildProcess, fork } from "node:child_process"
import * as Path from "node:path"
import { program } from "../../scripts/compiled.js"
import * as Proxy from "../../test/harness/proxy.js"
import * as Faketime from "./faketime.js"
import type { Log } from "./log.js"
import type { FromWorker, ToWorker, WorkerConfig } from "./protocol.js"
import type { Running } from "./storages.js"

export interface Place {
  readonly index: number
  readonly proxy: Proxy.Proxy | undefined
  /** Where its clock is set, if it can be. */
  readonly clockFile: string | undefined
  offset: number
  /** A fault of its process goes on. */
  hurt: boolean
  name: string
  child: ChildProcess
  generation: number
  ready: boolean
  idle: boolean
  closed: boolean
  holding: number
  /** When SIGKILL was sent. */
  killedAt: number | undefined
}

export interface Around {
  readonly directory: string
  readonly log: Log
  readonly now: () => number
  readonly running: Running
  readonly faketime: Faketime.Faketime | undefined
  readonly workers: number
  readonly config: Omit<WorkerConfig, "name" | "place" | "firstAttempt" | "storageConfig" | "seed">
  readonly seed: string
}

/** More attempts than a process of any run makes. */
const attemptsOfOne = 10_000_000

export class Fleet {
  private phase: "waiting" | "going" | "finishing" | "closing" = "waiting"
  private generations = 0
  private over = false
  restarts = 0
  /** As far as heard of. */
  acquisitions = 0

  private constructor(
    private readonly around: Around,
    readonly places: ReadonlyArray<Place>
  ) {}

  static make(around: Around): Effect.Effect<Fleet, never, Scope.Scope> {
    return Effect.gen(function* () {
      const { address, protocol } = around.running
      const places = yield* Effect.forEach(Array.from({ length: around.workers }), (_, index) =>
        Effect.gen(function* () {
          const proxy = address === undefined ? undefined : yield* Proxy.make(address, { protocol })
          // Half of the places keep the machine's own clock.
          const clockFile =
            around.faketime === undefined || index % 2 === 1 ? undefined : Path.join(around.directory, `clock${index}`)
          const place: Omit<Place, "name" | "child"> = {
            index,
            proxy,
            clockFile,
            offset: 0,
            hurt: false,
            generation: 0,
            ready: false,
            idle: false,
            closed: false,
            holding: 0,
            killedAt: undefined
          }
          return place as Place
        })
      )
      return yield* Effect.acquireRelease(
        Effect.sync(() => {
          const fleet = new Fleet(around, places)
          for (const place of places) fleet.spawn(place)
          return fleet
        }),
        (fleet) => fleet.destroy
      )
    })
  }

  private spawn(place: Place): void {
    const { config, directory, faketime, log, now, running } = this.around
    const generation = ++this.generations
    const name = `w${place.index}.${++place.generation}`
    if (place.clockFile !== undefined) Faketime.setOffset(place.clockFile, place.offset)
    const own: WorkerConfig = {
      ...config,
      name,
      place: place.index,
      firstAttempt: generation * attemptsOfOne,
      storageConfig: { url: place.proxy === undefined ? running.url : place.proxy.url(running.url) },
      seed: `${this.around.seed} ${name}`
    }
    const child = fork(program(new URL("./worker.ts", import.meta.url)), [JSON.stringify(own)], {
      execArgv: [],
      // By which the watchdog of the directory finds it, also when this process is killed.
      cwd: directory,
      env: { ...process.env, ...(place.clockFile === undefined ? {} : faketime!.env(place.clockFile)) },
      stdio: ["ignore", "ignore", "inherit", "ipc"]
    })
    Object.assign(place, { name, child, ready: false, idle: false, closed: false, holding: 0, killedAt: undefined })
    log.write({ type: "message", t: now(), p: name, text: "is started" })
    child.on("error", () => {})
    child.on("message", (message: FromWorker) => {
      if (message.type === "ready") {
        place.ready = true
        if (this.phase === "going") this.tell(place, { type: "go" })
        if (this.phase === "finishing") this.tell(place, { type: "finish" })
      }
      if (message.type === "idle") place.idle = true
      if (message.type === "closed") place.closed = true
      if (message.type === "holding") {
        if (message.count > place.holding) this.acquisitions++
        place.holding = message.count
      }
    })
    child.on("exit", (code, signal) => {
      const t = now()
      if (child.pid !== undefined) Faketime.tidy(child.pid)
      if (this.over || place.closed) return
      if (place.killedAt === undefined)
        log.write({ type: "log", t, p: name, text: `ended by itself, with ${signal ?? `code ${code}`}` })
      // From the signal on it ran no more; it is over when the system says so.
      else log.write({ type: "stop", t: place.killedAt, p: name, until: t, suspended: false })
      log.write({ type: "crash", t, p: name })
      this.restarts++
      this.spawn(place)
    })
  }

  tell(place: Place, message: ToWorker): void {
    if (place.child.connected) place.child.send(message)
  }

  private tellAll(phase: "going" | "finishing" | "closing", message: ToWorker): void {
    this.phase = phase
    for (const place of this.places) {
      place.idle = false
      if (place.ready) this.tell(place, message)
    }
  }

  go(): void {
    this.tellAll("going", { type: "go" })
  }

  finish(): void {
    this.tellAll("finishing", { type: "finish" })
  }

  close(): void {
    this.tellAll("closing", { type: "close" })
  }

  /** Waits until all places are so; succeeds with those that are not in time. */
  until(what: "ready" | "idle" | "closed", millis: number): Effect.Effect<ReadonlyArray<Place>> {
    const late = () => this.places.filter((place) => !place[what])
    return Effect.sync(late).pipe(
      Effect.delay("20 millis"),
      Effect.repeat({ until: (left) => left.length === 0 }),
      Effect.timeoutTo({ duration: millis, onSuccess: (left) => left, onTimeout: late })
    )
  }

  setClock(place: Place, offset: number): void {
    const { log, now } = this.around
    const by = offset - place.offset
    place.offset = offset
    log.write({ type: "jump", t: now(), p: place.name, by })
    Faketime.setOffset(place.clockFile!, offset)
  }

  private get destroy(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.over = true
      return Effect.forEach(
        this.places,
        ({ child }) =>
          Effect.callback<void>((resume) => {
            if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined)
              return resume(Effect.void)
            child.once("exit", () => resume(Effect.void))
            // Also ends one that is stopped.
            child.kill("SIGKILL")
          }),
        { discard: true }
      )
    })
  }
}
