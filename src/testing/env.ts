/**
 * Opens a target, and makes what each case is given: fresh ids, leases that suit the storage, and a way to let time pass.
 */
import * as Context from "#effect/Context"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import type * as Scope from "#effect/Scope"
import { kindOf } from "../common/input.js"
import { InvalidOptions } from "../LockError.js"
import { exclusive } from "../LockRecord.js"
import * as Storage from "../Storage.js"
import * as VersionedStore from "../VersionedStore.js"
import type { Env, Target } from "./Case.js"
import * as random from "./random.js"
import type { Watch } from "./watching.js"

export interface Opened {
  readonly target: Target
  readonly storage: Storage.Service
  readonly shared: boolean
}

const build = (target: Target): Effect.Effect<Storage.Service, unknown, Scope.Scope> =>
  Effect.map(Layer.build(target.layer), (context) => Context.get(context, Storage.Storage))

const roundUp = (micros: number, multiple: number): number =>
  Math.ceil(micros / Math.max(1, multiple)) * Math.max(1, multiple)

/** At least once. */
const repeats =
  (effort = 1) =>
  (usual: number): number =>
    Math.max(1, Math.ceil(usual * effort))

export const effortFault = ({ effort = 1 }: Pick<Target, "effort">): InvalidOptions | undefined =>
  effort > 0 && Number.isFinite(effort)
    ? undefined
    : new InvalidOptions({ field: "effort", kind: kindOf(effort), rule: "a number above 0" })

const minute = 60_000_000

/** Also while `shiftDate` has put another in its place. */
const wallNow = Date.now

/** `Date.now()` is cut to whole milliseconds. */
const wallGrain = 1_000

/** This process's two clocks, in microseconds. */
const clocks = () => ({ real: performance.now() * 1000, wall: wallNow() * 1000 })

/** Builds the layer, and finds out whether a second build sees the locks of the first. */
export const open = (target: Target): Effect.Effect<Opened, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const fault = effortFault(target)
    if (fault !== undefined) return yield* Effect.fail(fault)
    const storage = yield* build(target)
    const lockId = `kit-${random.text(12)}-probe`
    const holdId = random.holdId()
    const lease = roundUp(Math.max(minute, storage.guarantees.shortestLease), storage.guarantees.leaseGranularity)
    const shared = yield* Effect.acquireUseRelease(
      storage.claim({ lockId, ownerId: "probe", holdId, lease }),
      () => Effect.scoped(Effect.flatMap(build(target), (other) => Effect.map(other.get(lockId), Option.isSome))),
      () => Effect.ignore(storage.release({ lockId, holdId }))
    )
    return { target, storage, shared }
  })

const free = (storage: Storage.Service, lockId: string) =>
  Effect.flatMap(storage.get(lockId), (found) =>
    Option.isSome(found)
      ? Effect.asVoid(storage.revoke({ lockId, token: found.value.record.token, when: "now" }))
      : Effect.void
  )

/** What one case runs with. Whatever it leaves behind is freed after it, so that suites may run on a server that others use. */
export const forCase = (opened: Opened, watch: Watch): Effect.Effect<Env, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { shared, target } = opened
    const hooks = target.hooks ?? {}
    const { guarantees } = opened.storage
    yield* Effect.addFinalizer(() => {
      // No time-out: nothing can be interrupted here, and each question has its own.
      const until = performance.now() + 30_000
      const freed = (lockId: string) =>
        Effect.suspend(() => (performance.now() < until ? free(opened.storage, lockId) : Effect.void))
      return Effect.catchCause(
        Effect.forEach(watch.touched, freed, { concurrency: 8, discard: true }),
        () => Effect.void
      )
    })
    const prefix = `kit-${random.text(12)}-`
    const times = repeats(target.effort)
    const seed = target.seed ?? random.freshSeed()
    let ids = 0
    let advanced = 0
    const advance = hooks.advance
    // Observed leases end by the waiter's monotonic clock, which is ours; others by a wall clock, which may be slewed or set while we look.
    const slew = guarantees.clock === "observed" ? 0 : 0.25
    return {
      name: target.name,
      storage: watch.over(opened.storage),
      guarantees,
      connect: shared
        ? Effect.map(build(target), (storage) => watch.over(storage))
        : Effect.sync(() => watch.over(opened.storage)),
      shared,
      expectShared:
        target.builds === undefined ? !guarantees.name.startsWith("MemoryStorage") : target.builds === "shared",
      expectWakeUps: target.wakesUp ?? false,
      kind: target.kind ?? exclusive,
      hooks,
      versioned:
        target.versioned === undefined
          ? undefined
          : Effect.map(Layer.build(target.versioned), (context) => Context.get(context, VersionedStore.VersionedStore)),
      prefix,
      lockId: (label = "lock") => `${prefix}${++ids}-${label}`,
      holdId: random.holdId,
      seed,
      sequences: target.sequences ?? times(25),
      times,
      some: (usual) => random.some(random.seeded(seed), usual, times(usual.length)),
      long: roundUp(Math.max(20 * minute, 10 * guarantees.shortestLease), guarantees.leaseGranularity),
      short: roundUp(Math.max(300_000, guarantees.shortestLease), guarantees.leaseGranularity),
      mark: Effect.sync(() => ({ ...clocks(), advanced })),
      since: (mark) =>
        Effect.sync(() => {
          const now = clocks()
          const passed = now.real - mark.real
          // A server of this machine has its wall clock, and steps with it.
          const told = guarantees.clock === "observed" ? passed : now.wall - mark.wall
          const moved = advanced - mark.advanced
          return {
            // With a clock that is moved, the storage's need not run while we do.
            least:
              moved +
              (advance === undefined
                ? Math.max(0, Math.floor(Math.min(passed, told - wallGrain) * (1 - slew)) - guarantees.leaseGranularity)
                : 0),
            most: moved + Math.ceil(Math.max(passed, told + wallGrain) * (1 + slew)) + guarantees.leaseGranularity
          }
        }),
      pass: (micros) => {
        if (advance === undefined) return Effect.sleep(Duration.millis(Math.ceil(micros / 1000)))
        const span = Math.ceil(micros / 1000)
        return Effect.tap(advance(Duration.millis(span)), () => Effect.sync(() => (advanced += span * 1000)))
      }
    }
  })
