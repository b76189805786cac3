/** A "process": a StorageLock layer of its own over a storage that others may share. */
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Layer from "#effect/Layer"
import * as Scope from "#effect/Scope"
import * as Storage from "../../src/Storage.js"
import * as StorageLock from "../../src/StorageLock.js"

export const make = (storage: Storage.Service, options?: StorageLock.Options) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
    const context = yield* Layer.buildWithScope(
      StorageLock.layer(options).pipe(Layer.provide(Layer.succeed(Storage.Storage, storage))),
      scope
    )
    return {
      locks: Context.get(context, StorageLock.StorageLock),
      /** Runs an effect in this process. */
      run: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.provide(self, context),
      close: Scope.close(scope, Exit.void)
    }
  })
