/** Servers from the Go module proxy, by the machine's own Go and its settings. */
import * as Effect from "#effect/Effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Cache from "./cache.js"
import type { ServerUnavailable } from "./server.js"

export interface Program {
  readonly server: string
  /** Its package, and the version of its module. */
  readonly program: string
  readonly version: string
  /** What its executable is called. */
  readonly name: string
  /** The replacements of a dependency do not apply to those who depend on it: they are said again. */
  readonly replaces?: ReadonlyArray<string> | undefined
}

const hour = 3_600_000

/** Leaves the executable in the folder. It need not run fast: what optimizing costs is a third of the build. */
export const build = (
  { name, program, replaces = [], server, version }: Program,
  work: string
): Effect.Effect<unknown, ServerUnavailable> => {
  const env = { GOFLAGS: "-mod=mod", CGO_ENABLED: "0" }
  const go = (...args: ReadonlyArray<string>) =>
    Cache.command(server, "nice", ["-n", "10", "go", ...args], work, env, hour)
  const lines = [`module effect-storage-lock/${name}`, "go 1.23", ...replaces.map((each) => `replace ${each}`)]
  Fs.writeFileSync(Path.join(work, "go.mod"), lines.join("\n") + "\n")
  return Effect.andThen(
    go("get", "-tool", `${program}@${version}`),
    go("build", "-o", name, "-gcflags=all=-N -l -dwarf=false", "-ldflags", "-s -w", program)
  )
}
