/**
 * Quick start with etcd: `npm i @grpc/grpc-js@1 @grpc/proto-loader@0.8 @effect/platform-node@0.108`, and `ETCD_URL=etcd://host1:2379,host2:2379` (`etcds://` for TLS). There is nothing to set up.
 * `NodeRuntime.runMain` makes an interruption of Ctrl-C, which gives the lock back: see `interrupt.ts`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer } from "effect"
import { StorageLock } from "effect-storage-lock"
import * as EtcdStorage from "effect-storage-lock/EtcdStorage"

const Locks = StorageLock.layer().pipe(Layer.provide(EtcdStorage.layerConfig({ url: Config.redacted("ETCD_URL") })))

const program = Console.log("nobody else does this now").pipe(StorageLock.withLockIfAvailable("nightly-report"))

NodeRuntime.runMain(program.pipe(Effect.provide(Locks)))
