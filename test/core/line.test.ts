/** The line of one process for one lock: who may ask, who passes by, and when other processes are let in. */
import { describe, expect, it } from "#effect/vitest"
import { Line, Ticket } from "../../src/core/line.js"
import { Lines } from "../../src/core/lines.js"
import { Queue } from "../../src/core/queue.js"
import type { LockRecord } from "../../src/LockRecord.js"

const heldBy = (ownerId: string): LockRecord =>
  ({ ownerId, holds: ["h"], lockId: "l", token: 1, version: 1 }) as unknown as LockRecord

/** So many turns, each of `took` ms, by fibers that come again at once. Tells after how many turns each pause was taken. */
const goRound = (line: Line, fibers: number, turns: number, took: number, hints: "none" | "prompt" | "late") => {
  let now = 0
  let unheard = 0
  const waiting: Array<Ticket> = []
  const come = () => {
    const ticket = new Ticket(`owner ${Math.random()}`, false)
    waiting.push(ticket)
    return line.join(ticket, now)
  }
  for (let i = 0; i < fibers; i++) come()
  const pauses: Array<number> = []
  const dues: Array<number> = []
  for (let turn = 0; turn < turns; turn++) {
    const head = waiting.shift()!
    expect(line.mayGo(head)).toBe(true)
    if (line.takePause(now, 8, 100)) {
      pauses.push(turn)
      now += 20
    }
    dues.push(line.due(head, now) - now)
    line.claimed(head.ownerId, now)
    line.leave(head)
    come()
    now += took
    if (hints === "late") for (; unheard > 5; unheard--) line.freed(now)
    line.ending(head.ownerId)
    line.ended(head.ownerId, now)
    unheard++
    if (hints === "prompt") for (; unheard > 0; unheard--) line.freed(now)
  }
  return { pauses, dues, head: waiting[0]! }
}

describe("the line", () => {
  it("lets others in each time it has gone round for long enough, not at every eighth turn ever after", () => {
    const { pauses } = goRound(new Line(), 8, 1000, 1, "none")
    // 1000 turns of 1 ms and pauses: one in 100 ms.
    expect(pauses.length).toBeGreaterThanOrEqual(9)
    expect(pauses.length).toBeLessThanOrEqual(10)
    for (let i = 1; i < pauses.length; i++) expect(pauses[i]! - pauses[i - 1]!).toBeGreaterThanOrEqual(100)
  })

  it("counts long turns: eight of them are a streak", () => {
    const { pauses } = goRound(new Line(), 8, 100, 50, "none")
    expect(pauses[0]).toBe(9)
    expect(pauses.length).toBeGreaterThanOrEqual(10)
  })

  for (const hints of ["prompt", "late"] as const) {
    it(`does not take the hints of its own releases for those of others, however many are under way (${hints})`, () => {
      const { dues } = goRound(new Line(), 8, 1000, 1, hints)
      expect(Math.max(...dues)).toBe(0)
    })
  }

  it("hears others again once one of them has it, though hints of its own releases were lost", () => {
    const line = new Line()
    const { head } = goRound(line, 2, 100, 1, "none")
    line.held(heldBy("theirs"))
    for (let i = 0; i < 5; i++) line.freed(1000 + 10 * i)
    line.claimed(head.ownerId, 1050)
    expect(line.remembers(1050)).toBe(true)
  })

  it("a pause goes on though who was first in line has left", () => {
    const line = new Line()
    const [first, second] = [new Ticket("a", false), new Ticket("b", false)]
    line.join(first, 0)
    line.join(second, 0)
    line.pausesUntil = 20
    line.leave(first)
    expect(line.mayGo(second)).toBe(true)
    expect(line.pausesUntil).toBe(20)
    line.claimed("b", 20)
    expect(line.pausesUntil).toBeLessThan(0)
  })

  it("hands on to those who wait, and not to who comes after they have left", () => {
    const line = new Line()
    // It has met others, so that there is a turn to await.
    const one = new Ticket("one", false)
    line.join(one, 0)
    for (let i = 0; i < 8; i++) line.freed(10 * i)
    line.claimed("one", 80)
    line.leave(one)
    const two = new Ticket("two", false)
    line.join(two, 81)
    line.ending("one")
    line.ended("one", 82)
    expect(line.due(two, 82)).toBe(82)
    line.leave(two)
    const three = new Ticket("three", false)
    expect(line.join(three, 83)).toBe(true)
    expect(line.due(three, 83)).toBeGreaterThan(83)
  })

  it("who only tries, and gets it, has not waited in place of those who do", () => {
    const line = new Line()
    line.join(new Ticket("waiter", false), 0)
    for (let i = 0; i < 8; i++) line.freed(10 * i)
    line.claimed("trier", 80)
    expect(line.remembers(80)).toBe(false)
  })

  it("a reentry that is already in line passes by when its owner gets the lock, here or by the storage's word", () => {
    const line = new Line()
    const [first, other, again] = [new Ticket("a"), new Ticket("b", false), new Ticket("a")]
    for (const ticket of [first, other, again]) line.join(ticket, 0)
    expect(line.mayGo(again)).toBe(false)
    let rung = false
    const bell = again.bell.ring.bind(again.bell)
    again.bell.ring = () => {
      rung = true
      bell()
    }
    line.claimed("a", 0)
    line.leave(first)
    expect(rung).toBe(true)
    expect([line.mayGo(other), line.mayGo(again)]).toEqual([false, true])

    rung = false
    line.ending("a")
    line.ended("a", 1)
    expect([line.mayGo(other), line.mayGo(again)]).toEqual([true, false])
    line.held(heldBy("a"))
    expect(rung).toBe(true)
    expect(line.mayGo(again)).toBe(true)
    rung = again.hinted = false
    line.hint()
    expect([rung, again.hinted, other.hinted]).toEqual([true, true, true])
  })

  it("an empty line is forgotten, and with it the owners it knew", () => {
    const lines = new Lines()
    for (let i = 0; i < 3000; i++) {
      const line = lines.of(`lock ${i}`)
      const ticket = new Ticket("owner")
      line.join(ticket, i)
      line.claimed("owner", i)
      line.leave(ticket)
      line.ending("owner")
      line.ended("owner", i)
      expect(line.isEmpty).toBe(true)
      lines.tidy(`lock ${i}`, i)
    }
    expect((lines as unknown as { lines: Map<string, Line> }).lines.size).toBe(0)
  })
})

describe("the queue", () => {
  it("is in order, whoever leaves from wherever", () => {
    const queue = new Queue<Ticket>()
    const tickets = Array.from({ length: 200 }, (_, i) => new Ticket(`${i}`))
    const model: Array<Ticket> = []
    let seed = 7
    const random = (below: number) => (seed = (seed * 48271) % 2147483647) % below
    for (let i = 0; i < 5000; i++) {
      const ticket = tickets[random(tickets.length)]!
      const place = model.indexOf(ticket)
      expect(queue.has(ticket)).toBe(place >= 0)
      if (place >= 0) {
        model.splice(place, 1)
        queue.delete(ticket)
        queue.delete(ticket)
      } else {
        model.push(ticket)
        queue.add(ticket)
        queue.add(ticket)
      }
      expect(queue.first).toBe(model[0])
      expect(queue.size).toBe(model.length)
    }
    while (model.length > 0) {
      expect(queue.first).toBe(model.shift())
      queue.delete(queue.first!)
    }
    expect(queue.first).toBe(undefined)
  })
})
