/** One of the processes that contend. It knows the lock's id, the resource (over IPC) and the library's public interface, nothing else. */
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { StorageLock } from "../../src/index.js"
import type { FromWorker, Task, ToWorker, Write } from "./protocol.js"
import * as storage from "./storage.js"

class Refused extends Data.TaggedError("Refused")<{ readonly highest: number }> {}

const tell = (message: FromWorker): Effect.Effect<void> => Effect.sync(() => void process.send?.(message))

const answers = new Map<string, Deferred.Deferred<void, Refused>>()
const acknowledged: Array<string> = []
let writes = 0

/** Every write carries the token; the resource judges it. */
const write = (task: Task, turn: number, token: number, kind: Write["kind"]) =>
  Effect.gen(function* () {
    const id = `${task.name}/${turn}/${++writes}`
    const answer = yield* Deferred.make<void, Refused>()
    answers.set(id, answer)
    yield* tell({ type: "write", write: { id, worker: task.name, turn, token, kind } })
    yield* Deferred.await(answer)
    acknowledged.push(id)
  })

/**
 * One turn under the lock. `withLock` would end the body as soon as the lock is lost; this plain form looks neither at `lock.lost` nor at `lock.check`,
 * to show that the token protects the resource even from such a program.
 */
const turn = (task: Task, number: number) =>
  Effect.gen(function* () {
    yield* tell({ type: "waiting", turn: number })
    const token = yield* Effect.scoped(
      Effect.gen(function* () {
        const lock = yield* StorageLock.acquire(task.lockId, { ownerLabel: task.name })
        const info = yield* lock.info
        yield* tell({
          type: "acquired",
          turn: number,
          token: lock.token,
          begin: info.lockBeginTime.epochMillis,
          until: info.leaseExpireTime.epochMillis
        })
        yield* Effect.forkScoped(
          Effect.catchAll(lock.lost, (lost) => tell({ type: "lost", token: lost.token, reason: lost.reason }))
        )
        yield* write(task, number, lock.token, "begin")
        for (let i = 0; i < task.appends; i++) {
          yield* Effect.sleep(task.pauseMillis)
          yield* write(task, number, lock.token, "append")
        }
        yield* write(task, number, lock.token, "end")
        return lock.token
      })
    )
    yield* tell({ type: "released", turn: number, token })
  }).pipe(
    // Somebody else has the lock by now. What was refused is done again in a turn that holds it.
    Effect.retry({ while: (error) => error._tag === "Refused" })
  )

const work = (task: Task) =>
  Effect.gen(function* () {
    for (let i = 1; i <= task.turns; i++) {
      yield* turn(task, i)
      // A rest, so that the others are seen to have their turns too.
      yield* Effect.sleep(task.pauseMillis * (1 + 4 * Math.random()))
    }
  }).pipe(
    Effect.provide(storage.layer(task.storage, task.leaseMillis)),
    Effect.matchCauseEffect({
      onFailure: (cause) => tell({ type: "failed", message: cause.toString() }),
      onSuccess: () => tell({ type: "done", acknowledged })
    })
  )

process.on("message", (message: ToWorker) => {
  if (message.type === "start") {
    void Effect.runPromise(work(message.task)).then(() => process.disconnect?.())
    return
  }
  const answer = answers.get(message.id)
  answers.delete(message.id)
  if (answer !== undefined)
    Deferred.unsafeDone(answer, message.accepted ? Effect.void : new Refused({ highest: message.highest }))
})
// A terminal's Ctrl-C reaches every process of the group; the first one ends the others.
process.on("SIGINT", () => {})
// Nobody is left to show anything to.
process.on("disconnect", () => process.exit(0))
process.send?.({ type: "ready" } satisfies FromWorker)
