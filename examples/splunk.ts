/**
 * Quick start with Splunk's KV store: `npm i @effect/platform-node@0.108`, `SPLUNK_URL=https://host:8089` and an authentication token in `SPLUNK_TOKEN`. There is no driver to install; the collection is made in the app
 * `search`. Not verified on Splunk: see docs/storages/splunk.md. `NodeRuntime.runMain` makes an interruption of Ctrl-C, which gives the lock back: see `interrupt.ts`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer } from "effect"
import { StorageLock } from "effect-storage-lock"
import * as SplunkStorage from "effect-storage-lock/SplunkStorage"

const Locks = StorageLock.layer().pipe(
  Layer.provide(
    SplunkStorage.layerConfig({ url: Config.redacted("SPLUNK_URL"), token: Config.redacted("SPLUNK_TOKEN") })
  )
)

const program = Console.log("nobody else does this now").pipe(StorageLock.withLockIfAvailable("nightly-report"))

NodeRuntime.runMain(program.pipe(Effect.provide(Locks)))
