/** The package's own names, as its tests and examples import it: the source of what its exports say. */
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../../", import.meta.url))

const manifest = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as {
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>
}

/** Each module that is published: by which path, as what, and from which source. */
export const entries = Object.entries(manifest.exports).flatMap(([subpath, target]) =>
  typeof target === "object"
    ? [{ subpath, target, source: target.default.replace(/^\.\/dist\//, "src/").replace(/\.js$/, ".ts") }]
    : []
)

export const aliases = entries.map(({ source, subpath }) => ({
  find: new RegExp(`^effect-storage-lock${subpath.slice(1)}$`),
  replacement: `${root}${source}`
}))
