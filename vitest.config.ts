import { defineConfig } from "vitest/config"
import { aliases } from "./test/harness/aliases.js"

export default defineConfig({
  resolve: { alias: aliases },
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
