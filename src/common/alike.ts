/** What a layer gives for locks of all kinds. */
import * as Context from "#effect/Context"
import * as Option from "#effect/Option"
import * as Storage from "../Storage.js"
import * as VersionedStore from "../VersionedStore.js"

export interface Alike {
  readonly storage: Storage.Service
  /** Nothing, where there is none, or none that promises as much. */
  readonly versioned: VersionedStore.Service | undefined
}

/** In the context of a lock storage that promises more than the store beside it: who has the one must not be given the other unasked. */
export class Less extends Context.Service<Less, true>()("effect-storage-lock/Less") {}

export const alikeIn = (context: Context.Context<Storage.Storage>): Alike => ({
  storage: Context.get(context, Storage.Storage),
  versioned: Option.isSome(Context.getOption(context, Less))
    ? undefined
    : Option.getOrUndefined(Context.getOption(context, VersionedStore.VersionedStore))
})
