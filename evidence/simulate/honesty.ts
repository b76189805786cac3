/** What programs are told, and what is left of those who are done: promises that hold on any network, also where answers are lost. */
import type { Property } from "./checker.js"
import type { Of } from "./facts.js"

/** A loss is told with the reason that the storage's history shows, and no other: nobody looks for an operator who was not there. */
export const reasons: Property = function* (history, rules, facts) {
  const highest = new Map<string, number>()
  const states = new Map<string, Of<"state">>()
  const closes = new Set<string>()
  for (const [index, event] of history.entries()) {
    if (event.type === "state") {
      highest.set(event.lock, Math.max(highest.get(event.lock) ?? 0, event.token))
      states.set(event.lock, event)
    }
    if (event.type === "closing") closes.add(event.p)
    if (event.type !== "lost") continue
    const hold = facts.holds.get(event.hold)
    if (hold === undefined) continue
    const { lock, p, part, token } = hold.got
    const wrong = (why: string) =>
      [index, `${event.hold} is told that it was lost as ${event.reason}, but ${why}`] as const
    switch (event.reason) {
      case "Forced":
        if (!facts.holdWasForced(hold.got)) yield wrong("no operator has taken it away")
        break
      case "Taken":
        if ((highest.get(lock) ?? 0) <= token) yield wrong("nobody has had the lock since")
        break
      case "Vanished":
        // A record that has others in it tells nothing of one that is over.
        if (part === undefined ? !rules.lostWrites : states.get(lock)?.holds.includes(event.hold) === true)
          yield wrong("the storage has forgotten nothing")
        break
      case "Closed":
        if (!closes.has(p)) yield wrong("its layer is open")
        break
    }
  }
}

/** Who is told that nothing was applied has nothing in the storage, of anything that it asked for. */
export const applied: Property = function* (history) {
  const open = new Map<string, Set<number>>()
  /** What attempts have asked for that were alone in it in their process, so that it is known whose it was. */
  const asked = new Map<number, Set<string>>()
  const put = new Set<string>()
  const locks = new Map<number, string>()
  for (const [index, event] of history.entries()) {
    if (event.type === "want") {
      const key = `${event.p} ${event.lock}`
      locks.set(event.n, key)
      const others = open.get(key) ?? new Set()
      open.set(key, others)
      // Where several want it, it is not known which of them asks.
      for (const other of others) asked.delete(other)
      if (others.size === 0) asked.set(event.n, new Set())
      others.add(event.n)
    } else if (event.type === "asks") {
      for (const n of open.get(`${event.p} ${event.lock}`) ?? []) asked.get(n)?.add(event.hold)
    } else if (event.type === "state") {
      // A copy of a message that was answered is the network's doing alone.
      if (!event.op.endsWith("(again)")) for (const hold of event.holds) put.add(hold)
    } else if (event.type === "done") {
      open.get(locks.get(event.n) ?? "")?.delete(event.n)
      if (event.applied !== "no") continue
      for (const hold of asked.get(event.n) ?? []) {
        if (put.has(hold))
          yield [index, `#${event.n} is told that nothing was applied (${event.exit}), but ${hold} was`]
      }
    }
  }
}

/** What may have been true a moment before somebody came may be told to them. In milliseconds. */
const justBefore = 100

/** `LockTimeout` is told where somebody had the lock, and never of a storage that does not answer. */
export const contention: Property = function* (history, rules, facts) {
  if (rules.lostWrites) return
  const wants = new Map<number, Of<"want">>()
  /** When each lock was last held by anybody. */
  const held = new Map<string, number>()
  for (const [index, event] of history.entries()) {
    if (event.type === "want") wants.set(event.n, event)
    if (event.type === "state" && !(rules.observed === true && event.op === "time"))
      held.set(event.lock, event.holds.length > 0 || event.pending !== undefined ? Number.POSITIVE_INFINITY : event.t)
    if (event.type !== "done" || event.exit !== "LockTimeout") continue
    const want = wants.get(event.n)
    if (want === undefined || (held.get(want.lock) ?? Number.NEGATIVE_INFINITY) >= want.t - justBefore) continue
    // Who does not know yet that it was taken away still has it, as far as its process can tell.
    // So does who has given it back, and has not been told yet that it is free.
    const believes = Array.from(facts.holds.values()).some(({ got, over }) => {
      const known = got.p === want.p ? Math.max(over, facts.done.get(got.n)?.t ?? over) : over
      return got.lock === want.lock && got.t <= event.t && known >= want.t - justBefore
    })
    if (believes) continue
    yield [index, `#${event.n} is told that somebody has ${want.lock}, and nobody has had it since it came`]
  }
}

interface Claim {
  readonly asked: number
  /** Whether it is known what came of it. */
  known: boolean
}

interface Ghost {
  readonly p: string
  readonly lock: string
  readonly claims: Array<Claim>
  /** Since when nobody has been left who might want it. */
  done: number
  /** When the storage last put it in, by which claim, and whether by a copy of its message. */
  applied: number
  by: Claim | undefined
  isCopy: boolean
  /** When it was last given back, as far as its process is concerned. */
  given: number
}

const isOver = (ghost: Ghost): boolean => ghost.done >= (ghost.claims.at(-1)?.asked ?? Number.POSITIVE_INFINITY)

/** Who is done with a lock sees to it that nothing stays of what it asked for: what was put in after that, it gives back. It may be lost on the way, but it must be sent. */
export const ghosts: Property = function* (history, rules, facts) {
  const { lease } = rules
  if (rules.lostWrites || lease === undefined) return
  const ghosts = new Map<string, Ghost>()
  /** Attempts that are not over, by process and lock. */
  const open = new Map<string, Set<number>>()
  const wants = new Map<number, Of<"want">>()
  const kept = new Map<string, Of<"state">>()
  const ended = new Map<string, number>()
  const wanting = (p: string, lock: string) => {
    const key = `${p} ${lock}`
    let set = open.get(key)
    if (set === undefined) open.set(key, (set = new Set()))
    return set
  }
  for (const [index, event] of history.entries()) {
    switch (event.type) {
      case "want":
        wants.set(event.n, event)
        wanting(event.p, event.lock).add(event.n)
        break
      case "done": {
        const want = wants.get(event.n)
        if (want === undefined) break
        const others = wanting(want.p, want.lock)
        others.delete(event.n)
        if (others.size > 0) break
        for (const ghost of ghosts.values()) {
          if (ghost.p === want.p && ghost.lock === want.lock && !isOver(ghost)) ghost.done = event.t
        }
        break
      }
      case "crash":
      case "closing":
        ended.set(event.p, event.t)
        break
      case "asks": {
        const ghost = ghosts.get(event.hold)
        const claim = { asked: event.t, known: false }
        const unwanted = Number.NEGATIVE_INFINITY
        if (ghost === undefined)
          ghosts.set(event.hold, {
            p: event.p,
            lock: event.lock,
            claims: [claim],
            done: unwanted,
            applied: 0,
            by: claim,
            isCopy: false,
            given: unwanted
          })
        else {
          ghost.claims.push(claim)
          ghost.done = ghost.given = unwanted
        }
        break
      }
      case "knows": {
        const claim = ghosts.get(event.hold)?.claims.at(-1)
        if (claim !== undefined) claim.known = true
        break
      }
      case "gives": {
        const ghost = ghosts.get(event.hold)
        if (ghost !== undefined) ghost.given = event.t
        break
      }
      case "state": {
        const before = kept.get(event.lock)
        kept.set(event.lock, event)
        for (const hold of event.holds) {
          const ghost = before?.holds.includes(hold) === true ? undefined : ghosts.get(hold)
          if (ghost === undefined) continue
          ghost.applied = event.t
          ghost.by = ghost.claims.filter(({ asked }) => asked <= (event.sent ?? event.t)).at(-1)
          ghost.isCopy = event.op.endsWith("(again)")
        }
        if (before === undefined || event.op !== "time" || event.holds.length > 0) break
        for (const hold of before.holds) {
          const ghost = ghosts.get(hold)
          const by = ghost?.by
          if (ghost === undefined || by === undefined || !isOver(ghost) || ended.has(ghost.p)) continue
          // A copy of a message that was answered is the network's doing alone; and with one that comes later than this the library does not reckon.
          if ((ghost.isCopy && by.known) || ghost.applied > by.asked + 0.9 * lease) continue
          const since = Math.max(ghost.applied, ghost.done)
          // One call that hangs, and the pause that comes after it: they grow with what it has waited already.
          const due = since + lease / 2 + 100 + 3 * (since - ghost.done + 30)
          if (before.ends <= due || ghost.given >= ghost.applied || facts.isUneven(ghost.p, by.asked, due)) continue
          yield [
            index,
            `${hold} stayed in ${ghost.lock} until its lease was over: its process was done with it at ${ghost.done.toFixed(1)}, it was put in at ${ghost.applied.toFixed(1)}, and nobody gave it back`
          ]
        }
        break
      }
      default:
        break
    }
  }
}
