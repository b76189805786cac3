/** One file of results from several runs: a run of everything takes longer than many a machine is quiet. */
import type { Results } from "./report.js"

interface OfStorage {
  readonly storage: string
}

/** What was measured `now`, in place of what `earlier` runs measured of the same storage in the same scenario. `order`: titles of storages. */
export const merge = (earlier: Results, now: Results, order: ReadonlyArray<string>): Results => {
  const rank = (storage: string) => order.findIndex((title) => storage === title || storage.startsWith(`${title},`))
  const both = <A extends OfStorage>(old: ReadonlyArray<A>, fresh: ReadonlyArray<A>): ReadonlyArray<A> => {
    const measured = new Set(fresh.map(({ storage }) => storage))
    return [...old.filter(({ storage }) => !measured.has(storage)), ...fresh].sort(
      (a, b) => rank(a.storage) - rank(b.storage)
    )
  }
  const known = new Set(now.settings.map(({ name }) => name))
  const tried = new Set([...known, ...now.failures.map(({ storage }) => storage)])
  return {
    ...now,
    versions: { ...earlier.versions, ...now.versions },
    settings: [
      ...earlier.settings.filter(({ name }) => !known.has(name)).map((one) => ({ date: earlier.date, ...one })),
      ...now.settings
    ].sort((a, b) => rank(a.name) - rank(b.name)),
    comparisons: both(earlier.comparisons, now.comparisons),
    cycles: both(earlier.cycles, now.cycles),
    requests: both(earlier.requests, now.requests),
    roundTrips: now.roundTrips ?? earlier.roundTrips,
    handOffs: both(earlier.handOffs, now.handOffs),
    contentions: both(earlier.contentions, now.contentions),
    refreshes: both(earlier.refreshes, now.refreshes),
    memories: both(earlier.memories, now.memories),
    stalls: both(earlier.stalls, now.stalls),
    profiles: both(earlier.profiles, now.profiles),
    failures: [...earlier.failures.filter(({ storage }) => !tried.has(storage)), ...now.failures]
  }
}
