/**
 * One leader of several candidates: who leads writes with the token of its term, stands down when it is asked to, and others see who leads. Here three candidates share one storage in
 * memory, each with a `StorageLock` of its own, as three processes would have.
 */
import { Deferred, Effect, Layer, Option, Stream } from "effect"
import { LeaderElection, MemoryStorage, Storage, StorageLock } from "effect-storage-lock"

/** What the leader alone may write. It refuses whoever comes with the token of an earlier term. */
class Ledger {
  private latest = 0
  readonly lines: Array<string> = []

  write(token: number, line: string): boolean {
    if (token < this.latest) return false
    this.latest = token
    this.lines.push(line)
    return true
  }
}

const main = Effect.gen(function* () {
  const storage = yield* MemoryStorage.make()
  const process = (name: string) =>
    StorageLock.layer({ leaseExpireAfter: "2 seconds", ownerLabel: name }).pipe(
      Layer.provide(Layer.succeed(Storage.Storage, storage))
    )

  const ledger = new Ledger()
  const done = yield* Deferred.make<void>()

  // It writes three lines, and stands down so that the next one has its turn.
  const body = (name: string) => (term: LeaderElection.Term) =>
    Effect.gen(function* () {
      for (let line = 1; line <= 3; line++) {
        ledger.write(term.token, `${name} ${line}`)
        yield* Effect.sleep("20 millis")
      }
      if (ledger.lines.length >= 9) yield* Deferred.succeed(done, undefined)
      yield* term.resign
      return yield* Effect.never
    })

  const leaders: Array<string> = []
  const watch = LeaderElection.leader("ledger", { pollEvery: "20 millis" }).pipe(
    Stream.runForEach((leader) =>
      Effect.sync(() => {
        if (Option.isSome(leader)) leaders.push(leader.value.ownerLabel)
      })
    )
  )

  yield* Effect.scoped(
    Effect.gen(function* () {
      yield* Effect.forkScoped(Effect.provide(watch, process("looker")))
      for (const name of ["a", "b", "c"]) {
        const candidate = LeaderElection.run("ledger", body(name), { afterResign: "1 minute" })
        yield* Effect.forkScoped(Effect.provide(candidate, process(name)))
      }
      yield* Deferred.await(done)
    })
  )

  const inTurn = ledger.lines.every((line, index) => line.endsWith(String((index % 3) + 1)))
  console.log(`9 lines, 3 of each: ${ledger.lines.length === 9 && inTurn}`)
  console.log(`each has led once: ${new Set(ledger.lines.map((line) => line[0])).size === 3}`)
  console.log(`the looker has seen leaders: ${leaders.length > 0}`)
  console.log(`a former leader is refused: ${!ledger.write(1, "late")}`)
})

/** In one line: something that runs once in all processes together, wherever its process leads. */
const Greeter = LeaderElection.singleton(
  "greeter",
  Effect.sync(() => console.log("hello, once"))
).pipe(Layer.provide(StorageLock.layer()), Layer.provide(MemoryStorage.layer))

await Effect.runPromise(main)
await Effect.runPromise(Effect.provide(Effect.sleep("100 millis"), Greeter))
