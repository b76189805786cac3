/**
 * Quick start with Elasticsearch or OpenSearch: `npm i @effect/platform-node@0.108`, and `SEARCH_URL=https://user:password@host1:9200,host2:9200`. There is no driver to install. The index `storage_lock-1`
 * comes with the first use. `NodeRuntime.runMain` makes an interruption of Ctrl-C, which gives the lock back: see `interrupt.ts`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer } from "effect"
import { StorageLock } from "effect-storage-lock"
import * as ElasticsearchStorage from "effect-storage-lock/ElasticsearchStorage"

const Locks = StorageLock.layer().pipe(
  Layer.provide(ElasticsearchStorage.layerConfig({ url: Config.redacted("SEARCH_URL") }))
)

const program = Console.log("nobody else does this now").pipe(StorageLock.withLockIfAvailable("nightly-report"))

NodeRuntime.runMain(program.pipe(Effect.provide(Locks)))
