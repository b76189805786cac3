/** Runs contenders against each other in many short, interleaved blocks. */
import { blockCost, blockSize, order, ratios, type Spread, spread } from "./statistics.js"

export interface Contender {
  readonly name: string
  /** Runs so many operations to their end. Rejects if one of them does not do what it should: a benchmark of failures is none. */
  readonly run: (operations: number) => Promise<void>
}

export interface Plan {
  /** Operations of the lock on memory before anything is measured. */
  readonly settle: number
  readonly rounds: number
  /** Rounds before the first that counts. */
  readonly warmUp: number
  /** How long a block of the floor should be, in milliseconds; the slowest contender's may be four times as long, and the floor's is shorter if need be. */
  readonly blockMillis: number
}

export interface Measured {
  readonly name: string
  /** Microseconds per operation. */
  readonly micros: Spread
  /** To the floor, round by round. */
  readonly ratio: Spread
}

export interface Comparison {
  readonly storage: string
  readonly scenario: string
  readonly operationsPerBlock: number
  /** The first one is the floor. */
  readonly contenders: ReadonlyArray<Measured>
}

export const compare = async (
  what: { readonly storage: string; readonly scenario: string; readonly width?: number },
  contenders: ReadonlyArray<Contender>,
  plan: Plan,
  progress: (text: string) => void,
  /** Takes the failure of one that is not the floor: the rest goes on without it. Default: it ends the comparison. */
  failed?: (name: string, error: unknown) => void
): Promise<Comparison> => {
  const width = what.width ?? 1
  const gone = new Set<number>()
  const block = async (index: number, operations: number): Promise<number> => {
    // What never does I/O never lets the event loop turn, and then no signal is heard.
    await new Promise((resolve) => setImmediate(resolve))
    const start = performance.now()
    await contenders[index]!.run(operations)
    return (performance.now() - start) / operations
  }
  /** In turn, those that are still there. */
  const turn = async (
    round: number,
    operations: number,
    take: (index: number, millis: number) => void
  ): Promise<void> => {
    for (const index of order(contenders.length, round)) {
      if (gone.has(index)) continue
      try {
        take(index, await block(index, operations))
      } catch (error) {
        if (index === 0 || failed === undefined) throw error
        gone.add(index)
        failed(contenders[index]!.name, error)
      }
    }
  }
  const title = `${what.storage}: ${what.scenario}`
  let operations = width
  for (let round = 0; round < plan.warmUp; round++) {
    progress(`${title}, warming up`)
    const millis: Array<number> = []
    await turn(round, operations, (index, taken) => (millis[index] = taken))
    operations = blockSize(blockCost(millis.filter((_) => _ !== undefined)), plan.blockMillis, width)
  }
  const taken = contenders.map((): Array<number> => [])
  for (let round = 0; round < plan.rounds; round++) {
    await turn(round, operations, (index, millis) => taken[index]!.push(1000 * millis))
    progress(`${title}, round ${round + 1} of ${plan.rounds}`)
  }
  return {
    storage: what.storage,
    scenario: what.scenario,
    operationsPerBlock: operations,
    contenders: contenders.flatMap(({ name }, index) =>
      gone.has(index) ? [] : [{ name, micros: spread(taken[index]!), ratio: spread(ratios(taken[index]!, taken[0]!)) }]
    )
  }
}
