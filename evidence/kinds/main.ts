/** Random schedules of the kinds of lock: `node --import tsx evidence/kinds/main.ts [schedules] [first seed]`. Ends with code 1 at the first violation, and with its seed. */
import { readWrite } from "../../src/kinds/readWrite.js"
import { semaphore } from "../../src/kinds/semaphore.js"
import { Violation } from "./assert.js"
import { run } from "./schedules.js"

const schedules = Number(process.argv[2] ?? 10_000)
const first = Number(process.argv[3] ?? 1)

let grants = 0
try {
  for (let seed = first; seed < first + schedules; seed++)
    for (const kind of [readWrite, semaphore])
      for (const isObserved of [false, true]) grants += run(kind, isObserved, seed)
  console.log(`${schedules} schedules of 2 kinds, by a clock and observed: ${grants} grants, 0 violations`)
} catch (error) {
  console.log(error instanceof Violation ? error.message : error)
  process.exitCode = 1
}
