/** From a URL, or a layer of a storage, to its locks. */
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as fibers from "#effect/fibers"
import * as Layer from "#effect/Layer"
import * as Scope from "#effect/Scope"
import { type Alike, alikeIn } from "../common/alike.js"
import * as everyKind from "../core/everyKind.js"
import * as service from "../core/service.js"
import * as LockAudit from "../LockAudit.js"
import { InvalidOptions } from "../LockError.js"
import { StorageLock } from "../StorageLock.js"
import * as Storage from "../Storage.js"
import * as kinds from "./kinds.js"
import { LocksOf } from "./locks.js"
import * as log from "./log.js"
import { type Connect, ofConnect } from "./options.js"
import { rejection } from "./run.js"
import { Taker } from "./taker.js"
import type { ConnectOptions, Locks, Secret, StorageLayer } from "./types.js"

/** An option of the storage is called by where it stands. */
const named =
  (storage: Connect["storage"]) =>
  <E>(error: E): E | InvalidOptions =>
    error instanceof InvalidOptions && Object.hasOwn(storage, error.field.split(".")[0]!)
      ? new InvalidOptions({ ...error, field: `storage.${error.field}` })
      : error

/** What somebody gives who has no types may be anything. */
const isLayer = (value: unknown): value is Layer.Layer<Storage.Storage, unknown> => Layer.isLayer(value)

const storageOf = (from: Secret | StorageLayer, { storage }: Connect): Effect.Effect<Alike, unknown, Scope.Scope> => {
  if (isLayer(from)) {
    const [field] = Object.keys(storage)
    return field === undefined
      ? Effect.map(Layer.build(from), alikeIn)
      : Effect.fail(
          new InvalidOptions({ field: `storage.${field}`, kind: "given beside a layer", rule: "given to the layer" })
        )
  }
  if (typeof from !== "string" && typeof from !== "function") {
    return Effect.fail(
      new InvalidOptions({
        field: "url",
        kind: from === null ? "null" : `of type ${typeof from}`,
        rule: "a text, a function that gives one, or a layer of this library"
      })
    )
  }
  // Loaded here: it names all storages.
  return Effect.flatMap(
    Effect.promise(() => import("../connect/connect.js")),
    ({ open }) => Effect.mapError(open(from, storage), named(storage))
  )
}

export const connect = async (from: Secret | StorageLayer, options: ConnectOptions): Promise<Locks> => {
  const given = ofConnect(options)
  const scope = await Effect.runPromise(Scope.make())
  const make = Effect.gen(function* () {
    const { storage, versioned } = yield* storageOf(from, given)
    const locks = yield* Effect.provideService(service.make(given.layer), Storage.Storage, storage)
    const core = service.coreOf(locks)!
    const { events } = core
    const run = yield* fibers.run
    const opened = yield* kinds.open(versioned, events, given.layer, scope, run)
    if (given.audit !== undefined) {
      const audit = LockAudit.layer(given.audit)
      yield* Layer.build(Layer.provide(audit, Layer.succeed(StorageLock, locks))).pipe(
        Effect.mapError((error) =>
          error instanceof InvalidOptions ? new InvalidOptions({ ...error, field: `audit.${error.field}` }) : error
        )
      )
    }
    const kept = { storage, name: given.audit?.name, namespace: given.layer.namespace }
    const taker = new Taker(run, given.layer.lostAtEnd)
    return new LocksOf(taker, locks, everyKind.make(locks, core, opened.others), opened, events, kept, scope)
  })
  const logged = given.log === undefined ? make : Effect.provide(make, log.to(given.log))
  const exit = await Effect.runPromiseExit(Scope.provide(logged, scope))
  if (Exit.isSuccess(exit)) return exit.value
  await Effect.runPromise(Scope.close(scope, exit))
  throw rejection(exit.cause)
}
