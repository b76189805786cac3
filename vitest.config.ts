import { defineConfig } from "vitest/config"
import { BaseSequencer, type TestSpecification } from "vitest/node"
import { aliases } from "./test/harness/aliases.js"

/** What takes longest begins first: else a run ends with one worker at work and the others idle. */
const long = [
  "postgres/conformance",
  "project/examples",
  "redis/conformance",
  "redis/releases",
  "mysql/conformance",
  "mongo/conformance",
  "dynamodb/conformance",
  "etcd/conformance",
  "elasticsearch/conformance",
  "elasticsearch/releases",
  "consul/conformance",
  "cassandra/conformance",
  "cassandra/cluster",
  "cassandra/rights",
  "zookeeper/conformance",
  "zookeeper/cluster",
  "splunk/conformance",
  "evidence/bench",
  "testing/kit",
  "mongo/pipelines",
  "evidence/search",
  "evidence/chaos",
  "sqlite/conformance",
  "mysql/others",
  "memory/conformance",
  "mysql/mariadb",
  "etcd/releases"
]

class LongestFirst extends BaseSequencer {
  override async sort(files: Array<TestSpecification>): Promise<Array<TestSpecification>> {
    const place = ({ moduleId }: TestSpecification) => {
      const at = long.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`))
      return at < 0 ? long.length : at
    }
    return files.sort((a, b) => place(a) - place(b) || a.moduleId.localeCompare(b.moduleId))
  }
}

export default defineConfig({
  resolve: { alias: aliases },
  test: {
    include: ["test/**/*.test.ts"],
    // They run what is run here anyway, for mutants.
    exclude: ["test/mutation/**"],
    sequence: { sequencer: LongestFirst },
    globalSetup: ["./test/harness/globalSetup.ts"],
    reporters: ["default", "./test/harness/notTested.ts"],
    pool: "forks",
    // A process runs many files: to load the library anew for each was a quarter of all work, and warm code runs faster. What a test does to its process it must undo.
    isolate: false,
    // Short-lived objects are most of the work: room for them spares a sixth of the processor's time.
    poolOptions: { forks: { execArgv: ["--max-semi-space-size=64"] } },
    // Most of what they do is to wait, for leases to end and for servers.
    maxWorkers: 4,
    // No fewer: the pool would end processes that it takes for idle, at times while they run the next file.
    minWorkers: 4,
    // Only ends a test that hangs: a busy machine may be many times slower.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    teardownTimeout: 30_000
  }
})
