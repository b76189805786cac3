/** The arithmetic of the comparison, without any I/O. */

/** In the unit of what was measured. */
export interface Spread {
  readonly p25: number
  readonly median: number
  readonly p75: number
  readonly p95: number
  /** The largest. */
  readonly most: number
  readonly count: number
}

/** Linear between the two nearest ranks. `NaN` of nothing. */
export const quantile = (values: ReadonlyArray<number>, q: number): number => {
  const sorted = [...values].sort((a, b) => a - b)
  const rank = (sorted.length - 1) * q
  const below = sorted[Math.floor(rank)]
  const above = sorted[Math.ceil(rank)]
  return below === undefined || above === undefined ? Number.NaN : below + (above - below) * (rank - Math.floor(rank))
}

export const spread = (values: ReadonlyArray<number>): Spread => ({
  p25: quantile(values, 0.25),
  median: quantile(values, 0.5),
  p75: quantile(values, 0.75),
  p95: quantile(values, 0.95),
  most: quantile(values, 1),
  count: values.length
})

/**
 * Round by round, so that whatever else the machine did in a round is in both. The ratio of the medians would compare a quiet round of one with a noisy round of
 * the other.
 */
export const ratios = (ours: ReadonlyArray<number>, floor: ReadonlyArray<number>): ReadonlyArray<number> => {
  if (ours.length !== floor.length) throw new Error(`${ours.length} rounds against ${floor.length}: ratios need pairs`)
  return ours.map((value, round) => value / floor[round]!)
}

/** Who begins changes from round to round, and so does who comes after whom: no place in the row is always the same one's. */
export const order = (contenders: number, round: number): ReadonlyArray<number> => {
  const rotated = Array.from({ length: contenders }, (_, i) => (i + Math.floor(round / 2)) % contenders)
  return round % 2 === 0 ? rotated : rotated.reverse()
}

/** What decides the size of a block: the floor's time, the first, unless another one's blocks would become too long. */
export const blockCost = (millisPerOperation: ReadonlyArray<number>): number =>
  Math.max(millisPerOperation[0]!, Math.max(...millisPerOperation) / 4)

/** How many operations make a block of about so many milliseconds. */
export const blockSize = (millisPerOperation: number, targetMillis: number, multipleOf: number): number =>
  Math.max(1, Math.min(Math.round(targetMillis / millisPerOperation / multipleOf), Math.ceil(20_000 / multipleOf))) *
  multipleOf
