/** The audit as an index behind an alias, as that of the locks is. */
import * as Effect from "#effect/Effect"
import type { Place, Row } from "../../AuditStore.js"
import { valid } from "../../common/input.js"
import type { StorageError } from "../../LockError.js"
import type { Json } from "../http/json.js"
import * as shared from "../shared/audit.js"
import { definitionOf } from "./ddl.js"
import * as errors from "./errors.js"
import * as internal from "./options.js"
import { hitsOf } from "./pages.js"
import type { Answer, Ask, Runner } from "./runner.js"
import { create } from "./setup.js"

/** In pages that a server deletes within the time of an operation. */
const dropLimit = 5_000

const ofAlias = { require_alias: "true" }

/** Times are dates, so that people can look at the index by them. What only is shown is not indexed. */
const mappings: Json = {
  dynamic: false,
  properties: {
    entry_id: { type: "keyword" },
    written_at: { type: "date", format: "epoch_millis" },
    happened_at: { type: "date", format: "epoch_millis" },
    event: { type: "keyword" },
    namespace: { type: "keyword" },
    lock_id: { type: "keyword" },
    owner_id: { type: "keyword" },
    owner_label: { type: "keyword" },
    token: { type: "long" },
    host: { type: "keyword" },
    pid: { type: "long" },
    detail: { type: "keyword", index: false, doc_values: false }
  }
}

export const definition = (alias: string): Json => definitionOf(alias, mappings)

/** The text is constant, for a server compiles only so many new ones in a time. What is there already stays as it is. */
const addText = `Map s = ctx._source;
if (s.isEmpty()) { s.putAll(params.entry); s.written_at = System.currentTimeMillis(); } else { ctx.op = 'none'; }`

const documentOf = (row: Row): Json => {
  const values = shared.valuesOf(row)
  return Object.fromEntries(shared.columns.map((name, i) => [name, values[i]]))
}

/** As the server's clock has it, by a script; without scripts, as that of the process has it. */
const linesOf =
  (scripted: boolean) =>
  (row: Row): ReadonlyArray<Json> =>
    scripted
      ? [
          { update: { _id: row.id, retry_on_conflict: 3 } },
          {
            scripted_upsert: true,
            upsert: {},
            script: { lang: "painless", source: addText, params: { entry: documentOf(row) } }
          }
        ]
      : [{ create: { _id: row.id } }, { ...documentOf(row), written_at: Date.now() }]

const failureOf = ({ body }: Answer): StorageError | undefined => {
  if (body.errors === false) return undefined
  for (const item of body.items as ReadonlyArray<Json>) {
    const { error, status } = item.update ?? item.create ?? {}
    // It is there already.
    if (status < 300 || (status === 409 && item.create !== undefined)) continue
    return typeof status === "number"
      ? errors.told("audit.append", status, error ?? {}, "writes")
      : errors.odd("audit.append", "writes", "one of many answers is missing")
  }
  return undefined
}

export const make =
  (runner: Runner, locks: string, scripted: boolean): Place =>
  (options) =>
    Effect.gen(function* () {
      const index = yield* valid(
        shared.uncounted(options, "ElasticsearchStorage") ??
          internal.index(options.name ?? shared.besides(locks), "name")
      )
      const run = (operation: string, ask: Ask) => runner.run(`audit.${operation}`, ask)
      const makeIndex = Effect.asVoid(create(runner, "audit.setup", index, definition(index)))
      const look = run("setup", { method: "GET", path: `/${index}`, kind: "reads", repeatable: true })
      const found = yield* Effect.catchIf(
        look,
        (error) => options.setup && error.reason === "Schema",
        () => Effect.andThen(makeIndex, look)
      )
      const [about] = Object.values(found.body) as ReadonlyArray<Json>
      if (about?.aliases?.[index] === undefined || about.mappings?.properties?.entry_id?.type !== "keyword") {
        return yield* errors.schema(
          "audit.setup",
          `"${index}" is no alias of an index for an audit: name another by \`name\``
        )
      }
      const lines = linesOf(scripted)
      const refresh = run("page", { method: "POST", path: `/${index}/_refresh`, kind: "reads", repeatable: true })
      return {
        append: shared.remaking(
          (rows) =>
            rows.length === 0
              ? Effect.void
              : Effect.flatMap(
                  run("append", {
                    method: "POST",
                    path: `/${index}/_bulk`,
                    query: ofAlias,
                    timed: true,
                    kind: "writes",
                    repeatable: true,
                    body: rows.flatMap(lines)
                  }),
                  (answer): Effect.Effect<void, StorageError> => failureOf(answer) ?? Effect.void
                ),
          makeIndex,
          options
        ),
        page: (query) =>
          Effect.suspend(() => {
            const { after, limit, lockId, namespace } = query
            const [at, id] = shared.startOf(query)
            const ask: Ask = {
              method: "POST",
              path: `/${index}/_search`,
              query: { allow_partial_search_results: "false" },
              kind: "reads",
              repeatable: true,
              body: {
                query: {
                  bool: {
                    filter: [
                      { range: { written_at: { gte: at } } },
                      { term: { namespace } },
                      ...(lockId === undefined ? [] : [{ term: { lock_id: lockId } }])
                    ]
                  }
                },
                size: limit,
                sort: [{ written_at: "asc" }, { entry_id: "asc" }],
                track_total_hits: false,
                ...(after === undefined ? {} : { search_after: [at, id] })
              }
            }
            // A search finds what was there at the last refresh.
            return Effect.andThen(after === undefined ? refresh : Effect.void, run("page", ask))
          }).pipe(
            Effect.flatMap(({ body }) =>
              shared.read(
                "ElasticsearchStorage.audit.page",
                hitsOf(body).map((hit) => hit._source as Json),
                query.limit
              )
            )
          ),
        drop: (olderThan) =>
          shared.dropAll(
            Effect.map(
              run("drop", {
                method: "POST",
                path: `/${index}/_delete_by_query`,
                query: { conflicts: "proceed", refresh: "true", max_docs: String(dropLimit) },
                kind: "writes",
                repeatable: true,
                body: { query: { range: { written_at: { lt: `now-${Math.ceil(olderThan / 1_000)}s` } } } }
              }),
              ({ body }) => Number(body.deleted)
            ),
            dropLimit
          )
      }
    })
