/** Where fetched servers are kept, and how they are fetched. */
import * as Effect from "#effect/Effect"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { unprivileged } from "./sandbox.js"
import { ServerUnavailable } from "./server.js"

/** A folder that we can write and, where servers run as another user than we, that this user can reach. */
export const cacheFolder = (): string | undefined => {
  const reachable = (path: string): boolean =>
    unprivileged === undefined ||
    path === "/" ||
    !Fs.existsSync(path) ||
    ((Fs.statSync(path).mode & 0o001) !== 0 && reachable(Path.dirname(path)))
  const candidates = [
    process.env["XDG_CACHE_HOME"],
    Path.join(Os.homedir(), ".cache"),
    ...(unprivileged === undefined ? [] : ["/var/cache"]),
    Os.tmpdir()
  ]
  for (const candidate of candidates) {
    if (candidate === undefined || candidate === "") continue
    const folder = Path.join(candidate, "effect-storage-lock")
    try {
      if (!reachable(candidate) || !reachable(Path.dirname(candidate))) continue
      Fs.mkdirSync(folder, { recursive: true, mode: 0o755 })
      Fs.accessSync(folder, Fs.constants.W_OK)
      return folder
    } catch {
      continue
    }
  }
  return undefined
}

/** Runs a command to its end, in at most `millis`, with what it prints as the answer. */
export const command = (
  server: string,
  name: string,
  args: ReadonlyArray<string>,
  cwd: string,
  env: Record<string, string>,
  millis = 180_000
) =>
  Effect.callback<string, ServerUnavailable>((resume) => {
    const child = ChildProcess.execFile(
      name,
      args,
      { cwd, env: { ...process.env, ...env, LC_ALL: "C" }, maxBuffer: 1 << 26, timeout: millis },
      (error, out, err) =>
        resume(
          error === null
            ? Effect.succeed(out)
            : new ServerUnavailable({
                server,
                reason: `${name} ${args[0]} failed: ${err.slice(-1000) || error.message}`
              })
        )
    )
    return Effect.sync(() => void child.kill())
  })

/**
 * A folder of the cache that `make` fills, unless it is there. Whoever of several finishes first wins; a folder is there whole or not at all.
 */
export const folder = (
  server: string,
  name: string,
  make: (work: string) => Effect.Effect<unknown, ServerUnavailable>
): Effect.Effect<string, ServerUnavailable> =>
  Effect.suspend(() => {
    const cache = cacheFolder()
    if (cache === undefined) return new ServerUnavailable({ server, reason: "there is no folder to unpack it into" })
    const final = Path.join(cache, name)
    if (Fs.existsSync(final)) return Effect.succeed(final)
    const work = Fs.mkdtempSync(Path.join(cache, "fetch-"))
    Fs.chmodSync(work, 0o755)
    return make(work).pipe(
      Effect.andThen(
        Effect.try({
          try: () => Fs.renameSync(work, final),
          catch: (error) => new ServerUnavailable({ server, reason: String(error) })
        })
      ),
      Effect.catch((error) => (Fs.existsSync(final) ? Effect.void : Effect.fail(error))),
      Effect.as(final),
      Effect.ensuring(Effect.sync(() => Fs.rmSync(work, { recursive: true, force: true })))
    )
  })
