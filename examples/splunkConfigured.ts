/**
 * Splunk's KV store in detail: every option of the storage, and the program's own `HttpClient`. Needs `SPLUNK_URL` and `SPLUNK_TOKEN`; with `SPLUNK_USER` and a file with its password, `SPLUNK_PASSWORD_FILE`, that user
 * logs in instead. `SPLUNK_CA` is a file in PEM for `https://`.
 */
import { NodeHttpClient } from "@effect/platform-node"
import { Config, Effect, Layer, Option, Redacted } from "effect"
import { StorageLock, VersionedStore } from "effect-storage-lock"
import * as SplunkStorage from "effect-storage-lock/SplunkStorage"
import { readFileSync } from "node:fs"

/** All processes that share locks name the same. */
const place = { app: "search", owner: "nobody", collection: "app_locks" }

// For the app's collections.conf, if `setup` is off; and who may use it, for its metadata.
console.log(SplunkStorage.ddl(place).split("\n")[0])
console.log(SplunkStorage.metadata(place, "lock_user").split("\n")[1])

const Locks = Layer.unwrapEffect(
  Effect.gen(function* () {
    // One host: of a search head cluster, one member.
    const url = yield* Config.redacted("SPLUNK_URL")
    const ca = yield* Config.option(Config.string("SPLUNK_CA"))
    const name = yield* Config.option(Config.string("SPLUNK_USER"))
    const who = Option.isSome(name)
      ? {
          // Logs in again when its session has ended, with the password as it is then.
          user: () => ({
            name: name.value,
            password: Redacted.make(readFileSync(process.env.SPLUNK_PASSWORD_FILE!, "utf8").trim())
          })
        }
      : { token: yield* Config.redacted("SPLUNK_TOKEN") }
    return StorageLock.layer({ leaseExpireAfter: "20 seconds" }).pipe(
      Layer.provide(
        SplunkStorage.layer({
          url,
          ...place,
          ...who,
          tls: Option.getOrUndefined(Option.map(ca, (file) => ({ ca: readFileSync(file) }))),
          // Makes the collection if there is none.
          setup: true,
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
const overClient = (url: Redacted.Redacted, token: Redacted.Redacted) =>
  StorageLock.layer().pipe(
    Layer.provide(SplunkStorage.layerFromClient({ url, token, ...place })),
    Layer.provide(NodeHttpClient.layerUndici)
  )

const program = Effect.gen(function* () {
  const url = yield* Config.redacted("SPLUNK_URL")
  const token = yield* Config.redacted("SPLUNK_TOKEN")
  const info = yield* StorageLock.withLock((lock) => lock.info, "nightly-report", { ownerLabel: "worker-1" }).pipe(
    Effect.provide(Locks)
  )
  console.log(`${info.ownerLabel} held ${info.lockId}`)
  const held = yield* StorageLock.isLocked("nightly-report").pipe(Effect.provide(overClient(url, token)))
  console.log(`and gave it back: ${!held}`)
})

await Effect.runPromise(program)
