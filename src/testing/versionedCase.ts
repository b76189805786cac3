/** What a promise of the smaller port is. */
import type * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import type * as VersionedStore from "../VersionedStore.js"

/**
 * What a case of a store runs with.
 *
 * @since 0.1.0
 * @category models
 */
export interface VersionedEnv {
  readonly store: VersionedStore.Service
  /** Another connection to the same records, closed with the scope. */
  readonly connect: Effect.Effect<VersionedStore.Service, unknown, Scope.Scope>
  readonly lockId: (label?: string) => string
}

/**
 * One promise of the smaller port.
 *
 * @since 0.1.0
 * @category models
 */
export interface VersionedCase {
  readonly name: string
  readonly rule: string
  readonly run: (env: VersionedEnv) => Effect.Effect<void, unknown, Scope.Scope>
}
