/** Several processes, one lock, one resource: see `help` in options.ts. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { StorageLock } from "../../src/index.js"
import * as options from "./options.js"
import type { StorageChoice } from "./protocol.js"
import * as resources from "./resource.js"
import type { Show } from "./show.js"
import * as stage from "./stage.js"
import * as storage from "./storage.js"
import { verify } from "./verify.js"
import * as views from "./view.js"

const appends = 3
const pauseMillis = 40

class StoodStill extends Data.TaggedError("StoodStill")<{ readonly millis: number }> {
  override get message() {
    return `the demo stood still for ${Math.round(this.millis / 1000)} seconds`
  }
}

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "storage-lock-demo-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const choose = (chosen: options.Options, folder: string) =>
  Effect.gen(function* () {
    const choice = (choice: StorageChoice, title: string) => ({ choice, title })
    if (chosen.storage === "sqlite") {
      const filename = join(folder, "locks.db")
      return choice({ kind: "sqlite", filename }, `SQLite file ${filename}`)
    }
    if (chosen.url !== undefined) return choice({ kind: "postgres", url: chosen.url }, "your PostgreSQL")
    const { own } = yield* Effect.promise(() => import("../../test/harness/postgres.js"))
    const server = yield* own
    return choice({ kind: "postgres", url: server.url }, "a private PostgreSQL")
  })

const viewOf = (chosen: options.Options, startedAt: number): views.View =>
  chosen.json
    ? views.json(startedAt)
    : // A table that does not fit cannot be painted over.
      process.stdout.isTTY && process.stdout.rows > chosen.workers + 17
      ? views.table(startedAt)
      : views.lines(startedAt)

const demo = (chosen: options.Options) =>
  Effect.gen(function* () {
    const folder = yield* directory
    const { choice, title } = yield* choose(chosen, folder)
    const resource = resources.make(join(folder, "resource.jsonl"))
    const startedAt = Date.now()
    const view = yield* Effect.acquireRelease(
      Effect.sync(() => viewOf(chosen, startedAt)),
      (view) => Effect.sync(view.close)
    )
    let lastEvent = startedAt
    const event: typeof view.event = (event) => {
      lastEvent = Date.now()
      view.event(event)
    }
    const { leaseMillis, turns, workers } = chosen
    // An id of this run's own: the storage may be somebody's.
    const lockId = `effect-storage-lock demo ${process.pid} ${startedAt}`
    // However slow the machine is, something happens: a process starts, a lease ends.
    const patience = 60_000 + 6 * leaseMillis
    const standstill = Effect.suspend(() =>
      Date.now() - lastEvent > patience ? new StoodStill({ millis: patience }) : Effect.void
    )

    return yield* Effect.gen(function* () {
      view.event({ event: "started", title, workers, turns, leaseMillis })
      const show: Show = {
        title,
        startedAt,
        workers,
        turns,
        appends,
        leaseMillis,
        members: yield* stage.start(workers),
        holds: [],
        holder: undefined
      }
      yield* Effect.sync(() => view.paint(show)).pipe(Effect.repeat(Schedule.spaced("100 millis")), Effect.forkScoped)
      yield* stage
        .play(show, { storage: choice, lockId, leaseMillis, turns, appends, pauseMillis }, resource, event)
        .pipe(Effect.raceFirst(Effect.repeat(standstill, Schedule.spaced("1 second"))))
      const checks = verify(show, resource, !(yield* StorageLock.isLocked(lockId)))
      show.holder = undefined
      view.finish(show, resource, checks)
      return checks.every((check) => check.ok)
    }).pipe(Effect.provide(storage.layer(choice, leaseMillis)))
  }).pipe(Effect.scoped)

const main = Effect.gen(function* () {
  const chosen = yield* Effect.try({
    try: () => options.parse(process.argv.slice(2)),
    catch: (error) => error as Error
  })
  if (chosen === "help") return process.stdout.write(options.help)
  const ok = yield* demo(chosen).pipe(
    Effect.catchAll((error) =>
      Effect.sync(() => {
        process.stderr.write(`${error.message}\n`)
        return false
      })
    )
  )
  process.exitCode = ok ? 0 : 1
}).pipe(
  Effect.catchAll((error) =>
    Effect.sync(() => {
      process.stderr.write(`${error.message}\n\n${options.help}`)
      process.exitCode = 2
    })
  )
)

NodeRuntime.runMain(main, {
  teardown: (exit, end) =>
    end(Exit.isSuccess(exit) ? Number(process.exitCode ?? 0) : Cause.isInterruptedOnly(exit.cause) ? 130 : 1)
})
