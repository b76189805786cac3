/** The index for locks, as the request that makes it. */
import type { Json } from "../http/json.js"

/** A later format may need another index, behind the same alias. */
const number = 1

export const indexName = (alias: string): string => `${alias}-${number}`

export const definitionOf = (alias: string, mappings: Json): Json => ({
  aliases: { [alias]: {} },
  settings: {
    index: {
      number_of_shards: 1,
      // A copy wherever there is a second node: with one alone, locks go where its disk goes.
      auto_expand_replicas: "0-1",
      // Whatever templates say: a document is what was written.
      default_pipeline: "_none",
      final_pipeline: "_none"
    }
  },
  mappings
})

export const definition = (alias: string): Json =>
  definitionOf(alias, {
    dynamic: false,
    properties: {
      lockId: { type: "keyword" },
      holds: { type: "keyword" },
      expires: { type: "long" }
    }
  })

export const request = (alias: string, body: Json): string =>
  `PUT /${indexName(alias)}\n${JSON.stringify(body, null, 2)}\n`

export const ddl = (alias: string): string => request(alias, definition(alias))
