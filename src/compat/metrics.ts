/** What both majors of Effect make of a metric: a series for a set of labels, which is updated by a function. To make one costs more than many updates. */

export type Labels = Readonly<Record<string, string>>

export type Update = (value: number) => void

export type Series = (labels: Labels) => Update

export interface Make {
  readonly counter: (name: string, description: string) => Series
  readonly gauge: (name: string, description: string) => Series
  readonly histogram: (name: string, description: string, boundaries: ReadonlyArray<number>) => Series
}
