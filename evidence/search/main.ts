/**
 * Searches every world to its end. Exit code 1, and the shortest way there, if a rule is broken.
 *
 * `--mutants` also shows how soon each mutant is found.
 */
import { large, small } from "./bounds.js"
import { subject } from "./model.js"
import { huntAll, story, tableOfMutants, tableOfResults } from "./report.js"
import { type Result, search } from "./search.js"

const results: Array<Result> = []
for (const bound of large) {
  let shown = performance.now()
  process.stderr.write(`${bound.name} …\n`)
  const result = search(bound, {
    subject,
    onProgress: (states, depth) => {
      if (performance.now() - shown < 5000) return
      shown = performance.now()
      process.stderr.write(`  depth ${depth}, ${states} states\n`)
    }
  })
  results.push(result)
  if (result.violation !== undefined) {
    console.log(story(result))
    process.exitCode = 1
    break
  }
}
const sum = (of: (result: Result) => number) => results.reduce((total, result) => total + of(result), 0)
console.log(`${tableOfResults(results)}\n`)
console.log(
  `${sum((_) => _.states)} states, ${sum((_) => _.transitions)} transitions, ${sum((_) => _.seconds).toFixed(1)} seconds`
)

if (process.argv.includes("--mutants")) {
  const fates = huntAll(small)
  console.log(`\n${tableOfMutants(fates)}`)
  if (fates.some(({ found, mutant }) => (found === undefined) !== (mutant.harmless !== undefined))) process.exitCode = 1
}
