/** The memory storage as the others are: with options, of which it has none. */
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import { InvalidOptions } from "../LockError.js"
import * as MemoryStorage from "../backends/memory/MemoryStorage.js"
import type * as Storage from "../Storage.js"
import type * as VersionedStore from "../VersionedStore.js"

export const layer = (
  options: object
): Layer.Layer<Storage.Storage | VersionedStore.VersionedStore, InvalidOptions> => {
  const [field] = Object.keys(options)
  return field === undefined
    ? MemoryStorage.layer
    : Layer.unwrap(Effect.fail(new InvalidOptions({ field, kind: "unknown", rule: "left out: memory has no options" })))
}
