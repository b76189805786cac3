import { existsSync, readFileSync } from "node:fs"
import { arch, cpus, loadavg, platform, totalmem } from "node:os"
import { fileURLToPath } from "node:url"

const versionOf = (name: string): string => {
  const file = fileURLToPath(new URL(`../node_modules/${name}/package.json`, import.meta.url))
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as { readonly version: string }).version : "not installed"
}

/** Under what the figures were had. */
export const environment = () => ({
  date: new Date().toISOString().slice(0, 10),
  machine: `${platform()} ${arch()}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB of memory`,
  loadAverage: loadavg()[0]!,
  versions: Object.fromEntries([
    ["node", process.versions.node],
    ...["effect", "pg", "better-sqlite3", "@effect/sql-sqlite-node"].map((name) => [name, versionOf(name)])
  ]) as Record<string, string>
})
