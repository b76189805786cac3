/**
 * Starts the command, and ends it before anybody else can have the lock. It is a process of its own, so that it does this also when the one that holds the lock is
 * stopped, or dies.
 */
import { spawn } from "node:child_process"
import { signalGroup } from "./group.js"
import { type FromGuard, type Moment, type ToGuard, until } from "./protocol.js"

/** A suspended machine wakes up with timers that know nothing of it: the clocks are looked at so often. In milliseconds. */
const look = 50

const tell = (message: FromGuard, then?: () => void): void => {
  if (process.connected) process.send!(message, undefined, undefined, () => then?.())
  else then?.()
}

// They are for the command, and who holds the lock passes them on.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR2"] as const) process.on(signal, () => {})

const start = ({ args, command, env, grace, held }: ToGuard & { readonly type: "start" }): void => {
  const child = spawn(command, args, { stdio: "inherit", env, detached: process.platform !== "win32" })
  const { pid } = child
  let heldUntil: Moment = held
  let killAt = Number.POSITIVE_INFINITY
  let forced = false

  const term = () => {
    if (forced) return
    forced = true
    signalGroup(pid!, "SIGTERM")
    // One that is stopped would not get it.
    signalGroup(pid!, "SIGCONT")
  }
  const kill = () => {
    forced = true
    signalGroup(pid!, "SIGKILL")
  }
  const watch = () => {
    const left = Math.min(until(heldUntil), killAt - performance.now())
    if (left <= 0) return kill()
    if (left <= grace) term()
    setTimeout(watch, Math.min(look, left))
  }

  child.once("error", (error: NodeJS.ErrnoException) => {
    tell({ type: "failed", code: error.code, message: error.message }, () => process.exit())
  })
  if (pid === undefined) return
  tell({ type: "started", pid })
  watch()
  child.once("exit", (code, signal) => {
    // What it has started may still work.
    if (forced) signalGroup(pid, "SIGKILL")
    tell({ type: "ended", code, signal, forced }, () => process.exit())
  })
  process.on("message", (message: ToGuard) => {
    if (message.type === "held") heldUntil = message.held
    else if (message.type === "signal") signalGroup(pid, message.signal)
    else if (message.type === "lost") kill()
  })
  // Nobody renews the lock any more.
  process.once("disconnect", () => {
    killAt = performance.now() + grace
    term()
  })
}

// It may die before it has said what to start.
const orphan = () => process.exit()
process.once("disconnect", orphan)
process.once("message", (message: ToGuard) => {
  if (message.type !== "start") return
  process.off("disconnect", orphan)
  start(message)
})
