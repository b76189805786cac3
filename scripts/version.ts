/**
 * What has been written to `.changeset` becomes the next release: `tsx scripts/version.ts`. Its two versions stand for one commit: an odd minor for Effect 3 (0.3.1), and the even one above it for Effect 4 (0.4.1).
 */
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import { fileURLToPath } from "node:url"

const at = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url))
const read = (path: string): string => Fs.readFileSync(at(path), "utf8")

type Manifest = { version: string; packages?: Record<string, { version: string }> }

const versionOf = (path: string): string => (JSON.parse(read(path)) as Manifest).version

const setVersion = (path: string, version: string): void => {
  const manifest = JSON.parse(read(path)) as Manifest
  manifest.version = version
  if (manifest.packages !== undefined) manifest.packages[""]!.version = version
  Fs.writeFileSync(at(path), `${JSON.stringify(manifest, null, 2)}\n`)
}

const before = versionOf("package.json")
const { status } = spawnSync("npx", ["changeset", "version"], { cwd: at("."), stdio: "inherit" })
if (status !== 0) process.exit(status ?? 1)

const bumped = versionOf("package.json")
if (bumped !== before) {
  const [major, minor, patch] = bumped.split(".").map(Number) as [number, number, number]
  // The minor above that of Effect 3 is taken, by Effect 4.
  const odd = minor % 2 === 0 ? minor + 1 : minor
  const forEffect3 = `${major}.${odd}.${patch}`
  const forEffect4 = `${major}.${odd + 1}.${patch}`
  for (const path of ["package.json", "package-lock.json"]) setVersion(path, forEffect3)
  for (const path of ["package.json", "package-lock.json"]) setVersion(`scripts/effect4/${path}`, forEffect4)
  Fs.writeFileSync(
    at("CHANGELOG.md"),
    read("CHANGELOG.md").replace(`\n## ${bumped}\n`, `\n## ${forEffect3} for Effect 3, ${forEffect4} for Effect 4\n`)
  )
  console.log(`${forEffect3} for Effect 3, ${forEffect4} for Effect 4`)
}
