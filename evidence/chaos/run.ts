/** A run: windows of chaos, each followed by quiet in which everybody must get on, and by the judgement of all that happened in it. */
import * as Effect from "#effect/Effect"
import * as Semaphore from "#effect/Semaphore"
import * as Fiber from "#effect/Fiber"
import * as Layer from "#effect/Layer"
import * as Schedule from "#effect/Schedule"
import type * as Scope from "#effect/Scope"
import * as Stream from "#effect/Stream"
import { fork } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { Rng } from "../simulate/random.js"
import { keeperOf } from "../simulate/parts.js"
import { program } from "../../scripts/compiled.js"
import * as Sandbox from "../../test/harness/sandbox.js"
import { longestFinalizer, wholeOf } from "./actor.js"
import { type Injected, type Kind, kindsOf } from "./faults.js"
import * as Faketime from "./faketime.js"
import { Fleet } from "./fleet.js"
import { judge } from "./judge.js"
import { append, clockFrom, parse, toHistory } from "./log.js"
import type { Options } from "./options.js"
import { servicesOf } from "./services.js"
import { storages } from "./storages.js"
import { Tally } from "./tally.js"

/** The machine is shared, and timers are late on it: a process is excused for that much without a pause that it noticed itself. */
const slack = 100

/** A process that is up has everything within this, once nothing goes wrong any more. In milliseconds. */
const patience = (lease: number, locks: number): number => 30_000 + 12 * lease * locks

const startResource = (directory: string, log: string, base: bigint): Effect.Effect<number, Error, Scope.Scope> =>
  Effect.flatMap(
    Effect.acquireRelease(
      Effect.sync(() =>
        fork(program(new URL("./resource.ts", import.meta.url)), [log, String(base)], {
          execArgv: [],
          cwd: directory,
          stdio: ["ignore", "ignore", "inherit", "ipc"]
        })
      ),
      (child) => Effect.sync(() => void child.kill("SIGKILL"))
    ),
    (child) =>
      Effect.callback<number, Error>((resume) => {
        child.once("message", (port) => resume(Effect.succeed(Number(port))))
        child.once("exit", () => resume(Effect.fail(new Error("the resource did not start"))))
      })
  )

/** Shuffled rounds of all kinds: each comes as often as any other. */
const roundRobin = (kinds: ReadonlyArray<Kind>, rng: Rng): (() => Kind) => {
  const left: Array<Kind> = []
  return () => {
    if (left.length === 0) left.push(...kinds)
    return left.splice(rng.int(0, left.length - 1), 1)[0]!
  }
}

export const run = (
  options: Options,
  onProgress: (tally: Tally, state: string) => void
): Effect.Effect<Tally, unknown> =>
  Effect.scoped(
    Effect.gen(function* () {
      const { lease, margin } = options
      const entry = storages[options.storage]!
      const base = process.hrtime.bigint()
      const now = clockFrom(base)
      const { directory } = yield* Sandbox.make("chaos")
      const logFile = Path.join(directory, "events.jsonl")
      const log = yield* Effect.acquireRelease(
        Effect.sync(() => append(logFile)),
        (log) => Effect.sync(log.close)
      )
      const faketime = yield* Faketime.get
      const running = yield* entry.start
      const resourcePort = yield* startResource(directory, logFile, base)
      const tally = new Tally(options, running.title)
      if (faketime._tag === "Failure")
        tally.notDone.push(`wall clock of a worker set: libfaketime cannot be had: ${faketime.failure}`)

      // An id of this run's own: the storage may be somebody's.
      const locks = Array.from({ length: options.locks }, (_, i) => `chaos ${process.pid} lock${i}`)
      const rng = new Rng(`${options.seed} faults`)
      const fleet = yield* Fleet.make({
        directory,
        log,
        now,
        running,
        faketime: faketime._tag === "Success" ? faketime.success : undefined,
        workers: options.workers,
        config: {
          storage: options.storage,
          resourcePort,
          log: logFile,
          base: String(base),
          lease,
          margin,
          locks,
          fibers: options.fibers,
          kind: options.kind,
          wrong: options.wrong
        },
        seed: String(options.seed)
      })
      const observer = yield* servicesOf(
        options.kind,
        { leaseExpireAfter: lease, clockMargin: margin },
        Layer.unwrap(Effect.promise(() => entry.layer({ url: running.url })))
      ).pipe(
        // A server that has just started may be slow to make what the locks are kept in.
        Effect.retry({ schedule: Schedule.spaced("1 second"), times: 30 })
      )
      const kinds = kindsOf({
        fleet,
        running,
        judges: entry.judges,
        faketime: faketime._tag === "Success",
        lease,
        margin,
        rng,
        log,
        now,
        server: Semaphore.makeUnsafe(1)
      })
      for (const { name } of kinds) tally.faults.set(name, { count: 0, longest: 0, beyond: 0 })
      const nextKind = roundRobin(kinds, rng)
      const highest = new Map<string, number>()

      const late = yield* fleet.until("ready", 60_000)
      if (late.length > 0)
        return yield* Effect.fail(new Error(`${late.map(({ name }) => name).join(", ")} did not start within a minute`))

      const trouble = (type: "stuck" | "leak", text: string) => log.write({ type, t: now(), p: "controller", text })

      /** Whether anybody still holds a lock, by the storage's word. */
      const stillHeld = keeperOf(observer, wholeOf(options.kind)).list.pipe(
        Stream.filter(({ lockId }) => locks.includes(lockId)),
        Stream.runCollect,
        Effect.map((held) =>
          Array.from(
            held,
            ({ lockId, lockCount, ownerId }) => `${lockId} is held by ${JSON.stringify(ownerId)}, ${lockCount} times`
          )
        )
      )
      /** Holds of those who were killed end with their leases; so may one that was given up with its release under way. */
      const allFree = stillHeld.pipe(
        Effect.retry({ schedule: Schedule.spaced("100 millis"), times: 50 }),
        Effect.repeat({ schedule: Schedule.spaced("50 millis"), until: (held) => held.length === 0 }),
        Effect.as([] as ReadonlyArray<string>),
        Effect.timeoutTo({
          duration: 3 * lease + 5000,
          onSuccess: () => Effect.succeed([] as ReadonlyArray<string>),
          onTimeout: () => stillHeld
        }),
        Effect.flatten,
        Effect.catch((error) => Effect.succeed([`the storage does not say: ${error.message}`]))
      )

      const injected: Array<Injected> = []
      const chaos = (millis: number) =>
        Effect.gen(function* () {
          const end = now() + millis
          const fibers: Array<Fiber.Fiber<void, unknown>> = []
          for (;;) {
            const pause = rng.between(0.5, 1.5) * options.spacing
            if (now() + pause > end) break
            yield* Effect.sleep(pause)
            const { inject } = nextKind()
            fibers.push(
              yield* Effect.forkChild(
                Effect.gen(function* () {
                  while (now() < end) {
                    const done = yield* inject
                    if (done !== undefined) return void injected.push(done)
                    // Nobody fit for it just now: soon there is.
                    yield* Effect.sleep("50 millis")
                  }
                })
              )
            )
          }
          yield* Effect.sleep(Math.max(0, end - now()))
          yield* Fiber.joinAll(fibers)
        })

      const window = (index: number, millis: number, last: boolean) =>
        Effect.gen(function* () {
          fleet.go()
          yield* chaos(millis)
          const healed = now()
          log.write({ type: "heal", t: healed, p: "controller" })
          onProgress(tally, `window ${index + 1}: everybody must get on now`)
          // Who was restarted just now is up first.
          yield* fleet.until("ready", 60_000)
          fleet.finish()
          for (const { name } of yield* fleet.until("idle", patience(lease, locks.length)))
            trouble("stuck", `${name} does not get on though nothing goes wrong any more`)
          for (const text of yield* allFree) trouble("leak", text)
          tally.longestQuiet = Math.max(tally.longestQuiet, now() - healed)
          if (last) {
            fleet.close()
            for (const { name } of yield* fleet.until("closed", 15_000))
              trouble("stuck", `the layer of ${name} does not close`)
          }
          onProgress(tally, `window ${index + 1}: the judge reads`)
          const text = Fs.readFileSync(logFile, "utf8")
          const lines = parse(text)
          const history = toHistory(lines)
          const violations = judge(history, { lease, margin, slack, longestFinalizer, highest })
          tally.add(history, injected.splice(0), violations)
          if (violations.length > 0 && options.logs !== undefined) {
            Fs.mkdirSync(options.logs, { recursive: true })
            Fs.writeFileSync(
              Path.join(options.logs, `${options.storage}-${options.kind}-${options.seed}-${index + 1}.jsonl`),
              lines.map((line) => JSON.stringify(line)).join("\n") + "\n"
            )
          }
          // Nobody does anything now: what was judged can go.
          Fs.truncateSync(logFile, 0)
          return violations.length
        })

      const began = now()
      const total = options.millis
      const progress = yield* Effect.forkChild(
        Effect.repeat(
          Effect.sync(() =>
            onProgress(
              tally,
              `${((now() - began) / 1000).toFixed(0)} of ${(total / 1000).toFixed(0)} s, ${fleet.acquisitions} acquisitions, ${tally.injected + injected.length} faults`
            )
          ),
          Schedule.spaced(process.stdout.isTTY ? "500 millis" : "10 seconds")
        )
      )
      for (let index = 0; now() - began < total; index++) {
        const left = total - (now() - began)
        const last = left < 1.5 * options.window
        yield* window(index, last ? left : options.window, last)
        if (last) break
      }
      yield* Fiber.interrupt(progress)
      tally.millis = now() - began
      tally.restarts = fleet.restarts
      return tally
    })
  )
