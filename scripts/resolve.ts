/**
 * In what was built, what `#effect/…` is becomes a path: a package that is installed has no such names. The files of the console's page are there as they were
 * written.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

const dist = fileURLToPath(new URL("../dist/", import.meta.url))

const page = "cli/console/page"
Fs.cpSync(fileURLToPath(new URL(`../src/${page}`, import.meta.url)), Path.join(dist, page), {
  recursive: true,
  filter: (file) => !file.endsWith(".json")
})

for (const entry of Fs.readdirSync(dist, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || !/\.(js|d\.ts)$/.test(entry.name)) continue
  const file = Path.join(entry.parentPath, entry.name)
  const text = Fs.readFileSync(file, "utf8")
  const resolved = text.replaceAll(/(["'])#effect\/([\w/]+)\1/g, (_, quote: string, name: string) => {
    const relative = Path.relative(entry.parentPath, Path.join(dist, "compat/effect3", `${name}.js`))
    return `${quote}${relative.startsWith(".") ? relative : `./${relative}`}${quote}`
  })
  if (resolved !== text) Fs.writeFileSync(file, resolved)
}
