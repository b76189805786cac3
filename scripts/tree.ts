/**
 * The whole project as it is for Effect 4: `tsx scripts/tree.ts [folder]`. Names of modules that begin with `#effect/` become those of Effect 4, or of its twin in `src/compat/effect4`, and the packages are those of
 * `scripts/effect4`. Only what has changed is written, so a folder that is kept is soon up to date.
 */
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../", import.meta.url))

/** Outside of the project, or what is not installed there would be found here, with Effect 3. */
export const defaultFolder = Path.join(
  Os.tmpdir(),
  `effect-storage-lock-effect4-${createHash("sha256").update(root).digest("hex").slice(0, 12)}`
)

/** What is of Effect 3 alone: its shims, and tests of what it alone has. */
const skipped = /^(src\/compat\/effect3|test\/harness\/effect3|scripts\/effect4|\.ci)\/|\.effect3\.test\.ts$/

/** Where the twins of Effect 4 stand. */
const twins: Record<string, string> = { effect: "src/compat/effect4", harness: "test/harness/effect4" }

/** What is no module of `effect`. */
const packages: Record<string, string> = { vitest: "@effect/vitest" }

/** What `#room/name` is in a file. */
const target = (file: string, room: string, name: string): string => {
  const twin = `${twins[room]!}/${name}`
  if (!Fs.existsSync(Path.join(root, `${twin}.ts`))) return packages[name] ?? `effect/${name}`
  const relative = Path.relative(Path.dirname(file), twin)
  return `${relative.startsWith(".") ? relative : `./${relative}`}.js`
}

/** The rows of a table of names: what stands in Effect 3, and in Effect 4. */
const rows = (page: string): ReadonlyArray<readonly [from: string, to: string]> =>
  [...Fs.readFileSync(Path.join(root, page), "utf8").matchAll(/^\| `([^`]+)` \| `([^`]+)` \|$/gm)].map(
    ([, from, to]) => [from!, to!] as const
  )

const renamed = (page: string, text: string): string =>
  rows(page).reduce((all, [from, to]) => all.replaceAll(from, to), text)

/** Users see Effect 3 in the documentation and the examples, and a table of what has another name in Effect 4. In the package for Effect 4 they see those names. */
const names = "docs/effect-4.md"

/** The same for this test, which the documentation shows as it is: a page of its own has the rest of its names. */
const shown = { file: "test/core/ownService.test.ts", docs: "docs/testing-your-service.md" }

const ownService = (text: string): string => {
  for (const [from] of rows(shown.docs))
    if (!text.includes(from)) throw new Error(`${shown.docs} renames ${from}, which it does not show`)
  return renamed(names, renamed(shown.docs, text))
}

/** Fenced code, in a page or in a comment. */
const renamedBlocks = (file: string, text: string): string =>
  text.replace(/^(?:\s*\* )?```ts\n[^]*?^(?:\s*\* )?```/gm, (block) =>
    file === shown.docs ? ownService(block) : renamed(names, block)
  )

const converted = (file: string, text: string): string => {
  if (file === shown.file) return ownService(text)
  if (file.endsWith(".md")) return renamedBlocks(file, text)
  if (/^examples\/\w+\.ts$/.test(file)) return renamed(names, text)
  return renamedBlocks(file, text).replaceAll(
    /(["'])#(effect|harness)\/([\w/]+)\1/g,
    (_, quote: string, room: string, name: string) => quote + target(file, room, name) + quote
  )
}

/** The `package.json` of the copy. */
export const manifest = (): string => {
  const read = (path: string) => JSON.parse(Fs.readFileSync(Path.join(root, path), "utf8")) as Record<string, any>
  const { imports: _, ...own } = read("package.json")
  const { devDependencies, ...rest } = read("scripts/effect4/package.json")
  const dev = Object.fromEntries(
    Object.entries({ ...own["devDependencies"], ...devDependencies }).filter(([, version]) => version !== null)
  )
  return JSON.stringify({ ...own, ...rest, devDependencies: dev }, null, 2) + "\n"
}

const write = (path: string, text: string | Buffer): void => {
  if (Fs.existsSync(path) && Fs.readFileSync(path).equals(Buffer.from(text))) return
  Fs.mkdirSync(Path.dirname(path), { recursive: true })
  Fs.writeFileSync(path, text)
}

/** Makes it, or brings it up to date, without what it needs from the registry. */
export const make = (folder: string): void => {
  const files = execFileSync("git", ["ls-files", "-co", "--exclude-standard"], { cwd: root, encoding: "utf8" })
    .split("\n")
    .filter((file) => file !== "" && !skipped.test(file) && Fs.existsSync(Path.join(root, file)))
  for (const file of files) {
    const from = Path.join(root, file)
    if (file === "package.json") write(Path.join(folder, file), manifest())
    else if (file === "package-lock.json")
      write(Path.join(folder, file), Fs.readFileSync(Path.join(root, "scripts/effect4/package-lock.json")))
    else
      write(
        Path.join(folder, file),
        /\.([cm]?tsx?|md)$/.test(file) ? converted(file, Fs.readFileSync(from, "utf8")) : Fs.readFileSync(from)
      )
  }
  const known = new Set(files)
  for (const room of ["src", "test", "evidence", "examples", "scripts"]) {
    const at = Path.join(folder, room)
    if (!Fs.existsSync(at)) continue
    for (const entry of Fs.readdirSync(at, { recursive: true, withFileTypes: true })) {
      const path = Path.join(entry.parentPath, entry.name)
      if (entry.isFile() && !known.has(Path.relative(folder, path))) Fs.rmSync(path)
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) make(Path.resolve(process.argv[2] ?? defaultFolder))
