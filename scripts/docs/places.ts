/** What belongs to the site: the public modules, the guides, and the folder for all of it. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

export const root = fileURLToPath(new URL("../../", import.meta.url))

/** Git ignores it. */
export const defaultFolder = Path.join(root, "site")

/** The public modules: their names in imports, without the package's, and their source. */
export const modules = (): ReadonlyMap<string, string> => {
  const { exports, name } = JSON.parse(Fs.readFileSync(Path.join(root, "package.json"), "utf8")) as {
    readonly name: string
    readonly exports: Readonly<Record<string, string | { readonly types: string }>>
  }
  return new Map(
    Object.entries(exports).flatMap(([path, target]) =>
      typeof target === "string"
        ? []
        : [[path === "." ? name : path.slice(2), target.types.replace("./dist/", "src/").replace(/\.d\.ts$/, ".ts")]]
    )
  )
}

/** The groups in which the menu has the pages, in its order, and which pages each of them has. */
export const groups: ReadonlyArray<readonly [name: string, page: RegExp]> = [
  ["Storages", /^docs\/storages\//],
  ["Evidence", /^docs\/(chaos|proof)\b|^evidence\//],
  ["The project", /^[A-Z]+\.md$|^docs\/testing\.md$/],
  ["Guides", /^/]
]

export const groupOf = (page: string): string => groups.find(([, pattern]) => pattern.test(page))![0]

/** The guides, from the root on. The readme is the first page. */
export const guides: ReadonlyArray<string> = [
  "docs/**/*.md",
  "examples/README.md",
  "evidence/bench/RESULTS.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md"
]
