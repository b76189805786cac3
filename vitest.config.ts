import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const src = fileURLToPath(new URL("./src/", import.meta.url))

export default defineConfig({
  resolve: {
    alias: [
      { find: /^effect-storage-lock$/, replacement: `${src}index.ts` },
      { find: /^effect-storage-lock\/SqlFence$/, replacement: `${src}SqlFence.ts` },
      { find: /^effect-storage-lock\/testing$/, replacement: `${src}testing/index.ts` },
      { find: /^effect-storage-lock\/(\w+)$/, replacement: `${src}backends/$1.ts` }
    ]
  },
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["./test/harness/globalSetup.ts"],
    reporters: ["default", "./test/harness/notTested.ts"],
    pool: "forks",
    // Most of what they do is to wait, for leases to end and for servers.
    maxWorkers: 4,
    minWorkers: 1,
    // Only ends a test that hangs: a busy machine may be many times slower.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    teardownTimeout: 30_000
  }
})
