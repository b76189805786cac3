/** Where PostgreSQL's programs are: on this machine, else fetched. */
import * as Effect from "#effect/Effect"
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
  return Fs.readdirSync(parent)
    .filter((name) => name.startsWith(prefix))
    .sort((a, b) => b.localeCompare(a, "en", { numeric: true }))
    .map((name) => Path.join(parent, name) + pattern.slice(end))
}

const has = (folder: string, name: string): boolean => Fs.existsSync(Path.join(folder, name))

const at = (folder: string, env: Record<string, string>): Binaries | undefined => {
  if (!has(folder, "postgres") || !has(folder, "initdb")) return undefined
  // Through links to where its libraries are.
  const bin = Path.dirname(Fs.realpathSync(Path.join(folder, "postgres")))
  const libraries = ["../lib", "../lib/postgresql", "../lib64/pgsql"].map((lib) => Path.join(bin, lib))
  const countsStatements = libraries.some(
    (lib) => has(lib, "pg_stat_statements.so") || has(lib, "pg_stat_statements.dylib")
  )
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
    const found = folders(`${root}/usr/lib/postgresql/*/bin`)
      .map((folder) => at(folder, command("").env))
      .find((_) => _ !== undefined)
    return found === undefined
      ? Effect.fail(
          new ServerUnavailable({
            server: "PostgreSQL",
            reason: `it is not in ${root}: remove that folder to fetch again`
          })
        )
      : Effect.succeed(found)
  }
)

export const find: Effect.Effect<Binaries, ServerUnavailable> = Effect.suspend(() => {
  const found = installed()
  return found === undefined ? fetched : Effect.succeed(found)
})

/** Runs a program of another release with the libraries that came with it. */
const wrap = (folder: string, name: string, words: ReadonlyArray<string>): void =>
  Fs.writeFileSync(Path.join(folder, name), `#!/bin/sh\nexec ${words.map((word) => `'${word}'`).join(" ")} "$@"\n`, {
    mode: 0o755
  })

/** The newest release there is. `initdb` starts the `postgres` that it finds beside itself, so both are wrapped. */
export const newest: Effect.Effect<Binaries, ServerUnavailable> = Effect.flatMap(
  Debian.fetch({
    server: "PostgreSQL 18",
    package: "postgresql-18",
    suite: "sid",
    keep: (name) => name === "postgresql-18"
  }),
  ({ command, root }) =>
    Effect.try({
      try: () => {
        const folder = Path.join(root, "wrapped")
        if (!Fs.existsSync(folder)) {
          const work = Fs.mkdtempSync(`${folder}-`)
          Fs.chmodSync(work, 0o755)
          const postgres = command("usr/lib/postgresql/18/bin/postgres")
          const initdb = command("usr/lib/postgresql/18/bin/initdb")
          wrap(work, "postgres", [postgres.file, ...postgres.args])
          wrap(work, "initdb", [
            initdb.file,
            ...initdb.args.slice(0, -1),
            "--argv0",
            Path.join(folder, "initdb"),
            ...initdb.args.slice(-1),
            "-L",
            Path.join(root, "usr/share/postgresql/18")
          ])
          // Whoever is first; all of them are the same.
          if (Fs.existsSync(folder)) Fs.rmSync(work, { recursive: true })
          else Fs.renameSync(work, folder)
        }
        return { bin: folder, env: {}, countsStatements: false }
      },
      catch: (cause) => new ServerUnavailable({ server: "PostgreSQL 18", reason: String(cause) })
    })
)
