/** The whole conformance suite on one server of ZooKeeper, over a link that fails. */
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as ZookeeperStorage from "../../src/backends/zookeeper/ZookeeperStorage.js"
import * as Conformance from "../../src/testing/index.js"
import * as Proxy from "../harness/proxy.js"
import { resource } from "../harness/resource.js"
import * as Zookeeper from "../harness/zookeeper.js"

export const overFailingLink = (server: Zookeeper.ZookeeperServer, effort?: number): void => {
  const link = resource(
    Effect.all({ root: server.freshRoot, proxy: Proxy.make(server, { protocol: Zookeeper.protocol }) })
  )
  Conformance.suite({
    name: "over a link that fails",
    layer: Layer.suspend(() =>
      ZookeeperStorage.layer({
        url: Redacted.make(`zookeeper://127.0.0.1:${link().proxy.port}`),
        root: link().root
      })
    ),
    versioned: Layer.suspend(() =>
      ZookeeperStorage.layerVersioned({ url: Redacted.make(server.url), root: link().root })
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
