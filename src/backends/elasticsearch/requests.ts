/** What is asked of the server. Every write names the alias as one: a name that is missing is never made. */
import { clockId, documentId } from "./record.js"
import type { Json } from "../http/json.js"
import type { Ask } from "./runner.js"

/** The server repeats a script that another write has overtaken. */
const retries = "30"

/** The answer has the document as the script left it, also where nothing is stored. That is so for a filter, and not for `true`. */
const told = { _source: "*" }

const ofAlias = { require_alias: "true" }

export const make = (index: string) => {
  const scripted = (id: string, script: Json, upsert: boolean, repeatable: boolean): Ask => ({
    method: "POST",
    path: `/${index}/_update/${id}`,
    query: { ...ofAlias, ...told, retry_on_conflict: retries },
    timed: true,
    kind: "writes",
    repeatable,
    body: upsert ? { scripted_upsert: true, upsert: {}, script } : { script }
  })

  return {
    /** On a document that is made, if it is not there. */
    upsert: (lockId: string, script: Json) => scripted(documentId(lockId), script, true, true),
    update: (lockId: string, script: Json, repeatable: boolean) =>
      scripted(documentId(lockId), script, false, repeatable),
    /** Stores nothing. */
    look: (lockId: string, script: Json): Ask => ({
      ...scripted(documentId(lockId), script, false, true),
      kind: "reads"
    }),
    clock: (script: Json): Ask => ({ ...scripted(clockId, script, true, true), kind: "reads" }),
    lookAtClock: (script: Json): Ask => ({ ...scripted(clockId, script, false, true), kind: "reads" }),
    readClock: { method: "GET", path: `/${index}/_doc/${clockId}`, kind: "reads", repeatable: true } satisfies Ask,
    createClock: (body: Json): Ask => ({
      method: "PUT",
      path: `/${index}/_create/${clockId}`,
      query: ofAlias,
      timed: true,
      kind: "writes",
      repeatable: false,
      body
    }),
    /** Each lock and its script. */
    many: (parts: ReadonlyArray<readonly [lockId: string, script: Json]>): Ask => ({
      method: "POST",
      path: `/${index}/_bulk`,
      query: { ...ofAlias, ...told },
      timed: true,
      kind: "writes",
      repeatable: true,
      body: parts.flatMap(([lockId, script]) => [
        { update: { _id: documentId(lockId), retry_on_conflict: Number(retries) } },
        { script }
      ])
    }),
    get: (lockId: string): Ask => ({
      method: "GET",
      path: `/${index}/_doc/${documentId(lockId)}`,
      kind: "reads",
      repeatable: true
    }),
    create: (lockId: string, body: Json): Ask => ({
      method: "PUT",
      path: `/${index}/_create/${documentId(lockId)}`,
      query: ofAlias,
      timed: true,
      kind: "writes",
      repeatable: false,
      body
    }),
    replace: (lockId: string, at: At, body: Json): Ask => ({
      method: "PUT",
      path: `/${index}/_doc/${documentId(lockId)}`,
      query: { ...ofAlias, ...ifAt(at) },
      timed: true,
      kind: "writes",
      repeatable: false,
      body
    }),
    drop: (lockId: string, at: At): Ask => ({
      method: "DELETE",
      path: `/${index}/_doc/${documentId(lockId)}`,
      query: ifAt(at),
      timed: true,
      kind: "writes",
      repeatable: false
    }),
    dropMany: (all: ReadonlyArray<readonly [id: string, at: At]>): Ask => ({
      method: "POST",
      path: `/${index}/_bulk`,
      timed: true,
      kind: "writes",
      repeatable: true,
      body: all.map(([_id, { primaryTerm, seqNo }]) => ({
        delete: { _id, if_seq_no: seqNo, if_primary_term: primaryTerm }
      }))
    }),
    /** A search finds what was there at the last refresh. */
    refresh: { method: "POST", path: `/${index}/_refresh`, kind: "reads", repeatable: true } satisfies Ask,
    page: (query: Json, size: number, after: string | undefined): Ask => ({
      method: "POST",
      path: `/${index}/_search`,
      query: { allow_partial_search_results: "false" },
      kind: "reads",
      repeatable: true,
      body: {
        query,
        size,
        sort: [{ lockId: "asc" }],
        track_total_hits: false,
        seq_no_primary_term: true,
        ...(after === undefined ? {} : { search_after: [after] })
      }
    })
  }
}

export type Requests = ReturnType<typeof make>

/** Where a document is in the order of changes: what a compare-and-set goes by. */
export interface At {
  readonly seqNo: number
  readonly primaryTerm: number
}

const ifAt = ({ primaryTerm, seqNo }: At) => ({ if_seq_no: String(seqNo), if_primary_term: String(primaryTerm) })

export const atOf = ({ _primary_term, _seq_no }: Json): At | undefined =>
  Number.isSafeInteger(_seq_no) && Number.isSafeInteger(_primary_term)
    ? { seqNo: _seq_no, primaryTerm: _primary_term }
    : undefined
