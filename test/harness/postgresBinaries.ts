/** Where PostgreSQL's programs are: on this machine, else fetched. */
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Debian from "./debian.js"
import { ServerUnavailable } from "./server.js"

export interface Binaries {
  readonly bin: string
  readonly env: Record<string, string>
  readonly countsStatements: boolean
}

const usualPlaces = [
  "/usr/lib/postgresql/*/bin",
  "/usr/pgsql-*/bin",
  "/usr/local/pgsql/bin",
  "/usr/local/bin",
  "/usr/bin",
  "/opt/homebrew/opt/postgresql*/bin",
  "/usr/local/opt/postgresql*/bin",
  "/Applications/Postgres.app/Contents/Versions/*/bin"
]

/** The folders of a pattern with at most one `*` in it, the newest version first. */
const folders = (pattern: string): ReadonlyArray<string> => {
  const star = pattern.indexOf("*")
  if (star < 0) return [pattern]
  const start = pattern.lastIndexOf("/", star)
  const end = pattern.indexOf("/", star)
  const parent = pattern.slice(0, start)
  const prefix = pattern.slice(start + 1, star)
  if (!Fs.existsSync(parent)) return []
  return Fs.readdirSync(parent).filter((name) => name.startsWith(prefix)).sort((a, b) =>
    b.localeCompare(a, "en", { numeric: true })
  ).map((name) => Path.join(parent, name) + pattern.slice(end))
}

const has = (folder: string, name: string): boolean => Fs.existsSync(Path.join(folder, name))

const at = (folder: string, env: Record<string, string>): Binaries | undefined => {
  if (!has(folder, "postgres") || !has(folder, "initdb")) return undefined
  // Through links to where its libraries are.
  const bin = Path.dirname(Fs.realpathSync(Path.join(folder, "postgres")))
  const libraries = ["../lib", "../lib/postgresql", "../lib64/pgsql"].map((lib) => Path.join(bin, lib))
  const countsStatements = libraries.some((lib) => has(lib, "pg_stat_statements.so") || has(lib, "pg_stat_statements.dylib"))
  return { bin, env, countsStatements }
}

export const installed = (): Binaries | undefined => {
  const path = (process.env["PATH"] ?? "").split(Path.delimiter).filter((folder) => folder !== "")
  for (const folder of [...path, ...usualPlaces.flatMap(folders)]) {
    const found = at(folder, {})
    if (found !== undefined) return found
  }
  return undefined
}

export const fetched: Effect.Effect<Binaries, ServerUnavailable> = Effect.flatMap(
  Debian.fetch({
    server: "PostgreSQL",
    package: "postgresql",
    keep: (name) => /^(postgresql(-client)?-\d+|lib.*)$/.test(name)
  }),
  ({ command, root }) => {
    const found = folders(`${root}/usr/lib/postgresql/*/bin`).map((folder) => at(folder, command("").env)).find((_) => _ !== undefined)
    return found === undefined
      ? Effect.fail(new ServerUnavailable({ server: "PostgreSQL", reason: `it is not in ${root}: remove that folder to fetch anew` }))
      : Effect.succeed(found)
  }
)

export const find: Effect.Effect<Binaries, ServerUnavailable> = Effect.suspend(() => {
  const found = installed()
  return found === undefined ? fetched : Effect.succeed(found)
})
