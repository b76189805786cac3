/** The promises on which the protected resource depends. */
import type { Property } from "./checker.js"
import type { Of } from "./facts.js"
import type { Event } from "./history.js"
import { excludes, tooMany } from "./parts.js"

/** Times are compared with this tolerance, in milliseconds. */
const instant = 0.01

interface Guarantee {
  readonly got: Of<"got">
  until: number
}

/** While one owner was told that it surely has a lock, no other owner is told so, unless they may have it together; and of permits there are never more than any of their limits. */
export const exclusion: Property = function* (history, rules, facts) {
  if (rules.lostWrites) return
  const guarantees = new Map<string, Map<string, Guarantee>>()
  for (const [index, event] of history.entries()) {
    if (event.type !== "got" && event.type !== "look") continue
    const hold = facts.holds.get(event.hold)
    if (hold === undefined || event.until <= event.t || hold.over < event.t) continue
    const { lock, owner, part } = hold.got
    let ofLock = guarantees.get(lock)
    if (ofLock === undefined) guarantees.set(lock, (ofLock = new Map()))
    const beside = [part]
    for (const [id, other] of ofLock) {
      const over = Math.min(other.until, facts.holds.get(id)!.over)
      if (over <= event.t + instant) {
        // It may still look again: only what is over for good is forgotten.
        if (facts.holds.get(id)!.over <= event.t) ofLock.delete(id)
        continue
      }
      if (facts.holdWasFreedAtOnce(hold.got) || facts.holdWasFreedAtOnce(other.got)) continue
      if (id !== event.hold) beside.push(other.got.part)
      if (other.got.owner === owner || !excludes(part, other.got.part)) continue
      yield [
        index,
        `${owner} surely has ${lock} with ${event.hold} while ${other.got.owner} surely has it with ${id} until ${over.toFixed(1)}`
      ]
    }
    if (tooMany(beside))
      yield [index, `${event.hold} surely has its permits of ${lock}, and with those of others they are too many`]
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
      // Of several holds, each may be over, and be renewed before anybody has taken its place.
      if (event.each === undefined && given !== undefined && (rules.atomic || event.op !== "time")) given.freed = true
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

interface Seen {
  token: number
  owner: string | undefined
  p: string
  sent: number
}

/** The resource accepts in the order of tokens (reads beside each other); nobody writes after having been told; and who surely has the lock is never rejected. */
export const fencing: Property = function* (history, rules, facts) {
  /** The newest of those that have written, and of those that have read. */
  const highest = new Map<string, { readonly write: Seen; readonly read: Seen }>()
  const until = new Map<string, number>()
  for (const [index, event] of history.entries()) {
    if (event.type === "got" || event.type === "look") {
      until.set(event.hold, Math.max(until.get(event.hold) ?? 0, event.until))
      continue
    }
    if (event.type !== "write") continue
    const { accepted, access = "write", hold, lock, sent, t, token } = event
    const facts_ = facts.holds.get(hold)
    if (access !== "unfenced") {
      let top = highest.get(lock)
      if (top === undefined) highest.set(lock, (top = { write: nobody(), read: nobody() }))
      const { read, write } = top
      const newest = access === "write" && read.token > write.token ? read : write
      if (accepted && token < newest.token)
        yield [index, `a ${access} of ${lock} with token ${token} was accepted after one with ${newest.token}`]
      const sure = Math.min(until.get(hold) ?? 0, facts_?.over ?? 0)
      // It is an owner's own doing if it writes in one process and reads in another, and so has one token there and another here; or if a read that it sent before its write comes after that.
      const isOwn =
        event.access !== undefined && newest.owner === facts_?.got.owner && (newest.p !== event.p || sent < newest.sent)
      if (
        facts_ !== undefined &&
        !accepted &&
        t < sure &&
        !isOwn &&
        !rules.lostWrites &&
        !facts.holdWasFreedAtOnce(facts_.got)
      )
        yield [index, `a ${access} of ${hold} was rejected while it surely had ${lock} until ${sure.toFixed(1)}`]
      const mine = top[access]
      if (accepted && token >= mine.token) Object.assign(mine, { token, owner: facts_?.got.owner, p: event.p, sent })
    }
    if (facts_ !== undefined && accepted && facts_.over < sent)
      yield [index, `${hold} wrote at ${sent.toFixed(1)}, after it was over at ${facts_.over.toFixed(1)}`]
  }
}

const nobody = (): Seen => ({ token: 0, owner: undefined, p: "", sent: 0 })

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
    const { lock } = hold.got
    if (facts.holdWasFreedAtOnce(hold.got)) continue
    const ends = keptUntil(states.get(lock), hold.got, facts.holdWasForced(hold.got))
    if (ends === undefined)
      yield [index, `${event.hold} is told to have ${lock} until ${event.until.toFixed(1)}, and the storage has it not`]
    else if (event.until + rules.margin > ends + rules.clockBound) {
      yield [
        index,
        `${event.hold} is told to have ${lock} until ${event.until.toFixed(1)}, but its lease ends at ${ends.toFixed(1)}, and the margin is ${rules.margin}`
      ]
    }
  }
}

/** When the storage will let go of a hold, if it has it. */
const keptUntil = (state: Of<"state"> | undefined, got: Of<"got">, wasForced: boolean): number | undefined => {
  if (state === undefined || state.holds.length === 0) return undefined
  if (got.part === undefined)
    return state.token === got.token && (state.holds.includes(got.hold) || wasForced) ? state.ends : undefined
  return wasForced ? state.ends : state.each?.find(({ hold }) => hold === got.hold)?.ends
}

/** The holds of a lock, with the end of each. */
const holdsIn = (state: Extract<Event, { readonly type: "state" }>) =>
  state.each ?? state.holds.map((hold) => ({ hold, ends: state.ends }))

/** Whatever is done to a lock, the holds of others stay in it: only who ends a hold takes it out. */
export const untouched: Property = function* (history, rules, facts) {
  if (rules.lostWrites || rules.leaps) return
  const states = new Map<string, Of<"state">>()
  for (const [index, event] of history.entries()) {
    if (event.type !== "state") continue
    const before = states.get(event.lock)
    states.set(event.lock, event)
    if (before === undefined || before.ends <= event.t + rules.clockBound) continue
    if (
      before.each === undefined &&
      before.token === event.token &&
      event.holds.length > 0 &&
      event.ends < before.ends - rules.clockBound
    ) {
      yield [
        index,
        `${event.op} by ${event.by} makes the lease of ${event.lock} end at ${event.ends.toFixed(1)}, and it ended at ${before.ends.toFixed(1)} before`
      ]
    }
    if (before.each === undefined && facts.wasForced(event.lock, before.token)) continue
    const now = new Map(holdsIn(event).map(({ ends, hold }) => [hold, ends]))
    for (const { ends, hold } of holdsIn(before)) {
      if (before.each !== undefined && ends <= event.t + rules.clockBound) continue
      const endsNow = now.get(hold)
      if (before.each !== undefined && endsNow !== undefined && endsNow < ends - rules.clockBound)
        yield [
          index,
          `${event.op} by ${event.by} makes ${hold} end at ${endsNow.toFixed(1)}, and it ended at ${ends.toFixed(1)} before`
        ]
      if (endsNow !== undefined) continue
      const known = facts.holds.get(hold)
      if (known === undefined || known.got.t > event.t || facts.holdWasForced(known.got)) continue
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
      for (const { ends: end, hold } of holdsIn(event)) {
        const known = facts.holds.get(hold)
        if (known !== undefined && (event.each === undefined || ends.get(hold)?.t !== end))
          ends.set(hold, { t: end, p: known.got.p, since: event.t })
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
