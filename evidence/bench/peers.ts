/** The packages of others: installed on demand into bench/peers, never among those of the project. */
import { spawn } from "node:child_process"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { createHash } from "node:crypto"
import { join } from "node:path"
import { pathToFileURL } from "node:url"

/** Set by main.ts, and inherited by every process below it: what is compiled is elsewhere. */
export const environmentVariable = "EFFECT_STORAGE_LOCK_BENCH_PEERS"

const folder = (): string => {
  const named = process.env[environmentVariable]
  if (named === undefined) throw new Error("the packages of others are not installed in this run")
  return named
}

/** A package of bench/peers, or of the project if it is not there. Of a CommonJS package, what it exports. */
export const load = async (name: string): Promise<any> => {
  const { load } = (await import(pathToFileURL(join(folder(), "load.mjs")).href)) as {
    readonly load: (name: string) => Promise<any>
  }
  return load(name)
}

/** The constructor or function that a module is about, however it was compiled. */
export const main = async (name: string): Promise<any> => {
  const module = await load(name)
  const found = module.default ?? module
  return found.default ?? found
}

export const versionOf = (name: string): string => {
  const file = join(folder(), "node_modules", name, "package.json")
  return existsSync(file)
    ? (JSON.parse(readFileSync(file, "utf8")) as { readonly version: string }).version
    : "not installed"
}

/** Once for each state of the lock file. Rejects with what npm said. */
export const install = async (into: string, tell: (text: string) => void): Promise<void> => {
  const lock = join(into, "package-lock.json")
  const stamp = join(into, "node_modules", ".installed")
  const state = createHash("sha256").update(readFileSync(lock)).digest("hex")
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === state) return
  tell(`installing the peers into ${into} (npm ci)`)
  const said = await new Promise<{ readonly code: number | null; readonly text: string }>((resolve) => {
    let text = ""
    const child = spawn(
      "npm",
      ["ci", "--prefix", into, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"],
      {
        cwd: into,
        stdio: ["ignore", "pipe", "pipe"]
      }
    )
    child.stdout.on("data", (chunk) => (text += String(chunk)))
    child.stderr.on("data", (chunk) => (text += String(chunk)))
    child.on("error", (error) => resolve({ code: null, text: error.message }))
    child.on("close", (code) => resolve({ code, text }))
  })
  if (said.code !== 0) throw new Error(`npm ci failed: ${said.text.trim().split("\n").slice(0, 3).join(" ")}`)
  writeFileSync(stamp, state)
}
