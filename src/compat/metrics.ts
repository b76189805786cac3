/** What both majors of Effect make of a metric: a series for a set of labels. To make one costs more than many updates. */

export type Labels = Readonly<Record<string, string>>

export type Update = (value: number) => void

export type Series = (labels: Labels) => Update

export type Read = () => number

/** What several layers of a program come to that have the same labels; 0, if there are none. */
export type Combine = (values: ReadonlyArray<number>) => number

export interface Reading {
  /** Where `Make.pulls`, this does nothing. */
  readonly changed: () => void
  readonly forget: () => void
}

export interface Make {
  /** Gauges are read when somebody looks: nobody need say that they have changed. */
  readonly pulls: boolean
  readonly counter: (name: string, description: string) => Series
  readonly gauge: (name: string, description: string, combine: Combine) => (labels: Labels, read: Read) => Reading
  readonly histogram: (name: string, description: string, boundaries: ReadonlyArray<number>) => Series
}

const registries = new WeakMap<object, Map<string, Set<Read>>>()

/** Those of one series: of a name and its labels, in a registry. */
export const readsOf = (registry: object, name: string, labels: Labels): Set<Read> => {
  let series = registries.get(registry)
  if (series === undefined) registries.set(registry, (series = new Map()))
  const key = JSON.stringify([name, Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))])
  let reads = series.get(key)
  if (reads === undefined) series.set(key, (reads = new Set()))
  return reads
}

export const combined = (combine: Combine, reads: ReadonlySet<Read>): number =>
  combine(Array.from(reads, (read) => read()))
