/** The tests that judge mutants: those of the core, the adapter, the memory storage and the shared SQL code that need no server and little time. */
import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const src = fileURLToPath(new URL("../../src/", import.meta.url))

export default defineConfig({
  resolve: {
    alias: [
      { find: /^effect-storage-lock$/, replacement: `${src}index.ts` },
      { find: /^effect-storage-lock\/testing$/, replacement: `${src}testing/index.ts` }
    ]
  },
  test: {
    include: [
      "test/mutation/*.test.ts",
      ...["LockRecord", "StorageLock", "VersionedStore", "alarms", "closing", "lost", "options", "timeline"].map((name) => `test/${name}.test.ts`)
    ],
    testTimeout: 20_000,
    hookTimeout: 20_000
  }
})
