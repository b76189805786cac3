/** The tests that judge mutants: those of the core, the adapter, the memory storage and the shared SQL code that need no server and little time. */
import { defineConfig } from "vitest/config"
import { BaseSequencer, type TestSpecification } from "vitest/node"
import { aliases } from "../harness/aliases.js"

/** The quickest first: the first failure ends the run of a mutant. */
const judges = [
  ...["LockRecord", "timeline", "whyLost", "line", "nesting", "options", "ownerLabel", "VersionedStore", "hints", "closing", "StorageLock", "alarms", "lost"].map((name) => `core/${name}`),
  ...["clocks", "howLong", "observation", "outage", "signs", "lostAtEnd", "purging", "oddAnswers", "counts"].map((name) => `core/${name}`),
  ...["mutation/conformance", "mutation/simulate", "mutation/sqlite", "sqlite/storage"]
].map((name) => `test/${name}.test.ts`)

class Quickest extends BaseSequencer {
  override async sort(files: Array<TestSpecification>): Promise<Array<TestSpecification>> {
    const place = ({ moduleId }: TestSpecification) => judges.findIndex((judge) => moduleId.endsWith(judge))
    return files.sort((a, b) => place(a) - place(b))
  }
}

export default defineConfig({
  resolve: { alias: aliases },
  test: {
    include: judges,
    sequence: { sequencer: Quickest },
    testTimeout: 20_000,
    hookTimeout: 20_000
  }
})
