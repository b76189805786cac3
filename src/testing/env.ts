/**
 * Opens a target, and makes what each case is given: fresh ids, leases that suit the storage, and a way to let time pass.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Storage from "../Storage.js"
import * as VersionedStore from "../VersionedStore.js"
import type { Env, Target } from "./Case.js"
import * as random from "./random.js"

export interface Opened {
  readonly target: Target
  readonly storage: Storage.Service
  readonly shared: boolean
}

const build = (target: Target): Effect.Effect<Storage.Service, unknown, Scope.Scope> =>
  Effect.map(Layer.build(target.layer), (context) => Context.get(context, Storage.Storage))

const roundUp = (micros: number, multiple: number): number => Math.ceil(micros / Math.max(1, multiple)) * Math.max(1, multiple)

const minute = 60_000_000

/** Builds the layer, and finds out whether a second build sees the locks of the first. */
export const open = (target: Target): Effect.Effect<Opened, unknown, Scope.Scope> =>
  Effect.gen(function*() {
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

/** Whatever a case leaves behind is freed after it, so that suites may run on a server that others use. */
const tracked = (storage: Storage.Service, touched: Set<string>): Storage.Service => ({
  ...storage,
  claim: (request) => {
    touched.add(request.lockId)
    return storage.claim(request)
  }
})

const free = (storage: Storage.Service, lockId: string) =>
  Effect.flatMap(storage.get(lockId), (found) =>
    Option.isSome(found)
      ? Effect.asVoid(storage.revoke({ lockId, token: found.value.record.token, when: "now" }))
      : Effect.void)

/** What one case runs with. */
export const forCase = (opened: Opened): Effect.Effect<Env, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { shared, target } = opened
    const hooks = target.hooks ?? {}
    const { guarantees } = opened.storage
    const touched = new Set<string>()
    yield* Effect.addFinalizer(() =>
      Effect.forEach(touched, (lockId) => free(opened.storage, lockId), { concurrency: 8, discard: true }).pipe(
        Effect.timeout("30 seconds"),
        Effect.catchAllCause(() => Effect.void)
      )
    )
    const prefix = `kit-${random.text(12)}-`
    let ids = 0
    let advanced = 0
    const advance = hooks.advance
    const real = Effect.sync(() => Math.round(performance.now() * 1000))
    return {
      name: target.name,
      storage: tracked(opened.storage, touched),
      guarantees,
      connect: shared
        ? Effect.map(build(target), (storage) => tracked(storage, touched))
        : Effect.sync(() => tracked(opened.storage, touched)),
      shared,
      expectShared: target.builds === undefined
        ? !guarantees.name.startsWith("MemoryStorage")
        : target.builds === "shared",
      hooks,
      versioned: target.versioned === undefined
        ? undefined
        : Effect.map(Layer.build(target.versioned), (context) => Context.get(context, VersionedStore.VersionedStore)),
      prefix,
      lockId: (label = "lock") => `${prefix}${++ids}-${label}`,
      holdId: random.holdId,
      seed: target.seed ?? random.freshSeed(),
      sequences: target.sequences ?? 25,
      long: roundUp(Math.max(20 * minute, 10 * guarantees.shortestLease), guarantees.leaseGranularity),
      short: roundUp(Math.max(300_000, guarantees.shortestLease), guarantees.leaseGranularity),
      mark: Effect.map(real, (now) => ({ real: now, advanced })),
      since: (mark) =>
        Effect.map(real, (now) => ({
          // With a clock of its own, the storage need not run while we do.
          least: advance === undefined ? Math.max(0, now - mark.real) : advanced - mark.advanced,
          most: now - mark.real + advanced - mark.advanced
        })),
      pass: (micros) => {
        if (advance === undefined) return Effect.sleep(Duration.millis(Math.ceil(micros / 1000)))
        const span = Math.ceil(micros / 1000)
        return Effect.tap(advance(Duration.millis(span)), () => Effect.sync(() => (advanced += span * 1000)))
      }
    }
  })
