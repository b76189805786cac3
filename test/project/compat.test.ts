/** What stands for Effect 4 is published, so it holds what published modules use. What tests alone need stands in `test/harness`. */
import { assert, it } from "#harness/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import Ts from "typescript"

const root = fileURLToPath(new URL("../../", import.meta.url))
const folder = Path.join(root, "src/compat/effect3")

const read = Ts.readConfigFile(Path.join(root, "tsconfig.build.json"), (file) => Ts.sys.readFile(file))
const { fileNames, options } = Ts.parseJsonConfigFileContent(read.config, Ts.sys, root)

const service = Ts.createLanguageService({
  getScriptFileNames: () => fileNames,
  getScriptVersion: () => "1",
  getScriptSnapshot: (file) => {
    const text = Ts.sys.readFile(file)
    return text === undefined ? undefined : Ts.ScriptSnapshot.fromString(text)
  },
  getCurrentDirectory: () => root,
  getCompilationSettings: () => options,
  getDefaultLibFileName: (_) => Ts.getDefaultLibFilePath(_),
  fileExists: (file) => Ts.sys.fileExists(file),
  readFile: (file, encoding) => Ts.sys.readFile(file, encoding),
  readDirectory: (...args) => Ts.sys.readDirectory(...args),
  directoryExists: (folder) => Ts.sys.directoryExists(folder),
  getDirectories: (folder) => Ts.sys.getDirectories(folder),
  useCaseSensitiveFileNames: () => Ts.sys.useCaseSensitiveFileNames
})
const program = service.getProgram()!
const checker = program.getTypeChecker()

/** Its twin of Effect 3 is a public module's; that of each storage re-exports it as a whole. */
const isPublic = (file: string) => file.startsWith(Path.join(folder, "fromClient/"))

const modules = fileNames.filter((file) => file.startsWith(folder) && !isPublic(file))

/** What a module adds to the one of Effect 3. */
const added = (file: string) => {
  const source = program.getSourceFile(file)!
  return checker.getExportsOfModule(checker.getSymbolAtLocation(source)!).flatMap((symbol) => {
    const declaration = symbol.declarations?.find((_) => _.getSourceFile() === source)
    const name = declaration === undefined ? undefined : Ts.getNameOfDeclaration(declaration)
    // Types are gone when it runs.
    return name === undefined || (symbol.flags & Ts.SymbolFlags.Value) === 0
      ? []
      : [{ name: symbol.name, at: name.getStart() }]
  })
}

it("every module of it is imported by a published one", () => {
  const imported = new Set(
    fileNames.flatMap((file) =>
      Ts.preProcessFile(Fs.readFileSync(file, "utf8")).importedFiles.map(({ fileName }) =>
        fileName.startsWith("#effect/")
          ? Path.join(folder, `${fileName.slice("#effect/".length)}.ts`)
          : Path.resolve(Path.dirname(file), fileName.replace(/\.js$/, ".ts"))
      )
    )
  )
  assert.isAtLeast(modules.length, 20)
  assert.deepStrictEqual(
    modules.filter((file) => !imported.has(file)).map((file) => Path.relative(folder, file)),
    []
  )
})

it("every name that it adds is used by a published module", () => {
  const all = modules.flatMap((file) => added(file).map((_) => ({ ..._, file })))
  assert.isAtLeast(all.length, 50)
  const unused = all.filter(({ at, file }) => {
    const uses = service.findReferences(file, at)!.flatMap((found) => found.references)
    return uses.every((use) => use.fileName === file && (use.isDefinition ?? use.textSpan.start === at))
  })
  assert.deepStrictEqual(
    unused.map(({ file, name }) => `${Path.relative(folder, file)}: ${name}`),
    []
  )
})

it("what stands for Effect 4 imports no module of effect that Effect 3 has not: it could not say that this is the wrong major", () => {
  const published = Path.join(root, "src/compat/effect4")
  const missing = Fs.readdirSync(published, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .flatMap((file) => {
      const source = Ts.createSourceFile(
        file,
        Fs.readFileSync(Path.join(published, file), "utf8"),
        Ts.ScriptTarget.Latest
      )
      return source.statements.flatMap((statement) => {
        const clause = Ts.isImportDeclaration(statement)
          ? statement.importClause
          : Ts.isExportDeclaration(statement)
            ? statement
            : undefined
        if (clause === undefined || clause.isTypeOnly) return []
        const from = (statement as Ts.ImportDeclaration | Ts.ExportDeclaration).moduleSpecifier
        const name = from !== undefined && Ts.isStringLiteral(from) ? /^effect\/(\w+)$/.exec(from.text)?.[1] : undefined
        return name === undefined || Fs.existsSync(Path.join(root, "node_modules/effect/src", `${name}.ts`))
          ? []
          : [`${file}: effect/${name}`]
      })
    })
  assert.deepStrictEqual(missing, [])
})
