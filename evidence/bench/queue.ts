/**
 * From fiber to fiber within one process: so many fibers want one lock again and again, over a memory storage, so that what is measured is the taking of turns and nothing of a
 * server. Beside it Effect's own semaphore, which is no distributed lock, and the floor: one fiber that nobody contends with. `npm run bench:queue -- --seconds 2`
 */
import * as Effect from "#effect/Effect"
import * as Semaphore from "#effect/Semaphore"
import * as Layer from "#effect/Layer"
import { MemoryStorage, StorageLock } from "../../src/index.js"
import { short } from "./lines.js"

const sizes = [1, 8, 64, 1000]
const at = process.argv.indexOf("--seconds")
const seconds = at < 0 ? 2 : Number(process.argv[at + 1])
if (!(seconds > 0)) throw new Error("--seconds must be above zero")

interface Turns {
  readonly perSecond: number
  /** Of the fiber with the fewest turns and of the one with the most. */
  readonly fewest: number
  readonly most: number
}

const measure = <E>(
  fibers: number,
  once: (body: Effect.Effect<void>) => Effect.Effect<void, E>
): Effect.Effect<Turns, E> =>
  Effect.gen(function* () {
    const counts = Array.from({ length: fibers }, () => 0)
    // No timer: a semaphore that is handed on and on lets none fire.
    const began = performance.now()
    const ends = began + 1000 * seconds
    const loop = (index: number) =>
      Effect.whileLoop({
        while: () => performance.now() < ends,
        body: () => Effect.tap(once(Effect.sync(() => void counts[index]!++)), Effect.yieldNow),
        step: () => {}
      })
    yield* Effect.forEach(counts.keys(), loop, { concurrency: "unbounded", discard: true })
    const took = (performance.now() - began) / 1000
    const turns = counts.reduce((sum, count) => sum + count, 0)
    return { perSecond: turns / took, fewest: Math.min(...counts), most: Math.max(...counts) }
  })

const program = Effect.gen(function* () {
  const locks = yield* StorageLock.StorageLock
  console.log(`hand-overs within one process, ${seconds} s each, after as long to warm up`)
  for (const fibers of sizes) {
    const semaphore = Semaphore.makeUnsafe(1)
    const lock = (body: Effect.Effect<void>) => locks.withLock(() => body, "queue")
    yield* measure(fibers, lock)
    const ours = yield* measure(fibers, lock)
    const theirs = yield* measure(fibers, semaphore.withPermits(1))
    const told = ({ fewest, most, perSecond }: Turns) =>
      `${short(perSecond).padStart(7)} turns a second, ${fewest} to ${most} of each fiber`
    console.log(`${String(fibers).padStart(5)} fibers: StorageLock ${told(ours)}; semaphore ${told(theirs)}`)
  }
})

await Effect.runPromise(program.pipe(Effect.provide(Layer.provide(StorageLock.layer(), MemoryStorage.layer))))
