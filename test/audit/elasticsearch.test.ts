/** The audit in OpenSearch, by both ways in which locks are kept there. */
import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import * as ElasticsearchStorage from "../../src/backends/elasticsearch/ElasticsearchStorage.js"
import { resource } from "../harness/resource.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import { suite } from "./suite.js"

await describeServer("the audit in OpenSearch", Shared.opensearch, (server) => {
  for (const mode of ["auto", "versioned"] as const) {
    const index = resource(server.freshIndex)
    suite({
      name: `OpenSearch, mode ${mode}`,
      layer: () => ElasticsearchStorage.layer({ url: Redacted.make(server.url), index: index(), mode }),
      nameOf: (number) => `${index()}_${mode}_audit_${number}`,
      make: (index) => {
        const [first, ...body] = ElasticsearchStorage.ddlAudit({ index }).split("\n")
        return Effect.promise(() =>
          fetch(`${server.url}${first!.slice("PUT ".length)}`, {
            method: "PUT",
            headers: { "content-type": "application/json" },
            body: body.join("\n")
          })
        )
      },
      destroy: (name) => Effect.promise(() => fetch(`${server.url}/${name}-1`, { method: "DELETE" }))
    })
  }
})
