/** The lines that are logged, word by word, with hands on the clock: what goes in one line, how much is named, and how often. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as fibers from "#effect/fibers"
import type { Timers } from "../../src/core/timers.js"
import type { Claimant } from "../../src/core/claimant.js"
import { Logs, type Subject } from "../../src/core/logs.js"
import type { Timeline } from "../../src/core/timeline.js"
import * as Faulty from "../support/faulty.js"
import { heard, type Line } from "../support/logged.js"

interface Setup {
  readonly logs: Logs
  readonly lines: ReadonlyArray<Line>
  /** What is to be said at this moment has been said. */
  readonly said: Effect.Effect<ReadonlyArray<string>>
  readonly until: (now: number) => void
  readonly dues: Array<number>
}

const over = (body: (setup: Setup) => Effect.Effect<void, unknown>) =>
  heard((lines) =>
    Effect.gen(function* () {
      let now = 0
      const waitingTimers: Array<{ readonly due: number; readonly ring: () => void }> = []
      const dues: Array<number> = []
      const timers = {
        set: (due: number, ring: () => void) => {
          dues.push(due)
          waitingTimers.push({ due, ring })
        }
      } as unknown as Timers
      const clock = yield* Effect.clockWith(Effect.succeed)
      const logs = new Logs(yield* fibers.run, clock, timers, { now: () => now } as Timeline)
      const until = (end: number) => {
        now = end
        for (const timer of waitingTimers.splice(0)) {
          if (timer.due <= now) timer.ring()
          else waitingTimers.push(timer)
        }
      }
      const said = Effect.andThen(
        Effect.repeat(
          Effect.promise(() => Promise.resolve()),
          { times: 3 }
        ),
        Effect.sync(() => lines.splice(0).map(({ level, message }) => `${level} ${message}`))
      )
      yield* body({ logs, lines, said, until, dues })
    })
  )

const subject = (lockId: string, more?: { token?: number; ownerLabel?: string; leaseEnd?: number }): Subject => ({
  claimant: { lockId, ownerId: "me", ownerLabel: more?.ownerLabel ?? "" } as Claimant,
  token: more?.token,
  leaseEnd: more?.leaseEnd ?? 1_000
})

const prefix = "effect-storage-lock: "
const danger =
  "not renewed, and half of the time that was left has passed: lost before the lease ends, unless a renewal gets through"

describe("a line", () => {
  it.effect("says of a lock whose it is, until when, and why", () =>
    over(({ lines, said, logs, until }) =>
      Effect.gen(function* () {
        logs.endangered(subject("a", { token: 7 }), Faulty.failure("Timeout", "no"))
        yield* Effect.promise(() => Promise.resolve())
        yield* Effect.yieldNow
        assert.deepStrictEqual(lines[0]!.annotations, {
          lockId: "a",
          ownerId: "me",
          token: 7,
          ownerLabel: "",
          leaseEnd: "1970-01-01T00:00:01.000Z",
          reason: "Timeout"
        })
        assert.deepStrictEqual(yield* said, [
          `Warning ${prefix}${danger}: "a" of owner "me" (token 7, lease until 1970-01-01T00:00:01.000Z). Timeout: a Timeout made by the test`
        ])
        logs.unreleased(subject("b", { ownerLabel: "the test" }), undefined)
        yield* Effect.promise(() => Promise.resolve())
        yield* Effect.yieldNow
        assert.deepStrictEqual(lines[0]!.annotations, {
          lockId: "b",
          ownerId: "me",
          ownerLabel: "the test",
          leaseEnd: "1970-01-01T00:00:01.000Z",
          reason: "Timeout"
        })
        assert.deepStrictEqual(yield* said, [
          `Warning ${prefix}not given back, and may keep others out until the lease ends: "b" of the test (lease until 1970-01-01T00:00:01.000Z). The storage has not answered`
        ])
        until(5_000)
        logs.endangered(subject("c"), undefined)
        assert.match((yield* said)[0]!, /\. The storage has not answered yet$/)
        logs.recovered(subject("a"))
        logs.released(subject("b"))
        yield* Effect.promise(() => Promise.resolve())
        yield* Effect.yieldNow
        assert.deepStrictEqual(
          lines.map(({ annotations }) => annotations.reason),
          ["Recovered", "Recovered"]
        )
        const both = yield* said
        assert.match(both[0]!, /^Info effect-storage-lock: renewed again: "a" of owner "me" \(lease until [^)]*\)$/)
        assert.match(both[1]!, /^Info effect-storage-lock: given back after all: "b"/)
      })
    )
  )

  it.effect("of a loss says why, as a sentence; of one with its layer no more than that", () =>
    over(({ lines, said, logs }) =>
      Effect.gen(function* () {
        logs.lost(subject("a"), "Vanished", "it has no record")
        logs.lost(subject("a"), "Closed", undefined)
        yield* Effect.promise(() => Promise.resolve())
        yield* Effect.yieldNow
        assert.deepStrictEqual(
          lines.map(({ annotations }) => annotations.reason),
          ["Vanished", "Closed"]
        )
        const [vanished, closed] = yield* said
        assert.match(vanished!, /^Warning effect-storage-lock: lost, since .*\)\. It has no record$/)
        assert.match(closed!, /^Info effect-storage-lock: lost, since .*\)$/)
      })
    )
  )

  it.effect("names five locks, and counts the others; the first lease to end is told", () =>
    over(({ lines, said, logs }) =>
      Effect.gen(function* () {
        for (let i = 1; i <= 7; i++) logs.endangered(subject(`${i}`, { token: i, leaseEnd: 10_000 - i }), undefined)
        yield* Effect.promise(() => Promise.resolve())
        yield* Effect.yieldNow
        assert.deepStrictEqual(
          lines.map(({ annotations }) => annotations),
          [
            {
              lockId: "1, 2, 3, 4, 5",
              locks: 7,
              ownerLabel: "",
              leaseEnd: "1970-01-01T00:00:09.995Z",
              reason: "Timeout"
            }
          ]
        )
        const [all] = yield* said
        assert.match(
          all!,
          /"1" of owner "me" \(token 1, [^)]*\), "2" of .*"5" of owner "me" \([^)]*\), and 2 more\. The storage/
        )
      })
    )
  )

  it.effect("of a renewal that failed is for who debugs, at once, and never of none", () =>
    over(({ said, logs }) =>
      Effect.gen(function* () {
        logs.renewalFailed([], Faulty.failure("Timeout", "no"))
        assert.deepStrictEqual(yield* said, [])
        logs.renewalFailed(
          [1, 2, 3, 4, 5, 6].map((i) => subject(`${i}`)),
          Faulty.failure("Timeout", "no")
        )
        const [line] = yield* said
        assert.match(
          line!,
          /^Debug effect-storage-lock: a renewal failed: "1" .*"5" of [^"]*"me" \([^)]*\), and 1 more\. Timeout: a Timeout made by the test$/
        )
      })
    )
  )
})

describe("lines of one kind", () => {
  it.effect(
    "gather for a second, and for twice as long after each that follows at once, up to a minute; then it starts over",
    () =>
      over(({ dues, said, logs, until }) =>
        Effect.gen(function* () {
          const more = () => logs.endangered(subject("a"), undefined)
          more()
          assert.strictEqual((yield* said).length, 1)
          let now = 0
          const pauses: Array<number> = []
          for (let i = 0; i < 9; i++) {
            more()
            more()
            assert.deepStrictEqual(yield* said, [])
            assert.strictEqual(dues.length, i + 1, "one timer for all that gathers")
            until(dues[i]! - 1)
            assert.deepStrictEqual(yield* said, [])
            until(dues[i]!)
            const lines = yield* said
            assert.strictEqual(lines.length, 1)
            assert.match(lines[0]!, /: "a" of [^,]*, [^,]*, "a"|"a".*"a"/)
            pauses.push(dues[i]! - now)
            now = dues[i]!
          }
          assert.deepStrictEqual(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000])
          until(now + 60_000)
          more()
          assert.strictEqual((yield* said).length, 1)
          more()
          assert.strictEqual(dues.at(-1), now + 61_000)
        })
      )
  )

  it.effect("each have their own time, and are said at once when nobody is left to say them later", () =>
    over(({ said, logs }) =>
      Effect.gen(function* () {
        logs.endangered(subject("a"), undefined)
        logs.endangered(subject("b"), Faulty.failure("Connection", "no"))
        assert.strictEqual((yield* said).length, 2)
        logs.endangered(subject("c"), undefined)
        assert.strictEqual((yield* said).length, 0)
        logs.flush()
        assert.match((yield* said).join(), /"c"/)
        logs.flush()
        assert.strictEqual((yield* said).length, 0)
      })
    )
  )
})
