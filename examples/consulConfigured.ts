/**
 * Consul in detail: every option of the storage, and the program's own `HttpClient`. Needs `CONSUL_URL`; `CONSUL_CA` is a file in PEM for `https://`, `CONSUL_TOKEN_FILE` a file with a token of the rules that
 * `ConsulStorage.policy({ prefix })` prints, and `CONSUL_DC` a data centre.
 */
import { NodeHttpClient } from "@effect/platform-node"
import { Config, Effect, Layer, Option, Redacted } from "effect"
import { StorageLock, VersionedStore } from "effect-storage-lock"
import * as ConsulStorage from "effect-storage-lock/ConsulStorage"
import { readFileSync } from "node:fs"

// For locks alone: the key of a lock is `app/locks/` and its id, percent-encoded.
const prefix = "app/locks/"

const Locks = Layer.unwrapEffect(
  Effect.gen(function* () {
    // As in https://host1:8501,host2:8501. When one agent does not serve, the next is tried.
    const url = yield* Config.redacted("CONSUL_URL")
    const ca = yield* Config.option(Config.string("CONSUL_CA"))
    const token = yield* Config.option(Config.string("CONSUL_TOKEN_FILE"))
    const datacenter = yield* Config.option(Config.string("CONSUL_DC"))
    return StorageLock.layer({ leaseExpireAfter: "20 seconds" }).pipe(
      Layer.provide(
        ConsulStorage.layer({
          url,
          prefix,
          // Read again when Consul does not accept it.
          token: Option.getOrUndefined(
            Option.map(token, (file) => () => Redacted.make(readFileSync(file, "utf8").trim()))
          ),
          tls: Option.getOrUndefined(Option.map(ca, (file) => ({ ca: readFileSync(file) }))),
          // All processes that share locks name the same one.
          datacenter: Option.getOrUndefined(datacenter),
          // Of Consul Enterprise.
          namespace: undefined,
          // For so many locks at once, waiters are woken. For more they poll.
          waits: 8,
          poolSize: 2,
          operationTimeout: "4 seconds",
          // Others change the same record at the same time. How often to try again.
          versionMissRetry: VersionedStore.defaultVersionMissRetry
        })
      )
    )
  })
)

/** The same locks, over a client that the program has anyway, with whatever proxies and traces it gave it. */
const overClient = (url: Redacted.Redacted) =>
  StorageLock.layer().pipe(
    Layer.provide(ConsulStorage.layerFromClient({ url, prefix })),
    Layer.provide(NodeHttpClient.layerUndici)
  )

const program = Effect.gen(function* () {
  const url = yield* Config.redacted("CONSUL_URL")
  const info = yield* StorageLock.withLock((lock) => lock.info, "nightly-report", { ownerLabel: "worker-1" }).pipe(
    Effect.provide(Locks)
  )
  console.log(`${info.ownerLabel} held ${info.lockId}`)
  const held = yield* StorageLock.isLocked("nightly-report").pipe(Effect.provide(overClient(url)))
  console.log(`and gave it back: ${!held}`)
})

await Effect.runPromise(program)
