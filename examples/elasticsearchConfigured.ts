/**
 * Elasticsearch or OpenSearch in detail: every option of the storage, and the program's own `HttpClient`, as for requests that have to be signed. Needs `SEARCH_URL`; `SEARCH_CA` is a file in PEM for `https://`, and
 * `SEARCH_API_KEY` a file with an API key.
 */
import { NodeHttpClient } from "@effect/platform-node"
import { Config, Effect, Layer, Option, Redacted } from "effect"
import { StorageLock, VersionedStore } from "effect-storage-lock"
import * as ElasticsearchStorage from "effect-storage-lock/ElasticsearchStorage"
import { readFileSync } from "node:fs"

// The alias: the index is `app_locks-1`. `ElasticsearchStorage.ddl({ index })` prints the request that makes it, for those who set `setup: false`.
const index = "app_locks"

const Locks = Layer.unwrapEffect(
  Effect.gen(function* () {
    // As in https://host1:9200,host2:9200. When one node does not serve, the next is tried.
    const url = yield* Config.redacted("SEARCH_URL")
    const ca = yield* Config.option(Config.string("SEARCH_CA"))
    const key = yield* Config.option(Config.string("SEARCH_API_KEY"))
    return StorageLock.layer({ leaseExpireAfter: "20 seconds" }).pipe(
      Layer.provide(
        ElasticsearchStorage.layer({
          url,
          index,
          // Read again when the server does not accept it.
          apiKey: Option.getOrUndefined(
            Option.map(key, (file) => () => Redacted.make(readFileSync(file, "utf8").trim()))
          ),
          tls: Option.getOrUndefined(Option.map(ca, (file) => ({ ca: readFileSync(file) }))),
          setup: true,
          // "script" fails where the server runs no scripts; "auto" then goes by compare-and-set.
          mode: "auto",
          poolSize: 2,
          operationTimeout: "4 seconds",
          // Without scripts: others change the same record at the same time. How often to try again.
          versionMissRetry: VersionedStore.defaultVersionMissRetry
        })
      )
    )
  })
)

/** The same locks, over a client that the program has anyway, with whatever signatures and proxies it gave it. */
const overClient = (url: Redacted.Redacted) =>
  StorageLock.layer().pipe(
    Layer.provide(ElasticsearchStorage.layerFromClient({ url, index })),
    Layer.provide(NodeHttpClient.layerUndici)
  )

const program = Effect.gen(function* () {
  const url = yield* Config.redacted("SEARCH_URL")
  const info = yield* StorageLock.withLock((lock) => lock.info, "nightly-report", { ownerLabel: "worker-1" }).pipe(
    Effect.provide(Locks)
  )
  console.log(`${info.ownerLabel} held ${info.lockId}`)
  const held = yield* StorageLock.isLocked("nightly-report").pipe(Effect.provide(overClient(url)))
  console.log(`and gave it back: ${!held}`)
})

await Effect.runPromise(program)
