/**
 * Servers from the packages of a Debian-like system, unpacked into a cache folder: needs no root and changes nothing of the system.
 * The mirror is the one that the system's own sources name.
 */
import * as Effect from "#effect/Effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Cache from "./cache.js"
import { ServerUnavailable } from "./server.js"

const listed = (directory: string): ReadonlyArray<string> =>
  Fs.existsSync(directory) ? Fs.readdirSync(directory).map((name) => Path.join(directory, name)) : []

const readable = (file: string): string => (Fs.existsSync(file) ? Fs.readFileSync(file, "utf8") : "")

/**
 * The system's package sources: as far as they are of its own release, or those of its mirror for another `suite`.
 */
export const ownSources = (
  codename: string,
  root = "/etc/apt",
  suite = codename
): { readonly list: string; readonly deb822: string } => {
  // Another suite may lack the updates of this one; what matters of them comes with a point release.
  const wanted = (name: string) => name === codename || (suite === codename && name.startsWith(`${codename}-`))
  const named = (name: string) => (name === codename ? suite : name)
  const files = [Path.join(root, "sources.list"), ...listed(Path.join(root, "sources.list.d"))]
  const line = /^(deb\s+(?:\[[^\]]*\]\s*)?\S+\s+)(\S+)/
  const list = files
    .filter((file) => file.endsWith(".list"))
    .flatMap((file) => readable(file).split("\n"))
    .filter((text) => wanted(line.exec(text.trim())?.[2] ?? ""))
    .map((text) => text.trim().replace(line, (_, before: string, name: string) => before + named(name)))
  const deb822 = files
    .filter((file) => file.endsWith(".sources"))
    .flatMap((file) =>
      readable(file)
        .replace(/^#.*\n/gm, "")
        .split(/\n\s*\n/)
    )
    .flatMap((stanza) => {
      const suites = (/^Suites:(.*)$/m.exec(stanza)?.[1] ?? "").trim().split(/\s+/).filter(wanted).map(named)
      return suites.length === 0 ? [] : [stanza.trim().replace(/^Suites:.*$/m, `Suites: ${suites.join(" ")}`)]
    })
  return { list: list.join("\n"), deb822: deb822.join("\n\n") }
}

export interface Options {
  readonly server: string
  /** The package whose dependencies tell what else is needed. */
  readonly package: string
  /** Which packages of these are unpacked, beside the libraries that they all need. */
  readonly keep: (name: string) => boolean
  /** A release to take it from. Default: the system's own. */
  readonly suite?: string | undefined
}

export interface Unpacked {
  readonly root: string
  /**
   * How to run a program of it, by its path below `root`. What is of the system's own release runs with the system's own C library; the rest with the loader and the
   * libraries that came with it.
   */
  readonly command: (path: string) => {
    readonly file: string
    /** Come before the program's own. */
    readonly args: ReadonlyArray<string>
    readonly env: Record<string, string>
  }
}

const ofSystem = /^(libc6|libc-bin|libgcc-s1|libstdc\+\+6|libllvm.*|libperl.*|libpython.*|gcc-.*-base)$/
const neverNeeded = /^(libllvm.*|libperl.*|libpython.*|libc-bin|gcc-.*-base)$/

const unpacked = (root: string, own: boolean): Unpacked => {
  const libraries = ["usr/lib", "lib", "usr/lib64"]
    .flatMap((folder) =>
      listed(Path.join(root, folder)).filter(
        (path) => /-linux-/.test(Path.basename(path)) && Fs.statSync(path).isDirectory()
      )
    )
    .join(":")
  if (own) {
    return { root, command: (path) => ({ file: Path.join(root, path), args: [], env: { LD_LIBRARY_PATH: libraries } }) }
  }
  const loader = [
    ...["lib64", "usr/lib64", "lib", "usr/lib"].map((folder) => Path.join(root, folder)),
    ...libraries.split(":")
  ]
    .flatMap(listed)
    .find((path) => /^ld-linux.*\.so\.\d$/.test(Path.basename(path)))
  return {
    root,
    command: (path) => ({
      file: loader ?? Path.join(root, path),
      args: loader === undefined ? [] : ["--library-path", libraries, Path.join(root, path)],
      env: {}
    })
  }
}

/** Unpacks a server's packages once per release, and says where. */
export const fetch = (options: Options): Effect.Effect<Unpacked, ServerUnavailable> =>
  Effect.gen(function* () {
    const unavailable = (reason: string) => new ServerUnavailable({ server: options.server, reason })
    const codename = /^VERSION_CODENAME="?(\w+)/m.exec(readable("/etc/os-release"))?.[1]
    if (process.platform !== "linux" || codename === undefined || !Fs.existsSync("/usr/bin/apt-get")) {
      return yield* unavailable("it is not installed, and can be fetched on systems with Debian packages only")
    }
    const suite = options.suite ?? codename
    const own = suite === codename
    const name = `${suite}-${process.arch}-${options.package}`
    const folder = yield* Cache.folder(options.server, name, (work) => fill(options, work, codename, suite))
    return unpacked(Path.join(folder, "root"), own)
  })

const fill = (
  options: Options,
  work: string,
  codename: string,
  suite: string
): Effect.Effect<void, ServerUnavailable> => {
  const run = (name: string, args: ReadonlyArray<string>, cwd = work) =>
    Cache.command(options.server, name, args, cwd, { APT_CONFIG: Path.join(work, "apt.conf") })
  const own = suite === codename
  const needed = (name: string) =>
    own
      ? options.keep(name) && !ofSystem.test(name)
      : options.keep(name) || (name.startsWith("lib") && !neverNeeded.test(name))
  return Effect.gen(function* () {
    for (const folder of ["lists/partial", "cache/archives/partial", "state", "sources.d", "debs", "root"]) {
      Fs.mkdirSync(Path.join(work, folder), { recursive: true })
    }
    Fs.chmodSync(work, 0o755)
    const sources = ownSources(codename, undefined, suite)
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
    const access = (yield* Cache.command(options.server, "apt-config", ["dump"], work, {}))
      .split("\n")
      .filter((line) => line.startsWith("Acquire::"))
    Fs.writeFileSync(
      Path.join(work, "apt.conf"),
      [...access, ...Object.entries(settings).map(([key, value]) => `${key} "${value}";`)].join("\n") + "\n"
    )
    yield* run("apt-get", ["update", "-q"])
    const plan = yield* run("apt-get", ["install", "-s", "-q", options.package])
    const wanted = Array.from(plan.matchAll(/^Inst (\S+) (?:\[\S+\] )?\((\S+)/gm)).filter(
      ([, name]) => name !== undefined && needed(name)
    )
    yield* run(
      "apt-get",
      ["download", "-q", ...wanted.map(([, name, version]) => `${name}=${version}`)],
      Path.join(work, "debs")
    )
    for (const deb of listed(Path.join(work, "debs"))) yield* run("dpkg-deb", ["-x", deb, Path.join(work, "root")])
    for (const name of Fs.readdirSync(work)) {
      if (name !== "root") Fs.rmSync(Path.join(work, name), { recursive: true })
    }
  })
}
