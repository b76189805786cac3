/** The locks against the bare driver: see `help` in options.ts. */
import * as Effect from "effect/Effect"
import * as options from "./options.js"
import * as report from "./report.js"
import { run } from "./run.js"

const asked = (() => {
  try {
    return options.parse(process.argv.slice(2))
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${options.help}`)
    process.exit(2)
  }
})()

if (asked === "help") {
  process.stdout.write(options.help)
} else {
  // Effect's finalizers stop the server on Ctrl-C too.
  const fiber = Effect.runFork(Effect.scoped(run(asked)))
  const stop = () => fiber.unsafeInterruptAsFork(fiber.id())
  process.once("SIGINT", stop)
  process.once("SIGTERM", stop)
  fiber.addObserver((exit) => {
    if (exit._tag === "Failure") {
      process.stderr.write(`\n${String(exit.cause)}\n`)
      process.exit(1)
    }
    if (asked.json) process.stdout.write(`${JSON.stringify(exit.value, null, 2)}\n`)
    else process.stdout.write(`\n${report.table(exit.value)}\n`)
    process.exit(0)
  })
}
