/** The tests that judge mutants: those of the core, the adapter, the memory storage and the shared SQL code that need no server and little time. */
import { defineConfig } from "vitest/config"
import { aliases } from "../harness/aliases.js"

export default defineConfig({
  resolve: { alias: aliases },
  test: {
    include: ["test/mutation/*.test.ts"],
    pool: "threads",
    isolate: false,
    testTimeout: 20_000,
    hookTimeout: 20_000
  }
})
