/**
 * Quick start with ZooKeeper: `npm i @effect/platform-node@0.108`, and `ZOOKEEPER_URL=zookeeper://host1:2181,host2:2181,host3:2181` (`zookeepers://` for TLS). There is no driver to install.
 * `NodeRuntime.runMain` makes an interruption of Ctrl-C, which gives the lock back: see `interrupt.ts`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer } from "effect"
import { StorageLock } from "effect-storage-lock"
import * as ZookeeperStorage from "effect-storage-lock/ZookeeperStorage"

const Locks = StorageLock.layer().pipe(
  Layer.provide(ZookeeperStorage.layerConfig({ url: Config.redacted("ZOOKEEPER_URL") }))
)

const program = Console.log("nobody else does this now").pipe(StorageLock.withLockIfAvailable("nightly-report"))

NodeRuntime.runMain(program.pipe(Effect.provide(Locks)))
