/** Whatever code the documentation shows compiles, as a reader would paste it, on both majors of Effect; and its links lead somewhere. */
import { assert, describe, it } from "#harness/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import Ts from "typescript"

const root = fileURLToPath(new URL("../../", import.meta.url))

const files = (folder: string, extension: string): ReadonlyArray<string> =>
  Fs.readdirSync(Path.join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(extension))
    .map((name) => Path.join(folder, name))
    .sort()

const pages = ["README.md", "CONTRIBUTING.md", ...files("docs", ".md"), ...files("examples", ".md")]
const modules = files("src", ".ts")

interface Block {
  readonly at: string
  readonly text: string
}

/** Fenced blocks of TypeScript. */
const blocksOf = (file: string, text: string): ReadonlyArray<Block> =>
  [...text.matchAll(/^```(?:ts|typescript)\n([^]*?)^```/gm)].map((match) => ({
    at: `${file}:${text.slice(0, match.index).split("\n").length}`,
    text: match[1]!
  }))

/** A comment's text, without its stars, line by line. */
const uncommented = (text: string): string =>
  text
    .split("\n")
    .map((line) => /^\s*\* ?(.*)$/.exec(line)?.[1] ?? "")
    .join("\n")

const read = (file: string) => Fs.readFileSync(Path.join(root, file), "utf8")
const shown = [
  ...pages.flatMap((file) => blocksOf(file, read(file))),
  ...modules.flatMap((file) => blocksOf(file, uncommented(read(file))))
]

/** The examples that run on both majors: the table names those that need Effect 3. */
const examples = [...read("examples/README.md").matchAll(/^\| \[`(\w+\.ts)`\].*\| (.*)\|$/gm)]
  .filter(([, , needs]) => !needs!.includes("Effect 3"))
  .map(([, name]): Block => ({ at: `examples/${name}`, text: read(`examples/${name}`) }))

/** All blocks as modules of one program: what is wrong with each, by its place in the documentation. */
const check = (blocks: ReadonlyArray<Block>): ReadonlyArray<string> => {
  const { config } = Ts.readConfigFile(Path.join(root, "tsconfig.json"), Ts.sys.readFile)
  const { options } = Ts.parseJsonConfigFileContent(config, Ts.sys, root)
  // In the folder of the examples, but on no disk.
  const virtual = new Map(blocks.map((block, index) => [Path.join(root, "examples", `shown-${index}.ts`), block]))
  const host = Ts.createCompilerHost({ ...options, noUnusedLocals: false })
  const text = (name: string) => {
    const block = virtual.get(Path.normalize(name))
    return block === undefined ? undefined : `${block.text}\nexport {}\n`
  }
  const { fileExists, getSourceFile, readFile } = host
  host.fileExists = (name) => text(name) !== undefined || fileExists(name)
  host.readFile = (name) => text(name) ?? readFile(name)
  host.getSourceFile = (name, version, ...rest) => {
    const source = text(name)
    return source === undefined
      ? getSourceFile(name, version, ...rest)
      : Ts.createSourceFile(name, source, version, true)
  }
  const program = Ts.createProgram([...virtual.keys()], { ...options, noUnusedLocals: false }, host)
  return [...virtual].flatMap(([name, block]) => {
    const source = program.getSourceFile(name)!
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(
      (diagnostic) => `${block.at}: ${Ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n")}`
    )
  })
}

/** The anchor that GitHub makes of a heading. */
const anchor = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replace(/\s/g, "-")

describe("the documentation", () => {
  it("shows code in the readme, in every page that should, and in every public module of weight", () => {
    const places = new Set(shown.map((block) => block.at.replace(/:\d+$/, "")))
    for (const file of [
      "README.md",
      "docs/observing.md",
      "docs/operations.md",
      "docs/storages/postgres.md",
      "docs/writing-a-backend.md",
      "src/StorageLock.ts",
      "src/LockRecord.ts",
      "src/VersionedStore.ts",
      "src/backends/postgres/PostgresStorage.ts",
      "src/backends/sqlite/SqliteStorage.ts"
    ])
      assert.isTrue(places.has(file), file)
    const examples = modules.reduce((sum, file) => sum + read(file).split("* @example\n").length - 1, 0)
    assert.strictEqual(
      shown.filter((block) => block.at.startsWith("src")).length,
      examples,
      "every @example is one block of ts"
    )
  })

  it("shows code that compiles", () => {
    const wrong = {
      at: "the test itself",
      text: 'import { StorageLock } from "effect-storage-lock"\nStorageLock.acquire(1)'
    }
    const [found, ...others] = check([wrong, ...shown])
    assert.match(found ?? "", /^the test itself: Argument of type 'number'/)
    assert.deepStrictEqual(others, [])
  })

  // With Effect 3 they are part of the project that `npm run check` compiles.
  if (!("imports" in JSON.parse(read("package.json"))))
    it("comes with examples that compile on Effect 4", () => {
      assert.isAbove(examples.length, 25)
      assert.deepStrictEqual(check(examples), [])
    })

  for (const page of pages) {
    it(`${page}: every link into the repository leads somewhere`, () => {
      const links = [...read(page).matchAll(/\]\((?!https?:)([^)#]*)(#[^)]*)?\)/g)]
      for (const [, path, fragment] of links) {
        const target = path === "" ? page : Path.join(Path.dirname(page), path!)
        assert.isTrue(Fs.existsSync(Path.join(root, target)), `${page}: ${path}`)
        if (fragment === undefined) continue
        const anchors = [...read(target).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => `#${anchor(heading!)}`)
        assert.include(anchors, fragment)
      }
    })
  }

  it("has a page for each storage, with the same headings in the same order", () => {
    const headings = files("docs/storages", ".md").map(
      (page) => [page, [...read(page).matchAll(/^## (.*)$/gm)].map(([, heading]) => heading)] as const
    )
    assert.lengthOf(headings, 15)
    for (const [page, own] of headings) assert.deepStrictEqual(own, headings[0]![1], page)
  })

  it("shows the test of a service as it is run", () => {
    assert.include(read("docs/testing-your-service.md"), read("test/core/ownService.test.ts"))
  })

  it("names npm test as the command that tests", () => {
    assert.include(read("README.md"), "`npm test`")
    assert.strictEqual(JSON.parse(read("package.json")).scripts.test, "vitest run")
  })
})
