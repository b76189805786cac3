/** The memory storage and the adapter by a clock that is moved: the conformance kit in seconds, for mutants. */
import { describe } from "#harness/vitest"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import { MemoryStorage, Storage, VersionedStore } from "../../src/index.js"
import * as Conformance from "../../src/testing/index.js"
import { skip } from "./withoutLife.js"
import { underClock } from "../support/underClock.js"

const makeClock = () => {
  let now = 1_700_000_000_000_000
  return {
    time: Effect.sync(() => (now += 7)),
    advance: (span: Duration.Duration) => Effect.sync(() => void (now += Duration.toMillis(span) * 1000))
  }
}

const seed = 42

describe("for mutants", () => {
  const native = makeClock()
  const storage = Effect.runSync(MemoryStorage.make({ time: native.time }))
  Conformance.suite({
    name: "memory",
    layer: Layer.succeed(Storage.Storage, storage),
    hooks: { advance: native.advance },
    skip,
    seed
  })

  const derived = makeClock()
  const store = Effect.runSync(MemoryStorage.makeVersioned({ time: derived.time }))
  Conformance.suite({
    name: "the adapter",
    layer: Layer.sync(Storage.Storage, () => VersionedStore.toStorage(store)),
    versioned: Layer.succeed(VersionedStore.VersionedStore, store),
    hooks: { advance: derived.advance },
    skip,
    seed
  })

  const watch = makeClock()
  const clockless = Effect.runSync(MemoryStorage.makeVersioned({ time: "none" }))
  Conformance.suite({
    name: "the adapter, observing leases",
    layer: Layer.sync(Storage.Storage, () => underClock(VersionedStore.toStorage(clockless), watch.time)),
    versioned: Layer.succeed(VersionedStore.VersionedStore, clockless),
    hooks: { advance: watch.advance },
    skip,
    seed
  })

  Conformance.versionedSuite({ name: "the smaller port of memory", layer: MemoryStorage.layerVersioned, builds: "own" })
})
