/**
 * Which piece of work holds a lock, to notice one that waits for itself: reentrancy goes by owner id, so an acquire without one inside the body of `withLock` on the same lock would
 * wait until that body ends, which waits for the acquire.
 */
import * as Context from "#effect/Context"
import * as DateTime from "#effect/DateTime"
import * as Effect from "#effect/Effect"
import type * as Fiber from "#effect/Fiber"
import * as fibers from "#effect/fibers"
import type * as Scope from "#effect/Scope"
import { InvalidOptions } from "../LockError.js"
import * as LockInformation from "../LockInformation.js"
import type { Enclosing, RenewableHold, Place, Share } from "./claimant.js"
import { type Core, addTask } from "./core.js"

/** The holds in whose bodies a fiber runs. */
export interface Enclosings {
  readonly innermost: Enclosing | undefined
}

const EnclosingHolds: Context.Reference<Enclosings> = Context.Reference(
  "effect-storage-lock/StorageLock/EnclosingHolds",
  {
    defaultValue: (): Enclosings => ({ innermost: undefined })
  }
)

/** For a body that goes on outside of fibers: what another fiber is given that goes on with its work. */
export const enclosings: Effect.Effect<Enclosings> = Effect.withFiber((fiber) =>
  Effect.succeed(fibers.get(fiber, EnclosingHolds))
)

export const withEnclosings = <A, E, R>(self: Effect.Effect<A, E, R>, outer: Enclosings): Effect.Effect<A, E, R> =>
  Effect.updateContext(self, (context: Context.Context<R>) => Context.add(context, EnclosingHolds, outer))

export const placeOf = (fiber: Fiber.Fiber<any, any>, scope: Scope.Scope | undefined): Place => ({
  fiber: fibers.id(fiber),
  span: fibers.spanName(fiber),
  scope,
  enclosing: fibers.get(fiber, EnclosingHolds).innermost
})

/** The body of a hold, in the fiber that it is run in. */
export const inside = <A, E, R>(hold: RenewableHold, body: () => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  insideAll([hold], body)

/** The body of several, which were acquired as one. */
export const insideAll = <A, E, R>(
  holds: ReadonlyArray<RenewableHold>,
  body: () => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    const { enclosing, fiber: caller } = holds[0]!.claimant.place!
    let innermost = enclosing
    for (const [index, hold] of holds.entries()) {
      const isDirect = index > 0 || enclosing?.fiber === caller
      innermost = { hold, fiber: fibers.id(fiber), outer: innermost, isDirect }
    }
    return withEnclosings(Effect.suspend(body), { innermost })
  })

const described = ({ fiber, span }: Place): string =>
  span === undefined ? `in fiber #${fiber}` : `in span ${JSON.stringify(span)}, fiber #${fiber}`

const toEnter = ({ claimant, record }: RenewableHold): string =>
  `${JSON.stringify(claimant.ownerId)}, the owner id of the hold whose body this is, to enter the lock ${JSON.stringify(claimant.lockId)} again (\`{ ownerId: lock.ownerId }\`): ` +
  `without one, an acquire is an owner of its own, and would wait for ever for the hold of its own fiber (token ${record.token}, acquired ${described(claimant.place!)})`

/** Also with the owner id of the read it would be refused. */
const toWrite = ({ claimant, record }: RenewableHold): string =>
  `that of a writer: this is the body of a read of the lock ${JSON.stringify(claimant.lockId)} (token ${record.token}, acquired ${described(claimant.place!)}), and nobody can write before that has ended. ` +
  "To write in it, take it by `upgradable`, and `upgrade` it"

/** An acquire without an owner id that nothing could ever satisfy: this very fiber, or one that waits for it, must first end the body that has the lock. */
export const selfDeadlock = (core: Core, key: string, place: Place, share?: Share): InvalidOptions | undefined => {
  let enclosing = place.enclosing?.fiber === place.fiber ? place.enclosing : undefined
  for (; enclosing !== undefined; enclosing = enclosing.isDirect ? enclosing.outer : undefined) {
    const { hold } = enclosing
    const { claimant } = hold
    if (claimant.key !== key || hold.state !== "held" || hold.storage !== core.storage) continue
    if (mayGoBeside(share, claimant.share)) continue
    return new InvalidOptions({
      field: "ownerId",
      kind: "not given",
      rule: share?.mode === "write" && claimant.share?.mode !== "write" ? toWrite(hold) : toEnter(hold)
    })
  }
  return undefined
}

/** Whether it is not certain that one keeps the other out: of a semaphore there may be more, and two may read. */
const mayGoBeside = (one: Share | undefined, other: Share | undefined): boolean =>
  one?.permits !== undefined || (one?.mode !== undefined && one.mode !== "write" && other?.mode !== "write")

/** Whether who waits at `place` may be what the hold that was acquired at `held` waits for. */
export const isOwn = (place: Place, held: Place): boolean => {
  if (held.fiber === place.fiber || (held.scope !== undefined && held.scope === place.scope)) return true
  for (let enclosing = place.enclosing; enclosing !== undefined; enclosing = enclosing.outer) {
    if (enclosing.hold.claimant.place === held) return true
  }
  return false
}

/** How long it may wait for its own hold, in milliseconds, before that is worth a word. */
export const beforeWarning = 1000

/** Said after that time, if the lock is still held by the same piece of work. */
export const warn = (core: Core, key: string, place: Place): void => {
  for (const { claimant, record } of core.holds) {
    if (claimant.key !== key || claimant.place === undefined || !isOwn(place, claimant.place)) continue
    const info = LockInformation.fromRecord(record, claimant.lockId)
    const label = info.ownerLabel === "" ? "" : `${info.ownerLabel}, `
    return addTask(
      core,
      Effect.logWarning(
        `effect-storage-lock: an acquire of the lock ${JSON.stringify(claimant.lockId)} ${described(place)} has waited for ${beforeWarning / 1000} s, perhaps for itself: the lock was acquired ` +
          `${described(claimant.place)}, by the same piece of work (${label}owner ${JSON.stringify(claimant.ownerId)}, token ${record.token}, since ${DateTime.formatIso(info.lockBeginTime)}). ` +
          "If that waits for this, neither ends. To enter a lock again, give the owner id of the hold: { ownerId: lock.ownerId }"
      )
    )
  }
}
