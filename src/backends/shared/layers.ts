/** The two ports that one backend makes together, and their layers. */
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import type * as Scope from "#effect/Scope"
import { Less } from "../../common/alike.js"
import { inRealTime } from "../../common/clocks.js"
import * as Storage from "../../Storage.js"
import * as VersionedStore from "../../VersionedStore.js"

/**
 * Both ports over one place: locks of this library, and of other kinds, that never overlap on one id.
 *
 * @since 0.1.0
 * @category models
 */
export interface Ports {
  readonly storage: Storage.Service
  readonly versioned: VersionedStore.Service
  /** The lock storage promises more than the store, so who has the one must not be given the other unasked. */
  readonly isLess?: boolean | undefined
}

/** As a layer gives them: for locks that one may hold, and for those of other kinds. */
export type Both = Storage.Storage | VersionedStore.VersionedStore

export const portsOf = <E, R>(made: Effect.Effect<Ports, E, R>): Layer.Layer<Both, E, Exclude<R, Scope.Scope>> =>
  Layer.effectContext(
    inRealTime(
      Effect.map(made, ({ isLess, storage, versioned }) => {
        const both = Context.add(Context.make(Storage.Storage, storage), VersionedStore.VersionedStore, versioned)
        return isLess === true ? Context.add(both, Less, true) : both
      })
    )
  )

export const versionedOf = <E, R>(
  made: Effect.Effect<Ports, E, R>
): Layer.Layer<VersionedStore.VersionedStore, E, Exclude<R, Scope.Scope>> =>
  Layer.effect(VersionedStore.VersionedStore, inRealTime(Effect.map(made, (both) => both.versioned)))
