// Outlives a test process, however that ended, and leaves nothing of its servers behind.
// Standard input is a pipe from the test process: it names the processes it starts, a pid a line, and ends when the test process does.
import { destroy } from "./processes.mjs"

const directory = process.argv[2]
let said = ""
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(name, () => {})
process.stdin.setEncoding("utf8")
process.stdin.on("data", (text) => {
  said += text
})
const end = () => {
  destroy(
    directory,
    said
      .split("\n")
      .filter((line) => line !== "")
      .map(Number)
  )
  process.exit(0)
}
process.stdin.on("end", end)
process.stdin.on("error", end)
