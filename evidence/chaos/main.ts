/** Chaos: see `help` in options.ts, and docs/chaos.md. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Cause from "#effect/Cause"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { asked } from "../arguments.js"
import * as options from "./options.js"
import { status, toJson, toMarkdown } from "./report.js"
import { run } from "./run.js"
import type { Tally } from "./tally.js"

let told = 0

const show = (tally: Tally, state: string): void => {
  const clear = process.stdout.isTTY ? "\r\x1b[2K" : ""
  // What is found is told at once: a long run may be ended before its report.
  for (const { message, property } of tally.findings.slice(told))
    process.stdout.write(`${clear}VIOLATION ${property}: ${message}\n`)
  told = tally.findings.length
  const text = status(tally, state)
  process.stdout.write(process.stdout.isTTY ? clear + text.slice(0, process.stdout.columns - 1) : `${text}\n`)
}

const save = (file: string | undefined, text: string): void => {
  if (file === undefined) return
  Fs.mkdirSync(Path.dirname(Path.resolve(file)), { recursive: true })
  Fs.writeFileSync(file, text)
}

const chosen = asked(options)

const main = Effect.gen(function* () {
  process.stdout.write(`chaos over ${chosen.storage}, seed ${chosen.seed}\n`)
  const tally = yield* run(chosen, show).pipe(
    Effect.tapErrorCause((cause) =>
      Effect.sync(() => {
        process.exitCode = 1
        if (!Cause.hasInterruptsOnly(cause)) process.stderr.write(`\n${Cause.pretty(cause)}\n`)
      })
    )
  )
  const report = toMarkdown(tally)
  save(chosen.json, `${JSON.stringify(toJson(tally), undefined, 2)}\n`)
  save(chosen.report, report)
  process.stdout.write(`\n\n${report}`)
  process.exitCode = tally.ok ? 0 : 1
}).pipe(Effect.ignore)

NodeRuntime.runMain(main, {
  // By name, and not by having nothing left to do: then Node.js 20 waits at times, on a busy machine, for ever for its own handles (`Environment::CleanupHandles`), on the processor.
  teardown: (exit) => process.exit(Exit.isSuccess(exit) ? Number(process.exitCode ?? 0) : 130)
})
