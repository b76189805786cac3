import { assert, describe, it } from "#harness/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import Ts from "typescript"
import { aliases, entries } from "../harness/aliases.js"

const root = fileURLToPath(new URL("../../", import.meta.url))
const manifest = JSON.parse(Fs.readFileSync(Path.join(root, "package.json"), "utf8")) as {
  peerDependencies: Record<string, string>
  peerDependenciesMeta: Record<string, { optional: boolean }>
  devDependencies: Record<string, string>
}

type Specifiers = (file: string) => ReadonlyArray<string>

/** What is imported or exported from elsewhere by a statement, but for those that are passed over. */
const stated = (file: string, passesOver: (statement: Ts.ImportDeclaration | Ts.ExportDeclaration) => boolean) =>
  Ts.createSourceFile(file, Fs.readFileSync(file, "utf8"), Ts.ScriptTarget.ES2022).statements.flatMap((statement) =>
    (Ts.isImportDeclaration(statement) || Ts.isExportDeclaration(statement)) &&
    statement.moduleSpecifier !== undefined &&
    Ts.isStringLiteral(statement.moduleSpecifier) &&
    !passesOver(statement)
      ? [statement.moduleSpecifier.text]
      : []
  )

const specifiers: Specifiers = (file) => [
  ...stated(file, () => false),
  // That also knows `import("…")` inside.
  ...Ts.preProcessFile(Fs.readFileSync(file, "utf8"), true, true).importedFiles.map((_) => _.fileName)
]

/** What must be there before any line of the module runs: no types, and nothing that is loaded later. */
const linked: Specifiers = (file) =>
  stated(file, (statement) =>
    Ts.isImportDeclaration(statement) ? statement.importClause?.isTypeOnly === true : statement.isTypeOnly
  )

const packageOf = (specifier: string): string =>
  specifier.startsWith("node:")
    ? "node:"
    : specifier
        .split("/")
        .slice(0, specifier.startsWith("@") ? 2 : 1)
        .join("/")

/** All packages that a module needs, of itself and by what it imports. */
const packages = (entry: string, of: Specifiers = specifiers): ReadonlyArray<string> => {
  const seen = new Set<string>()
  const found = new Set<string>()
  const visit = (file: string) => {
    if (seen.has(file)) return
    seen.add(file)
    for (const specifier of of(file)) {
      if (specifier.startsWith("#effect/"))
        visit(Path.join(root, "src/compat/effect3", `${specifier.slice("#effect/".length)}.ts`))
      else if (specifier.startsWith(".")) visit(Path.resolve(Path.dirname(file), specifier.replace(/\.js$/, ".ts")))
      else found.add(packageOf(specifier))
    }
  }
  visit(Path.join(root, entry))
  return Array.from(found).sort()
}

describe("what each published module imports", () => {
  it("the core: effect, and nothing else", () => {
    assert.deepStrictEqual(packages("src/index.ts"), ["effect"])
  })

  for (const { source, subpath, target } of entries) {
    it(`${subpath}: has a source, types of the same name, and only peers that are declared`, () => {
      assert.isTrue(Fs.existsSync(Path.join(root, source)), source)
      assert.strictEqual(target.types, target.default.replace(/\.js$/, ".d.ts"))
      for (const name of packages(source)) {
        if (name !== "node:") assert.property(manifest.peerDependencies, name)
      }
    })
  }

  it("no module is linked with a driver: what is missing is told in a sentence when a storage is made", () => {
    for (const { source } of entries)
      assert.deepStrictEqual(
        packages(source, linked).filter((name) => name !== "node:"),
        ["effect"],
        source
      )
  })

  it("every peer is imported somewhere, installed for development, and optional but for effect", () => {
    const used = new Set(entries.flatMap(({ source }) => packages(source)))
    for (const name of Object.keys(manifest.peerDependencies)) {
      assert.isTrue(used.has(name), `${name} is a peer that nothing imports`)
      assert.property(manifest.devDependencies, name)
      assert.strictEqual(manifest.peerDependenciesMeta[name]?.optional ?? false, name !== "effect", name)
    }
  })

  it("every module of the root has a path of its own as well, which tests and examples can import", () => {
    const index = Fs.readFileSync(Path.join(root, "src/index.ts"), "utf8")
    const modules = [...index.matchAll(/^export \* as (\w+) from "\.\/(.*)\.js"$/gm)].map(([, name, path]) => ({
      name: name!,
      source: `src/${path!}.ts`
    }))
    assert.isAtLeast(modules.length, 7)
    const { config } = Ts.readConfigFile(Path.join(root, "tsconfig.json"), Ts.sys.readFile) as {
      config: { compilerOptions: { paths: Record<string, ReadonlyArray<string>> } }
    }
    for (const { name, source } of modules) {
      assert.strictEqual(entries.find(({ subpath }) => subpath === `./${name}`)?.source, source, name)
    }
    for (const { source, subpath } of entries) {
      const specifier = `effect-storage-lock${subpath.slice(1)}`
      assert.deepStrictEqual(config.compilerOptions.paths[specifier], [`./${source}`], specifier)
      const [alias, ...others] = aliases.filter(({ find }) => find.test(specifier))
      assert.deepStrictEqual([alias?.replacement, others], [Path.join(root, source), []], specifier)
    }
  })

  it("every public module of a backend is published, by a path of its own or from the root", () => {
    const sources = new Set(entries.map(({ source }) => source))
    const index = Fs.readFileSync(Path.join(root, "src/index.ts"), "utf8")
    const backends = Path.join(root, "src/backends")
    const modules = Fs.readdirSync(backends).flatMap((folder) =>
      Fs.readdirSync(Path.join(backends, folder))
        .filter((file) => /^[A-Z]/.test(file))
        .map((file) => `src/backends/${folder}/${file}`)
    )
    assert.isAtLeast(modules.length, 9)
    for (const module of modules) {
      assert.isTrue(sources.has(module) || index.includes(module.replace(/^src/, ".").replace(/\.ts$/, ".js")), module)
    }
  })
})
