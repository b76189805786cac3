/** A storage that answers nobody for longer than a lease: when is the holder told? */
import * as Effect from "#effect/Effect"
import * as crews from "./crew.js"
import { type Failure, reasonOf } from "./names.js"
import { type Spread, spread } from "./statistics.js"
import type { Candidate, Server, StorageSubject } from "./subjects/Subject.js"

export const lease = 1_500
export const stallMillis = 5_000
/** Of ours, by default. */
export const margin = Math.max(100, lease / 20)
/** How long after the stall somebody may still be told. */
const patience = 6_000

export interface Stall {
  readonly storage: string
  readonly name: string
  readonly role: "floor" | "ours" | "peer"
  /** From the stall to the signal, where there was one. */
  readonly millis: Spread | undefined
  readonly told: number
  readonly runs: number
  /** Has no means to tell. */
  readonly mute: boolean
}

const sleep = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

/** All in one stall, each in a process of its own. In milliseconds; `undefined`: not told. */
const once = (
  subject: StorageSubject,
  server: Server,
  taking: ReadonlyArray<Candidate>,
  failed: (candidate: Candidate, error: unknown) => void
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const crew = yield* crews.make(taking.length)
      const places = yield* Effect.forEach(taking, () => server.fresh)
      const ready = yield* Effect.promise(() =>
        Promise.all(
          taking.map(async (candidate, i) => {
            const key = candidate.name
            try {
              await crew[i]!.tell(crews.opening(subject.name, key, candidate, places[i]!))
              await crew[i]!.tell({ do: "holdAndTell", key, lockId: "stalled" })
              return true
            } catch (error) {
              failed(candidate, error)
              return false
            }
          })
        )
      )
      // Some renewals go well, and the stall comes at any moment between two.
      yield* Effect.promise(() => sleep(lease + lease * Math.random()))
      const at = yield* Effect.scoped(
        Effect.gen(function* () {
          const at = process.hrtime.bigint()
          yield* server.stall!(places)
          yield* Effect.promise(() => sleep(stallMillis))
          return at
        })
      )
      return yield* Effect.promise(() =>
        Promise.all(
          taking.map(async ({ name }, i) => {
            if (!ready[i]) return undefined
            const lost = await crew[i]!.tell<string | undefined>(
              { do: "lossAt", key: name, millis: patience },
              patience + 10_000
            ).catch(() => undefined)
            return lost === undefined ? undefined : Number(BigInt(lost) - at) / 1e6
          })
        )
      )
    })
  )

export const measure = (
  subject: StorageSubject,
  server: Server,
  runs: number,
  withPeers: boolean,
  progress: (text: string) => void,
  failed: (failure: Failure) => void
) =>
  Effect.gen(function* () {
    if (server.stall === undefined) return []
    const ways = subject.ways.filter(
      (way) => way.role !== "floor" && way.variant !== true && (withPeers || way.role === "ours")
    )
    const taking = ways
      .filter(({ tells }) => tells === true)
      .map((way): Candidate => ({ name: way.name, way, settings: { leaseMillis: lease } }))
    const out = new Set<Candidate>()
    const found = new Map<Candidate, Array<number | undefined>>(taking.map((candidate) => [candidate, []]))
    for (let run = 0; run < runs; run++) {
      const still = taking.filter((candidate) => !out.has(candidate))
      progress(`${subject.title}: a stall of ${stallMillis / 1000} s, run ${run + 1} of ${runs}`)
      const told = yield* once(subject, server, still, (candidate, error) => {
        out.add(candidate)
        failed({ storage: subject.title, scenario: "stall", subject: candidate.name, reason: reasonOf(error) })
      })
      for (const [i, candidate] of still.entries()) if (!out.has(candidate)) found.get(candidate)!.push(told[i])
    }
    return ways.flatMap((way): ReadonlyArray<Stall> => {
      const candidate = taking.find((_) => _.way === way)
      const base = { storage: subject.title, name: way.name, role: way.role }
      if (candidate === undefined) return [{ ...base, millis: undefined, told: 0, runs, mute: true }]
      const all = found.get(candidate)!
      const told = all.filter((_) => _ !== undefined)
      return all.length === 0
        ? []
        : [
            {
              ...base,
              millis: told.length === 0 ? undefined : spread(told),
              told: told.length,
              runs: all.length,
              mute: false
            }
          ]
    })
  })
