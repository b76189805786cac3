import { existsSync, readFileSync } from "node:fs"
import { arch, cpus, loadavg, platform, totalmem } from "node:os"
import { fileURLToPath } from "node:url"
import * as peers from "./peers.js"
import type { StorageSubject } from "./subjects/Subject.js"

const versionOf = (name: string): string => {
  const file = fileURLToPath(new URL(`../../node_modules/${name}/package.json`, import.meta.url))
  return existsSync(file)
    ? (JSON.parse(readFileSync(file, "utf8")) as { readonly version: string }).version
    : "not installed"
}

const own = ["effect", "pg", "better-sqlite3", "ioredis", "mysql2", "mongodb"]

/** Under what the figures were had. `subjects`: whose peers were measured. */
export const environment = (subjects: ReadonlyArray<StorageSubject>) => {
  const others = subjects.flatMap(({ ways }) =>
    ways.filter(({ role }) => role === "peer").flatMap(({ packages }) => packages)
  )
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: `${platform()} ${arch()}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB of memory`,
    loadAverage: loadavg()[0]!,
    versions: Object.fromEntries([
      ["node", process.versions.node],
      ...own.map((name) => [name, versionOf(name)]),
      ...[...new Set(others)].map((name) => [own.includes(name) ? `${name} of the peers` : name, peers.versionOf(name)])
    ]) as Record<string, string>
  }
}
