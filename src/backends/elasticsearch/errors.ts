/** Failures of Elasticsearch and OpenSearch as typed errors: the reason, whether the call may have been applied, and what a person can do. */
import { StorageError } from "../../LockError.js"
import { withoutCredentials } from "../shared/driverError.js"
import * as http from "../http/errors.js"
import type { Call } from "../http/client.js"

export const names: http.Names = { storage: "ElasticsearchStorage", product: "Elasticsearch" }

/** As both servers tell it. */
export interface Told {
  readonly type?: unknown
  readonly reason?: unknown
  readonly caused_by?: unknown
}

const no = "no" as const
const unknown = "unknown" as const

/** Types that say it all, whatever the status is. */
const byType: Readonly<Record<string, http.Judged>> = {
  version_conflict_engine_exception: { reason: "Conflict", isRetryable: true, applied: no },
  index_not_found_exception: {
    reason: "Schema",
    isRetryable: false,
    applied: no,
    hint: "the alias is not there: `setup: true` makes it when a layer begins, and so does the request of `ddl`"
  },
  index_closed_exception: { reason: "Schema", isRetryable: false, applied: no, hint: "the index is closed: open it" },
  security_exception: {
    reason: "Permission",
    isRetryable: false,
    applied: no,
    hint: "the user needs read, write, maintenance and view_index_metadata on the alias and its index (and create_index and manage where it is not there yet)"
  },
  circuit_breaking_exception: { reason: "Timeout", isRetryable: true, applied: unknown },
  es_rejected_execution_exception: { reason: "Timeout", isRetryable: true, applied: unknown },
  rejected_execution_exception: { reason: "Timeout", isRetryable: true, applied: unknown },
  unavailable_shards_exception: { reason: "Connection", isRetryable: true, applied: unknown },
  no_shard_available_action_exception: { reason: "Connection", isRetryable: true, applied: no },
  process_cluster_event_timeout_exception: { reason: "Timeout", isRetryable: true, applied: unknown },
  mapper_parsing_exception: { reason: "Schema", isRetryable: false, applied: no }
}

/** Too many new texts of scripts in too short a time. It passes. */
const compilations: http.Judged = { reason: "Timeout", isRetryable: true, applied: no }

/** A script met what it cannot compute with, in a document that was changed by hand. */
const unfit: http.Judged = {
  reason: "Schema",
  isRetryable: false,
  applied: no,
  hint: "has the document the fields of a lock's, or was it changed by hand?"
}

const byStatus = (status: number, type: string | undefined): http.Judged => {
  if (type === "cluster_block_exception" || type === "index_block_exception")
    return status === 429
      ? {
          reason: "Unknown",
          isRetryable: true,
          applied: no,
          hint: "the disk is full (read_only_allow_delete): make room; what is held is lost when its lease ends"
        }
      : status === 403
        ? { reason: "Permission", isRetryable: false, applied: no, hint: "writes to the index are blocked" }
        : { reason: "Connection", isRetryable: true, applied: no }
  if (status === 401 || status === 403)
    return { reason: "Permission", isRetryable: false, applied: no, hint: "is that the right user or API key?" }
  if (status === 404)
    return { reason: "Schema", isRetryable: false, applied: no, hint: "is it Elasticsearch that answers there?" }
  if (status === 409) return { reason: "Conflict", isRetryable: true, applied: no }
  if (status === 408 || status === 429) return { reason: "Timeout", isRetryable: true, applied: unknown }
  if (status >= 502 && status <= 504) return { reason: "Connection", isRetryable: true, applied: unknown }
  if (status >= 500) return { reason: "Unknown", isRetryable: true, applied: unknown }
  return { reason: "Unknown", isRetryable: false, applied: no }
}

const typesOf = (told: Told): ReadonlyArray<string> => {
  const types: Array<string> = []
  let next: unknown = told
  while (typeof next === "object" && next !== null && types.length < 20) {
    const { caused_by, type } = next as Told
    if (typeof type === "string") types.push(type)
    next = caused_by
  }
  return types
}

class Refusal extends Error {
  override readonly name = "ElasticsearchError"

  constructor(
    message: string,
    readonly status: number,
    readonly type: string | undefined
  ) {
    super(message)
  }
}

/** By status and type, as the server told them. */
export const told = (operation: string, status: number, error: Told, kind: Call["kind"]): StorageError => {
  const types = typesOf(error)
  const [type] = types
  const judged =
    status === 400 && types.includes("circuit_breaking_exception")
      ? compilations
      : status === 400 && types.includes("script_exception")
        ? unfit
        : ((type === undefined ? undefined : byType[type]) ?? byStatus(status, type))
  const reasons = [error, error.caused_by as Told | undefined]
    .map((each) => each?.reason)
    .filter((each) => typeof each === "string")
  const text = withoutCredentials(reasons.join(": ")).slice(0, 500)
  return http.make(names, operation, {
    reason: judged.reason,
    isRetryable: judged.isRetryable,
    applied: kind === "reads" ? no : judged.applied,
    message: `Elasticsearch failed (${status}${type === undefined ? "" : ` ${type}`})${text === "" ? "" : `: ${text}`}${
      judged.hint === undefined ? "" : `. Hint: ${judged.hint}`
    }`,
    cause: new Refusal(text, status, type)
  })
}

/** What was refused now may have been done by an earlier try. */
export const doubtful = ({ cause, isRetryable, message, operation, reason }: StorageError): StorageError =>
  new StorageError({ cause, isRetryable, message, operation, reason, applied: unknown })

/** Not what Elasticsearch answers: it may come from something else on that port. */
export const odd = (operation: string, kind: Call["kind"], what: string): StorageError =>
  http.odd(names, operation, kind, what)

export const schema = (operation: string, message: string): StorageError =>
  http.make(names, operation, { reason: "Schema", isRetryable: false, applied: no, message })
