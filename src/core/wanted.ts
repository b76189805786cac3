/** What is asked for: everything about it is judged here, before any I/O. */
import type * as spans from "#effect/spans"
import { InvalidLockId, InvalidOptions } from "../LockError.js"
import { invalidOwner, storedId } from "../common/ids.js"
import type { Wanted } from "./acquire.js"
import { idFault, listFault, twiceFault } from "./all.js"
import type { AcquireArgs, AcquireOptions, AcquireSettings, Options } from "./api.js"
import type { Place, Share } from "./claimant.js"
import type { Core } from "./core.js"
import { selfDeadlock } from "./nesting.js"
import { override, type Resolved } from "./options.js"

/** A layer that is open, with what it was given. */
export interface Opened {
  readonly core: Core
  readonly options: Options
  readonly defaults: Resolved
}

const isOptions = (value: unknown): value is AcquireOptions => typeof value === "object" && value !== null

/** The types do not offer it, but who has no types, or wider ones, may give it. */
const givesOwner = (options: AcquireOptions | undefined): boolean => options?.ownerId !== undefined

const twice = new InvalidOptions({
  field: "options",
  kind: "an object beside it",
  rule: "given once: (lockId, ownerId, options), or (lockId, { ownerId, ...options })"
})

export const wanted = (
  { core, defaults, options }: Opened,
  wait: boolean,
  [lockId, second, third]: AcquireArgs,
  place: Place,
  trace: spans.Start | undefined,
  share: Share | undefined
): Wanted | InvalidLockId | InvalidOptions => {
  const key = storedId(lockId, options.namespace)
  if (key instanceof InvalidLockId) return key
  if (isOptions(second) ? third !== undefined : givesOwner(third)) return twice
  const [ownerId, own] = isOptions(second) ? [second.ownerId, second] : [second, third]
  if (ownerId !== undefined) {
    const invalid = invalidOwner(ownerId)
    if (invalid !== undefined) return invalid
  }
  const resolved: Resolved | InvalidOptions =
    own === undefined ? defaults : override(options, own, core.storage.guarantees)
  if (resolved instanceof InvalidOptions) return resolved
  const deadlock = wait && ownerId === undefined ? selfDeadlock(core, key, place, share) : undefined
  return deadlock ?? { key, lockId, ownerId, options: resolved, wait, place, share, trace }
}

/** Several at once: none of them twice. */
export const wantedAll = (
  opened: Opened,
  wait: boolean,
  lockIds: ReadonlyArray<string>,
  settings: AcquireSettings,
  place: Place,
  trace: spans.Start | undefined
): ReadonlyArray<Wanted> | InvalidLockId | InvalidOptions => {
  const fault = listFault("lockIds", lockIds)
  if (fault !== undefined) return fault
  const byKey = new Map<string, Wanted>()
  // By index: a hole in a list is no id.
  for (let index = 0; index < lockIds.length; index++) {
    const want = wanted(opened, wait, [lockIds[index]!, ...settings], place, trace, undefined)
    if (want instanceof InvalidLockId) return idFault("lockIds", index, want)
    if (want instanceof InvalidOptions) return want
    if (byKey.has(want.key)) return twiceFault("lockIds", index, want.lockId)
    byKey.set(want.key, want)
  }
  return Array.from(byKey.values())
}
