/** Mutation testing: `npm run mutation` over all, or `npm run mutation -- --mutate src/core/hold.ts` over one file. See docs/proof/mutation.md. */
export default {
  testRunner: "judges",
  plugins: ["./test/mutation/runner.mjs"],
  mutate: [
    "src/LockRecord.ts",
    "src/VersionedStore.ts",
    "src/kinds/purging.ts",
    "src/kinds/reads.ts",
    "src/backends/memory/MemoryStorage.ts",
    "src/core/*.ts",
    "src/common/*.ts",
    "src/backends/sql/*.ts"
  ],
  // Each mutant is run against the tests that reach it, and no others.
  coverageAnalysis: "perTest",
  incremental: true,
  incrementalFile: "reports/mutation.json",
  reporters: ["files", "progress"],
  concurrency: 2,
  // A mutant that hangs is caught by its time-out.
  timeoutMS: 20_000,
  timeoutFactor: 1.3,
  ignorePatterns: ["dist", "evidence/bench", "evidence/chaos", "docs", "reports", "coverage", ".ci"],
  tempDirName: "reports/stryker",
  thresholds: { high: 95, low: 90, break: null }
}
