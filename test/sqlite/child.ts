/**
 * A process of its own that claims one new lock every few milliseconds, each at a time that all its rivals know, so that they meet at a free lock.
 * Begins at the time that it is told on stdin, and reports one JSON line.
 */
import * as Effect from "#effect/Effect"
import * as SqliteStorage from "../../src/backends/sqlite/SqliteStorage.js"
import * as Storage from "../../src/Storage.js"

const [filename, owner, rounds] = process.argv.slice(2) as [string, string, string]

const pace = 8

const program = (begin: number) =>
  Effect.gen(function* () {
    const storage = yield* Storage.Storage
    const won: Array<string> = []
    for (let round = 0; round < Number(rounds); round++) {
      yield* Effect.sleep(Math.max(0, begin + round * pace - Date.now()))
      const holdId = owner.padEnd(22, "0")
      const outcome = yield* storage.claim({ lockId: `round ${round}`, ownerId: owner, holdId, lease: 60_000_000 })
      const name = outcome._tag === "Claimed" ? owner : (outcome.holder?.ownerId ?? "nobody")
      won.push(name)
    }
    return won
  }).pipe(Effect.provide(SqliteStorage.layer({ filename })))

process.stdout.write("ready\n")
process.stdin.once("data", (begin) => {
  process.stdin.pause()
  void Effect.runPromise(Effect.result(program(Number(begin)))).then((result) => {
    process.stdout.write(
      `${JSON.stringify(result._tag === "Success" ? { won: result.success } : { failed: result.failure.message })}\n`
    )
  })
})
