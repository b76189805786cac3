/** Which promises are checked on real processes: those of the simulation that need no look into the storage, and four that say the same of what can be seen from outside. */
import { properties as simulated, type Property, type Violation } from "../simulate/checker.js"
import { Facts, type Of } from "../simulate/facts.js"
import type { History, Part, Rules } from "../simulate/history.js"
import { excludes, tooMany } from "../simulate/parts.js"

export interface Judging {
  readonly lease: number
  readonly margin: number
  /** How late a process may do what is due, though it noticed no pause of its own. In milliseconds. */
  readonly slack: number
  /** How long a body takes to clean up, at most. */
  readonly longestFinalizer: number
  /** The highest token of each lock in what was judged before. Is brought up to date. */
  readonly highest: Map<string, number>
}

export const rulesOf = ({ lease, longestFinalizer, margin, slack }: Judging): Rules => ({
  margin,
  clockBound: slack,
  // The release is one call, which is bounded by a third of the lease.
  longestEnd: longestFinalizer + lease / 3 + slack,
  slack,
  calm: false,
  hiccups: true,
  swift: undefined,
  atomic: true,
  lostWrites: false
})

/** Permits are beside each other, in any order; reads must only be as new as the last that wrote. */
const isOrdered = (part: Part | undefined): boolean => part === undefined || "mode" in part
const mayWrite = (part: Part | undefined): boolean => part === undefined || ("mode" in part && part.mode === "write")

/** Whoever surely has a lock has its highest token: of all who were told that they have it, also by the word of others. */
const growing = (highest: Map<string, number>): Property =>
  function* (history) {
    const written = new Map<string, number>()
    for (const [index, event] of history.entries()) {
      if (event.type !== "got" || !isOrdered(event.part)) continue
      const top = (mayWrite(event.part) ? highest : written).get(event.lock) ?? 0
      if (event.token < top && event.until > event.t) {
        yield [index, `${event.hold} surely has ${event.lock} with token ${event.token}, after ${top} was given`]
      }
      highest.set(event.lock, Math.max(highest.get(event.lock) ?? 0, event.token))
      if (mayWrite(event.part)) written.set(event.lock, Math.max(top, event.token))
    }
  }

/** Still sure of the lock, though a higher token of it has been given that excludes it: of exclusive locks also where both are of one owner. */
const superseded: Property = function* (history, _rules, facts) {
  const given = new Map<string, Array<Of<"got">>>()
  for (const [index, event] of history.entries()) {
    if (event.type === "got" && isOrdered(event.part)) {
      let ofLock = given.get(event.lock)
      if (ofLock === undefined) given.set(event.lock, (ofLock = []))
      // Of each sort the newest tells.
      const older = ofLock.findIndex(
        ({ owner, part }) => owner === event.owner && mayWrite(part) === mayWrite(event.part)
      )
      if (older >= 0) ofLock.splice(older, 1)
      ofLock.push(event)
    }
    if (event.type !== "look" || event.until <= event.t) continue
    const hold = facts.holds.get(event.hold)
    if (hold === undefined || hold.over < event.t) continue
    const { lock, owner, part, token } = hold.got
    const newer = given
      .get(lock)
      ?.find(
        (other) =>
          other.token > token &&
          excludes(part, other.part) &&
          (mayWrite(part) || mayWrite(other.part)) &&
          (part === undefined || other.owner !== owner)
      )
    if (newer !== undefined)
      yield [index, `${event.hold} surely has ${lock} with token ${token}, while ${newer.token} was given`]
  }
}

/** Who lost a lock was told before another got it that excludes it, if its process ran. */
const toldBefore: Property = function* (history, rules, facts) {
  const slack = rules.slack ?? 0
  const open = new Map<string, Set<string>>()
  for (const [index, event] of history.entries()) {
    if (event.type !== "got") continue
    let ofLock = open.get(event.lock)
    if (ofLock === undefined) open.set(event.lock, (ofLock = new Set()))
    const beside = [event.part]
    for (const id of ofLock) {
      const other = facts.holds.get(id)!
      if (other.over <= event.t) {
        ofLock.delete(id)
        continue
      }
      // It was let in later, and its word came sooner.
      if (other.got.token >= event.token) continue
      // Everything that comes after has a higher token still.
      if (event.part === undefined) ofLock.delete(id)
      // It was due a margin before, at the latest; a pause that reaches into the margin moves it.
      const due = event.t - rules.margin
      const excused = facts.excuse(other.got.p, due, due, slack)
      const by = Math.max(event.t, excused)
      if (other.over <= by) continue
      beside.push(other.got.part)
      if (!excludes(event.part, other.got.part) || (event.part !== undefined && other.got.owner === event.owner))
        continue
      yield [
        index,
        `${event.hold} of ${event.owner} has ${event.lock}, and ${id} of ${other.got.owner} was not told by ${by.toFixed(1)} that it lost it`
      ]
    }
    if (tooMany(beside))
      yield [index, `${event.hold} of ${event.owner} has permits of ${event.lock}, and who lost theirs was not told`]
    ofLock.add(event.hold)
  }
}

/** Nothing takes a hold away from who surely has it. A wall clock that is set ahead makes a process give up sooner, rightly. */
const kept: Property = function* (history, _rules, facts) {
  const until = new Map<string, number>()
  for (const [index, event] of history.entries()) {
    if (event.type === "got" || event.type === "look")
      until.set(event.hold, Math.max(until.get(event.hold) ?? 0, event.until))
    if (event.type !== "lost" || event.reason === "Closed" || event.reason === "Forced" || facts.jumped.has(event.p))
      continue
    const sure = until.get(event.hold) ?? 0
    if (event.t < sure && facts.holds.get(event.hold)?.over === event.t) {
      yield [index, `${event.hold} is lost (${event.reason}), and was sure until ${sure.toFixed(1)}`]
    }
  }
}

/** By the name of the promise. */
export const propertiesFor = (highest: Map<string, number>): Readonly<Record<string, Property>> => ({
  exclusion: simulated["exclusion"]!,
  tokens: simulated["tokens"]!,
  growing: growing(highest),
  superseded,
  fencing: simulated["fencing"]!,
  toldBefore,
  kept,
  result: simulated["result"]!,
  prompt: simulated["prompt"]!,
  order: simulated["order"]!,
  progress: simulated["progress"]!,
  nothingLeft: simulated["nothingLeft"]!
})

export const judge = (history: History, judging: Judging): ReadonlyArray<Violation> => {
  const facts = new Facts(history)
  const rules = rulesOf(judging)
  return Object.entries(propertiesFor(judging.highest))
    .flatMap(([property, find]) =>
      Array.from(find(history, rules, facts), ([index, message]) => ({ property, index, message }))
    )
    .sort((a, b) => a.index - b.index)
}
