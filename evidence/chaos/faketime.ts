/** One process with a wall clock of its own, by libfaketime: its monotonic clock, and with it the common clock of the logs, stays true. */
import * as Effect from "#effect/Effect"
import * as Result from "#effect/Result"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Debian from "../../test/harness/debian.js"

export interface Faketime {
  /** The environment of a process whose offset is in this file. */
  readonly env: (file: string) => Record<string, string>
}

/** In milliseconds, against the machine's clock. */
export const setOffset = (file: string, millis: number): void => {
  // In one step, so that nobody reads half of it.
  Fs.writeFileSync(`${file}.new`, `${millis < 0 ? "" : "+"}${(millis / 1000).toFixed(3)}\n`)
  Fs.renameSync(`${file}.new`, file)
}

const found = (folder: string): string | undefined => {
  for (const entry of Fs.readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    if (Path.basename(entry) === "libfaketime.so.1") return Path.join(folder, entry)
  }
  return undefined
}

/** Left: why it cannot be had. */
export const get: Effect.Effect<Result.Result<Faketime, string>> = Debian.fetch({
  server: "libfaketime",
  package: "libfaketime",
  keep: (name) => name === "libfaketime"
}).pipe(
  Effect.map(({ root }): Result.Result<Faketime, string> => {
    const library = found(root)
    return library === undefined
      ? Result.fail("its package has no libfaketime.so.1")
      : Result.succeed({
          env: (file) => ({
            LD_PRELOAD: library,
            FAKETIME_TIMESTAMP_FILE: file,
            FAKETIME_NO_CACHE: "1",
            FAKETIME_DONT_FAKE_MONOTONIC: "1"
          })
        })
  }),
  Effect.catch((error) => Effect.succeed(Result.fail(error.reason.split("\n")[0]!)))
)

/** What libfaketime leaves in shared memory for a process that was killed. */
export const tidy = (pid: number): void => {
  for (const name of [`faketime_shm_${pid}`, `sem.faketime_sem_${pid}`])
    Fs.rmSync(Path.join("/dev/shm", name), { force: true })
}
