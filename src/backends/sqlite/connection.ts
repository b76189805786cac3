/** Our own connection to a database file, for one writer of many. */
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Schedule from "#effect/Schedule"
import type * as Scope from "#effect/Scope"
import { existsSync } from "node:fs"
import { StorageError } from "../../LockError.js"
import * as Storage from "../../Storage.js"
import { withoutLabels } from "../sql/record.js"
import { jitter } from "../../common/jitter.js"
import { monotonicMicros } from "../../common/time.js"
import * as driver from "./driver.js"
import * as grouping from "./grouping.js"
import type { Handle, Named, Run } from "./handle.js"
import { busy, classify, full } from "./errors.js"
import type { Resolved } from "./options.js"
import * as sameFile from "./sameFile.js"
import * as statements from "./statements.js"

/** Quick at first: another's write takes a few milliseconds at most. Jittered, because SQLite has no queue of writers. */
const whileBusy = Schedule.min([Schedule.exponential("1 millis", 1.6), Schedule.spaced("25 millis")]).pipe(
  jitter(0.5, 1.5)
)

const attempt = (
  execute: driver.Execute,
  text: string,
  named?: Named
): Effect.Effect<ReadonlyArray<unknown>, unknown> =>
  Effect.try({ try: () => execute(text, named), catch: (cause) => cause })

/** A statement that succeeds, as nearly all do, is one step: what has happened needs no handler on its way. One that failed was not applied, so it may be tried again. */
const runOn =
  (execute: driver.Execute, timeoutMillis: number): Run =>
  <Row>(operation: string, text: string, named?: Named) =>
    Effect.suspend((): Effect.Effect<ReadonlyArray<Row>, StorageError> => {
      try {
        return Effect.succeed(execute(text, named) as ReadonlyArray<Row>)
      } catch (cause) {
        const again = attempt(execute, text, named)
        return (busy(cause) ? waitAndRetry(again, timeoutMillis, cause) : Effect.fail(cause)).pipe(
          Effect.catchIf(full, () => reuseLog(execute, again)),
          Effect.mapError((cause) => classify(operation, cause))
        ) as Effect.Effect<ReadonlyArray<Row>, StorageError>
      }
    })

/**
 * The log grows with each change. On a full disk it is copied into the database, which only overwrites pages that are there, and the next change is written at the log's begin: so what is held
 * can still be renewed and released.
 */
const reuseLog = <A>(execute: driver.Execute, again: Effect.Effect<A, unknown>) =>
  Effect.andThen(Effect.ignore(attempt(execute, "PRAGMA wal_checkpoint(RESTART)")), again)

const waitAndRetry = <A>(attempt: Effect.Effect<A, unknown>, timeoutMillis: number, first: unknown) =>
  Effect.gen(function* () {
    const limit = Math.min(timeoutMillis, Duration.toMillis(yield* Storage.TimeLimit))
    const monotonicMillis = Effect.map(monotonicMicros, (micros) => micros / 1000)
    const end = (yield* monotonicMillis) + limit
    const again = Effect.flatMap(monotonicMillis, (now) => (now >= end ? Effect.fail(first) : attempt))
    // The last try is at the end of the time, not after it.
    const pauses = whileBusy.pipe(
      Schedule.modifyDelay(({ duration }) =>
        Effect.map(monotonicMillis, (now) =>
          Duration.millis(Math.max(0, Math.min(Duration.toMillis(duration), end - 1 - now)))
        )
      )
    )
    yield* Effect.sleep(Math.min(1, limit))
    return yield* Effect.retry(again, {
      schedule: pauses,
      while: (error) => error !== first && busy(error)
    })
  })

const failed = (operation: string, reason: StorageError["reason"], message: string) =>
  new StorageError({ reason, operation, isRetryable: false, applied: "no", message })

/** Opens the file, makes it ready, and reserves the connection for the life of the scope. Safe when many processes do it at once. */
const connect = (options: Resolved, name: string): Effect.Effect<Handle, StorageError, Scope.Scope> =>
  Effect.gen(function* () {
    const operation = `${name}.open`
    const memory = options.filename === ":memory:"
    if (!options.setup && !memory && !existsSync(options.filename)) {
      return yield* failed(
        operation,
        "Connection",
        `there is no file ${JSON.stringify(options.filename)}, and setup is off`
      )
    }
    // SQLite itself waits for nobody: it would block the event loop.
    const connection = yield* Effect.mapError(driver.open(options.filename, { timeout: 0 }), (cause) =>
      classify(operation, cause)
    )
    const alone = runOn(connection.execute, options.timeoutMillis)
    const run = <Row>(text: string) => alone<Row>(operation, text)

    yield* run(`PRAGMA synchronous = ${options.synchronous}`)
    // A property of the file, which migrations cannot set: they run in a transaction.
    if (!memory) {
      const [mode] = yield* run<{ readonly journal_mode: string }>("PRAGMA journal_mode = WAL")
      if (mode?.journal_mode !== "wal") {
        return yield* failed(
          operation,
          "Unknown",
          `the journal of ${JSON.stringify(options.filename)} stays ${mode?.journal_mode}, not wal: is it on a network file system?`
        )
      }
    }
    if (options.setup) yield* run(statements.createTable(options.table))
    const isOld = Effect.map(
      run<{ readonly labelled: number }>(statements.look(options.table)),
      ([row]) => row?.labelled === 0
    )
    if (yield* isOld) {
      const alter = statements.addLabel(options.table)
      if (!options.setup) {
        return yield* failed(operation, "Schema", withoutLabels(options.table, alter))
      }
      // Another process may be faster: then the column is there already.
      yield* Effect.catch(run(alter), (error) =>
        Effect.flatMap(isOld, (still) => (still ? Effect.fail(error) : Effect.void))
      )
    }
    const [checked] = yield* run<{ readonly now: number | null; readonly version: string }>(
      statements.check(options.table)
    )
    if (typeof checked?.now !== "number") {
      return yield* failed(
        operation,
        "Schema",
        `SQLite ${checked?.version} is too old: 3.42 has the clock that is needed`
      )
    }
    return { run: alone, ...grouping.make(connection, alone) }
  })

/** Has the database open for reading, and can write nothing. What it fails at does not matter: then nobody else could close the file as the last one either. */
const guard: sameFile.Guard = (filename) =>
  Effect.ignore(
    Effect.flatMap(driver.open(filename, { readonly: true }), ({ execute }) =>
      attempt(execute, "SELECT count(*) FROM sqlite_master")
    )
  )

/** A connection to whatever file stands at the path. */
export const open = (options: Resolved, name: string): Effect.Effect<Handle, StorageError, Scope.Scope> =>
  options.filename === ":memory:"
    ? connect(options, name)
    : sameFile.make({ filename: options.filename, name, connect: connect(options, name), guard })
