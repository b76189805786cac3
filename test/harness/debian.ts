/**
 * Servers from the packages of a Debian-like system, unpacked into a cache folder: needs no root and changes nothing of the system.
 * The mirror is the one that the system's own sources name.
 */
import * as Effect from "effect/Effect"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { unprivileged } from "./sandbox.js"
import { ServerUnavailable } from "./server.js"

const listed = (directory: string): ReadonlyArray<string> =>
  Fs.existsSync(directory) ? Fs.readdirSync(directory).map((name) => Path.join(directory, name)) : []

const readable = (file: string): string => (Fs.existsSync(file) ? Fs.readFileSync(file, "utf8") : "")

/** The system's package sources, as far as they are of its own release. */
export const ownSources = (codename: string, root = "/etc/apt"): { readonly list: string; readonly deb822: string } => {
  const own = (suite: string) => suite === codename || suite.startsWith(`${codename}-`)
  const files = [Path.join(root, "sources.list"), ...listed(Path.join(root, "sources.list.d"))]
  const list = files.filter((file) => file.endsWith(".list")).flatMap((file) => readable(file).split("\n")).filter((line) =>
    own(/^deb\s+(?:\[[^\]]*\]\s*)?\S+\s+(\S+)/.exec(line.trim())?.[1] ?? "")
  )
  const deb822 = files.filter((file) => file.endsWith(".sources")).flatMap((file) =>
    readable(file).replace(/^#.*\n/gm, "").split(/\n\s*\n/)
  ).flatMap((stanza) => {
    const suites = (/^Suites:(.*)$/m.exec(stanza)?.[1] ?? "").trim().split(/\s+/).filter(own)
    return suites.length === 0 ? [] : [stanza.trim().replace(/^Suites:.*$/m, `Suites: ${suites.join(" ")}`)]
  })
  return { list: list.join("\n"), deb822: deb822.join("\n\n") }
}

/** A folder that we can write and, where servers run as another user than we, that this user can reach. */
const cacheFolder = (): string | undefined => {
  const reachable = (path: string): boolean =>
    unprivileged === undefined || path === "/" || !Fs.existsSync(path)
    || ((Fs.statSync(path).mode & 0o001) !== 0 && reachable(Path.dirname(path)))
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

const command = (server: string, name: string, args: ReadonlyArray<string>, cwd: string, env: Record<string, string>) =>
  Effect.async<string, ServerUnavailable>((resume) => {
    const child = ChildProcess.execFile(
      name,
      args,
      { cwd, env: { ...process.env, ...env, LC_ALL: "C" }, maxBuffer: 1 << 26, timeout: 180_000 },
      (error, out, err) =>
        resume(
          error === null
            ? Effect.succeed(out)
            : new ServerUnavailable({ server, reason: `${name} ${args[0]} failed: ${err.slice(-1000) || error.message}` })
        )
    )
    return Effect.sync(() => void child.kill())
  })

export interface Options {
  readonly server: string
  /** The package whose dependencies tell what else is needed. */
  readonly package: string
  /** Which packages of these are unpacked. The system's own C and C++ libraries stay in use: node needs them as well. */
  readonly keep: (name: string) => boolean
}

export interface Unpacked {
  readonly root: string
  readonly env: Record<string, string>
}

const ofSystem = /^(libc6|libc-bin|libgcc-s1|libstdc\+\+6|libllvm.*|libperl.*|libpython.*|gcc-.*-base)$/

const unpacked = (root: string): Unpacked => ({
  root,
  env: {
    LD_LIBRARY_PATH: ["usr/lib", "lib"].flatMap((folder) =>
      listed(Path.join(root, folder)).filter((path) => /-linux-/.test(Path.basename(path)))
    ).join(":")
  }
})

/** Unpacks a server's packages once per release of the system, and says where. */
export const fetch = (options: Options): Effect.Effect<Unpacked, ServerUnavailable> =>
  Effect.gen(function*() {
    const unavailable = (reason: string) => new ServerUnavailable({ server: options.server, reason })
    const codename = /^VERSION_CODENAME="?(\w+)/m.exec(readable("/etc/os-release"))?.[1]
    if (process.platform !== "linux" || codename === undefined || !Fs.existsSync("/usr/bin/apt-get")) {
      return yield* unavailable("it is not installed, and can be fetched on systems with Debian packages only")
    }
    const cache = cacheFolder()
    if (cache === undefined) return yield* unavailable("there is no folder to unpack it into")
    const root = Path.join(cache, `${codename}-${process.arch}-${options.package}`)
    if (Fs.existsSync(root)) return unpacked(root)

    const work = Fs.mkdtempSync(Path.join(cache, "fetch-"))
    const run = (name: string, args: ReadonlyArray<string>, cwd = work) =>
      command(options.server, name, args, cwd, { APT_CONFIG: Path.join(work, "apt.conf") })
    return yield* Effect.gen(function*() {
      for (const folder of ["lists/partial", "cache/archives/partial", "state", "sources.d", "debs", "root"]) {
        Fs.mkdirSync(Path.join(work, folder), { recursive: true })
      }
      Fs.chmodSync(work, 0o755)
      const sources = ownSources(codename)
      Fs.writeFileSync(Path.join(work, "sources.list"), sources.list + "\n")
      Fs.writeFileSync(Path.join(work, "sources.d", "own.sources"), sources.deb822 + "\n")
      // An empty list of installed packages: all that is needed is fetched, whatever else this machine has.
      Fs.writeFileSync(Path.join(work, "status"), "")
      const settings = {
        "Dir::State": Path.join(work, "state"),
        "Dir::State::lists": Path.join(work, "lists"),
        "Dir::State::status": Path.join(work, "status"),
        "Dir::Cache": Path.join(work, "cache"),
        "Dir::Etc::sourcelist": Path.join(work, "sources.list"),
        "Dir::Etc::sourceparts": Path.join(work, "sources.d"),
        "Dir::Etc::main": "-",
        "Dir::Etc::parts": "-",
        "APT::Sandbox::User": "",
        "APT::Install-Recommends": "false",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3"
      }
      // How the system reaches its mirror (proxies and the like) holds for us too.
      const access = (yield* command(options.server, "apt-config", ["dump"], work, {})).split("\n").filter((line) =>
        line.startsWith("Acquire::")
      )
      Fs.writeFileSync(
        Path.join(work, "apt.conf"),
        [...access, ...Object.entries(settings).map(([key, value]) => `${key} "${value}";`)].join("\n") + "\n"
      )
      yield* run("apt-get", ["update", "-q"])
      const plan = yield* run("apt-get", ["install", "-s", "-q", options.package])
      const wanted = Array.from(plan.matchAll(/^Inst (\S+) (?:\[\S+\] )?\((\S+)/gm)).filter(([, name]) =>
        name !== undefined && options.keep(name) && !ofSystem.test(name)
      )
      yield* run("apt-get", ["download", "-q", ...wanted.map(([, name, version]) => `${name}=${version}`)], Path.join(work, "debs"))
      for (const deb of listed(Path.join(work, "debs"))) yield* run("dpkg-deb", ["-x", deb, Path.join(work, "root")])
      // Whoever renames first wins; all unpacked the same.
      yield* Effect.try(() => Fs.renameSync(Path.join(work, "root"), root)).pipe(
        Effect.catchAll((error) => Fs.existsSync(root) ? Effect.void : unavailable(String(error)))
      )
      return unpacked(root)
    }).pipe(Effect.ensuring(Effect.sync(() => Fs.rmSync(work, { recursive: true, force: true }))))
  })
