/** Makes a failing plan smaller for as long as it fails in the same way: fewer processes, fewer faults, fewer actions, a better network. */
import type { Action, Network, Plan } from "./plan.js"
import { run } from "./run.js"

const without = <A>(items: ReadonlyArray<A>, index: number): ReadonlyArray<A> => items.filter((_, i) => i !== index)
const replaced = <A>(items: ReadonlyArray<A>, index: number, item: A): ReadonlyArray<A> =>
  items.map((old, i) => (i === index ? item : old))

const simplerActions = function* (action: Action): Iterable<Action> {
  if (action.nested) yield { ...action, nested: false }
  if (action.interruptAfter !== undefined) yield { ...action, interruptAfter: undefined }
  if (action.timeout !== undefined) yield { ...action, timeout: undefined }
  if (action.renews) yield { ...action, renews: false }
  if (action.releasesEarly) yield { ...action, releasesEarly: false }
  if (action.fails) yield { ...action, fails: false }
  if (action.finalizer > 0) yield { ...action, finalizer: 0 }
  if (action.looks > 1) yield { ...action, looks: 1 }
}

const smaller = function* (plan: Plan): Iterable<Plan> {
  // A process is emptied rather than taken away, so that faults keep their process.
  for (const [i, process] of plan.processes.entries()) {
    if (process.actors.length > 0) {
      yield {
        ...plan,
        processes: replaced(plan.processes, i, { ...process, actors: [] }),
        faults: plan.faults.filter((fault) => !("process" in fault) || fault.process !== i)
      }
    }
  }
  const last = plan.processes.length - 1
  if (
    last > 0 &&
    plan.processes[last]!.actors.length === 0 &&
    plan.faults.every((fault) => !("process" in fault) || fault.process !== last)
  ) {
    yield { ...plan, processes: plan.processes.slice(0, last) }
  }
  for (const i of plan.faults.keys()) yield { ...plan, faults: without(plan.faults, i) }
  for (const [i, process] of plan.processes.entries()) {
    const change = (actors: typeof process.actors): Plan => ({
      ...plan,
      processes: replaced(plan.processes, i, { ...process, actors })
    })
    for (const [j, actions] of process.actors.entries()) {
      yield change(without(process.actors, j))
      for (const [k, action] of actions.entries()) {
        yield change(replaced(process.actors, j, without(actions, k)))
        for (const simpler of simplerActions(action))
          yield change(replaced(process.actors, j, replaced(actions, k, simpler)))
      }
    }
  }
  for (const [name, value] of Object.entries(plan.network) as Array<[keyof Network, number]>) {
    if (value > 0 && name !== "slowest" && name !== "rareMillis")
      yield { ...plan, network: { ...plan.network, [name]: 0 } }
  }
  if (plan.hourLater) yield { ...plan, hourLater: false }
}

export interface Shrunk {
  readonly plan: Plan
  readonly runs: number
}

export const shrink = (failing: Plan, property: string, mostRuns = 400): Shrunk => {
  let plan = failing
  let runs = 0
  for (let again = true; again && runs < mostRuns;) {
    again = false
    for (const candidate of smaller(plan)) {
      if (++runs > mostRuns) break
      if (!run(candidate).violations.some((violation) => violation.property === property)) continue
      plan = candidate
      again = true
      break
    }
  }
  return { plan, runs }
}
