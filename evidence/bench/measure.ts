/** The measuring process: see main.ts. */
import * as Cause from "#effect/Cause"
import * as Effect from "#effect/Effect"
import * as fibers from "#effect/fibers"
import type { Options } from "./options.js"
import { run } from "./run.js"

const fiber = Effect.runFork(Effect.scoped(run(JSON.parse(process.argv[2]!) as Options)))

// Some libraries throw where nobody can catch it when their connection ends. What they owed is missed where it is awaited.
process.on("uncaughtException", (error) =>
  process.stderr.write(`\nan error that nobody caught: ${error.stack?.split("\n", 2).join("") ?? String(error)}\n`)
)
process.on("unhandledRejection", (error) =>
  process.stderr.write(`\na rejection that nobody handled: ${String(error).split("\n")[0]}\n`)
)

const stop = () => fibers.interrupt(fiber)
process.once("SIGINT", stop)
process.once("SIGTERM", stop)
// Without the process that started it nobody wants to know.
process.once("disconnect", stop)

fiber.addObserver((exit) => {
  if (exit._tag === "Success") process.send!(exit.value, () => process.exit(0))
  else {
    if (!Cause.hasInterruptsOnly(exit.cause)) process.stderr.write(`\n${Cause.pretty(exit.cause)}\n`)
    process.exit(1)
  }
})
