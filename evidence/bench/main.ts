/** The locks against the bare driver, and against others: see `help` in options.ts. */
import * as options from "./options.js"

const asked = (() => {
  try {
    return options.parse(process.argv.slice(2))
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${options.help}`)
    process.exit(2)
  }
})()

if (asked === "help") process.stdout.write(options.help)
// All the drivers come with it.
else await (await import("./bench.js")).bench(asked)
