/** What Splunk says when it does not do what it is asked for: a status, and messages that are for people alone. */
import type { StorageError } from "../../LockError.js"
import type { Refusals } from "../http/asked.js"
import * as http from "../http/errors.js"
import { isObject, parsed } from "../http/json.js"

export const names: http.Names = { storage: "SplunkStorage", product: "Splunk", port: "the management port of Splunk" }

const no = "no" as const
const unknown = "unknown" as const

const byStatus = (status: number): http.Judged => {
  switch (status) {
    case 401:
      return {
        reason: "Permission",
        isRetryable: false,
        applied: no,
        hint: "is that the right token or password, and has it not ended?"
      }
    case 403:
      return {
        reason: "Permission",
        isRetryable: false,
        applied: no,
        hint: "may this user read and write the collection? See `metadata`"
      }
    case 404:
      return {
        reason: "Schema",
        isRetryable: false,
        applied: no,
        hint: "is there such a collection in this `app`, and is it the management port of Splunk (8089) that answers?"
      }
    case 408:
      return { reason: "Timeout", isRetryable: true, applied: unknown }
    case 409:
      return { reason: "Conflict", isRetryable: true, applied: no }
    // Too many requests at once are turned away before anything is done.
    case 429:
      return { reason: "Timeout", isRetryable: true, applied: no }
    default:
      // The store is starting, or has no captain, or went wrong behind the server.
      return status >= 500
        ? {
            reason: "Connection",
            isRetryable: true,
            applied: unknown,
            hint: "is the KV store up? `splunk show kvstore-status`"
          }
        : { reason: "Unknown", isRetryable: false, applied: no }
  }
}

/** The texts of `{"messages":[{"type":…,"text":…}]}`. Of anything else, nothing: a page of a gateway is no message. */
const words = (text: string): string => {
  const body = parsed(text)
  const messages: unknown = isObject(body) ? body.messages : undefined
  return Array.isArray(messages)
    ? messages
        .map((each) => (isObject(each) && typeof each.text === "string" ? each.text : ""))
        .filter((each) => each !== "")
        .join("; ")
    : ""
}

export const refusals: Refusals = { names, byStatus, words }

/** What was written has not come to be seen, or was overtaken before it could be. */
export const unseen = (operation: string, why: string): StorageError =>
  http.make(names, operation, { reason: "Timeout", isRetryable: true, applied: unknown, message: why })

export const schema = (operation: string, message: string): StorageError =>
  http.make(names, operation, { reason: "Schema", isRetryable: false, applied: no, message })
