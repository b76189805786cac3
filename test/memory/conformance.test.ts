/** The memory storage keeps every promise: as itself, and over compare-and-set with and without a clock. */
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import { MemoryStorage, Storage, VersionedStore } from "../../src/index.js"
import * as Conformance from "../../src/testing/index.js"
import { underClock } from "../support/underClock.js"

/** A storage's clock of its own: it runs, whatever the client's says, and can be moved. */
const makeClock = (start: number) => {
  let offset = start - performance.now() * 1000
  return {
    time: Effect.sync(() => Math.round(performance.now() * 1000 + offset)),
    advance: (span: Duration.Duration) => Effect.sync(() => void (offset += Duration.toMillis(span) * 1000))
  }
}

/** Every build reaches the same locks. */
const shared = (storage: Storage.Service) => Layer.succeed(Storage.Storage, storage)

Conformance.suite({ name: "MemoryStorage.layer, a storage of its own for each build", layer: MemoryStorage.layer })

const memoryClock = makeClock(1_700_000_000_000_000)
Conformance.suite({
  name: "MemoryStorage with a clock that is moved",
  layer: shared(Effect.runSync(MemoryStorage.make({ time: memoryClock.time }))),
  hooks: { advance: memoryClock.advance }
})

const versionedClock = makeClock(1_700_000_000_000_000)
const versioned = Effect.runSync(MemoryStorage.makeVersioned({ time: versionedClock.time }))
Conformance.suite({
  name: "VersionedStore.toStorage by the store's clock",
  // Each build is a process of its own over the one store.
  layer: Layer.sync(Storage.Storage, () => VersionedStore.toStorage(versioned)),
  versioned: Layer.succeed(VersionedStore.VersionedStore, versioned),
  hooks: { advance: versionedClock.advance }
})

const clockless = Effect.runSync(MemoryStorage.makeVersioned({ time: "none" }))
Conformance.suite({
  name: "VersionedStore.toStorage without a clock, leases observed",
  layer: Layer.sync(Storage.Storage, () => VersionedStore.toStorage(clockless)),
  versioned: Layer.succeed(VersionedStore.VersionedStore, clockless)
})

const watch = makeClock(0)
const clocklessToo = Effect.runSync(MemoryStorage.makeVersioned({ time: "none" }))
Conformance.suite({
  name: "VersionedStore.toStorage without a clock, watched by a clock that is moved",
  layer: Layer.sync(Storage.Storage, () => underClock(VersionedStore.toStorage(clocklessToo), watch.time)),
  versioned: Layer.succeed(VersionedStore.VersionedStore, clocklessToo),
  hooks: { advance: watch.advance }
})

const timeless = Effect.runSync(MemoryStorage.makeVersioned({ time: "none" }))
/** A time that is nobody's wall clock, told after a while, as over a network. */
const provider = (cutTo: number) => ({
  name: "a server's clock",
  now: Effect.map(
    Effect.delay(
      Effect.sync(() => performance.timeOrigin + performance.now()),
      "2 millis"
    ),
    (millis) => Math.floor(millis / cutTo) * cutTo
  ),
  grain: Duration.millis(cutTo)
})
for (const [said, cutTo] of [
  ["", 1],
  [" that is cut to whole seconds", 1_000]
] as const)
  Conformance.suite({
    name: `VersionedStore.toStorage by a clock that is given${said}`,
    layer: Layer.effect(
      Storage.Storage,
      Effect.map(VersionedStore.withTime(timeless, provider(cutTo), { maxAge: "100 millis" }), (store) =>
        VersionedStore.toStorage(store)
      )
    ),
    versioned: Layer.succeed(VersionedStore.VersionedStore, timeless),
    sequences: 5
  })
