/** The whole conformance suite on one server of etcd, over a link that fails. */
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "#effect/Scope"
import * as EtcdStorage from "../../src/backends/etcd/EtcdStorage.js"
import * as Conformance from "../../src/testing/index.js"
import * as Etcd from "../harness/etcd.js"
import * as Proxy from "../harness/proxy.js"
import * as shared from "../harness/resource.js"

/** A server of etcd ends within a minute. */
export const resource = <A, E>(make: Effect.Effect<A, E, Scope.Scope>): (() => A) => shared.resource(make, 60_000)

/** The alarm of a full database, raised by hand: etcd refuses the same as if it were full. */
export const refuseWrites =
  (server: Etcd.EtcdServer): NonNullable<Conformance.Hooks["refuseWrites"]> =>
  (effect) => {
    const alarm = (action: string) =>
      Effect.flatMap(server.admin("maintenance/status", {}), ({ header }) =>
        server.admin("maintenance/alarm", { action, memberID: header.member_id, alarm: "NOSPACE" })
      )
    return Effect.acquireUseRelease(
      alarm("ACTIVATE"),
      () => effect,
      () => alarm("DEACTIVATE")
    )
  }

export const overFailingLink = (server: Etcd.EtcdServer, effort?: number): void => {
  const link = resource(Effect.all({ prefix: server.freshPrefix, proxy: Proxy.make(server, { protocol: Etcd.grpc }) }))
  Conformance.suite({
    name: "over a link that fails",
    layer: Layer.suspend(() =>
      EtcdStorage.layer({ url: Redacted.make(`etcd://127.0.0.1:${link().proxy.port}`), prefix: link().prefix })
    ),
    versioned: Layer.suspend(() =>
      EtcdStorage.layerVersioned({ url: Redacted.make(server.url), prefix: link().prefix })
    ),
    effort,
    hooks: {
      refuseWrites: refuseWrites(server),
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
