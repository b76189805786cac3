/** The queue by itself, to the millisecond: what it makes of hints, wins and silence, whom it wakes, and what it forgets. */
import { assert, describe, it } from "#harness/vitest"
import { LockQueue, Waiter } from "../../src/core/lockQueue.js"
import { LockQueues } from "../../src/core/lockQueues.js"
import type { LockRecord } from "../../src/LockRecord.js"
import * as Faulty from "../support/faulty.js"

/** By the layer of that name. */
const heldBy = (ownerId: string, token = 1) =>
  ({ ownerId, lockId: "l", token, holds: [ownerId.padEnd(6, "-") + token] }) as unknown as LockRecord

/** It is refused for each of so many others, twice, as they take turns. */
const meets = (queue: LockQueue, others: number, token = 1): void => {
  for (let round = 0; round < 2; round++)
    for (let i = 0; i < others; i++) queue.held(heldBy(`other${i}`, token + round * others + i))
}

/** Waits from `from` on, meets as many others as it hears hints, 40 ms apart, and wins. */
const wins = (queue: LockQueue, from: number, hints: number, others = hints): number => {
  const waiter = new Waiter("winner")
  queue.join(waiter, from)
  meets(queue, others)
  for (let i = 1; i <= hints; i++) queue.freed(from + 40 * i)
  const now = from + 40 * hints + 10
  queue.claimed("winner", now, 1)
  queue.leave(waiter)
  return now
}

const ends = (queue: LockQueue, now: number): void => {
  queue.ending("winner")
  queue.ended("winner", now)
}

/** Waits, and is told from when on to ask, after so many hints more. */
const dueOf = (queue: LockQueue, now: number): number => {
  const waiter = new Waiter("next")
  queue.join(waiter, now)
  const due = queue.due(waiter, now)
  queue.leave(waiter)
  return due
}

/** It gives back what it has, and has it again, after so many hints of others as it awaits. */
const needsOf = (queue: LockQueue, now: number): number => {
  ends(queue, now)
  queue.freed(now)
  const waiter = new Waiter("winner")
  queue.join(waiter, now)
  let needed = 0
  for (; queue.due(waiter, now) > now; needed++) queue.freed(now)
  queue.claimed("winner", now, 1)
  queue.leave(waiter)
  return needed
}

describe("the turn of a process", () => {
  it("is now, for one that has met no others", () => {
    const queue = new LockQueue()
    assert.strictEqual(dueOf(queue, 5), 5)
    queue.freed(10)
    assert.strictEqual(dueOf(queue, 11), 11)
    assert.isFalse(queue.remembers(11))
  })

  it("is left to others after a win, for as long as the lock takes to change hands; its own echo is no such change", () => {
    const queue = new LockQueue()
    // Between hints: 100, 85, 73.75.
    assert.strictEqual(wins(queue, 0, 3, 1), 130)
    assert.isTrue(queue.remembers(130))
    ends(queue, 140)
    // 20 ms after the last: 73.75 - (73.75 - 20) / 4.
    queue.freed(140)
    const slot = 1.25 * (73.75 + (20 - 73.75) / 4)
    assert.strictEqual(dueOf(queue, 142), 140 + slot)
    queue.freed(142)
    assert.strictEqual(dueOf(queue, 143), 142, "somebody else has gone first")
  })

  it("counts from its own release, if that was later than the last hint", () => {
    const queue = new LockQueue()
    wins(queue, 0, 3, 1)
    ends(queue, 140)
    assert.strictEqual(dueOf(queue, 141), 140 + 1.25 * 73.75)
  })

  it("takes no longer than a slot of 100 ms for each, and a quarter of a second in all", () => {
    const slow = new LockQueue()
    const waiter = new Waiter("winner")
    slow.join(waiter, 0)
    slow.held(heldBy("other"))
    slow.freed(0)
    slow.freed(200)
    slow.claimed("winner", 210, 1)
    slow.leave(waiter)
    ends(slow, 220)
    assert.strictEqual(dueOf(slow, 221), 320)

    const many = new LockQueue()
    const now = wins(many, 1, 20)
    ends(many, now)
    many.freed(now)
    assert.strictEqual(dueOf(many, now + 1), now + 250)
  })

  it("comes when as many hints were heard as there are others that take turns, whoever was met how often", () => {
    const queue = new LockQueue()
    assert.strictEqual(needsOf(queue, wins(queue, 0, 9, 5)), 5)
    // Met again, and another; by two claims during one hold, which do not make a regular.
    meets(queue, 6, 100)
    for (let i = 0; i < 2; i++) queue.held(heldBy("once", 200))
    assert.strictEqual(needsOf(queue, 400), 6)
    const once = new LockQueue()
    for (let i = 0; i < 5; i++) once.held(heldBy(`x${i}`, i))
    const waiter = new Waiter("winner")
    once.join(waiter, 0)
    for (let i = 0; i < 5; i++) once.freed(1)
    once.claimed("winner", 2, 1)
    once.leave(waiter)
    assert.strictEqual(needsOf(once, 3), 1, "those who were met once may not come again, but somebody is there")
  })

  it("forgets as many as did not come, those that were met longest ago", () => {
    const queue = new LockQueue()
    const now = wins(queue, 0, 3, 8)
    assert.strictEqual(needsOf(queue, now), 3)
    // Others 5, 6 and 7 are left: to meet these again changes nothing.
    for (const i of [5, 6, 7]) queue.held(heldBy(`other${i}`, 300 + i))
    assert.strictEqual(needsOf(queue, now + 10), 3)
    queue.held(heldBy("other0", 400))
    queue.held(heldBy("other0", 401))
    assert.strictEqual(needsOf(queue, now + 20), 4)
    ends(queue, now + 30)
    const waiter = new Waiter("winner")
    queue.join(waiter, now + 30)
    queue.claimed("winner", now + 30, 1)
    assert.isFalse(queue.remembers(now + 30), "none has come")
  })

  it("remembers 64 others: of more, those that were met longest ago go", () => {
    const queue = new LockQueue()
    const now = wins(queue, 0, 2)
    for (let i = 0; i < 63; i++) queue.held(heldBy(`x${i}`, 300 + i))
    assert.strictEqual(needsOf(queue, now), 1, "one of two that come again")
    assert.strictEqual(queue["turns"]?.["others"]?.size, 64)
  })

  it("is forgotten a second after the last hint, and whom it has met then", () => {
    const queue = new LockQueue()
    wins(queue, 0, 3)
    assert.isTrue(queue.remembers(1119))
    assert.isFalse(queue.remembers(1120))
    ends(queue, 1121)
    assert.strictEqual(dueOf(queue, 1122), 1122)
    const other = new LockQueue()
    wins(other, 0, 3)
    ends(other, 130)
    other.freed(1120)
    assert.isFalse(other.remembers(1120))
    other.freed(1120)
    assert.isFalse(other.remembers(1120))
    const again = new LockQueue()
    wins(again, 0, 3)
    ends(again, 130)
    again.freed(1119)
    assert.isTrue(again.remembers(1119))
  })

  it("is awaited by one that comes at once, and not by one that was away", () => {
    const queue = new LockQueue()
    assert.isFalse(queue.join(new Waiter("first"), 0))
    assert.isTrue(queue.join(new Waiter("second"), 1_000), "somebody waits already")
    const used = new LockQueue()
    wins(used, 0, 3, 0)
    ends(used, 140)
    used.freed(140)
    // A quarter of the time between hints, 60.3 ms.
    const soon = new Waiter("soon")
    assert.isTrue(used.join(soon, 155))
    used.leave(soon)
    assert.isFalse(used.join(new Waiter("late"), 156))
    const exact = new LockQueue()
    exact.claimed("a", 0, 1)
    exact.ending("a")
    exact.ended("a", 0)
    assert.isTrue(exact.join(new Waiter("at once"), 25))
  })

  it("is awaited also by one that was away, and was refused when it last came back: until it has won three times at its first claim", () => {
    const queue = new LockQueue()
    let now = wins(queue, 0, 1)
    const comes = (refused: boolean) => {
      ends(queue, now)
      now += 900
      const waiter = new Waiter("winner")
      const awaits = queue.join(waiter, now)
      if (refused) queue.held(heldBy("other0", now))
      queue.freed(now)
      queue.claimed("winner", now, 1)
      queue.leave(waiter)
      return awaits
    }
    const refusals = [false, false, true, false, false, true, false, false, false, false]
    const awaited = [false, false, false, true, true, true, true, false, false, false]
    assert.deepStrictEqual(refusals.map(comes), awaited)
  })

  it("is not passed by what only tries: it has won nothing", () => {
    const queue = new LockQueue()
    queue.freed(0)
    queue.join(new Waiter("waiter"), 1)
    meets(queue, 1)
    queue.claimed("trier", 20, 1)
    assert.isTrue(queue.remembers(20), "nobody was awaited in vain")
    queue.ended("trier", 21)
    queue.claimed("waiter", 22, 1)
    assert.isFalse(queue.remembers(22))
    const deep = new LockQueue()
    deep.freed(0)
    deep.claimed("waiter", 0, 1)
    deep.join(new Waiter("waiter"), 1)
    meets(deep, 1)
    deep.claimed("waiter", 20, 1)
    assert.isTrue(deep.remembers(20), "a reentry is no win")
  })

  it("asks for nothing by itself while hints come: for twice the time between them, and no longer than a quarter of a second", () => {
    const queue = new LockQueue()
    const waiter = new Waiter("next")
    queue.join(waiter, 0)
    assert.strictEqual(queue.quietFrom(waiter, 5), 5)
    queue.freed(0)
    assert.strictEqual(queue.quietFrom(waiter, 5), 200)
    for (let i = 1; i <= 40; i++) queue.freed(i * 10)
    assert.closeTo(queue.quietFrom(waiter, 405), 420, 0.01)
    for (let i = 1; i <= 20; i++) queue.freed(400 + i * 500)
    assert.strictEqual(queue.quietFrom(waiter, 10_405), 10_650)
  })

  it("is its hint, where one process is told at a time, however many others it has met", () => {
    const queue = new LockQueue()
    const waiter = new Waiter("winner")
    queue.join(waiter, 0)
    meets(queue, 5)
    queue.freed(1, true)
    assert.strictEqual(queue.due(waiter, 2), 1)
    queue.claimed("winner", 2, 1)
    queue.leave(waiter)
    ends(queue, 3)
    assert.isAbove(dueOf(queue, 4), 4, "it has none of its own release to await")
    queue.freed(5, true)
    assert.strictEqual(dueOf(queue, 6), 5)
  })

  it("is another's where the answer to a release says that one was told, until that one has had its turn", () => {
    const queue = new LockQueue()
    queue.awaited(90)
    ends(queue, 95)
    queue.awaited(100)
    assert.isTrue(queue.remembers(101))
    assert.strictEqual(dueOf(queue, 101), 200)
    queue.freed(110, true)
    assert.isFalse(queue.remembers(111))
    queue.awaited(120)
    const waiter = new Waiter("winner")
    queue.join(waiter, 121)
    queue.claimed("winner", 220, 1)
    assert.isFalse(queue.remembers(221), "it was not there any more")
  })

  it("echoes: as many hints of its own as it has released, but one at most once somebody else had it", () => {
    const heardAfter = (prepare: (queue: LockQueue) => void) => {
      const queue = new LockQueue()
      wins(queue, 0, 1)
      ends(queue, 60)
      prepare(queue)
      let echoes = 0
      const waiter = new Waiter("next")
      queue.join(waiter, 70)
      for (; queue.due(waiter, 70) > 70; echoes++) queue.freed(70)
      return echoes - 1
    }
    const release = (queue: LockQueue) => {
      queue.claimed("winner", 60, 1)
      ends(queue, 60)
    }
    assert.strictEqual(
      heardAfter(() => {}),
      1
    )
    assert.strictEqual(heardAfter(release), 2)
    assert.strictEqual(
      heardAfter((queue) => {
        release(queue)
        queue.held(undefined)
      }),
      1
    )
    const sharedWithAnother = (queue: LockQueue) => {
      queue.claimed("winner", 60, 1)
      assert.isTrue(queue.ending("winner"))
      queue.notFreed()
      queue.ended("winner", 60)
    }
    assert.strictEqual(heardAfter(sharedWithAnother), 1, "its owner still has it elsewhere")
    assert.strictEqual(
      heardAfter((queue) => {
        queue.claimed("winner", 60, 1)
        queue.claimed("winner", 60, 1)
        assert.isFalse(queue.ending("winner"), "the outer hold stays")
        ends(queue, 60)
        ends(queue, 60)
      }),
      2
    )
    assert.strictEqual(
      heardAfter((queue) => {
        for (let i = 0; i < 3; i++) sharedWithAnother(queue)
        queue.notFreed()
        queue.notFreed()
        release(queue)
      }),
      1
    )
    assert.strictEqual(
      heardAfter((queue) => {
        queue.claimed("winner", 60, 1)
        queue.claimed("winner", 60, 1)
        // The outer hold stays: nothing was freed.
        ends(queue, 60)
        ends(queue, 60)
      }),
      2
    )
    assert.strictEqual(
      heardAfter((queue) => {
        queue.claimed("winner", 60, 1)
        queue.claimed("other", 60, 1)
        queue.ending("other")
        queue.ended("other", 60)
        ends(queue, 60)
      }),
      2
    )
  })
})

describe("who may ask", () => {
  it("is the head, and who owns the lock", () => {
    const queue = new LockQueue()
    const [a, b, c] = ["a", "b", "c"].map((owner) => new Waiter(owner)) as [Waiter, Waiter, Waiter]
    for (const waiter of [a, b, c]) queue.join(waiter, 0)
    const may = () => [a, b, c].map((waiter) => queue.mayGo(waiter))
    assert.deepStrictEqual(may(), [true, false, false])
    queue.held(heldBy("c"))
    assert.deepStrictEqual(may(), [true, false, true])
    assert.strictEqual(queue.holder?.ownerId, "c")
    queue.claimed("b", 1, 1)
    assert.deepStrictEqual(may(), [false, true, false])
    assert.isUndefined(queue.holder)
    queue.claimed("b", 2, 1)
    queue.ended("b", 3)
    assert.deepStrictEqual(may(), [false, true, false])
    queue.ended("b", 4)
    assert.deepStrictEqual(may(), [true, false, false])
  })

  it("asks at once if it owns the lock, or if that was freed here for those who wait here", () => {
    const queue = new LockQueue()
    wins(queue, 0, 3)
    ends(queue, 140)
    queue.freed(140)
    const [a, b] = [new Waiter("a"), new Waiter("b")]
    queue.join(a, 141)
    queue.join(b, 141)
    assert.isAbove(queue.due(a, 142), 142)
    queue.held(heldBy("b"))
    assert.isAbove(queue.due(a, 142), 142)
    assert.strictEqual(queue.due(b, 142), 142)
    queue.claimed("b", 143, 1)
    assert.strictEqual(queue.due(a, 143), 143, "it is held here")
    queue.leave(b)
    queue.ended("b", 144)
    assert.strictEqual(queue.due(a, 144), 144, "it is handed on")
    queue.leave(a)
    queue.join(b, 145)
    assert.isAbove(queue.due(b, 145), 145, "to nobody any more")
  })

  it("and goes on being handed on when one of several who wait leaves", () => {
    const queue = new LockQueue()
    wins(queue, 0, 3)
    const [a, b] = [new Waiter("a"), new Waiter("b")]
    assert.isFalse(a.hinted)
    queue.join(a, 141)
    queue.join(b, 141)
    ends(queue, 142)
    queue.leave(b)
    assert.strictEqual(queue.due(a, 143), 143)
  })

  it("knows where the hold here was acquired", () => {
    const queue = new LockQueue()
    const place = { fiber: 1, span: undefined, scope: undefined, enclosing: undefined }
    assert.isUndefined(queue.holderHere)
    queue.claimed("a", 0, 1, place)
    queue.claimed("b", 0, 3, place)
    queue.ended("a", 1)
    assert.strictEqual(queue.holderHere, place)
    queue.ended("b", 1)
    assert.isUndefined(queue.holderHere)
  })
})

describe("who is rung", () => {
  const setup = (owners: ReadonlyArray<string>, shared = true) => {
    const queue = new LockQueue()
    const rung: Array<number> = []
    const waiters = owners.map((owner, i) => {
      const waiter = new Waiter(owner, shared)
      waiter.signal.notify = () => void rung.push(i)
      queue.join(waiter, 0)
      return waiter
    })
    const heard = (does: () => void) => {
      rung.length = 0
      does()
      return rung
    }
    return { queue, waiters, heard }
  }

  it("is the next, when the head leaves, and nobody when another does", () => {
    const { heard, queue, waiters } = setup(["a", "b", "c"])
    assert.deepStrictEqual(
      heard(() => queue.leave(waiters[1]!)),
      []
    )
    assert.deepStrictEqual(
      heard(() => queue.leave(waiters[0]!)),
      [2]
    )
    assert.deepStrictEqual(
      heard(() => queue.leave(waiters[2]!)),
      []
    )
  })

  it("is every waiter of the owner that has the lock, wherever it stands; until it leaves", () => {
    const { heard, queue, waiters } = setup(["a", "b", "b"])
    assert.deepStrictEqual(
      heard(() => queue.held(heldBy("b"))),
      [1, 2]
    )
    assert.deepStrictEqual(
      heard(() => queue.held(undefined)),
      []
    )
    assert.deepStrictEqual(
      heard(() => queue.claimed("b", 0, 1)),
      [1, 2]
    )
    queue.leave(waiters[1]!)
    assert.deepStrictEqual(
      heard(() => queue.claimed("b", 0, 1)),
      [2]
    )
    queue.leave(waiters[2]!)
    assert.deepStrictEqual(
      heard(() => queue.claimed("b", 0, 1)),
      []
    )
    assert.strictEqual(queue["byOwner"]?.size, 1, "nothing is kept of those who are gone")
  })

  it("an owner id that was made for one waiter is not kept by owner", () => {
    const { queue } = setup(["a", "b"], false)
    assert.strictEqual(queue["byOwner"], undefined)
  })

  it("by a hint: the head, and who waits for its own, each of which remembers it", () => {
    const { heard, queue, waiters } = setup(["a", "b", "c"])
    queue.held(heldBy("c"))
    assert.deepStrictEqual(
      heard(() => queue.hint()),
      [0, 2]
    )
    assert.deepStrictEqual(
      waiters.map(({ hinted }) => hinted),
      [true, false, true]
    )
    assert.deepStrictEqual(
      heard(() => queue.freed(1)),
      [0, 2]
    )
    assert.deepStrictEqual(
      heard(() => queue.notifyAll()),
      [0, 1, 2]
    )
    queue.claimed("x", 2, 1)
    assert.deepStrictEqual(
      heard(() => queue.ended("x", 3)),
      [0]
    )
  })
})

describe("a streak", () => {
  /** The next version of a record that nobody else writes. */
  const next = (turns: number) => 1 + 2 * turns
  const streak = (turns: number, took: number) => {
    const queue = new LockQueue()
    for (let i = 0; i < turns; i++) {
      queue.claimed("a", i * took, next(i))
      queue.ended("a", (i + 1) * took)
    }
    return queue
  }

  it("ends after so many turns, and so long, once", () => {
    assert.isFalse(streak(8, 50).takePause(400))
    assert.isFalse(streak(9, 11).takePause(99))
    const queue = streak(9, 50)
    assert.isTrue(queue.takePause(450))
    assert.isFalse(queue.takePause(450))
  })

  it("is none while it is held, or when others had it meanwhile", () => {
    const held = streak(9, 50)
    held.claimed("a", 460, next(9))
    assert.isFalse(held.takePause(460))
    const beaten = streak(9, 50)
    beaten.held(heldBy("other"))
    assert.isFalse(beaten.takePause(460))
    const hinted = streak(9, 50)
    hinted.freed(460)
    assert.isFalse(hinted.takePause(460))
    assert.isFalse(new LockQueue().takePause(460))
  })

  it("is none where the record was written by others meanwhile, or it was let go for longer than a pause", () => {
    const written = streak(9, 50)
    written.claimed("a", 450, next(9) + 1)
    written.ended("a", 500)
    assert.isFalse(written.takePause(500))
    const away = streak(9, 50)
    assert.isTrue(away.isWarm(469))
    assert.isFalse(away.isWarm(470))
    assert.isFalse(away.takePause(470))
    away.claimed("a", 470, next(9))
    away.ended("a", 480)
    assert.isFalse(away.takePause(480))
  })

  it("may be longer each time that nobody came in its pause, and begins anew when somebody has", () => {
    const queue = new LockQueue()
    const lengths: Array<number> = []
    let [now, began, version] = [0, 0, 1]
    const go = (until: number) => {
      while (lengths.length < until) {
        if (queue.takePause(now)) {
          lengths.push(now - began)
          began = now += 20
        }
        queue.claimed("a", now, version++)
        now += 10
        queue.ended("a", now)
        version++
      }
    }
    go(7)
    assert.deepStrictEqual(lengths, [100, 200, 400, 800, 1600, 2000, 2000])
    // Others have had it since its last turn, which was the first after a pause.
    version += 2
    go(9)
    assert.deepStrictEqual(lengths.slice(7), [10 + 100, 200])
    queue.held(heldBy("other"))
    go(10)
    assert.strictEqual(lengths[9], 10 + 100)
  })

  it("goes on through hints of others while those here hand it on", () => {
    const queue = streak(8, 50)
    queue.claimed("a", 400, next(8))
    queue.join(new Waiter("b"), 410)
    queue.ended("a", 450)
    queue.freed(460)
    assert.isTrue(queue.takePause(460))
  })

  it("goes on through the echo of its own release", () => {
    const queue = streak(8, 50)
    queue.claimed("a", 400, next(8))
    queue.ending("a")
    queue.ended("a", 450)
    queue.freed(460)
    assert.isTrue(queue.takePause(460))
  })

  it("a pause ends with a claim, and with another's hold", () => {
    const queue = new LockQueue()
    queue.pausesUntil = 7
    queue.held(undefined)
    assert.isUndefined(queue.pausesUntil)
    queue.pausesUntil = 7
    queue.claimed("a", 0, 1)
    assert.isUndefined(queue.pausesUntil)
  })
})

describe("who is in the way", () => {
  it("is whom the storage has named last, until it keeps nothing of that hold", () => {
    const queues = new LockQueues()
    queues.gone("l", "a-----1")
    const queue = queues.of("l")
    queues.gone("l", "a-----1")
    const holder = () => queue.holder?.ownerId
    queue.held(heldBy("a"))
    queues.gone("l", "a-----2")
    assert.strictEqual(holder(), "a")
    queues.gone("l", "a-----1")
    assert.isUndefined(holder())
    // Its owner has it twice.
    queue.held({ ...heldBy("a"), holds: ["a-----1", "a-----2"] })
    queues.gone("l", "a-----1")
    assert.strictEqual(holder(), "a")
  })
})

describe("an outage", () => {
  it("is what the storage failed with last, until it answers", () => {
    const queue = new LockQueue()
    const error = Faulty.failure("Connection", "no")
    assert.isUndefined(queue.outage(0, 0))
    queue.asks(0)
    queue.heard(10, error)
    assert.strictEqual(queue.outage(0, 20), error)
    queue.heard(30, undefined)
    assert.isUndefined(queue.outage(0, 1_000_000))
  })

  it("is silence, of whatever length, as long as nothing is known", () => {
    const queue = new LockQueue()
    queue.asks(100)
    queue.asks(105)
    assert.strictEqual(queue.outage(100, 101), 1)
    assert.strictEqual(queue.outage(100, 150), 50)
    queue.held(heldBy("other"))
    assert.isUndefined(queue.outage(100, 149))
    assert.strictEqual(queue.outage(100, 150), 50)
  })

  it("is silence for half of what one has waited, between 50 ms and a second", () => {
    const queue = new LockQueue()
    queue.asks(0)
    queue.heard(20, undefined)
    queue.asks(30)
    assert.isUndefined(queue.outage(20, 79))
    assert.strictEqual(queue.outage(20, 80), 50)
    assert.strictEqual(queue.outage(20, 230), 200)
    assert.isUndefined(queue.outage(-200, 230))
    assert.isUndefined(queue.outage(-3000, 1029))
    assert.strictEqual(queue.outage(-3000, 1030), 1000)
    assert.strictEqual(queue.outage(21, 31), 1, "that answer was to somebody before")
    queue.heard(40, Faulty.failure("Connection", "no"))
    queue.heard(41, undefined)
    queue.asks(42)
    assert.isUndefined(queue.outage(41, 50))
  })
})

describe("the queues of a layer", () => {
  const met = (queues: LockQueues, key: string, now: number) => {
    const queue = queues.of(key)
    wins(queue, now - 130, 3)
    queue.ended("winner", now)
    queues.tidy(key, now)
  }

  it("are forgotten when nobody needs them: when they are not warm any more, or remember nothing more", () => {
    const queues = new LockQueues()
    queues.tidy("never seen", 0)
    queues.of("a").claimed("me", 0, 1)
    queues.tidy("a", 0)
    assert.isTrue(queues.isHolder("a", "me"))
    assert.deepStrictEqual([queues.isHolder("a", "you"), queues.isHolder("b", "me")], [false, false])
    queues.of("a").ended("me", 0)
    queues.tidy("a", 0)
    assert.strictEqual(queues.size, 0)
    // Taken again, it may be taken on and on.
    queues.of("a").claimed("me", 0, 3)
    queues.of("a").ended("me", 0)
    queues.tidy("a", 0)
    queues.tidy("x", 19)
    const warm = queues.of("a")
    assert.strictEqual(queues.join("a", 19), warm)
    queues.tidy("a", 19)
    assert.notStrictEqual(queues.join("a", 20), warm)
    queues.tidy("a", 20)
    assert.strictEqual(queues.size, 0)
    met(queues, "b", 1_000)
    met(queues, "c", 1_500)
    assert.strictEqual(queues.size, 2)
    queues.tidy("x", 1_989)
    assert.strictEqual(queues.size, 2)
    queues.tidy("x", 1_990)
    assert.strictEqual(queues.size, 1)
    queues.tidy("x", 2_490)
    assert.strictEqual(queues.size, 0)
  })

  it("are one for all who need them, however long one of them has it", () => {
    const queues = new LockQueues()
    for (const version of [1, 3]) {
      queues.join("a", 0).claimed("me", 0, version)
      queues.of("a").ended("me", 0)
      queues.tidy("a", 0)
    }
    const queue = queues.join("a", 1)
    queue.claimed("me", 1, 5)
    assert.strictEqual(queues.join("a", 10_000), queue)
    assert.isTrue(queues.isHolder("a", "me"))
  })

  it("are kept for who needs them again, in whatever order", () => {
    const queues = new LockQueues()
    met(queues, "a", 1_000)
    met(queues, "b", 1_000)
    const waiter = new Waiter("me")
    queues.of("a").join(waiter, 1_000)
    queues.tidy("x", 3_000)
    assert.strictEqual(queues.size, 1)
    queues.of("a").leave(waiter)
    queues.tidy("a", 3_000)
    assert.strictEqual(queues.size, 0)
  })

  it("one that remembers nothing goes at once where there are many, though others are kept; one that is needed again is none of those that nobody needs", () => {
    const queues = new LockQueues()
    met(queues, "a", 1_000)
    const come = (key: string) => {
      queues.of(key).claimed("me", 1_000, 1)
      queues.of(key).ended("me", 1_000)
      queues.tidy(key, 1_000)
    }
    for (let i = 0; i < 100; i++) come(`warm ${i}`)
    assert.strictEqual(queues.size, 1)
    for (let i = 0; i < 100; i++) come(`warm ${i}`)
    assert.strictEqual(queues.size, 65)
    queues.of("a").join(new Waiter("me"), 1_000)
    queues.tidy("x", 1_000)
    assert.strictEqual(queues["idle"].size, 64)
    queues.tidy("x", 1_020)
    assert.strictEqual(queues["idle"].size, 0)
  })

  it("a thousand that nobody needs, and no more: the oldest go", () => {
    const queues = new LockQueues()
    for (let i = 0; i < 1_000; i++) met(queues, `lock ${i}`, 1_000)
    assert.strictEqual(queues.size, 1_000)
    const first = queues.of("lock 0")
    met(queues, "lock 1000", 1_000)
    assert.strictEqual(queues.size, 1_000)
    assert.notStrictEqual(queues.of("lock 0"), first)
  })

  it("are hinted one by one, or all", () => {
    const queues = new LockQueues()
    const rung: Array<string> = []
    for (const key of ["a", "b"]) {
      const waiter = new Waiter(key)
      waiter.signal.notify = () => void rung.push(key)
      queues.of(key).join(waiter, 0)
    }
    queues.hint("a", 1)
    queues.hint("nobody's", 1)
    assert.deepStrictEqual(rung.splice(0), ["a"])
    queues.hint("all", 1)
    assert.deepStrictEqual(rung.splice(0), ["a", "b"])
    queues.notifyAll()
    assert.deepStrictEqual(rung, ["a", "b"])
    meets(queues.of("a"), 5)
    queues.hint("a", 2)
    const due = dueOf(queues.of("a"), 2)
    queues.hint("a", 2, true)
    assert.isBelow(dueOf(queues.of("a"), 2), due, "nobody else was told")
  })
})
