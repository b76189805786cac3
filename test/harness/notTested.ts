/** Names at the end of the run what was skipped, and why: nothing is passed over in silence. What fails is told at once: a run that takes long, or does not come to its end, has said so. */
import { relative } from "node:path"
import type { Reporter, TestCase, TestModule, Vitest } from "vitest/node"

export default class NotTested implements Reporter {
  private selected = false

  onInit(vitest: Vitest): void {
    this.selected = vitest.config.testNamePattern !== undefined
  }

  onTestCaseResult(test: TestCase): void {
    const { errors, state } = test.result()
    if (state !== "failed") return
    const reason = errors.map(({ message }) => message.split("\n")[0]).join("; ")
    process.stderr.write(`\nFAILED ${relative(".", test.module.moduleId)} > ${test.fullName}: ${reason}\n\n`)
  }

  onTestRunEnd(modules: ReadonlyArray<TestModule>): void {
    const lines: Array<string> = []
    for (const module of modules) {
      for (const test of module.children.allTests("skipped")) {
        const result = test.result()
        const note = result.state === "skipped" ? result.note : undefined
        // What was not selected by name is no news.
        if (note === undefined && this.selected) continue
        lines.push(`  ${test.fullName}${note === undefined ? "" : `: ${note}`}`)
      }
    }
    if (lines.length > 0) process.stderr.write(`\nNOT TESTED (${lines.length})\n${lines.join("\n")}\n\n`)
  }
}
