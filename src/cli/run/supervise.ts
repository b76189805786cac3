/** A command under a lock that is held: it runs in the care of a guard, which is told how long the lock is surely held. */
import { fork } from "node:child_process"
import { constants } from "node:os"
import { fileURLToPath } from "node:url"
import { LockLost } from "../../promise/errors.js"
import type { Lock } from "../../promise/types.js"
import { codes, ofSignal } from "../codes.js"
import type { Io } from "../io.js"
import { signalGroup } from "./group.js"
import { after, type FromGuard, type ToGuard } from "./protocol.js"

const guardFile = fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "./guard.ts" : "./guard.js", import.meta.url))

/** The guard is told of a renewal within this. In milliseconds. */
const often = 100

/** If the guard has not ended a command within this, it may be stopped itself. */
const patience = 250

interface Work {
  readonly command: string
  readonly args: ReadonlyArray<string>
  /** In milliseconds. */
  readonly grace: number
  /** For how long it may be held, in milliseconds. */
  readonly longest: number | undefined
}

/** Less than this, in milliseconds, lies between the claim and the start of its command. */
const slack = 250

export const supervise = (lock: Lock, { args, command, grace, longest }: Work, io: Io): Promise<number> =>
  new Promise((resolve) => {
    const began = performance.now()
    const guard = fork(guardFile, [], { stdio: ["inherit", "inherit", "inherit", "ipc"], execArgv: process.execArgv })
    const tell = (message: ToGuard) => {
      if (guard.connected) guard.send(message, () => {})
    }
    let pid: number | undefined
    let told = Number.NEGATIVE_INFINITY
    const held = () => {
      try {
        return after(lock.check())
      } catch {
        return undefined
      }
    }
    const feed = () => {
      const moment = held()
      if (moment === undefined || moment.monotonic < told + 1) return
      told = moment.monotonic
      tell({ type: "held", held: moment })
    }
    const feeding = setInterval(feed, often)
    let killing: NodeJS.Timeout | undefined
    const lost = () => {
      tell({ type: "lost" })
      killing ??= setTimeout(() => pid !== undefined && signalGroup(pid, "SIGKILL"), patience)
    }
    lock.signal.addEventListener("abort", lost, { once: true })
    const ignore = io.onSignal((signal) => tell({ type: "signal", signal }))
    const end = (code: number) => {
      clearInterval(feeding)
      clearTimeout(killing)
      ignore()
      lock.signal.removeEventListener("abort", lost)
      resolve(code)
    }

    const reason = (): string => {
      try {
        const left = lock.check()
        return longest !== undefined && left > longest - (performance.now() - began) - slack
          ? "--hold-at-most was nearly over"
          : "its renewals failed for so long that the command had to end"
      } catch (error) {
        return error instanceof LockLost ? error.message : String(error)
      }
    }
    guard.on("message", (message: FromGuard) => {
      if (message.type === "started") {
        pid = message.pid
        // Lost while it started.
        if (lock.signal.aborted) lost()
      } else if (message.type === "failed") {
        io.err(message.message)
        end(message.code === "ENOENT" ? codes.notFound : codes.cannotRun)
      } else if (message.forced || held() === undefined) {
        io.err(`${message.forced ? "the command was ended" : "the command has ended, perhaps not alone"}: ${reason()}`)
        end(codes.lost)
      } else end(message.code ?? ofSignal(constants.signals[message.signal!]))
    })
    guard.once("exit", () => {
      // Without a guard nobody would end it in time.
      if (pid !== undefined) signalGroup(pid, "SIGKILL")
      // After what it may have said last.
      setImmediate(() => {
        io.err("the process that watches the command has died, and the command was ended")
        end(codes.lost)
      })
    })
    const moment = held()
    if (moment === undefined) return lost()
    const env = {
      ...io.env,
      STORAGE_LOCK_ID: lock.lockId,
      STORAGE_LOCK_OWNER: lock.ownerId,
      STORAGE_LOCK_TOKEN: String(lock.token)
    }
    tell({ type: "start", command, args, env, grace, held: moment })
  })
