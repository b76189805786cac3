/**
 * What a lock layer does, as metrics of Effect: for Prometheus, OpenTelemetry, or whatever a program exports its metrics to.
 *
 * @since 0.5.0
 */
import "#effect/major"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as metrics from "#effect/metrics"
import { invalid } from "./common/input.js"
import { unknownName } from "./common/optionNames.js"
import * as elections from "./core/elections.js"
import * as internal from "./core/metrics.js"
import { coreOf } from "./core/service.js"
import type { InvalidOptions } from "./LockError.js"
import { StorageLock } from "./StorageLock.js"

/**
 * @since 0.5.0
 * @category models
 */
export interface Options {
  /**
   * Lock ids that get a label `lock_id` of their own; all others share `other`. Declare few: each makes as many series as there are metrics. Default: none, and no such label.
   */
  readonly lockIds?: ReadonlyArray<string> | undefined
}

const faultOf = (options: Options): InvalidOptions | undefined => {
  const fault = unknownName<Options>(options, { lockIds: true })
  const { lockIds } = options
  return fault !== undefined || lockIds === undefined || (Array.isArray(lockIds) && lockIds.every(isText))
    ? fault
    : invalid("lockIds", lockIds, "an array of lock ids")
}

const isText = (value: unknown): boolean => typeof value === "string" && value !== ""

/**
 * Keeps metrics of the `StorageLock` layer beneath, while it lives. Without this layer no metric is kept, and nothing is paid for them.
 *
 * All have the label `storage`, and `namespace` where the layer has one. Layers with the same labels share their series, and a gauge shows what they come to together. Times are in
 * seconds.
 *
 * | metric | kind | further labels |
 * |---|---|---|
 * | `storage_lock_holds` | gauge | |
 * | `storage_lock_acquiring` | gauge | |
 * | `storage_lock_longest_queue` | gauge; on Effect 3 once a second | |
 * | `storage_lock_least_remaining_seconds` | gauge; on Effect 3 once a second | |
 * | `storage_lock_acquires_total` | counter | `lock_id`, `outcome`: `acquired`, `refused`, `timed_out`, `failed`, `interrupted` |
 * | `storage_lock_lost_total` | counter | `lock_id`, `reason`: as in `LockLost` |
 * | `storage_lock_released_total` | counter | `lock_id` |
 * | `storage_lock_renewals_total` | counter | `outcome`: `renewed`, `failed` |
 * | `storage_lock_late_total` | counter | `lock_id` |
 * | `storage_lock_wait_seconds`, `storage_lock_hold_seconds` | histogram | `lock_id` |
 * | `storage_lock_storage_requests_total` | counter | `operation`, `outcome`: `ok`, or the reason of the `StorageError` |
 * | `storage_lock_storage_request_seconds` | histogram | `operation` |
 * | `storage_lock_leader` | gauge: 1 while this process leads | `lock_id`, of the election |
 * | `storage_lock_terms_total` | counter | `lock_id`, of the election |
 * | `storage_lock_term_seconds` | histogram | `lock_id`, of the election |
 * | `storage_lock_wake_ups_total` | counter | |
 *
 * @example
 * ```ts
 * import { LockMetrics, MemoryStorage, StorageLock } from "effect-storage-lock"
 * import { Layer } from "effect"
 *
 * const locks = LockMetrics.layer({ lockIds: ["nightly-report"] }).pipe(
 *   Layer.provideMerge(StorageLock.layer()),
 *   Layer.provide(MemoryStorage.layer)
 * )
 * ```
 *
 * @since 0.5.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<never, InvalidOptions, StorageLock> =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const fault = faultOf(options)
      if (fault !== undefined) return yield* fault
      const service = yield* StorageLock
      const core = coreOf(service)
      if (core === undefined)
        return yield* Effect.logWarning(
          "effect-storage-lock: no metrics, since this StorageLock is no layer of effect-storage-lock"
        )
      yield* internal.start(core, elections.of(service), yield* metrics.make, options.lockIds ?? [])
    })
  )
