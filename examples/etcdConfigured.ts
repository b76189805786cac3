/** etcd in detail: every option of the storage, and the program's own channel of `@grpc/grpc-js`. Needs `ETCD_URL`; `ETCD_CA` is a file in PEM for `etcds://`. */
import * as Grpc from "@grpc/grpc-js"
import { Config, Effect, Layer, Option, Redacted } from "effect"
import { StorageLock, VersionedStore } from "effect-storage-lock"
import * as EtcdStorage from "effect-storage-lock/EtcdStorage"
import { readFileSync } from "node:fs"

// Under it is nothing but locks. A user of etcd needs readwrite permission on these keys, and no other.
const prefix = "app/locks/"

const Locks = Layer.unwrapEffect(
  Effect.gen(function* () {
    // As in etcd://user:password@host1:2379,host2:2379. When one endpoint does not serve, the next is asked.
    const url = yield* Config.redacted("ETCD_URL")
    const ca = yield* Config.option(Config.string("ETCD_CA"))
    return StorageLock.layer({ leaseExpireAfter: "20 seconds" }).pipe(
      Layer.provide(
        EtcdStorage.layer({
          url,
          prefix,
          tls: Option.getOrUndefined(Option.map(ca, (file) => ({ ca: readFileSync(file) }))),
          // Longer than an election of a leader takes: a second or two.
          operationTimeout: "4 seconds",
          // Others change the same record at the same time: how often to try again.
          versionMissRetry: VersionedStore.defaultVersionMissRetry
        })
      )
    )
  })
)

/** The same locks, over a channel that the program has anyway, with whatever credentials and balancing it gave it. */
const overChannel = (channel: Grpc.Channel) =>
  StorageLock.layer().pipe(Layer.provide(EtcdStorage.layerFromChannel({ channel, prefix })))

const program = Effect.gen(function* () {
  const url = new URL(Redacted.value(yield* Config.redacted("ETCD_URL")).replace(/^etcd:/, "http:"))
  const info = yield* StorageLock.withLock((lock) => lock.info, "nightly-report", { ownerLabel: "worker-1" }).pipe(
    Effect.provide(Locks)
  )
  console.log(`${info.ownerLabel} held ${info.lockId}`)
  const channel = new Grpc.Channel(url.host, Grpc.credentials.createInsecure(), {})
  const held = yield* StorageLock.isLocked("nightly-report").pipe(Effect.provide(overChannel(channel)))
  console.log(`and gave it back: ${!held}`)
  channel.close()
})

await Effect.runPromise(program)
