import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Storage } from "../../src/index.js"

/** A monotonic clock that is moved, for who observes leases by it. */
export const underClock = (storage: Storage.Service, micros: Effect.Effect<number>): Storage.Service => {
  const inner = Clock.make()
  const clock: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => inner.unsafeCurrentTimeMillis(),
    currentTimeMillis: inner.currentTimeMillis,
    unsafeCurrentTimeNanos: () => BigInt(Effect.runSync(micros)) * 1000n,
    currentTimeNanos: Effect.map(micros, (now) => BigInt(now) * 1000n),
    sleep: (duration) => inner.sleep(duration)
  }
  const on = <A extends ReadonlyArray<any>, B, E>(operation: (...args: A) => Effect.Effect<B, E>) => (...args: A) =>
    Effect.withClock(operation(...args), clock)
  return {
    ...storage,
    claim: on(storage.claim),
    renew: on(storage.renew),
    release: on(storage.release),
    revoke: on(storage.revoke),
    get: on(storage.get),
    list: Stream.unwrap(Effect.map(
      Effect.withClock(Stream.runCollect(storage.list), clock),
      (snapshots) => Stream.fromChunk(snapshots)
    )),
    purge: on(storage.purge)
  }
}
