/** What it is to be, beside what it is. */
import type { Contention } from "./contention.js"
import type { HandOff } from "./handOff.js"
import * as lines from "./lines.js"
import { cycleAlone, cycleWide, effectAlone, effectByPromise } from "./names.js"
import * as reasons from "./reasons.js"
import type { Results } from "./report.js"
import type { Comparison, Measured } from "./rounds.js"
import type { Measurements } from "./run.js"
import * as stall from "./stall.js"

export interface Goal {
  readonly goal: string
  readonly figure: string
  readonly met: boolean
  /** Why not, where it is not met. */
  readonly why?: string | undefined
}

/** What a cycle through StorageLock may cost, in times the bare driver's of the same run: alone, and 64 at once. On Effect 3 Effect itself costs more. */
const cycleLimits: Readonly<
  Record<"3" | "4", ReadonlyArray<readonly [storage: string, alone: number, wide?: number]>>
> = {
  3: [
    ["PostgreSQL", 1.18, 0.3],
    ["SQLite, full", 1.4, 0.5],
    ["SQLite, normal", 2.2],
    ["Redis", 1.35, 2.2],
    ["MySQL or MariaDB", 1.6, 0.6],
    ["etcd", 1.5, 1]
  ],
  4: [
    ["PostgreSQL", 1.1, 0.2],
    ["SQLite, full", 1.2, 0.4],
    ["SQLite, normal", 1.5],
    ["Redis", 1.15, 1.3],
    ["MySQL or MariaDB", 1.35, 0.4],
    ["etcd", 1.3, 0.7]
  ]
}
/** How long a lock may take from one process to another: in times the bare driver's that listens and is notified; where that is no floor, milliseconds. */
const handOffLimits = { 3: 1.4, 4: 1.2 } as const
const handOffMillis = 5
/** Of processes that contend: the requests of an acquisition, and what the one with the fewest has of the one with the most. */
const mostRequests = 3
const leastShare = 0.5
/** What a hold costs: bytes of the heap, and, of ten thousand that are renewed each three seconds, that part of a processor. */
const holdLimits = { 3: { kibibytes: 1.5, percent: 2 }, 4: { kibibytes: 1.2, percent: 1 } } as const
const manyHolds = 10_000
const usualRefreshMillis = 3_000
/** Over memory, where there is no driver: microseconds, alone and 64 at once. */
const memoryLimits = { 3: [30, 30], 4: [12, 10] } as const
/** For a timer to fire on a machine that does other things. */
const timerMillis = 50

const least = <A extends { readonly name: string }>(all: ReadonlyArray<A>, value: (one: A) => number): A | undefined =>
  [...all].sort((a, b) => value(a) - value(b))[0]

/** Of each storage that was measured, its entry of ours and those of the peers. */
const perStorage = <A extends { readonly storage: string; readonly role: "floor" | "ours" | "peer" }>(
  all: ReadonlyArray<A>,
  judge: (ours: A, peers: ReadonlyArray<A>) => ReadonlyArray<Goal>
): ReadonlyArray<Goal> =>
  [...new Set(all.map((_) => _.storage))].flatMap((storage) => {
    const of = all.filter((_) => _.storage === storage)
    const ours = of.find((_) => _.role === "ours")
    return ours === undefined
      ? []
      : judge(
          ours,
          of.filter((_) => _.role === "peer")
        )
  })

const of = (
  all: ReadonlyArray<Comparison>,
  storage: string,
  scenario: string,
  contender = "StorageLock"
): Measured | undefined =>
  all.find((_) => _.storage === storage && _.scenario === scenario)?.contenders.find(({ name }) => name === contender)

const majorOf = ({ versions }: Results): "3" | "4" => (versions["effect"]?.startsWith("4") === true ? "4" : "3")

/** Where the same statements were measured on the bare driver, by these; else by the least that a lock could do. */
const cycles = (results: Results): ReadonlyArray<Goal> => {
  const major = majorOf(results)
  const scenarios = [cycleAlone, cycleWide]
  const inMemory = scenarios.flatMap((scenario, i): ReadonlyArray<Goal> => {
    const ours = of(results.comparisons, "memory", scenario)
    const limit = memoryLimits[major][i]!
    return ours === undefined
      ? []
      : [
          {
            goal: `memory, ${scenario}: at most ${limit} µs`,
            figure: `${lines.figure(ours.micros)} µs`,
            met: ours.micros.median <= limit,
            why: reasons.memory(of(results.comparisons, "memory", scenario, effectAlone))
          }
        ]
  })
  const overDrivers = cycleLimits[major].flatMap(([storage, ...limits]) =>
    limits.flatMap((limit, i): ReadonlyArray<Goal> => {
      const ours = of(results.comparisons, storage, scenarios[i]!) ?? of(results.cycles, storage, scenarios[i]!)
      return limit === undefined || ours === undefined
        ? []
        : [
            {
              goal: `${storage}, ${scenarios[i]!}: at most ${lines.times(limit)} the bare driver`,
              figure: lines.ratio(ours),
              met: ours.ratio.median <= limit,
              why: reasons.driver(
                results.profiles,
                storage,
                scenarios[i]!,
                of(results.comparisons, "memory", scenarios[i]!, effectByPromise)
              )
            }
          ]
    })
  )
  return [...inMemory, ...overDrivers]
}

/** Of the contenders the first is the bare driver, and ours is the one that is named so. */
const againstPeers = (results: Measurements): ReadonlyArray<Goal> =>
  results.cycles.flatMap(({ contenders, scenario, storage }) => {
    const ours = contenders.find((_) => _.name === "StorageLock")
    const best = least(
      contenders.slice(1).filter((_) => _ !== ours),
      (_) => _.ratio.median
    )
    return ours === undefined || best === undefined
      ? []
      : [
          {
            goal: `${storage}, ${scenario}: less time than every peer`,
            figure: `${lines.times(ours.ratio.median)} the bare driver; best peer, ${best.name}: ${lines.times(best.ratio.median)}`,
            met: ours.ratio.median < best.ratio.median,
            why: reasons.cycle(storage)
          }
        ]
  })

const handOffs = (results: Results): ReadonlyArray<Goal> =>
  perStorage<HandOff>(results.handOffs, (ours, peers) => {
    const best = least(peers, (_) => _.millis.median)
    const floor = results.handOffs.find((_) => _.storage === ours.storage && _.role === "floor")
    const limit = handOffLimits[majorOf(results)]
    return [
      ...(floor === undefined
        ? []
        : [
            {
              goal: `${ours.storage}, hand-off between two processes: at most ${lines.times(limit)} the bare driver that is told of a release and claims then`,
              figure: `${lines.millis(ours.millis.median)}; the bare driver: ${lines.millis(floor.millis.median)}`,
              met: ours.millis.median <= limit * floor.millis.median,
              why: reasons.told
            }
          ]),
      ...(ours.storage !== "MySQL or MariaDB"
        ? []
        : [
            {
              goal: `${ours.storage}, hand-off between two processes: at most ${handOffMillis} ms`,
              figure: lines.millis(ours.millis.median),
              met: ours.millis.median <= handOffMillis,
              why: reasons.handOff(ours.storage)
            }
          ]),
      ...(best === undefined
        ? []
        : [
            {
              goal: `${ours.storage}, hand-off between two processes: median below every peer's, tuned or not`,
              figure: `${lines.millis(ours.millis.median)}; best peer, ${best.name}: ${lines.millis(best.millis.median)}`,
              met: ours.millis.median < best.millis.median,
              why: reasons.handOff(ours.storage)
            }
          ])
    ]
  })

const requestsGoal = (ours: Contention, best: Contention | undefined, what: string): ReadonlyArray<Goal> =>
  ours.requestsPerAcquisition === undefined || best?.requestsPerAcquisition === undefined
    ? []
    : [
        {
          goal: `${ours.storage}, requests per contended acquisition: ${what}`,
          figure: `${lines.figure(ours.requestsPerAcquisition)}; best of these, ${best.name}: ${lines.figure(best.requestsPerAcquisition)}`,
          met: ours.requestsPerAcquisition.median < best.requestsPerAcquisition.median,
          why: reasons.requests(ours.storage)
        }
      ]

const contention = (results: Measurements): ReadonlyArray<Goal> =>
  perStorage(results.contentions, (ours, peers) => {
    const counting = peers.filter((_) => _.requestsPerAcquisition !== undefined)
    const best = least(counting, (_) => _.requestsPerAcquisition!.median)
    return [
      ...requestsGoal(ours, best, "below every peer's"),
      // Who asks seldom because most wait in vain has done less.
      ...requestsGoal(
        ours,
        least(
          counting.filter((_) => _.fewest.median > 0),
          (_) => _.requestsPerAcquisition!.median
        ),
        "below that of every peer that starves nobody"
      ),
      ...(ours.requestsPerAcquisition === undefined
        ? []
        : [
            {
              goal: `${ours.storage}, requests per contended acquisition: at most ${mostRequests}`,
              figure: lines.figure(ours.requestsPerAcquisition),
              met: ours.requestsPerAcquisition.median <= mostRequests,
              why: reasons.requests(ours.storage)
            }
          ]),
      {
        goal: `${ours.storage}, contended: the process that has it least often has at least ${leastShare} of what another has`,
        figure: `${lines.figure(ours.fewest)} and ${lines.figure(ours.most)} acquisitions`,
        met: ours.fewest.median >= leastShare * ours.most.median,
        why: reasons.share(ours.storage)
      },
      {
        goal: `${ours.storage}, two holders at a time: never`,
        figure: `${ours.overlaps} overlaps`,
        met: ours.overlaps === 0
      }
    ]
  })

const upkeep = (results: Results): ReadonlyArray<Goal> => {
  const { kibibytes, percent } = holdLimits[majorOf(results)]
  return [
    ...results.memories
      .filter(({ name }) => name === "StorageLock")
      .map(({ bytesPerHold, storage }) => ({
        goal: `${storage}, memory of a hold: at most ${kibibytes} KiB of the heap`,
        figure: `${(bytesPerHold / 1024).toFixed(1)} KiB`,
        met: bytesPerHold <= kibibytes * 1024,
        why: reasons.heap(results.profiles, storage)
      })),
    ...results.refreshes
      .filter(({ holds }) => holds === manyHolds)
      .map(({ cpuMillis, storage }) => {
        const used = (100 * cpuMillis.median) / usualRefreshMillis
        return {
          goal: `${storage}, renewals of ${manyHolds} holds, each every ${usualRefreshMillis / 1000} s: at most ${percent} % of a processor`,
          figure: `${used.toFixed(1)} %`,
          met: used <= percent,
          why: reasons.renewals(results.profiles, storage)
        }
      })
  ]
}

const stalls = (results: Measurements): ReadonlyArray<Goal> =>
  perStorage(results.stalls, (ours) => [
    {
      goal: `${ours.storage}, a stall under a lease of ${stall.lease} ms: told by the local deadline, ${stall.lease - stall.margin} ms after the last renewal`,
      figure: `${lines.stallTold(ours)} after the stall began; at most ${ours.millis === undefined ? "–" : lines.short(ours.millis.most)} ms`,
      met:
        ours.told === ours.runs &&
        ours.millis !== undefined &&
        ours.millis.most <= stall.lease - stall.margin + timerMillis
    }
  ])

const roundTrips = ({ roundTrips: found }: Measurements): ReadonlyArray<Goal> => {
  if (found === undefined) return []
  const wrong = found.operations.filter((_) => _.statements !== _.expected || _.roundTrips !== _.expected)
  return [
    {
      goal: "PostgreSQL: one statement and one round trip for each claim, renewal and release",
      figure: wrong.length === 0 ? "in every operation counted" : wrong.map(lines.roundTripLine).join("; "),
      met: wrong.length === 0
    }
  ]
}

/** Only of what was measured. */
export const goals = (results: Results): ReadonlyArray<Goal> =>
  [cycles, againstPeers, handOffs, contention, upkeep, stalls, roundTrips].flatMap((judge) => judge(results))
