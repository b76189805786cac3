/** The library's log lines, for a program's own logger. */
import type * as Layer from "#effect/Layer"
import * as loggers from "#effect/loggers"
import type { ConnectOptions } from "./types.js"

const text = (message: unknown): string =>
  typeof message === "string" ? message : message instanceof Error ? message.message : String(message)

/** Who throws harms nothing: a log is no part of a lock. */
export const to = (log: NonNullable<ConnectOptions["log"]>): Layer.Layer<never> =>
  loggers.to(({ annotations, cause, level, messages }) => {
    if (log === false) return
    try {
      const message = [...messages.map(text), ...(cause === undefined ? [] : [cause])].join(" ")
      log({ level, message, fields: annotations })
    } catch {
      // There is nobody to tell.
    }
  })
