/** Where the time of the bare driver goes, and where ours does; and what a hold is made of. */
import * as Effect from "#effect/Effect"
import * as crews from "./crew.js"
import * as cycles from "./cycles.js"
import { cycleAlone, cycleWide, type Failure, holding, reasonOf, renewing, width } from "./names.js"
import { add, none, type Parts, scale } from "./parts.js"
import * as profiler from "./profiler.js"
import type { Contender } from "./rounds.js"
import type { Candidate, Server, StorageSubject } from "./subjects/Subject.js"
import { refreshMillis, renewedOften } from "./upkeep.js"

export interface Profile {
  readonly storage: string
  readonly scenario: string
  readonly name: string
  /** Microseconds of one operation; for `holding`, bytes. */
  readonly parts: Parts
}

export interface Plan {
  /** Of each, before anything counts. */
  readonly warmUpMillis: number
  readonly rounds: number
  /** Of each in a round. */
  readonly millis: number
}

const blockMillis = 50

/** They take turns. */
export const ofCycles = async (
  storage: string,
  concurrent: boolean,
  contenders: ReadonlyArray<Contender>,
  plan: Plan,
  progress: (text: string) => void
): Promise<ReadonlyArray<Profile>> => {
  const scenario = concurrent ? cycleWide : cycleAlone
  const least = concurrent ? width : 1
  const found = contenders.map(() => ({ parts: none, operations: 0, block: least }))
  const runFor = async (index: number, millis: number): Promise<number> => {
    const start = performance.now()
    let operations = 0
    for (;;) {
      const { block } = found[index]!
      await contenders[index]!.run(block)
      operations += block
      const passed = performance.now() - start
      if (passed >= millis) return operations
      // What begins and ends a block is to be next to nothing.
      if (passed < blockMillis) found[index]!.block = 2 * block
    }
  }
  for (const index of contenders.keys()) {
    progress(`${storage}: ${scenario}, profile, warming up`)
    await runFor(index, plan.warmUpMillis)
  }
  for (let round = 0; round < plan.rounds; round++) {
    progress(`${storage}: ${scenario}, profile, round ${round + 1} of ${plan.rounds}`)
    for (const [index, one] of found.entries()) {
      const parts = await profiler.time(async () => (one.operations += await runFor(index, plan.millis)))
      one.parts = add(one.parts, parts)
    }
  }
  return found.map(({ operations, parts }, i) => ({
    storage,
    scenario,
    name: contenders[i]!.name,
    parts: scale(parts, 1 / operations)
  }))
}

/** Those that are made before any is looked at, and how often each is renewed meanwhile. */
const warmHolds = 500
const intervals = 2

/** In a process of its own: one renewal of each hold, and what so many holds keep. */
const ofHolds = (subject: StorageSubject, server: Server, candidate: Candidate, count: number) =>
  Effect.scoped(
    Effect.gen(function* () {
      const place = yield* server.fresh
      const [worker] = yield* crews.make(1)
      const key = candidate.name
      const command = crews.opening(subject.name, key, candidate, place)
      return yield* Effect.tryPromise({
        try: () =>
          crews.withOpen([worker!], command, async (): Promise<ReadonlyArray<Profile>> => {
            await worker!.tell({ do: "holdMany", key, lockId: "warm", count: warmHolds }, 60_000)
            const what = { storage: subject.title, name: key }
            const kept = await worker!.tell<Parts>({ do: "profileMemory", key, lockId: "held", count }, 300_000)
            const spent = await worker!.tell<Parts>(
              { do: "profileTime", key, millis: intervals * refreshMillis },
              60_000
            )
            const renewals = intervals * (warmHolds + count)
            return [
              // Who waits for the next renewal waits for no storage.
              { ...what, scenario: renewing, parts: scale({ ...spent, waiting: 0 }, 1 / renewals) },
              { ...what, scenario: holding, parts: scale(kept, 1 / count) }
            ]
          }),
        catch: (error) => error
      })
    })
  )

export const measure = (
  subject: StorageSubject,
  server: Server,
  quick: boolean,
  plan: Plan,
  progress: (text: string) => void,
  failed: (failure: Failure) => void
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const opened = yield* cycles.openAll(subject, server, false, failed)
      const found: Array<Profile> = []
      for (const concurrent of [false, true]) {
        const contenders = opened.map((one) => cycles.contender(one, concurrent))
        found.push(
          ...(yield* Effect.tryPromise({
            try: () => ofCycles(subject.title, concurrent, contenders, plan, progress),
            catch: (error) => error
          }))
        )
      }
      const ours = renewedOften(subject)
      progress(`${subject.title}: holds, profile`)
      yield* Effect.match(ofHolds(subject, server, ours, (quick ? 1_000 : 10_000) - warmHolds), {
        onSuccess: (more) => void found.push(...more),
        onFailure: (error) =>
          failed({ storage: subject.title, scenario: "profile of holds", subject: ours.name, reason: reasonOf(error) })
      })
      return found
    })
  )
