/** So many permits, and no owner has any for nothing. */
import type { Entry } from "./data.js"
import { make } from "./shared.js"

interface Permits {
  readonly permits: number
  readonly limit: number
}

type Holds = ReadonlyArray<Entry<Permits>>

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 1

/** By its own limit, and by that of every hold: while a fleet changes the limit, the smaller one rules until its last hold ends. */
const hasRoom = (holds: Holds, ...more: ReadonlyArray<Permits>): boolean => {
  const all = [...holds.map(({ part }) => part), ...more]
  return all.reduce((sum, { permits }) => sum + permits, 0) <= Math.min(...all.map(({ limit }) => limit))
}

/**
 * The live permits are never more than any of those who hold them was told there are.
 *
 * @since 0.5.0
 */
export const semaphore = make<Permits>({
  name: "semaphore",
  encode: ({ limit, permits }) => [permits, limit],
  decode: (value) => {
    const [permits, limit] = Array.isArray(value) ? (value as ReadonlyArray<unknown>) : []
    return isCount(permits) && isCount(limit) ? { permits, limit } : undefined
  },
  wanted: ({ limit = 1, permits = 1 }) => ({ permits, limit }),
  fits: (holds, wanted) => hasRoom(holds, wanted),
  passes: (holds, pending, wanted) => hasRoom(holds, pending.part, wanted),
  ownerHasOneToken: false,
  isAlone: () => false,
  describe: ({ permits }) => ({ permits })
})
