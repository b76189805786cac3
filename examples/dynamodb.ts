/**
 * Quick start with DynamoDB: `npm i @aws-sdk/client-dynamodb@3 @effect/platform-node@0.108`, and a region and credentials where the SDK finds them (`AWS_REGION`, `AWS_PROFILE`, the role of the machine, …).
 * The table is made if it is not there. `DYNAMODB_URL` leads to DynamoDB Local. `NodeRuntime.runMain` makes an interruption of Ctrl-C, which gives the lock back: see `interrupt.ts`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer } from "effect"
import { StorageLock } from "effect-storage-lock"
import * as DynamoDbStorage from "effect-storage-lock/DynamoDbStorage"

const Storage = DynamoDbStorage.layerConfig({ endpoint: Config.withDefault(Config.string("DYNAMODB_URL"), undefined) })

const Locks = StorageLock.layer().pipe(Layer.provide(Storage))

const program = Console.log("nobody else does this now").pipe(StorageLock.withLockIfAvailable("nightly-report"))

NodeRuntime.runMain(program.pipe(Effect.provide(Locks)))
