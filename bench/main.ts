/** The locks against the bare driver: see `help` in options.ts. */
import { fork } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { compile } from "./compile.js"
import { environment } from "./environment.js"
import * as options from "./options.js"
import * as report from "./report.js"
import type { Measurements } from "./run.js"

const asked = (() => {
  try {
    return options.parse(process.argv.slice(2))
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${options.help}`)
    process.exit(2)
  }
})()

/** In a process of its own, which stops its servers when it is asked to. */
const measure = (folder: string) =>
  new Promise<Measurements>((resolve, reject) => {
    let measured: Measurements | undefined
    // No arguments for node from those of this process: it may have been started with a loader.
    const child = fork(join(folder, "bench", "measure.js"), [JSON.stringify(asked)], { execArgv: [] })
    child.on("message", (message) => (measured = message as Measurements))
    child.on("exit", (code, signal) =>
      code === 0 && measured !== undefined ? resolve(measured) : reject(new Error(`the measuring ended with ${signal ?? code}`)))
    // A terminal tells the whole group of Ctrl-C; others tell this process alone.
    process.on("SIGINT", () => {})
    process.on("SIGTERM", () => child.kill("SIGTERM"))
  })

if (asked === "help") {
  process.stdout.write(options.help)
} else {
  const known = environment()
  const { folder, remove } = compile()
  process.once("exit", remove)
  try {
    const results: report.Results = { ...known, plan: asked.plan, poolSize: asked.poolSize, ...await measure(folder) }
    if (!asked.quick && asked.storages.length === options.storages.length) {
      const file = (name: string) => fileURLToPath(new URL(name, import.meta.url))
      writeFileSync(file("./results.json"), `${JSON.stringify(results, null, 1)}\n`)
      writeFileSync(file("./RESULTS.md"), report.markdown(results))
    }
    process.stdout.write(asked.json ? `${JSON.stringify(results, null, 2)}\n` : `\n${report.table(results)}\n`)
  } catch (error) {
    process.stderr.write(`\n${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  }
}
