import * as Effect from "#effect/Effect"
import * as Stream from "#effect/Stream"
import * as clocks from "#effect/clocks"
import type { Storage } from "../../src/index.js"

/** A monotonic clock that is moved, for who observes leases by it. */
export const underClock = (storage: Storage.Service, micros: Effect.Effect<number>): Storage.Service => {
  const clock = clocks.make({
    wallMillis: () => clocks.wallMillis(clocks.live),
    monotonicNanos: () => BigInt(Effect.runSync(micros)) * 1000n,
    sleep: (duration) => clocks.live.sleep(duration)
  })
  const on =
    <A extends ReadonlyArray<any>, B, E>(operation: (...args: A) => Effect.Effect<B, E>) =>
    (...args: A) =>
      clocks.withClock(operation(...args), clock)
  return {
    ...storage,
    claim: on(storage.claim),
    renew: on(storage.renew),
    release: on(storage.release),
    revoke: on(storage.revoke),
    get: on(storage.get),
    list: Stream.unwrap(
      Effect.map(clocks.withClock(Stream.runCollect(storage.list), clock), (snapshots) =>
        Stream.fromIterable(snapshots)
      )
    ),
    purge: on(storage.purge)
  }
}
