/** The whole conformance suite on one server of Consul, over a link that fails. */
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as ConsulStorage from "../../src/backends/consul/ConsulStorage.js"
import * as Conformance from "../../src/testing/index.js"
import type * as Consul from "../harness/consul.js"
import * as HttpFrames from "../harness/httpFrames.js"
import * as Proxy from "../harness/proxy.js"
import { resource } from "../harness/resource.js"

export const overFailingLink = (server: Consul.ConsulServer, effort?: number): void => {
  const link = resource(
    Effect.all({ prefix: server.freshPrefix, proxy: Proxy.make(server, { protocol: HttpFrames.http }) })
  )
  Conformance.suite({
    name: "over a link that fails",
    layer: Layer.suspend(() =>
      ConsulStorage.layer({ prefix: link().prefix, url: Redacted.make(`http://127.0.0.1:${link().proxy.port}`) })
    ),
    versioned: Layer.suspend(() =>
      ConsulStorage.layerVersioned({ prefix: link().prefix, url: Redacted.make(server.url) })
    ),
    wakesUp: true,
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
