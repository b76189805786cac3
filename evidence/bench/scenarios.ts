/** What is compared: the floor, the storage port, and the lock as a program uses it. */
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Scope from "#effect/Scope"
import * as StorageLock from "../../src/StorageLock.js"
import type { Hold } from "./floor.js"
import { type Comparison, compare, type Contender, type Plan } from "./rounds.js"
import { cycleAlone, cycleWide, effectAlone, effectByPromise, width } from "./names.js"
import type { Subject } from "./comparables.js"
import { leaseMillis } from "./subjects/Subject.js"

const lease = leaseMillis * 1000
/** For what is held for the whole run. Leases only grow, so renewals of it write as any other. */
const longLease = 3_600_000_000
const owner = "bench-owner"
const other = "other-owner"

let made = 0
const freshId = (): string => `bench-lock-${(made++).toString(36).padStart(8, "0")}`
/** As long as one of the library's, and cheaper than any random one: the floor is not to pay for its making. */
const freshHold = (): string => `hold${(made++).toString(36).padStart(18, "0")}`

const must = (done: boolean, what: string): void => {
  if (!done) throw new Error(`the benchmark is wrong: ${what}`)
}

/** Answers that are there already are not awaited: a synchronous driver's floor is synchronous. */
const floorLoop = async (operations: number, operation: () => boolean | Promise<boolean>, what: string) => {
  for (let i = 0; i < operations; i++) {
    const answer = operation()
    must(typeof answer === "boolean" ? answer : await answer, what)
  }
}

const loop = <E, R>(operations: number, operation: Effect.Effect<unknown, E, R>): Effect.Effect<void, E, R> =>
  Effect.suspend(() => {
    let i = 0
    return Effect.whileLoop({ while: () => i < operations, body: () => operation, step: () => void i++ })
  })

const wide = <E, R>(operations: number, operation: Effect.Effect<unknown, E, R>): Effect.Effect<void, E, R> =>
  Effect.forEach(Array.from({ length: width }), () => loop(operations / width, operation), {
    concurrency: "unbounded",
    discard: true
  })

const names = { port: "Storage port", lock: "StorageLock" } as const

/** Without a lock, and without anything to wait for. */
const empty = Effect.scoped(Effect.acquireRelease(Effect.void, () => Effect.void))
const later = Effect.promise(() => Promise.resolve())
const waiting = Effect.scoped(Effect.acquireRelease(later, () => later))

/** The floor first, and the lock last. */
export const both = (subject: Subject, concurrent: boolean): ReadonlyArray<Contender> => {
  const { context, floor, storage } = subject
  const repeat = concurrent ? wide : loop
  const cycle = () => {
    const lockId = freshId()
    const holdId = freshHold()
    const claimed = floor.claim(lockId, owner, holdId, lease)
    if (typeof claimed === "boolean") return claimed && floor.release(lockId, holdId)
    return claimed.then((done) => done && floor.release(lockId, holdId))
  }
  const port = Effect.suspend(() => {
    const lockId = freshId()
    const holdId = freshHold()
    return Effect.flatMap(storage.claim({ lockId, ownerId: owner, holdId, lease }), (claim) => {
      must(claim._tag === "Claimed", "a fresh lock was held")
      return Effect.map(storage.release({ lockId, holdId }), (release) =>
        must(release._tag === "Released", "not released")
      )
    })
  })
  const scoped = Effect.suspend(() => Effect.scoped(StorageLock.acquire(freshId(), owner)))
  return [
    {
      name: subject.floorName,
      run: async (operations) => {
        if (!concurrent) return floorLoop(operations, cycle, "the floor's cycle")
        await Promise.all(
          Array.from({ length: width }, () => floorLoop(operations / width, cycle, "the floor's cycle"))
        )
      }
    },
    { name: names.port, run: (operations) => Effect.runPromise(repeat(operations, port)) },
    ...(subject.name === "memory"
      ? [
          { name: effectAlone, run: (operations: number) => Effect.runPromise(repeat(operations, empty)) },
          {
            name: effectByPromise,
            run: async (operations: number) => {
              const clients = concurrent ? width : 1
              const client = async () => {
                for (let i = 0; i < operations / clients; i++) await Effect.runPromise(waiting)
              }
              await Promise.all(Array.from({ length: clients }, client))
            }
          }
        ]
      : []),
    { name: names.lock, run: (operations) => Effect.runPromise(Effect.provide(repeat(operations, scoped), context)) }
  ]
}

const contended = async (subject: Subject): Promise<ReadonlyArray<Contender>> => {
  const { context, floor, storage } = subject
  const lockId = freshId()
  const holdId = freshHold()
  // The floor of some storages has a state of its own; of others it is the same row, and then this is a repetition.
  await floor.claim(lockId, other, holdId, longLease)
  await Effect.runPromise(storage.claim({ lockId, ownerId: other, holdId, lease: longLease }))
  const refused = () => {
    const claimed = floor.claim(lockId, owner, freshHold(), lease)
    return typeof claimed === "boolean" ? !claimed : claimed.then((done) => !done)
  }
  const port = Effect.suspend(() =>
    Effect.map(storage.claim({ lockId, ownerId: owner, holdId: freshHold(), lease }), (claim) =>
      must(claim._tag === "Held", "a held lock was given")
    )
  )
  const attempt = Effect.scoped(
    Effect.map(StorageLock.tryAcquire(lockId, owner), (lock) => must(lock._tag === "None", "a held lock was given"))
  )
  return [
    { name: subject.floorName, run: (operations) => floorLoop(operations, refused, "the floor's refusal") },
    { name: names.port, run: (operations) => Effect.runPromise(loop(operations, port)) },
    { name: names.lock, run: (operations) => Effect.runPromise(Effect.provide(loop(operations, attempt), context)) }
  ]
}

const renewal = async (subject: Subject, size: number, scope: Scope.Scope): Promise<ReadonlyArray<Contender>> => {
  const { context, floor, storage } = subject
  const holds = (): Array<Hold> => Array.from({ length: size }, () => ({ lockId: freshId(), holdId: freshHold() }))
  const floors = holds()
  const ours = holds()
  for (const { holdId, lockId } of floors)
    must(await floor.claim(lockId, owner, holdId, longLease), "the floor's claim")
  for (const hold of ours) await Effect.runPromise(storage.claim({ ...hold, ownerId: owner, lease: longLease }))
  const port = Effect.suspend(() =>
    Effect.map(storage.renew(ours.map((hold) => ({ ...hold, lease }))), (outcomes) =>
      must(outcomes.length === size && outcomes.every((outcome) => outcome._tag === "Renewed"), "not renewed")
    )
  )
  const contenders: Array<Contender> = [
    {
      name: subject.floorName,
      run: (operations) => floorLoop(operations, () => floor.renew(floors, lease), "the floor's renewal")
    },
    { name: names.port, run: (operations) => Effect.runPromise(loop(operations, port)) }
  ]
  if (size === 1) {
    const lock = await Effect.runPromise(
      StorageLock.acquire(freshId(), owner).pipe(Effect.provide(context), Scope.provide(scope))
    )
    contenders.push({ name: names.lock, run: (operations) => Effect.runPromise(loop(operations, lock.renew)) })
  }
  return contenders
}

/** The first thousands of runs of any code are slower: what a claim costs a program that has just started is another question. */
export const warmUp = async (subject: Subject, operations: number, progress: (text: string) => void): Promise<void> => {
  progress("warming up")
  for (const contender of [...both(subject, false), ...(await contended(subject))]) await contender.run(operations)
}

interface Scenario {
  readonly scenario: string
  readonly width?: number
  readonly contenders: (
    subject: Subject,
    scope: Scope.Scope
  ) => ReadonlyArray<Contender> | Promise<ReadonlyArray<Contender>>
}

export const all: ReadonlyArray<Scenario> = [
  { scenario: cycleAlone, contenders: (subject) => both(subject, false) },
  { scenario: cycleWide, width, contenders: (subject) => both(subject, true) },
  { scenario: "contended try", contenders: contended },
  ...[1, 100, 1000].map((size): Scenario => ({
    scenario: `renew ${size} hold${size === 1 ? "" : "s"} in one statement`,
    contenders: (subject, scope) => renewal(subject, size, scope)
  }))
]

export const run = async (
  subject: Subject,
  plan: Plan,
  progress: (text: string) => void,
  finished: (comparison: Comparison) => void
): Promise<ReadonlyArray<Comparison>> => {
  const comparisons: Array<Comparison> = []
  for (const { contenders, ...what } of all) {
    const scope = Effect.runSync(Scope.make())
    try {
      const comparison = await compare(
        { storage: subject.name, ...what },
        await contenders(subject, scope),
        plan,
        progress
      )
      comparisons.push(comparison)
      finished(comparison)
    } finally {
      await Effect.runPromise(Scope.close(scope, Exit.void))
    }
  }
  return comparisons
}
