/** etcd keeps every promise: over a link that fails, over the program's channel, and over compare-and-set alone. Other releases: `etcdReleases.test.ts`. */
import * as Grpc from "@grpc/grpc-js"
import { describe } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as EtcdStorage from "../../src/backends/etcd/EtcdStorage.js"
import { VersionedStore } from "../../src/index.js"
import * as Conformance from "../../src/testing/index.js"
import * as Etcd from "../harness/etcd.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import { overFailingLink, resource } from "../support/etcdSuite.js"

const shiftClient = Conformance.shiftDate

await describeServer("EtcdStorage on etcd 3.4", Etcd.own("etcd 3.4"), (server) => overFailingLink(server, 0.4))

await describeServer("EtcdStorage on the shared server", Shared.etcd, (server) => {
  describe("over the program's channel", () => {
    const own = resource(
      Effect.all({
        prefix: server.freshPrefix,
        channel: Effect.acquireRelease(
          Effect.sync(() => new Grpc.Channel(`${server.host}:${server.port}`, Grpc.credentials.createInsecure(), {})),
          (channel) => Effect.sync(() => channel.close())
        )
      })
    )
    Conformance.suite({
      name: "EtcdStorage.layerFromChannel",
      layer: Layer.suspend(() => EtcdStorage.layerFromChannel(own())),
      effort: 0.2,
      hooks: { shiftClient }
    })
  })

  describe("by the smaller port", () => {
    const prefix = resource(server.freshPrefix)
    Conformance.versionedSuite({
      name: "EtcdStorage.layerVersioned",
      layer: Layer.suspend(() => EtcdStorage.layerVersioned({ url: Redacted.make(server.url), prefix: prefix() }))
    })
    Conformance.suite({
      name: "EtcdStorage.layerVersioned, over compare-and-set",
      layer: Layer.suspend(() =>
        Layer.provide(
          VersionedStore.layerStorage(),
          EtcdStorage.layerVersioned({ url: Redacted.make(server.url), prefix: prefix() })
        )
      ),
      effort: 0.2,
      hooks: { shiftClient }
    })
    // Leases by a clock beside the store: that of another machine would be asked over the network, too.
    const timed = resource(server.freshPrefix)
    const inner = Layer.suspend(() => EtcdStorage.layerVersioned({ url: Redacted.make(server.url), prefix: timed() }))
    Conformance.suite({
      name: "EtcdStorage.layerVersioned, by a clock that is given",
      layer: VersionedStore.layerStorage().pipe(
        Layer.provide(
          VersionedStore.layerWithTime({
            name: "a server's clock",
            now: Effect.delay(
              Effect.sync(() => performance.timeOrigin + performance.now()),
              "2 millis"
            )
          })
        ),
        Layer.provide(inner)
      ),
      versioned: inner,
      effort: 0.2,
      hooks: { shiftClient }
    })
  })
})
