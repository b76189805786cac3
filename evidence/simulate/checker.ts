/** Whether a history keeps every promise of the library. One function per promise, each on the events alone, so that histories of real processes can be checked too. */
import type { History, Rules } from "./history.js"
import { Facts } from "./facts.js"
import * as honesty from "./honesty.js"
import * as safety from "./safety.js"
import * as service from "./service.js"

export interface Violation {
  readonly property: string
  /** Which event shows it. */
  readonly index: number
  readonly message: string
}

export type Property = (
  history: History,
  rules: Rules,
  facts: Facts
) => Iterable<readonly [index: number, message: string]>

export const properties: Readonly<Record<string, Property>> = {
  exclusion: safety.exclusion,
  tokens: safety.tokens,
  fencing: safety.fencing,
  deadline: safety.deadline,
  untouched: safety.untouched,
  told: safety.told,
  reasons: honesty.reasons,
  applied: honesty.applied,
  contention: honesty.contention,
  ghosts: honesty.ghosts,
  calm: service.calm,
  swift: service.swift,
  result: service.result,
  stopped: service.stopped,
  prompt: service.prompt,
  order: service.order,
  progress: service.progress,
  nothingLeft: service.nothingLeft
}

export const check = (history: History, rules: Rules): ReadonlyArray<Violation> => {
  const facts = new Facts(history)
  return Object.entries(properties)
    .flatMap(([property, find]) =>
      Array.from(find(history, rules, facts), ([index, message]) => ({ property, index, message }))
    )
    .sort((a, b) => a.index - b.index)
}
