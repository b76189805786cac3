/** Read-write locks whose claims are all writes are exclusive locks: they keep every promise of those, over stores with and without a clock. */
import * as Layer from "#effect/Layer"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import { readWrite } from "../../src/kinds/readWrite.js"
import * as VersionedStore from "../../src/VersionedStore.js"
import * as Conformance from "../../src/testing/index.js"

for (const time of [undefined, "none"] as const) {
  const store = Layer.effect(VersionedStore.VersionedStore, MemoryStorage.makeVersioned({ time }))
  Conformance.suite({
    name: `read-write locks over memory, ${time === undefined ? "by its clock" : "observed"}`,
    layer: Layer.provide(VersionedStore.layerStorage({ kind: readWrite }), store),
    builds: "own",
    kind: "readWrite"
  })
}
