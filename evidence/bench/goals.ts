/** What it is to be, beside what it is. */
import type { Contention } from "./contention.js"
import type { HandOff } from "./handOff.js"
import * as lines from "./lines.js"
import { cycleAlone, cycleWide } from "./names.js"
import * as reasons from "./reasons.js"
import type { Measurements } from "./run.js"
import * as stall from "./stall.js"

export interface Goal {
  readonly goal: string
  readonly figure: string
  readonly met: boolean
  /** Why not, where it is not met. */
  readonly why?: string | undefined
}

const ratioGoals = [
  { storage: "PostgreSQL", limit: 1.1 },
  { storage: "SQLite, full", limit: 1.3 },
  { storage: "SQLite, normal", limit: 1.3 }
]
/** Claims that are sent together, against one statement for each. */
const wideGoal = { storage: "PostgreSQL", rate: 5 }
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

const cycles = (results: Measurements): ReadonlyArray<Goal> =>
  ratioGoals.flatMap(({ limit, storage }) => {
    const found = results.comparisons.find((_) => _.storage === storage && _.scenario === cycleAlone)
    return (found?.contenders.slice(1) ?? []).map((measured): Goal => ({
      goal: `${storage}, ${cycleAlone}, ${measured.name}: at most ${lines.times(limit)} the bare driver with the same statements`,
      figure: lines.ratio(measured),
      met: measured.ratio.median <= limit,
      why: reasons.alone(measured.name)
    }))
  })

const wide = (results: Measurements): ReadonlyArray<Goal> => {
  const found = results.comparisons.find((_) => _.storage === wideGoal.storage && _.scenario === cycleWide)
  const ours = found?.contenders.at(-1)
  if (ours === undefined) return []
  const rate = 1 / ours.ratio.median
  const port = found?.contenders.at(-2)
  return [
    {
      goal: `${wideGoal.storage}, 64-way distinct: rate against bare driver's singles at least ${lines.times(wideGoal.rate)}`,
      figure: `${lines.times(rate)} (${(1 / ours.ratio.p75).toFixed(2)}–${(1 / ours.ratio.p25).toFixed(2)})`,
      met: rate >= wideGoal.rate,
      why: reasons.wide(
        port === undefined || port === found?.contenders[0] ? undefined : lines.times(1 / port.ratio.median)
      )
    }
  ]
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

const handOffs = (results: Measurements): ReadonlyArray<Goal> =>
  perStorage<HandOff>(results.handOffs, (ours, peers) => {
    const best = least(peers, (_) => _.millis.median)
    return best === undefined
      ? []
      : [
          {
            goal: `${ours.storage}, hand-off between two processes: median below every peer's, tuned or not`,
            figure: `${lines.millis(ours.millis.median)}; best peer, ${best.name}: ${lines.millis(best.millis.median)}`,
            met: ours.millis.median < best.millis.median,
            why: reasons.handOff(ours.storage)
          }
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
      {
        goal: `${ours.storage}, two holders at a time: never`,
        figure: `${ours.overlaps} overlaps`,
        met: ours.overlaps === 0
      }
    ]
  })

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
export const goals = (results: Measurements): ReadonlyArray<Goal> =>
  [cycles, wide, againstPeers, handOffs, contention, stalls, roundTrips].flatMap((of) => of(results))
