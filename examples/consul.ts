/**
 * Quick start with Consul: `npm i @effect/platform-node@0.108`, and `CONSUL_URL=http://127.0.0.1:8500`. There is no driver to install, and nothing to create.
 * `NodeRuntime.runMain` makes an interruption of Ctrl-C, which gives the lock back: see `interrupt.ts`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer } from "effect"
import { StorageLock } from "effect-storage-lock"
import * as ConsulStorage from "effect-storage-lock/ConsulStorage"

const Locks = StorageLock.layer().pipe(Layer.provide(ConsulStorage.layerConfig({ url: Config.redacted("CONSUL_URL") })))

const program = Console.log("nobody else does this now").pipe(StorageLock.withLockIfAvailable("nightly-report"))

NodeRuntime.runMain(program.pipe(Effect.provide(Locks)))
