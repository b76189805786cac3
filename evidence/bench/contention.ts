/** Eight processes on one lock, each of which holds it for 5 ms, again and again. */
import * as Effect from "#effect/Effect"
import { join } from "node:path"
import * as crews from "./crew.js"
import { type Failure, reasonOf } from "./names.js"
import { order, type Spread, spread } from "./statistics.js"
import * as Proxy from "../../test/harness/proxy.js"
import { type Candidate, candidates, type Place, type Server, type StorageSubject } from "./subjects/Subject.js"
import { folder } from "./subjects/sqlite.js"
import type { Contended } from "./worker.js"

export const contenders = 8
export const holdMillis = 5
const warmUpMillis = 1_000

/** All per run; medians over the runs. */
export interface Contention {
  readonly storage: string
  readonly name: string
  readonly role: "floor" | "ours" | "peer"
  readonly perSecond: Spread
  /** Acquisitions of the worker that had the fewest, and of the one that had the most. */
  readonly fewest: Spread
  readonly most: Spread
  readonly longestWaitMillis: Spread
  /** `undefined`: nobody counts. */
  readonly requestsPerAcquisition: Spread | undefined
  /** In all runs together. Anything but none is two holders of one lock. */
  readonly overlaps: number
}

interface Run {
  readonly workers: ReadonlyArray<Contended>
  readonly requests: number | undefined
}

const once = async (
  crew: crews.Crew,
  subject: StorageSubject,
  requests: () => Promise<number | undefined>,
  candidate: Candidate,
  place: Place,
  guard: string,
  forMillis: number
): Promise<Run> => {
  const command = crews.opening(subject.name, candidate.name, candidate, place)
  return crews.withOpen(crew, command, async () => {
    const contend = (forMillis: number) =>
      Promise.all(
        crew.map((worker) =>
          worker.tell<Contended>(
            { do: "contend", key: candidate.name, lockId: "contended", guard, holdMillis, forMillis },
            forMillis + 30_000
          )
        )
      )
    // The processes are young: what they do at first is slow.
    await contend(warmUpMillis)
    const before = await requests()
    const workers = await contend(forMillis)
    const after = await requests()
    return { workers, requests: before === undefined || after === undefined ? undefined : after - before }
  })
}

/** How requests are counted, and the way there. */
const counting = (server: Server) =>
  Effect.gen(function* () {
    const { wire, work } = server
    if (server.countsStatements === true && wire !== undefined) {
      const proxy = yield* Proxy.make(wire, { protocol: wire.protocol })
      return {
        through: (place: Place): Place => ({ ...place, url: proxy.url(place.url) }),
        requests: () => async () => proxy.roundTrips()
      }
    }
    return {
      through: (place: Place) => place,
      requests: (place: Place) => async () =>
        work === undefined ? undefined : (await Effect.runPromise(work(place))).requests
    }
  })

const summary = (storage: string, { name, way }: Candidate, runs: ReadonlyArray<Run>, seconds: number): Contention => {
  const totals = runs.map(({ workers }) => workers.reduce((sum, _) => sum + _.acquisitions, 0))
  const per = runs.flatMap(({ requests }, i) =>
    requests === undefined || totals[i] === 0 ? [] : [requests / totals[i]!]
  )
  return {
    storage,
    name,
    role: way.role,
    perSecond: spread(totals.map((total) => total / seconds)),
    fewest: spread(runs.map(({ workers }) => Math.min(...workers.map((_) => _.acquisitions)))),
    most: spread(runs.map(({ workers }) => Math.max(...workers.map((_) => _.acquisitions)))),
    longestWaitMillis: spread(runs.map(({ workers }) => Math.max(...workers.map((_) => _.longestWaitMillis)))),
    requestsPerAcquisition: per.length === 0 ? undefined : spread(per),
    overlaps: runs.reduce((sum, { workers }) => sum + workers.reduce((all, _) => all + _.overlaps, 0), 0)
  }
}

export const measure = (
  subject: StorageSubject,
  server: Server,
  plan: { readonly runs: number; readonly contentionMillis: number },
  withPeers: boolean,
  progress: (text: string) => void,
  failed: (failure: Failure) => void
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const taking = candidates(subject.ways).filter(
        ({ way }) => way.waits !== false && way.variant !== true && (withPeers || way.role !== "peer")
      )
      const crew = yield* crews.make(contenders)
      const path = yield* folder
      const { requests, through } = yield* counting(server)
      const runs = new Map<Candidate, Array<Run>>(taking.map((candidate) => [candidate, []]))
      for (let run = 0; run < plan.runs; run++) {
        for (const index of order(taking.length, run)) {
          const candidate = taking[index]!
          const soFar = runs.get(candidate)
          if (soFar === undefined) continue
          progress(`${subject.title}: ${contenders} contenders, run ${run + 1} of ${plan.runs}, ${candidate.name}`)
          yield* Effect.scoped(
            Effect.gen(function* () {
              const place = through(yield* server.fresh)
              yield* Effect.promise(() =>
                once(
                  crew,
                  subject,
                  requests(place),
                  candidate,
                  place,
                  join(path, `guard-${run}-${index}`),
                  plan.contentionMillis
                ).then(
                  (found) => void soFar.push(found),
                  (error: unknown) => {
                    runs.delete(candidate)
                    failed({
                      storage: subject.title,
                      scenario: "contention",
                      subject: candidate.name,
                      reason: reasonOf(error)
                    })
                  }
                )
              )
            })
          )
        }
      }
      return [...runs].map(([candidate, found]) =>
        summary(subject.title, candidate, found, plan.contentionMillis / 1000)
      )
    })
  )
