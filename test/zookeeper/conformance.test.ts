/** ZookeeperStorage keeps every promise on ZooKeeper 3.9: over a link that fails, below a chroot, and over compare-and-set alone. */
import { describe } from "#harness/vitest"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as ZookeeperStorage from "../../src/backends/zookeeper/ZookeeperStorage.js"
import { VersionedStore } from "../../src/index.js"
import * as Conformance from "../../src/testing/index.js"
import { resource } from "../harness/resource.js"
import { describeServer } from "../harness/server.js"
import * as Zookeeper from "../harness/zookeeper.js"
import { overFailingLink } from "../support/zookeeperSuite.js"

await describeServer("ZookeeperStorage on ZooKeeper 3.9", Zookeeper.own, (server) => {
  overFailingLink(server, 0.5)

  describe("by the smaller port, below a chroot", () => {
    const root = resource(server.freshRoot)
    const layer = Layer.suspend(() =>
      ZookeeperStorage.layerVersioned({ url: Redacted.make(`${server.url}/some/where`), root: root() })
    )
    Conformance.versionedSuite({ name: "ZookeeperStorage.layerVersioned", layer })
    Conformance.suite({
      name: "ZookeeperStorage.layerVersioned, over compare-and-set",
      layer: Layer.provide(VersionedStore.layerStorage(), layer),
      effort: 0.2,
      hooks: { shiftClient: Conformance.shiftDate }
    })
  })
})
