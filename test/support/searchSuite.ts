/** The whole conformance suite on one server of Elasticsearch or OpenSearch, over a link that fails. */
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as ElasticsearchStorage from "../../src/backends/elasticsearch/ElasticsearchStorage.js"
import * as Conformance from "../../src/testing/index.js"
import * as HttpFrames from "../harness/httpFrames.js"
import * as Proxy from "../harness/proxy.js"
import { resource } from "../harness/resource.js"
import type * as Search from "../harness/search.js"

export const overFailingLink = (server: Search.SearchServer, mode: "auto" | "versioned", effort?: number): void => {
  const link = resource(
    Effect.all({ index: server.freshIndex, proxy: Proxy.make(server, { protocol: HttpFrames.http }) })
  )
  const options = () => ({ index: link().index, mode })
  Conformance.suite({
    name: `by mode "${mode}", over a link that fails`,
    layer: Layer.suspend(() =>
      ElasticsearchStorage.layer({ ...options(), url: Redacted.make(`http://127.0.0.1:${link().proxy.port}`) })
    ),
    versioned: Layer.suspend(() =>
      ElasticsearchStorage.layerVersioned({ ...options(), url: Redacted.make(server.url) })
    ),
    effort,
    hooks: {
      shiftClient: Conformance.shiftDate,
      loseReply: Effect.suspend(() => link().proxy.dropNextReply),
      hang: (effect) =>
        Effect.acquireUseRelease(
          Effect.suspend(() => link().proxy.hang(true)),
          () => effect,
          () => link().proxy.hang(false)
        ),
      // As a power cut, not in order: what was acknowledged is there afterwards.
      restart: Effect.andThen(server.kill, server.start)
    }
  })
}
