/** Breadth first through every state that can be reached: the first violation that is found is one of the shortest. */
import { type Bound, type Subject, slotSize } from "./model.js"
import { type MoveName, Moves } from "./moves.js"
import { narrate } from "./narrate.js"
import { System } from "./system.js"

export interface Options {
  readonly subject: Subject
  /** Judge every answer of the storage by the rules of the port, too; not only the states by what clients believe. */
  readonly judgeAnswers?: boolean | undefined
  /** Gives up there. */
  readonly mostStates?: number | undefined
  readonly onProgress?: ((states: number, depth: number) => void) | undefined
}

export interface Result {
  readonly bound: Bound
  readonly states: number
  readonly transitions: number
  /** Moves from the beginning to the farthest state. */
  readonly depth: number
  readonly seconds: number
  /** Every state of the bound was visited. */
  readonly complete: boolean
  /** How often each kind of move was made: a move that never happens proves nothing. */
  readonly moves: ReadonlyMap<MoveName, number>
  readonly violation: { readonly rule: string; readonly path: ReadonlyArray<string> } | undefined
}

/** Clients that differ in nothing but their names may change places. */
const permutations = ({ leases, owners }: Bound): Array<Array<number>> => {
  const all = (rest: Array<number>): Array<Array<number>> =>
    rest.length === 0
      ? [[]]
      : rest.flatMap((first) => all(rest.filter((other) => other !== first)).map((tail) => [first, ...tail]))
  return all(owners.map((_, i) => i)).filter((to) =>
    owners.every(
      (owner, i) =>
        leases[i]!.join() === leases[to[i]!]!.join() &&
        owners.every((other, j) => (owner === other) === (owners[to[i]!] === owners[to[j]!]))
    )
  )
}

class Canon {
  private readonly ways: Array<ReadonlyArray<number>>
  private readonly best: Buffer
  private readonly other: Buffer

  constructor(readonly system: System) {
    const { bound, names } = system
    this.ways = permutations(bound)
      .map((to) => {
        const first = bound.owners.map((_, client) => names.client.indexOf(client))
        return names.client.map((client, i) => first[to[client]!]! + i - first[client]!)
      })
      .filter((way) => way.some((to, from) => to !== from))
    this.best = Buffer.alloc(system.size)
    this.other = Buffer.alloc(system.size)
  }

  key(state: Buffer): string {
    let { best, other } = this
    best.set(state)
    for (let way = 0; way < this.ways.length; way++) {
      this.rename(state, other, way)
      if (other.compare(best) < 0) [best, other] = [other, best]
    }
    return best.toString("latin1")
  }

  private rename(state: Buffer, into: Buffer, way: number): void {
    const { system } = this
    const holds = this.ways[way]!
    into.set(state)
    system.setRecord(into, system.permute(way, system.recordNumber(state), holds))
    const from = system.slots - system.bound.late
    for (let i = from; i < system.slots; i++) {
      const code = state[i]!
      if (code === 0) break
      const index = (code - 1) % holds.length
      const renamed = code - index + holds[index]!
      let place = i
      for (; place > from && into[place - 1]! < renamed; place--) into[place] = into[place - 1]!
      into[place] = renamed
    }
    for (let i = 0; i < holds.length; i++) {
      const source = system.at(i)
      into.set(state.subarray(source, source + slotSize), system.at(holds[i]!))
    }
  }
}

/** After so many states whoever runs it may do something else for a moment. */
const breath = 5_000

/** In steps: a search may take long, and nothing else happens in its thread meanwhile. */
export function* searching(bound: Bound, options: Options): Generator<void, Result> {
  const began = performance.now()
  const system = new System(bound, options.subject, options.judgeAnswers ?? true)
  const moves = new Moves(system)
  const canon = new Canon(system)
  const counts = new Map<MoveName, number>()
  const mostStates = options.mostStates ?? Number.POSITIVE_INFINITY

  const first = canon.key(system.initial())
  const seen = new Set<string>([first])
  const keys = [first]
  const parents = [0]
  const state = Buffer.alloc(system.size)
  let transitions = 0
  let depth = 0
  let end = 1
  let bad: { readonly parent: number; readonly key: string; readonly rule: string } | undefined

  let i = 0
  for (; i < keys.length && bad === undefined && keys.length < mostStates; i++) {
    if (i === end) {
      depth++
      end = keys.length
      options.onProgress?.(keys.length, depth)
    }
    if (i % breath === 0) yield
    state.write(keys[i]!, 0, "latin1")
    moves.from(state, (next, move, _index, broken) => {
      transitions++
      counts.set(move, (counts.get(move) ?? 0) + 1)
      const key = canon.key(next)
      if (broken !== undefined) bad ??= { parent: i, key, rule: broken }
      if (seen.has(key)) return
      seen.add(key)
      keys.push(key)
      parents.push(i)
      const rule = system.broken(next)
      if (rule !== undefined) bad ??= { parent: i, key, rule }
    })
  }

  let violation: Result["violation"]
  if (bad !== undefined) {
    const path = [bad.key]
    for (let at = bad.parent; ; at = parents[at]!) {
      path.unshift(keys[at]!)
      if (at === 0) break
    }
    violation = { rule: bad.rule, path: retrace(system, moves, canon, path, bad.rule) }
  }
  return {
    bound,
    states: keys.length,
    transitions,
    depth,
    seconds: (performance.now() - began) / 1000,
    complete: bad === undefined && i === keys.length,
    moves: counts,
    violation
  }
}

/** Every step at once. */
export const atOnce = <A>(steps: Generator<void, A>): A => {
  for (;;) {
    const { done, value } = steps.next()
    if (done === true) return value
  }
}

export const search = (bound: Bound, options: Options): Result => atOnce(searching(bound, options))

/** The keys are of states whose clients may have changed names. Here nobody does. */
const retrace = (
  system: System,
  moves: Moves,
  canon: Canon,
  path: ReadonlyArray<string>,
  rule: string
): Array<string> => {
  const lines: Array<string> = []
  let state = system.initial()
  for (let step = 1; step < path.length; step++) {
    let found: Buffer | undefined
    const last = step === path.length - 1
    moves.from(state, (next, move, index, broken) => {
      if (found !== undefined || canon.key(next) !== path[step]) return
      if (last && broken !== rule && system.broken(next) !== rule) return
      found = Buffer.from(next)
      lines.push(narrate(system, state, found, move, index))
    })
    state = found!
  }
  return lines
}
