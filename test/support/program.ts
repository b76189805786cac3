/**
 * Programs of this repository in processes of their own. Each is bundled before it is run: node takes a fifth of the time to start it that it takes with a loader of TypeScript, which reads
 * the library and Effect file by file.
 */
import { build, type Plugin } from "esbuild"
import { type ChildProcess, spawn, type SpawnOptions } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, relative, resolve } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { afterAll, beforeAll } from "vitest"

const root = fileURLToPath(new URL("../../", import.meta.url))

/** What a program finds beside its source it finds there, except for the programs that are bundled with it. */
const places = (placeOf: (source: string) => string | undefined): Plugin => ({
  name: "places",
  setup: ({ onLoad, onResolve }) => {
    // Drivers have parts that only work where they are installed.
    onResolve({ filter: /^[^./]/ }, ({ kind, path }) =>
      kind === "entry-point" || /^(#|effect|@effect\/|effect-storage-lock)/.test(path) ? undefined : { external: true }
    )
    onLoad({ filter: /\.ts$/ }, ({ path }) => ({
      loader: "ts",
      contents: readFileSync(path, "utf8").replace(/new URL\(([^()]+), import\.meta\.url\)/g, (_, text: string) => {
        const literal = /^"(\.[^"]*)"$/.exec(text)?.[1]
        const program = literal === undefined ? undefined : placeOf(resolve(dirname(path), literal))
        return program === undefined
          ? `new URL(${text}, ${JSON.stringify(pathToFileURL(path).href)})`
          : `new URL(${JSON.stringify(pathToFileURL(program).href)})`
      })
    }))
  }
})

/** Bundles these files once, before the tests of the suite that asks for it, with what they start of each other. Tells where a file (by itself the first) is then. */
export const bundled = (...files: ReadonlyArray<URL>): ((file?: URL) => string) => {
  const sources = files.map((file) => fileURLToPath(file))
  let folder: string | undefined
  const placeOf = (source: string) =>
    sources.includes(source) ? join(folder!, relative(root, source).replace(/\.ts$/, ".js")) : undefined
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "storage-lock-programs-"))
    writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }))
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"))
    await build({
      absWorkingDir: root,
      entryPoints: sources,
      outbase: root,
      outdir: folder,
      bundle: true,
      splitting: true,
      format: "esm",
      platform: "node",
      target: "node20",
      logLevel: "error",
      plugins: [places(placeOf)]
    })
  })
  afterAll(() => folder !== undefined && rmSync(folder, { recursive: true, force: true }))
  return (file = files[0]!) => placeOf(fileURLToPath(file))!
}

export const start = (file: string, args: ReadonlyArray<string>, options: SpawnOptions = {}): ChildProcess =>
  spawn(process.execPath, [file, ...args], { stdio: ["ignore", "pipe", "pipe"], ...options })

/** Waited for asynchronously: a test runner that hears nothing of a worker for a minute gives it up. */
export const ended = async (child: ChildProcess) => {
  let stdout = ""
  let stderr = ""
  child.stdout!.setEncoding("utf8").on("data", (chunk: string) => (stdout += chunk))
  child.stderr!.setEncoding("utf8").on("data", (chunk: string) => (stderr += chunk))
  const [code] = await once(child, "close")
  return { code, stdout, stderr }
}
