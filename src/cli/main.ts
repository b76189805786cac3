#!/usr/bin/env node
/** The command `storage-lock`, as a process. */
import { constants } from "node:os"
import { cli } from "./cli.js"
import { ofSignal } from "./codes.js"
import type { Io } from "./io.js"

/** A signal that nobody took ends the command. */
class Signalled extends Error {
  constructor(readonly code: number) {
    super("ended by a signal")
  }
}

const controller = new AbortController()
const listeners = new Set<(signal: NodeJS.Signals) => void>()

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const) {
  process.on(signal, () => {
    const code = ofSignal(constants.signals[signal])
    if (listeners.size > 0) for (const listener of listeners) listener(signal)
    // The second one does not wait for what the first has begun.
    else if (controller.signal.aborted) process.exit(code)
    else controller.abort(new Signalled(code))
  })
}

const io: Io = {
  env: process.env,
  out: (line) => void process.stdout.write(`${line}\n`),
  err: (line) => void process.stderr.write(`storage-lock: ${line}\n`),
  draw: process.stdout.isTTY ? (text) => void process.stdout.write(`\u001b[H\u001b[2J${text}\n`) : undefined,
  signal: controller.signal,
  onSignal: (listener) => {
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }
}

// A reader that has gone away, as head does, is no fault.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1))

const code = await cli(process.argv.slice(2), io).catch((error: unknown) => {
  if (error instanceof Signalled) return error.code
  io.err(error instanceof Error ? (error.stack ?? error.message) : String(error))
  return 1
})
// After what is written: a pipe may be slow.
process.stdout.write("", () => process.exit(code))
