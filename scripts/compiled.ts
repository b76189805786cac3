/**
 * The project's TypeScript as JavaScript, for processes that are started often, or measured. What runs TypeScript directly (tsx) takes a second of a processor for each start, and wraps each inner function in a call
 * that keeps its name. Users run neither.
 */
import { buildSync, version } from "esbuild"
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../", import.meta.url))

/** Below `node_modules`, so that packages are found. */
const cache = Path.join(root, "node_modules/.cache")
const prefix = "effect-storage-lock-compiled-"
const day = 86_400_000

const rooms = ["src", "evidence", "test/harness", "test/support"]

const filesOf = (folder: string): ReadonlyArray<string> =>
  Fs.readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = Path.join(folder, entry.name)
    // The packages of others are used where they are.
    if (entry.isDirectory()) return entry.name === "node_modules" ? [] : filesOf(path)
    return [path]
  })

const isSource = (file: string): boolean => /(?<!\.d)\.ts$/.test(file)

const make = (folder: string, files: ReadonlyArray<string>): void => {
  buildSync({
    entryPoints: files.filter(isSource),
    outdir: folder,
    outbase: root,
    format: "esm",
    platform: "node",
    target: "es2022",
    logLevel: "error"
  })
  for (const file of files) {
    if (!isSource(file)) Fs.cpSync(file, Path.join(folder, Path.relative(root, file)))
  }
  const { name, version } = JSON.parse(Fs.readFileSync(Path.join(root, "package.json"), "utf8")) as Record<
    string,
    string
  >
  const imports = { "#effect/*": "./src/compat/effect3/*.js", "#harness/*": "./test/harness/effect3/*.js" }
  Fs.writeFileSync(Path.join(folder, "package.json"), JSON.stringify({ name, version, type: "module", imports }))
}

const find = (): string => {
  const files = [
    ...rooms.flatMap((room) => filesOf(Path.join(root, room))),
    Path.join(root, "scripts/compiled.ts")
  ].filter((file) => isSource(file) || /\.(mjs|java|html|css)$/.test(file))
  const hash = createHash("sha256").update(version)
  for (const file of ["package.json", ...files.map((file) => Path.relative(root, file))])
    hash.update(file).update(Fs.readFileSync(Path.join(root, file)))
  const folder = Path.join(cache, prefix + hash.digest("hex").slice(0, 12))
  if (Fs.existsSync(folder)) return folder
  Fs.mkdirSync(cache, { recursive: true })
  for (const name of Fs.readdirSync(cache)) {
    const old = Path.join(cache, name)
    if (name.startsWith(prefix) && Date.now() - Fs.statSync(old).mtimeMs > day)
      Fs.rmSync(old, { recursive: true, force: true })
  }
  const work = Fs.mkdtempSync(`${folder}.`)
  make(work, files)
  try {
    Fs.renameSync(work, folder)
  } catch (error) {
    // Somebody else has made the same meanwhile.
    Fs.rmSync(work, { recursive: true, force: true })
    if (!Fs.existsSync(folder)) throw error
  }
  return folder
}

let folder: string | undefined

/** The folder with all of it, made anew where a file has changed since another process made it. */
export const compile = (): string => (folder ??= find())

/** What is started for this program of the project. One that is JavaScript already, or stands beside what is, is started as it is. */
export const program = (source: URL): string => {
  const file = fileURLToPath(source)
  const compiled = file.replace(/\.ts$/, ".js")
  const isThere = compiled === file || (!import.meta.url.endsWith(".ts") && Fs.existsSync(compiled))
  return isThere ? compiled : Path.join(compile(), Path.relative(root, compiled))
}
