/**
 * A process of its own that takes one lock again and again and adds one to a number in a table, in two statements that only the lock keeps together. Reports one JSON line.
 */
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import Mysql from "mysql2/promise"
import * as MysqlStorage from "../../src/backends/mysql/MysqlStorage.js"
import * as StorageLock from "../../src/StorageLock.js"

const [url, owner, rounds] = process.argv.slice(2) as [string, string, string]

const program = Effect.gen(function* () {
  const connection = yield* Effect.acquireRelease(
    Effect.promise(() => Mysql.createConnection(url)),
    (connection) => Effect.promise(() => connection.end())
  )
  const tokens: Array<number> = []
  for (let round = 0; round < Number(rounds); round++) {
    yield* StorageLock.withLock(
      (lock) =>
        Effect.promise(async () => {
          const [rows] = await connection.query("SELECT n FROM counter")
          const { n } = (rows as ReadonlyArray<any>)[0]
          await new Promise((resolve) => setTimeout(resolve, 1))
          await connection.query("UPDATE counter SET n = ?", [n + 1])
          tokens.push(lock.token)
        }),
      "counter",
      owner
    )
  }
  return tokens
}).pipe(
  Effect.scoped,
  Effect.provide(
    StorageLock.layer({ leaseExpireAfter: "20 seconds" }).pipe(
      Layer.provide(MysqlStorage.layer({ url: Redacted.make(url) }))
    )
  )
)

void Effect.runPromise(Effect.result(program)).then((result) => {
  process.stdout.write(
    `${JSON.stringify(result._tag === "Success" ? { tokens: result.success } : { failed: result.failure.message })}\n`
  )
})
