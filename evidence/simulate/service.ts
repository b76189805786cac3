/** The promises on which the program depends that uses the locks. */
import type { Property } from "./checker.js"
import type { Of } from "./facts.js"

/** Where nothing goes wrong, nothing is lost, nothing fails, and whatever was claimed is given back before its lease runs out. */
export const calm: Property = function* (history, rules) {
  if (!rules.calm) return
  const wants = new Map<number, Of<"want">>()
  /** Claims that have not been answered yet. */
  const open = new Map<string, { readonly p: string; readonly lock: string }>()
  const isAsking = (p: string, lock: string) =>
    Array.from(open.values()).some((asks) => asks.p === p && asks.lock === lock)
  for (const [index, event] of history.entries()) {
    if (event.type === "want") wants.set(event.n, event)
    if (event.type === "asks") open.set(event.hold, event)
    if (event.type === "knows") open.delete(event.hold)
    if (event.type === "lost") yield [index, `${event.hold} was lost (${event.reason}), though nothing went wrong`]
    if (rules.atomic && event.type === "state" && event.op === "time" && event.holds.length === 0) {
      yield [index, `the lease of ${event.lock} ran out, though nothing went wrong: somebody did not give it back`]
    }
    // Over compare-and-set, many at once may take too long for a short lease.
    // And who has no time to try again is told what was wrong.
    if (!rules.atomic || rules.hiccups || event.type !== "done" || !event.exit.startsWith("StorageError")) continue
    const want = wants.get(event.n)
    // Less time than an answer takes.
    if (event.exit === "StorageError Timeout" && want?.timeout !== undefined && isAsking(want.p, want.lock)) continue
    yield [index, `#${event.n} failed with ${event.exit}, though nothing went wrong`]
  }
}

/** Where nothing goes wrong and hints come, who waits for a lock has it as soon as it is given back, not when it looks again. */
export const swift: Property = function* (history, { swift: bound }) {
  if (bound === undefined) return
  const waiting = new Map<number, Of<"want">>()
  /** Since when a lock is free for which these wait. */
  const freed = new Map<string, { readonly t: number; readonly index: number; readonly by: Set<number> }>()
  const over = function* (lock: string, t: number): Iterable<readonly [number, string]> {
    const free = freed.get(lock)
    if (free === undefined || free.by.size === 0 || t <= free.t + bound) return
    freed.delete(lock)
    yield [free.index, `${lock} is free, and #${Array.from(free.by).join(", #")} waits for it until ${t.toFixed(1)}`]
  }
  for (const [index, event] of history.entries()) {
    if (event.type === "want" && event.wait) waiting.set(event.n, event)
    if (event.type === "got" || event.type === "done") {
      const lock = waiting.get(event.n)?.lock
      if (lock === undefined) continue
      yield* over(lock, event.t)
      waiting.delete(event.n)
      freed.get(lock)?.by.delete(event.n)
    }
    if (event.type !== "state") continue
    yield* over(event.lock, event.t)
    if (event.holds.length > 0) freed.delete(event.lock)
    else if (event.op !== "time") {
      freed.set(event.lock, {
        t: event.t,
        index,
        by: new Set(
          Array.from(waiting.values())
            .filter(({ lock }) => lock === event.lock)
            .map(({ n }) => n)
        )
      })
    }
  }
}

/** How a body ended is how its `withLock` ends, unless its hold was lost or its caller was interrupted; and nothing ever dies. */
export const result: Property = function* (history, _rules, facts) {
  const interruptible = new Set<number>()
  for (const [index, event] of history.entries()) {
    if (event.type === "interrupt") interruptible.add(event.n)
    // The loss of the outer hold interrupts the reentry.
    if (event.type === "want" && event.within !== undefined) interruptible.add(event.n)
    if (event.type === "log") yield [index, `something was logged: ${event.text}`]
    if (event.type !== "done") continue
    if (event.exit.startsWith("died")) yield [index, `#${event.n} ${event.exit}`]
    if (event.body === undefined || event.body === event.exit) continue
    if (event.exit === "interrupted" && interruptible.has(event.n)) continue
    const got = facts.gotOf.get(event.n)
    if (event.exit === "LockLost" && got !== undefined && wasTold(history, got.hold, event.t)) continue
    yield [index, `the body of #${event.n} ended with ${event.body}, and it ended with ${event.exit}`]
  }
}

/** The loss of a lock stops the body that has it, where that was asked for. */
export const stopped: Property = function* (history, rules, facts) {
  const guarded = new Set<number>()
  const lost = new Map<string, number>()
  for (const [index, event] of history.entries()) {
    if (event.type === "want" && event.guarded === true) guarded.add(event.n)
    if (event.type === "lost") lost.set(event.hold, event.t)
    if (event.type !== "look" || event.body !== true) continue
    const since = lost.get(event.hold)
    const hold = facts.holds.get(event.hold)
    if (since === undefined || hold === undefined || !guarded.has(hold.got.n)) continue
    const due = facts.excuse(event.p, since, since + 3, rules.slack)
    if (event.t > due) yield [index, `the body of ${event.hold} goes on after its loss at ${since.toFixed(1)}`]
  }
}

const wasTold = (history: ReadonlyArray<Of<"lost"> | { readonly type: string }>, hold: string, by: number): boolean =>
  history.some((event) => event.type === "lost" && (event as Of<"lost">).hold === hold && (event as Of<"lost">).t <= by)

/** What is interrupted, or has waited for as long as it may, ends soon. */
export const prompt: Property = function* (history, rules, facts) {
  const slack = rules.slack ?? 0
  const wants = new Map<number, Of<"want">>()
  const crashed = new Map<string, number>()
  for (const event of history) if (event.type === "crash") crashed.set(event.p, event.t)
  const end = history.at(-1)?.t ?? 0
  /** `work`: how long it may take to end. A pause may fall in the middle of it. */
  const late = (p: string, n: number, since: number, work: number): string | undefined => {
    const due = since + work + 3 + slack
    const resumed = facts.excuse(p, since, due, slack)
    const excused = resumed > due + slack ? resumed + work : resumed
    const at = facts.done.get(n)?.t ?? crashed.get(p) ?? end
    return at > excused ? `#${n} should have ended by ${excused.toFixed(1)}, and did at ${at.toFixed(1)}` : undefined
  }
  for (const [index, event] of history.entries()) {
    if (event.type === "want") wants.set(event.n, event)
    if (event.type === "interrupt") {
      const got = facts.gotOf.get(event.n)
      const holding = got !== undefined && got.t <= event.t
      // One level of reentry is released before the other.
      const problem = late(event.p, event.n, event.t, holding ? 2 * rules.longestEnd : 0)
      if (problem !== undefined) yield [index, problem]
    }
    if (event.type === "done") {
      const want = wants.get(event.n)
      if (want?.timeout === undefined || facts.gotOf.has(event.n)) continue
      const due = want.t + want.timeout
      const excused = facts.excuse(event.p, want.t, due + 3 + slack, slack)
      if (event.t > excused)
        yield [
          index,
          `#${event.n} waited until ${event.t.toFixed(1)}, and should have given up by ${excused.toFixed(1)}`
        ]
    }
  }
}

/** Waiters of one process for one lock have it in the order in which they came, but for owners that have it already; and where several may have it, who fits beside the others may have it sooner. */
export const order: Property = function* (history, rules, facts) {
  // A fiber may give way to others just before it joins the line: only who came clearly later came later.
  const slack = rules.slack ?? 0
  const waiting = new Map<string, Array<Of<"want">>>()
  for (const [index, event] of history.entries()) {
    if (event.type === "want" && event.wait && event.part === undefined) {
      const key = `${event.p} ${event.lock}`
      const line = waiting.get(key)
      if (line === undefined) waiting.set(key, [event])
      else line.push(event)
    } else if (event.type === "got" || event.type === "done") {
      for (const [key, line] of waiting) {
        const place = line.findIndex(({ n }) => n === event.n)
        if (place < 0) continue
        const one = line[place]!
        line.splice(place, 1)
        if (event.type !== "got" || one.owner !== undefined) continue
        const before = line.slice(0, place).find(({ n, t }) => t <= one.t - slack && facts.gotOf.has(n))
        if (before !== undefined)
          yield [index, `#${event.n} has ${event.lock} before #${before.n}, which came earlier (${key})`]
      }
    }
  }
}

/** Once nothing goes wrong any more, everybody who waits has the lock before long. */
export const progress: Property = function* (history) {
  for (const [index, event] of history.entries())
    if (event.type === "stuck") yield [index, `${event.p} does not get on: ${event.text}`]
}

/** When all is over, nothing is left: no lock held, no fiber, no timer. */
export const nothingLeft: Property = function* (history) {
  for (const [index, event] of history.entries()) if (event.type === "leak") yield [index, `${event.p}: ${event.text}`]
}
