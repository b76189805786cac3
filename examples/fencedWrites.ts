/**
 * A lease alone cannot stop a holder that was paused (a frozen machine, a long pause of the process) and wakes up after its lease. The resource can: it remembers
 * the highest fencing token it has seen, and refuses lower ones. In SQL that is one condition in the statement that writes.
 */
import Sqlite from "better-sqlite3"
import { Data, Effect, Layer } from "effect"
import { MemoryStorage, StorageLock } from "effect-storage-lock"

class StaleToken extends Data.TaggedError("StaleToken")<{ readonly token: number }> {}

// The program's own data. With a file, keep locks in another: a SQLite file has one writer at a time.
const data = new Sqlite(":memory:")
data.exec("CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, last_token INTEGER NOT NULL)")
data.exec("INSERT INTO account VALUES (1, 100, 0)")

const write = data.prepare(
  "UPDATE account SET balance = balance + @amount, last_token = @token WHERE id = 1 AND last_token <= @token"
)

const deposit = (amount: number, token: number) =>
  Effect.suspend(() => (write.run({ amount, token }).changes === 0 ? new StaleToken({ token }) : Effect.void))

/** A lock service of its own over the same storage, as another process has it. */
const elsewhere = Effect.provide(StorageLock.layer())

const program = Effect.scoped(
  Effect.gen(function* () {
    const slow = yield* StorageLock.acquire("account-1")
    yield* deposit(1, slow.token)

    // Elsewhere an operator takes the slow one for dead, and frees the lock at once. It is not dead, and has not noticed yet.
    yield* elsewhere(StorageLock.forceRelease("account-1", { token: slow.token, when: "now" }))
    yield* elsewhere(StorageLock.withLock((next) => deposit(10, next.token), "account-1"))

    const late = yield* Effect.flip(deposit(1000, slow.token))
    console.log(`the late write: ${late._tag}`)

    console.log(`balance: ${data.prepare("SELECT balance FROM account").pluck().get()}`)
  })
)

await Effect.runPromise(program.pipe(Effect.provide(StorageLock.layer().pipe(Layer.provideMerge(MemoryStorage.layer)))))
