/** Changes of the database file, for those who wait. */
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Queue from "#effect/Queue"
import * as Schedule from "#effect/Schedule"
import * as Stream from "#effect/Stream"
import { watch } from "node:fs"
import type { Handle } from "./handle.js"
import { at } from "./files.js"

/** Reports of changes that come while nobody waits for one are one. */
const changes = (file: string): Stream.Stream<void, unknown> =>
  Stream.unwrap(
    Effect.gen(function* () {
      /** Each tells whether it is the last. */
      const reports = yield* Queue.unbounded<Effect.Effect<boolean, unknown>>()
      let over = false
      const report = (outcome: Effect.Effect<boolean, unknown>, isLast: boolean) => {
        if (over || (!isLast && Queue.sizeUnsafe(reports) > 0)) return
        over = isLast
        Queue.offerUnsafe(reports, outcome)
      }
      yield* Effect.acquireRelease(
        Effect.try({
          // Not persistent: a hint is no reason to keep a process running.
          try: () =>
            watch(file, { persistent: false }, (event) => {
              // The name is another file's now, or nobody's: the watch is over, and the next one is of what stands there then.
              const isLast = event === "rename"
              report(Effect.succeed(isLast), isLast)
            }).on("error", (cause) => report(Effect.fail(cause), true)),
          catch: (cause) => cause
        }),
        (watcher) => Effect.sync(() => watcher.close())
      )
      // What came before the watch is looked for once.
      report(Effect.succeed(false), false)
      const next = Effect.flatten(Queue.take(reports))
      return Stream.paginate(undefined, () =>
        Effect.map(next, (isLast) => [[undefined], isLast ? Option.none() : Option.some(undefined)] as const)
      )
    })
  )

const said = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Beside the file that a link leads to. */
const logOf = (filename: string) => `${at(filename).target}-wal`

const firstPause = 0
const lastPause = 32

/**
 * Commits of other processes. They cost nothing while the file rests: the operating system reports a write to the log, and `data_version` (a read of
 * shared memory) tells whether another connection has committed. The report comes before the commit is visible, so the version is looked at again
 * after growing pauses. What was written is not known. Where files cannot be watched, waiters poll as ever.
 */
export const make = (handle: Handle, filename: string, name: string): Stream.Stream<void> => {
  if (filename === ":memory:") return Stream.empty
  let failures = 0
  const failed = (error: unknown) =>
    // The file may just be replaced: what fails again after a pause is worth a word.
    Effect.suspend(() =>
      ++failures === 2
        ? Effect.logWarning(
            `${name}: no wake-ups for now, waiters poll: the file ${logOf(filename)} cannot be watched. ${said(error)}`
          )
        : Effect.void
    )
  const works = Effect.suspend(() => {
    const known = failures > 1
    failures = 0
    return known ? Effect.logInfo(`${name}: wake-ups are heard again`) : Effect.void
  })
  return Stream.suspend(() => {
    let seen: number | undefined
    const version = handle.run<{ readonly data_version: number }>(`${name}.wakeUps`, "PRAGMA data_version")
    const look = Effect.map(version, ([row]) => {
      const changed = row?.data_version !== seen
      seen = row?.data_version
      return changed
    })
    const changed = (pause: number): Effect.Effect<boolean, unknown> =>
      Effect.flatMap(Effect.delay(look, pause), (found) =>
        found || pause >= lastPause ? Effect.succeed(found) : changed(Math.max(1, pause * 2))
      )
    // Whatever is asked opens the files that stand there now.
    return Stream.fromEffect(version).pipe(
      Stream.flatMap(() => changes(logOf(filename))),
      Stream.tap(() => (failures === 0 ? Effect.void : works)),
      Stream.filterEffect(() => changed(firstPause))
    )
  }).pipe(
    Stream.repeat(Schedule.spaced("1 seconds")),
    Stream.tapError(failed),
    Stream.retry(Schedule.spaced("10 seconds")),
    Stream.catch(() => Stream.empty)
  )
}
