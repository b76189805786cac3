/**
 * The library as users run it. What runs TypeScript directly (tsx) wraps each inner function in a call that keeps its name; that would be paid by ours and not by the
 * drivers, which are JavaScript already. So everything is compiled as for the package, by the same compiler and options, and measured there.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import ts from "typescript"

const root = fileURLToPath(new URL("../../", import.meta.url))

const filesOf = (folder: string): ReadonlyArray<string> =>
  readdirSync(folder).flatMap((name) => {
    const path = join(folder, name)
    // The packages of others are used where they are.
    if (name === "node_modules") return []
    return statSync(path).isDirectory() ? filesOf(path) : [path]
  })

/** Below `node_modules`, so that packages are found; of this process alone. Returns the folder, and what takes it away. */
export const compile = (): { readonly folder: string; readonly remove: () => void } => {
  const read = ts.readConfigFile(join(root, "tsconfig.build.json"), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent(read.config, ts.sys, root)
  const folder = join(root, "node_modules", ".cache", `effect-storage-lock-bench-${process.pid}`)
  for (const file of ["src", join("evidence", "bench"), join("test", "harness")].flatMap((part) =>
    filesOf(join(root, part))
  )) {
    const target = join(folder, relative(root, file))
    mkdirSync(dirname(target), { recursive: true })
    if (/(?<!\.d)\.ts$/.test(file)) {
      const { outputText } = ts.transpileModule(readFileSync(file, "utf8"), {
        fileName: file,
        compilerOptions: {
          ...options,
          // File by file, the compiler does not see the package.json that makes modules of them.
          module: ts.ModuleKind.ESNext,
          declaration: false,
          declarationMap: false,
          sourceMap: false
        }
      })
      writeFileSync(target.replace(/\.ts$/, ".js"), outputText)
    } else if (/\.(mjs|java)$/.test(file)) cpSync(file, target)
  }
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify({
      type: "module",
      imports: { "#effect/*": "./src/compat/effect3/*.js", "#harness/*": "./test/harness/effect3/*.js" }
    })
  )
  return { folder, remove: () => existsSync(folder) && rmSync(folder, { recursive: true, force: true }) }
}
