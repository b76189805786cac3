/** The promises on which the protected resource depends. */
import type { Property } from "./checker.js"
import type { Of } from "./facts.js"

/** Times are compared with this tolerance, in milliseconds. */
const instant = 0.01

interface Guarantee {
  readonly got: Of<"got">
  until: number
}

/** While one owner was told that it surely has a lock, no other owner is told so. */
export const exclusion: Property = function* (history, rules, facts) {
  if (rules.lostWrites) return
  const guarantees = new Map<string, Map<string, Guarantee>>()
  for (const [index, event] of history.entries()) {
    if (event.type !== "got" && event.type !== "look") continue
    const hold = facts.holds.get(event.hold)
    if (hold === undefined || event.until <= event.t || hold.over < event.t) continue
    const { lock, owner, token } = hold.got
    let ofLock = guarantees.get(lock)
    if (ofLock === undefined) guarantees.set(lock, (ofLock = new Map()))
    for (const [id, other] of ofLock) {
      const over = Math.min(other.until, facts.holds.get(id)!.over)
      if (over <= event.t + instant) {
        // It may still look again: only what is over for good is forgotten.
        if (facts.holds.get(id)!.over <= event.t) ofLock.delete(id)
        continue
      }
      if (other.got.owner === owner) continue
      if (facts.wasFreedAtOnce(lock, token) || facts.wasFreedAtOnce(lock, other.got.token)) continue
      yield [
        index,
        `${owner} surely has ${lock} with ${event.hold} while ${other.got.owner} surely has it with ${id} until ${over.toFixed(1)}`
      ]
    }
    const mine = ofLock.get(event.hold)
    if (mine === undefined) ofLock.set(event.hold, { got: hold.got, until: event.until })
    else mine.until = Math.max(mine.until, event.until)
  }
}

/** A token that was never given before is higher than all that were; one that was is only deepened by its owner; a lock that was freed never comes back with the same. */
export const tokens: Property = function* (history, rules) {
  const known = new Map<string, Map<number, { readonly owner: string; freed: boolean }>>()
  const highest = new Map<string, number>()
  for (const [index, event] of history.entries()) {
    if (event.type !== "state") continue
    const { holds, lock, owner, token } = event
    let ofLock = known.get(lock)
    if (ofLock === undefined) known.set(lock, (ofLock = new Map()))
    const given = ofLock.get(token)
    if (holds.length === 0) {
      if (given !== undefined && (rules.atomic || event.op !== "time")) given.freed = true
      continue
    }
    if (given === undefined) {
      const top = highest.get(lock) ?? 0
      if (token <= top && event.op !== "promotion")
        yield [index, `the new token ${token} of ${lock} is not above ${top}`]
      highest.set(lock, Math.max(top, token))
      ofLock.set(token, { owner, freed: false })
    } else if (event.op === "promotion") {
      given.freed = false
    } else {
      if (given.freed) yield [index, `${lock} was free, and has the token ${token} again`]
      if (owner !== given.owner && owner !== "")
        yield [index, `the token ${token} of ${lock} was ${given.owner}'s, and is ${owner}'s`]
    }
  }
  const gotten = new Map<string, string>()
  for (const [index, event] of history.entries()) {
    if (event.type !== "got") continue
    const key = `${event.lock} ${event.token}`
    const owner = gotten.get(key)
    if (owner !== undefined && owner !== event.owner)
      yield [index, `both ${owner} and ${event.owner} were given the token ${event.token} of ${event.lock}`]
    gotten.set(key, event.owner)
  }
}

/** The resource accepts in the order of tokens; nobody writes after having been told; and who surely has the lock is never rejected. */
export const fencing: Property = function* (history, rules, facts) {
  const highest = new Map<string, number>()
  const until = new Map<string, number>()
  for (const [index, event] of history.entries()) {
    if (event.type === "got" || event.type === "look") {
      until.set(event.hold, Math.max(until.get(event.hold) ?? 0, event.until))
      continue
    }
    if (event.type !== "write") continue
    const { accepted, hold, lock, sent, t, token } = event
    const top = highest.get(lock) ?? 0
    if (accepted && token < top)
      yield [index, `a write to ${lock} with token ${token} was accepted after one with ${top}`]
    if (accepted) highest.set(lock, Math.max(top, token))
    const facts_ = facts.holds.get(hold)
    if (facts_ === undefined) continue
    if (accepted && facts_.over < sent)
      yield [index, `${hold} wrote at ${sent.toFixed(1)}, after it was over at ${facts_.over.toFixed(1)}`]
    const sure = Math.min(until.get(hold) ?? 0, facts_.over)
    if (!accepted && t < sure && !rules.lostWrites && !facts.wasFreedAtOnce(lock, token)) {
      yield [index, `a write of ${hold} was rejected while it surely had ${lock} until ${sure.toFixed(1)}`]
    }
  }
}

/** Nobody is told to have a lock for longer than the storage keeps it for them, less the margin. */
export const deadline: Property = function* (history, rules, facts) {
  if (rules.lostWrites || rules.leaps) return
  const states = new Map<string, Of<"state">>()
  for (const [index, event] of history.entries()) {
    if (event.type === "state") states.set(event.lock, event)
    if (event.type === "got" && event.until <= event.t)
      yield [index, `${event.hold} is given to #${event.n} when its time is over`]
    if ((event.type !== "got" && event.type !== "look") || event.until <= event.t) continue
    const hold = facts.holds.get(event.hold)
    if (hold === undefined || hold.over < event.t) continue
    const { lock, token } = hold.got
    if (facts.wasFreedAtOnce(lock, token)) continue
    const state = states.get(lock)
    const keeps =
      state !== undefined &&
      state.token === token &&
      state.holds.length > 0 &&
      (state.holds.includes(event.hold) || facts.wasForced(lock, token))
    if (!keeps)
      yield [index, `${event.hold} is told to have ${lock} until ${event.until.toFixed(1)}, and the storage has it not`]
    else if (event.until + rules.margin > state.ends + rules.clockBound) {
      yield [
        index,
        `${event.hold} is told to have ${lock} until ${event.until.toFixed(1)}, but its lease ends at ${state.ends.toFixed(1)}, and the margin is ${rules.margin}`
      ]
    }
  }
}

/** Whatever is done to a lock, the holds of others stay in it: only who ends a hold takes it out. */
export const untouched: Property = function* (history, rules, facts) {
  if (rules.lostWrites || rules.leaps) return
  const states = new Map<string, Of<"state">>()
  for (const [index, event] of history.entries()) {
    if (event.type !== "state") continue
    const before = states.get(event.lock)
    states.set(event.lock, event)
    if (before === undefined || before.ends <= event.t + rules.clockBound) continue
    if (before.token === event.token && event.holds.length > 0 && event.ends < before.ends - rules.clockBound) {
      yield [
        index,
        `${event.op} by ${event.by} makes the lease of ${event.lock} end at ${event.ends.toFixed(1)}, and it ended at ${before.ends.toFixed(1)} before`
      ]
    }
    if (facts.wasForced(event.lock, before.token)) continue
    for (const hold of before.holds) {
      if (event.holds.includes(hold)) continue
      const known = facts.holds.get(hold)
      if (known === undefined || known.got.t > event.t) continue
      const ending = known.ended > event.t && !facts.jumped.has(known.got.p)
      if (ending && known.expired <= event.t && event.t < known.expired + rules.margin - 2) {
        yield [
          index,
          `${hold} is taken out of ${event.lock} while its body, which was told of its loss at ${known.expired.toFixed(1)}, ends within the margin`
        ]
      }
      if (known.over <= event.t) continue
      yield [index, `${event.op} by ${event.by} takes the hold ${hold} out of ${event.lock}, which has not ended`]
    }
  }
}

/** A hold is told of its loss before the storage may give the lock to another, if its process runs. */
export const told: Property = function* (history, rules, facts) {
  if (rules.lostWrites || rules.leaps) return
  const ends = new Map<string, { t: number; readonly p: string; since: number }>()
  const end = history.at(-1)?.t ?? 0
  const late = (hold: string, at: number): string | undefined => {
    const last = ends.get(hold)
    if (last === undefined) return undefined
    const due = last.t - rules.margin + rules.clockBound + 2
    const excused = facts.excuse(last.p, last.since, due)
    return at > excused ? `${hold} should have been told of its loss by ${excused.toFixed(1)}` : undefined
  }
  for (const [index, event] of history.entries()) {
    if (event.type === "state") {
      for (const hold of event.holds) {
        const known = facts.holds.get(hold)
        if (known !== undefined) ends.set(hold, { t: event.ends, p: known.got.p, since: event.t })
      }
    } else if (event.type === "lost" || event.type === "end") {
      const problem = late(event.hold, event.t)
      if (problem !== undefined && facts.holds.get(event.hold)!.over === event.t) yield [index, problem]
    }
  }
  for (const [hold, { index, over }] of facts.holds) {
    if (over !== Number.POSITIVE_INFINITY) continue
    const problem = late(hold, end)
    if (problem !== undefined) yield [index, problem]
  }
}
