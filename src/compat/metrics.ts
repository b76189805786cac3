/** What both majors of Effect make of a metric: a function that updates it, for each set of labels. */

export type Labels = Readonly<Record<string, string>>

export type Update = (labels: Labels, value: number) => void

export interface Make {
  readonly counter: (name: string, description: string) => Update
  readonly gauge: (name: string, description: string) => Update
  readonly histogram: (name: string, description: string, boundaries: ReadonlyArray<number>) => Update
}

/** A metric is looked up by its labels each time, which costs more than to update it: here once for each set. */
export const by = (make: (labels: Labels) => (value: number) => void): Update => {
  const made = new Map<string, (value: number) => void>()
  return (labels, value) => {
    const key = Object.values(labels).join("\0")
    let update = made.get(key)
    if (update === undefined) made.set(key, (update = make(labels)))
    update(value)
  }
}
