/** What Consul says when it does not do what it is asked for: a status, and plain words that are for people alone. */
import type { StorageError } from "../../LockError.js"
import type { Refusals } from "../http/asked.js"
import type { Kind } from "../http/exchange.js"
import * as http from "../http/errors.js"

/** A token that is unknown, or out of date, is answered with 403, and so is what it may not do. */
export const names: http.Names = { storage: "ConsulStorage", product: "Consul", refused: [401, 403] }

const no = "no" as const
const unknown = "unknown" as const

const byStatus = (status: number): http.Judged => {
  if (status === 401 || status === 403)
    return {
      reason: "Permission",
      isRetryable: false,
      applied: no,
      hint: "is that the right token, and has it the rules of `policy`?"
    }
  if (status === 404)
    return { reason: "Schema", isRetryable: false, applied: no, hint: "is it Consul that answers there?" }
  if (status === 413)
    return { reason: "TooLarge", isRetryable: false, applied: no, hint: "the record is larger than Consul takes" }
  // The agent counts requests before it passes them on.
  if (status === 429) return { reason: "Timeout", isRetryable: true, applied: no }
  if (status === 408) return { reason: "Timeout", isRetryable: true, applied: unknown }
  // That there is no leader, or that it has just changed, and all else that went wrong behind the agent.
  if (status >= 500)
    return {
      reason: "Connection",
      isRetryable: true,
      applied: unknown,
      hint: status === 500 ? "has the cluster a leader, and is the data centre known?" : undefined
    }
  return { reason: "Unknown", isRetryable: false, applied: no }
}

export const refusals: Refusals = { names, byStatus, words: (text) => text.trim() }

export const odd = (operation: string, kind: Kind, what: string): StorageError => http.odd(names, operation, kind, what)

export const schema = (operation: string, message: string): StorageError =>
  http.make(names, operation, { reason: "Schema", isRetryable: false, applied: no, message })
