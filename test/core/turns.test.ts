/** The line by itself, to the millisecond: what it makes of hints, wins and silence, whom it rings, and what it forgets. */
import { assert, describe, it } from "#effect/vitest"
import { Line, Ticket } from "../../src/core/line.js"
import { Lines } from "../../src/core/lines.js"
import type { LockRecord } from "../../src/LockRecord.js"
import * as Faulty from "../support/faulty.js"

const heldBy = (ownerId: string) => ({ ownerId, lockId: "l", holds: ["h"] }) as unknown as LockRecord

/** Waits from `from` on, hears so many hints, 40 ms apart, and wins. */
const wins = (line: Line, from: number, hints: number): number => {
  const ticket = new Ticket("winner")
  line.join(ticket, from)
  for (let i = 1; i <= hints; i++) line.freed(from + 40 * i)
  const now = from + 40 * hints + 10
  line.claimed("winner", now)
  line.leave(ticket)
  return now
}

const ends = (line: Line, now: number): void => {
  line.ending("winner")
  line.ended("winner", now)
}

/** Waits, and is told from when on to ask, after so many hints more. */
const dueOf = (line: Line, now: number): number => {
  const ticket = new Ticket("next")
  line.join(ticket, now)
  const due = line.due(ticket, now)
  line.leave(ticket)
  return due
}

describe("the turn of a process", () => {
  it("is now, for one that has met no others", () => {
    const line = new Line()
    assert.strictEqual(dueOf(line, 5), 5)
    line.freed(10)
    assert.strictEqual(dueOf(line, 11), 11)
    assert.isFalse(line.remembers(11))
  })

  it("is left to others after a win, for as long as the lock takes to change hands; its own echo is no such change", () => {
    const line = new Line()
    // Between hints: 100, 85, 73.75.
    assert.strictEqual(wins(line, 0, 3), 130)
    assert.isTrue(line.remembers(130))
    ends(line, 140)
    // 20 ms after the last: 73.75 - (73.75 - 20) / 4.
    line.freed(140)
    const slot = 1.25 * (73.75 + (20 - 73.75) / 4)
    assert.strictEqual(dueOf(line, 142), 140 + slot)
    line.freed(142)
    assert.strictEqual(dueOf(line, 143), 142, "somebody else has gone first")
  })

  it("counts from its own release, if that was later than the last hint", () => {
    const line = new Line()
    wins(line, 0, 3)
    ends(line, 140)
    assert.strictEqual(dueOf(line, 141), 140 + 1.25 * 73.75)
  })

  it("takes no longer than a slot of 100 ms for each, and a quarter of a second in all", () => {
    const slow = new Line()
    const ticket = new Ticket("winner")
    slow.join(ticket, 0)
    slow.freed(0)
    slow.freed(200)
    slow.claimed("winner", 210)
    slow.leave(ticket)
    ends(slow, 220)
    assert.strictEqual(dueOf(slow, 221), 320)

    const many = new Line()
    let now = 0
    for (const hints of [1, 3, 7, 15]) {
      now = wins(many, now + 1, hints)
      ends(many, now)
      many.freed(now)
    }
    assert.strictEqual(dueOf(many, now + 1), now + 250)
  })

  it("comes at three quarters of what it took the last time, which grows in steps", () => {
    const line = new Line()
    let now = 0
    const needs = (hints: number) => {
      now = wins(line, now + 100, hints)
      ends(line, now)
      line.freed(now)
      let needed = 0
      const ticket = new Ticket("next")
      line.join(ticket, now)
      for (; line.due(ticket, now) > now; needed++) line.freed(now)
      line.leave(ticket)
      return needed
    }
    // min(9, 1), min(9, 3), min(9, 7), min(9, 15), min(2, 19).
    assert.deepStrictEqual([9, 9, 9, 9, 2].map(needs), [1, 3, 6, 7, 2])
  })

  it("is forgotten a second after the last hint, and what is heard then begins anew", () => {
    const line = new Line()
    wins(line, 0, 3)
    assert.isTrue(line.remembers(1119))
    assert.isFalse(line.remembers(1120))
    ends(line, 1121)
    assert.strictEqual(dueOf(line, 1122), 1122)
    const other = new Line()
    wins(other, 0, 3)
    ends(other, 130)
    other.freed(1120)
    assert.isFalse(other.remembers(1120))
    other.freed(1120)
    const again = new Line()
    wins(again, 0, 3)
    ends(again, 130)
    again.freed(1119)
    assert.isTrue(again.remembers(1119))
  })

  it("is awaited by one that comes at once, and not by one that was away", () => {
    const line = new Line()
    assert.isFalse(line.join(new Ticket("first"), 0))
    assert.isTrue(line.join(new Ticket("second"), 1_000), "somebody waits already")
    const used = new Line()
    wins(used, 0, 3)
    ends(used, 140)
    used.freed(140)
    // A quarter of the time between hints, 60.3 ms.
    const soon = new Ticket("soon")
    assert.isTrue(used.join(soon, 155))
    used.leave(soon)
    assert.isFalse(used.join(new Ticket("late"), 156))
    const exact = new Line()
    exact.claimed("a", 0)
    exact.ended("a", 0)
    assert.isTrue(exact.join(new Ticket("at once"), 25))
  })

  it("is not passed by what only tries: it has won nothing", () => {
    const line = new Line()
    const waiter = new Ticket("waiter")
    line.join(waiter, 0)
    line.freed(10)
    line.claimed("trier", 20)
    assert.isFalse(line.remembers(20))
    line.ended("trier", 21)
    line.claimed("waiter", 22)
    assert.isFalse(line.remembers(22), "it began to wait anew when the lock was freed here")
    const deep = new Line()
    deep.claimed("waiter", 0)
    const again = new Ticket("waiter")
    deep.join(again, 0)
    deep.freed(10)
    deep.claimed("waiter", 20)
    assert.isFalse(deep.remembers(20), "a reentry is no win")
  })

  it("echoes: as many hints of its own as it has released, but one at most once somebody else had it", () => {
    const heardAfter = (prepare: (line: Line) => void) => {
      const line = new Line()
      wins(line, 0, 1)
      ends(line, 60)
      prepare(line)
      let echoes = 0
      const ticket = new Ticket("next")
      line.join(ticket, 70)
      for (; line.due(ticket, 70) > 70; echoes++) line.freed(70)
      return echoes - 1
    }
    const release = (line: Line) => {
      line.claimed("winner", 60)
      ends(line, 60)
    }
    assert.strictEqual(
      heardAfter(() => {}),
      1
    )
    assert.strictEqual(heardAfter(release), 2)
    assert.strictEqual(
      heardAfter((line) => {
        release(line)
        line.held(undefined)
      }),
      1
    )
    assert.strictEqual(
      heardAfter((line) => {
        line.claimed("winner", 60)
        line.claimed("winner", 60)
        // The outer hold stays: nothing was freed.
        ends(line, 60)
        ends(line, 60)
      }),
      2
    )
    assert.strictEqual(
      heardAfter((line) => {
        line.claimed("winner", 60)
        line.claimed("other", 60)
        line.ending("other")
        line.ended("other", 60)
        ends(line, 60)
      }),
      2
    )
  })
})

describe("who may ask", () => {
  it("is the head, and who owns the lock", () => {
    const line = new Line()
    const [a, b, c] = ["a", "b", "c"].map((owner) => new Ticket(owner)) as [Ticket, Ticket, Ticket]
    for (const ticket of [a, b, c]) line.join(ticket, 0)
    const may = () => [a, b, c].map((ticket) => line.mayGo(ticket))
    assert.deepStrictEqual(may(), [true, false, false])
    line.held(heldBy("c"))
    assert.deepStrictEqual(may(), [true, false, true])
    assert.strictEqual(line.holder?.ownerId, "c")
    line.claimed("b", 1)
    assert.deepStrictEqual(may(), [false, true, false])
    assert.isUndefined(line.holder)
    line.claimed("b", 2)
    line.ended("b", 3)
    assert.deepStrictEqual(may(), [false, true, false])
    line.ended("b", 4)
    assert.deepStrictEqual(may(), [true, false, false])
  })

  it("asks at once if it owns the lock, or if that was freed here for those who wait here", () => {
    const line = new Line()
    wins(line, 0, 3)
    ends(line, 140)
    line.freed(140)
    const [a, b] = [new Ticket("a"), new Ticket("b")]
    line.join(a, 141)
    line.join(b, 141)
    assert.isAbove(line.due(a, 142), 142)
    line.held(heldBy("b"))
    assert.isAbove(line.due(a, 142), 142)
    assert.strictEqual(line.due(b, 142), 142)
    line.claimed("b", 143)
    assert.strictEqual(line.due(a, 143), 143, "it is held here")
    line.leave(b)
    line.ended("b", 144)
    assert.strictEqual(line.due(a, 144), 144, "it is handed on")
    line.leave(a)
    line.join(b, 145)
    assert.isAbove(line.due(b, 145), 145, "to nobody any more")
  })

  it("and goes on being handed on when one of several who wait leaves", () => {
    const line = new Line()
    wins(line, 0, 3)
    const [a, b] = [new Ticket("a"), new Ticket("b")]
    assert.isFalse(a.hinted)
    line.join(a, 141)
    line.join(b, 141)
    ends(line, 142)
    line.leave(b)
    assert.strictEqual(line.due(a, 143), 143)
  })

  it("knows where the hold here was acquired", () => {
    const line = new Line()
    const place = { fiber: 1, span: undefined, scope: undefined, enclosing: undefined }
    assert.isUndefined(line.holderHere)
    line.claimed("a", 0, place)
    line.claimed("b", 0, place)
    line.ended("a", 1)
    assert.strictEqual(line.holderHere, place)
    line.ended("b", 1)
    assert.isUndefined(line.holderHere)
  })
})

describe("who is rung", () => {
  const setup = (owners: ReadonlyArray<string>, shared = true) => {
    const line = new Line()
    const rung: Array<number> = []
    const tickets = owners.map((owner, i) => {
      const ticket = new Ticket(owner, shared)
      ticket.bell.ring = () => void rung.push(i)
      line.join(ticket, 0)
      return ticket
    })
    const heard = (does: () => void) => {
      rung.length = 0
      does()
      return rung
    }
    return { line, tickets, heard }
  }

  it("is the next, when the head leaves, and nobody when another does", () => {
    const { heard, line, tickets } = setup(["a", "b", "c"])
    assert.deepStrictEqual(
      heard(() => line.leave(tickets[1]!)),
      []
    )
    assert.deepStrictEqual(
      heard(() => line.leave(tickets[0]!)),
      [2]
    )
    assert.deepStrictEqual(
      heard(() => line.leave(tickets[2]!)),
      []
    )
  })

  it("is every waiter of the owner that has the lock, wherever it stands; until it leaves", () => {
    const { heard, line, tickets } = setup(["a", "b", "b"])
    assert.deepStrictEqual(
      heard(() => line.held(heldBy("b"))),
      [1, 2]
    )
    assert.deepStrictEqual(
      heard(() => line.held(undefined)),
      []
    )
    assert.deepStrictEqual(
      heard(() => line.claimed("b", 0)),
      [1, 2]
    )
    line.leave(tickets[1]!)
    assert.deepStrictEqual(
      heard(() => line.claimed("b", 0)),
      [2]
    )
    line.leave(tickets[2]!)
    assert.deepStrictEqual(
      heard(() => line.claimed("b", 0)),
      []
    )
    assert.strictEqual(line["byOwner"].size, 1, "nothing is kept of those who are gone")
  })

  it("an owner id that was made for one ticket is not kept by owner", () => {
    const { line } = setup(["a", "b"], false)
    assert.strictEqual(line["byOwner"].size, 0)
  })

  it("by a hint: the head, and who waits for its own, each of which remembers it", () => {
    const { heard, line, tickets } = setup(["a", "b", "c"])
    line.held(heldBy("c"))
    assert.deepStrictEqual(
      heard(() => line.hint()),
      [0, 2]
    )
    assert.deepStrictEqual(
      tickets.map(({ hinted }) => hinted),
      [true, false, true]
    )
    assert.deepStrictEqual(
      heard(() => line.freed(1)),
      [0, 2]
    )
    assert.deepStrictEqual(
      heard(() => line.ringAll()),
      [0, 1, 2]
    )
    line.claimed("x", 2)
    assert.deepStrictEqual(
      heard(() => line.ended("x", 3)),
      [0]
    )
  })
})

describe("a streak", () => {
  const streak = (turns: number, took: number) => {
    const line = new Line()
    for (let i = 0; i < turns; i++) {
      line.claimed("a", i * took)
      line.ended("a", (i + 1) * took)
    }
    return line
  }

  it("ends after so many turns, and so long, once", () => {
    assert.isFalse(streak(8, 50).takePause(400, 8, 100))
    const line = streak(9, 50)
    assert.isFalse(line.takePause(99, 8, 100))
    assert.isTrue(line.takePause(100, 8, 100))
    assert.isFalse(line.takePause(1000, 8, 100))
  })

  it("is none while it is held, or when others had it meanwhile", () => {
    const held = streak(9, 50)
    held.claimed("a", 460)
    assert.isFalse(held.takePause(1000, 8, 100))
    const beaten = streak(9, 50)
    beaten.held(heldBy("other"))
    assert.isFalse(beaten.takePause(1000, 8, 100))
    const hinted = streak(9, 50)
    hinted.freed(460)
    assert.isFalse(hinted.takePause(1000, 8, 100))
    assert.isFalse(new Line().takePause(1000, 0, 0))
  })

  it("goes on through hints of others while those here hand it on", () => {
    const line = streak(8, 50)
    line.claimed("a", 400)
    line.join(new Ticket("b"), 410)
    line.ended("a", 450)
    line.freed(460)
    assert.isTrue(line.takePause(1000, 8, 100))
  })

  it("goes on through the echo of its own release", () => {
    const line = streak(8, 50)
    line.claimed("a", 400)
    line.ending("a")
    line.ended("a", 450)
    line.freed(460)
    assert.isTrue(line.takePause(1000, 8, 100))
  })

  it("a pause ends with a claim, and with another's hold", () => {
    const line = new Line()
    line.pausesUntil = 7
    line.held(undefined)
    assert.strictEqual(line.pausesUntil, Number.NEGATIVE_INFINITY)
    line.pausesUntil = 7
    line.claimed("a", 0)
    assert.strictEqual(line.pausesUntil, Number.NEGATIVE_INFINITY)
  })
})

describe("an outage", () => {
  it("is what the storage failed with last, until it answers", () => {
    const line = new Line()
    const error = Faulty.failure("Connection", "no")
    assert.isUndefined(line.outage(0, 0))
    line.asks(0)
    line.heard(10, error)
    assert.strictEqual(line.outage(0, 20), error)
    line.heard(30, undefined)
    assert.isUndefined(line.outage(0, 1_000_000))
  })

  it("is silence, of whatever length, as long as nothing is known", () => {
    const line = new Line()
    line.asks(100)
    line.asks(105)
    assert.strictEqual(line.outage(100, 101), 1)
    assert.strictEqual(line.outage(100, 150), 50)
    line.held(heldBy("other"))
    assert.isUndefined(line.outage(100, 149))
    assert.strictEqual(line.outage(100, 150), 50)
  })

  it("is silence for half of what one has waited, between 50 ms and a second", () => {
    const line = new Line()
    line.asks(0)
    line.heard(20, undefined)
    line.asks(30)
    assert.isUndefined(line.outage(20, 79))
    assert.strictEqual(line.outage(20, 80), 50)
    assert.strictEqual(line.outage(20, 230), 200)
    assert.isUndefined(line.outage(-200, 230))
    assert.isUndefined(line.outage(-3000, 1029))
    assert.strictEqual(line.outage(-3000, 1030), 1000)
    assert.strictEqual(line.outage(21, 31), 1, "that answer was to somebody before")
    line.heard(40, Faulty.failure("Connection", "no"))
    line.heard(41, undefined)
    line.asks(42)
    assert.isUndefined(line.outage(41, 50))
  })
})

describe("the lines of a layer", () => {
  const met = (lines: Lines, key: string, now: number) => {
    const line = lines.of(key)
    wins(line, now - 130, 3)
    line.ended("winner", now)
    lines.tidy(key, now)
  }

  it("are forgotten when nobody needs them: at once, or when they remember nothing more", () => {
    const lines = new Lines()
    lines.tidy("never seen", 0)
    lines.of("a").claimed("me", 0)
    lines.tidy("a", 0)
    assert.isTrue(lines.isHolder("a", "me"))
    assert.deepStrictEqual([lines.isHolder("a", "you"), lines.isHolder("b", "me")], [false, false])
    lines.of("a").ended("me", 0)
    lines.tidy("a", 0)
    assert.strictEqual(lines.size, 0)
    met(lines, "b", 1_000)
    met(lines, "c", 1_500)
    assert.strictEqual(lines.size, 2)
    lines.tidy("x", 1_989)
    assert.strictEqual(lines.size, 2)
    lines.tidy("x", 1_990)
    assert.strictEqual(lines.size, 1)
    lines.tidy("x", 2_490)
    assert.strictEqual(lines.size, 0)
  })

  it("are kept for who needs them again, in whatever order", () => {
    const lines = new Lines()
    met(lines, "a", 1_000)
    met(lines, "b", 1_000)
    const ticket = new Ticket("me")
    lines.of("a").join(ticket, 1_000)
    lines.tidy("x", 3_000)
    assert.strictEqual(lines.size, 1)
    lines.of("a").leave(ticket)
    lines.tidy("a", 3_000)
    assert.strictEqual(lines.size, 0)
  })

  it("one that remembers nothing goes at once, though others are kept; one that is needed again is none of those that nobody needs", () => {
    const lines = new Lines()
    met(lines, "a", 1_000)
    lines.of("b").claimed("me", 1_000)
    lines.of("b").ended("me", 1_000)
    lines.tidy("b", 1_000)
    assert.strictEqual(lines.size, 1)
    lines.of("a").join(new Ticket("me"), 1_000)
    lines.tidy("x", 1_000)
    assert.strictEqual(lines["idle"].size, 0)
  })

  it("a thousand that nobody needs, and no more: the oldest go", () => {
    const lines = new Lines()
    for (let i = 0; i < 1_000; i++) met(lines, `lock ${i}`, 1_000)
    assert.strictEqual(lines.size, 1_000)
    const first = lines.of("lock 0")
    met(lines, "lock 1000", 1_000)
    assert.strictEqual(lines.size, 1_000)
    assert.notStrictEqual(lines.of("lock 0"), first)
  })

  it("are hinted one by one, or all", () => {
    const lines = new Lines()
    const rung: Array<string> = []
    for (const key of ["a", "b"]) {
      const ticket = new Ticket(key)
      ticket.bell.ring = () => void rung.push(key)
      lines.of(key).join(ticket, 0)
    }
    lines.hint("a", 1)
    lines.hint("nobody's", 1)
    assert.deepStrictEqual(rung.splice(0), ["a"])
    lines.hint("all", 1)
    assert.deepStrictEqual(rung.splice(0), ["a", "b"])
    lines.ringAll()
    assert.deepStrictEqual(rung, ["a", "b"])
  })
})
