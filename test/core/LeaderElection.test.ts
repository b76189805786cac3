/** One leader at a time, and soon another if it is gone. */
import { assert, describe, it } from "#harness/vitest"
import * as Cause from "#effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "#effect/Deferred"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as Layer from "#effect/Layer"
import * as logs from "#harness/logs"
import * as Option from "#effect/Option"
import * as Schedule from "#effect/Schedule"
import type * as Scope from "#effect/Scope"
import * as Stream from "#effect/Stream"
import * as fibers from "#effect/fibers"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as elections from "../../src/core/elections.js"
import * as onlooker from "../../src/core/onlooker.js"
import { coreOf } from "../../src/core/service.js"
import * as LeaderElection from "../../src/LeaderElection.js"
import { InvalidOptions } from "../../src/LockError.js"
import type * as StorageLock from "../../src/StorageLock.js"
import * as Faulty from "../support/faulty.js"
import * as Process from "../support/process.js"
import * as VirtualTime from "../support/virtualTime.js"

const lease = 3_000
const options = { leaseExpireAfter: lease, clockMargin: 300 } as const

/** The longest pause of the default polls. */
const poll = 750

/** Processes with links of their own to one storage. */
const setup = (count: number) =>
  Effect.gen(function* () {
    const storage = yield* MemoryStorage.make()
    return yield* Effect.forEach(Array.from({ length: count }), () =>
      Effect.gen(function* () {
        const link = Faulty.make(storage)
        const process = yield* Process.make(link.storage, options)
        return {
          ...process,
          link,
          cut: link.set(["claim", "renew", "release", "get"], Faulty.hang),
          mend: link.set(["claim", "renew", "release", "get"], undefined)
        }
      })
    )
  })

/** Says who wrote to it, and refuses whoever comes with a token below one that it has seen. */
class Resource {
  readonly tokens: Array<number> = []
  readonly stale: Array<number> = []
  private readonly inBody = new Set<number>()
  overlaps = 0
  /** Since when nobody leads, and the longest such time. */
  private idleSince: number | undefined
  longestGap = 0

  write(token: number): void {
    const last = this.tokens[this.tokens.length - 1] ?? 0
    if (token < last) this.stale.push(token)
    else if (token > last) this.tokens.push(token)
  }
  enter(token: number, now: number): void {
    if (this.inBody.size > 0) this.overlaps++
    if (this.idleSince !== undefined) this.longestGap = Math.max(this.longestGap, now - this.idleSince)
    this.inBody.add(token)
    this.write(token)
  }
  leave(token: number, now: number): void {
    this.inBody.delete(token)
    if (this.inBody.size === 0) this.idleSince = now
  }
}

/** Writes all the time while it leads. */
const writing =
  (resource: Resource, led?: (term: LeaderElection.Term) => void) =>
  (term: LeaderElection.Term): Effect.Effect<never> =>
    Effect.acquireUseRelease(
      Effect.tap(Clock.currentTimeMillis, (now) => Effect.sync(() => resource.enter(term.token, now))),
      () =>
        Effect.andThen(
          Effect.sync(() => led?.(term)),
          Effect.forever(
            Effect.andThen(
              Effect.sync(() => resource.write(term.token)),
              Effect.sleep("50 millis")
            )
          )
        ),
      () => Effect.map(Clock.currentTimeMillis, (now) => resource.leave(term.token, now))
    )

/** What is logged meanwhile. */
const logging = <A, E, R>(self: (said: ReadonlyArray<string>) => Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const said: Array<string> = []
    return Effect.provide(
      self(said),
      logs.to(({ message }) => void said.push(message))
    )
  })

const sleepsUntil = (holds: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => (holds() ? Effect.void : Effect.andThen(Effect.sleep("10 millis"), sleepsUntil(holds))))

const virtual = (name: string, self: Effect.Effect<void, unknown, Scope.Scope>) =>
  // Storages that fail make many words.
  it.live(
    name,
    () =>
      Effect.provide(
        VirtualTime.run(Effect.scoped(self)),
        logs.to(() => {})
      ),
    60_000
  )

describe("an election", () => {
  virtual(
    "has one leader at a time, whatever the links do: by the word of a fenced resource",
    Effect.gen(function* () {
      const processes = yield* setup(4)
      const resource = new Resource()
      for (const { run } of processes) yield* Effect.forkScoped(run(LeaderElection.run("job", writing(resource))))
      // Each in turn is cut off for longer than a lease, or for less, and two at once.
      for (let round = 0; round < 24; round++) {
        const some = processes.filter(
          (_, index) => index === round % 4 || (round % 5 === 0 && index === (round + 1) % 4)
        )
        for (const { cut } of some) yield* cut
        yield* Effect.sleep(Duration.millis(700 + 450 * (round % 13)))
        for (const { mend } of some) yield* mend
        yield* Effect.sleep(Duration.millis(300 + 200 * (round % 7)))
      }
      assert.deepStrictEqual([resource.overlaps, resource.stale], [0, []])
      assert.isAbove(resource.tokens.length, 4)
    })
  )

  virtual(
    "the body has ended before the lease is over when the storage is cut, and the next leads within a lease and a poll",
    Effect.gen(function* () {
      const [first, second] = yield* setup(2)
      const resource = new Resource()
      const begun = yield* Deferred.make<LeaderElection.Term>()
      const ended = yield* Deferred.make<number>()
      yield* Effect.forkScoped(
        first!.run(
          LeaderElection.run("job", (term) =>
            Deferred.succeed(begun, term).pipe(
              Effect.andThen(writing(resource)(term)),
              Effect.onInterrupt(() => Effect.flatMap(Clock.currentTimeMillis, (now) => Deferred.succeed(ended, now)))
            )
          )
        )
      )
      const term = yield* Deferred.await(begun)
      yield* Effect.forkScoped(second!.run(LeaderElection.run("job", writing(resource))))
      yield* Effect.sleep("2500 millis")
      const cut = yield* Clock.currentTimeMillis
      yield* first!.cut
      const end = yield* Deferred.await(ended)
      const info = yield* second!.locks.get("job")
      // By the lease that the storage knows of, not by the candidate's word.
      assert.strictEqual(Option.getOrThrow(info).token, term.token)
      assert.isAtMost(end - cut, lease - options.clockMargin)
      yield* sleepsUntil(() => resource.tokens.length === 2)
      const led = yield* Clock.currentTimeMillis
      assert.isAtMost(led - cut, lease + poll)
      assert.deepStrictEqual([resource.overlaps, resource.stale], [0, []])
    })
  )

  virtual(
    "after a process that died without a word the next leads within a lease and a poll",
    Effect.gen(function* () {
      const storage = yield* MemoryStorage.make()
      const survivor = yield* Process.make(storage, options)
      // Nobody renews it, and nobody's body runs.
      yield* storage.claim({
        lockId: "job",
        ownerId: "dead",
        holdId: "its hold",
        lease: lease * 1000,
        ownerLabel: ""
      })
      const died = yield* Clock.currentTimeMillis
      const resource = new Resource()
      yield* Effect.forkScoped(survivor.run(LeaderElection.run("job", writing(resource))))
      yield* sleepsUntil(() => resource.tokens.length === 1)
      const gap = (yield* Clock.currentTimeMillis) - died
      assert.isAtLeast(gap, lease)
      assert.isAtMost(gap, lease + poll)
    })
  )

  virtual(
    "after an orderly end, and after resign, it is handed over at once",
    Effect.gen(function* () {
      const [first, second] = yield* setup(2)
      const resource = new Resource()
      const terms: Array<LeaderElection.Term> = []
      const body = writing(resource, (term) => void terms.push(term))
      const running = yield* Effect.forkChild(first!.run(LeaderElection.run("job", body)))
      yield* sleepsUntil(() => terms.length === 1)
      yield* Effect.forkScoped(second!.run(LeaderElection.run("job", body, { afterResign: "1 minute" })))
      yield* Effect.sleep("10 seconds")
      yield* Fiber.interrupt(running)
      yield* sleepsUntil(() => terms.length === 2)
      yield* Effect.forkScoped(first!.run(LeaderElection.run("job", body)))
      yield* Effect.sleep("10 seconds")
      yield* terms[1]!.resign
      yield* terms[1]!.resign
      yield* sleepsUntil(() => terms.length === 3)
      assert.isAtMost(resource.longestGap, 20)
      assert.strictEqual((yield* Effect.flip(terms[1]!.lock.check)).reason, "Released")
      // It comes back after its pause.
      yield* Effect.sleep("2 minutes")
      yield* terms[2]!.resign
      yield* sleepsUntil(() => terms.length === 4)
      assert.isAtMost(resource.longestGap, 20)
      assert.deepStrictEqual([resource.overlaps, resource.stale], [0, []])
    })
  )
})

describe("the end of a term", () => {
  virtual(
    "a body that ends is the end of the run, or of one term of many",
    Effect.gen(function* () {
      const [process] = yield* setup(1)
      assert.strictEqual(yield* process!.run(LeaderElection.run("job", Effect.succeed("done"))), "done")
      let terms = 0
      const always = yield* Effect.forkScoped(
        process!.run(
          LeaderElection.run(
            "job",
            Effect.sync(() => terms++),
            { again: "always" }
          )
        )
      )
      yield* Effect.sleep("5 seconds")
      // With a pause between them.
      assert.isAtLeast(terms, 5)
      assert.isAtMost(terms, 22)
      assert.isTrue(fibers.exitOf(always) === undefined)
    })
  )

  virtual(
    "a body that fails is the end of the run, unless there is a schedule to begin again",
    logging((said) =>
      Effect.gen(function* () {
        const [process] = yield* setup(1)
        const failing = Effect.fail("its own")
        assert.strictEqual(yield* Effect.flip(process!.run(LeaderElection.run("job", failing))), "its own")
        let terms = 0
        const error = yield* Effect.flip(
          process!.run(
            LeaderElection.run(
              "job",
              Effect.andThen(
                Effect.sync(() => terms++),
                failing
              ),
              {
                restart: Schedule.min([Schedule.recurs(3), Schedule.recurs(3)])
              }
            )
          )
        )
        assert.deepStrictEqual([error, terms], ["its own", 4])
        assert.strictEqual(said.filter((line) => line.includes("the body of the leader")).length, 4)
        assert.deepStrictEqual(
          said.filter((line) => line.includes('leads "job"')),
          []
        )
        const died = yield* Effect.exit(process!.run(LeaderElection.run("job", Effect.die("a defect"))))
        assert.isTrue(Exit.isFailure(died))
        assert.isTrue(Option.isNone(yield* process!.locks.get("job")))
        // An error that looks like one of the lock's is the body's own all the same.
        const own = Faulty.failure("Connection", "no")
        assert.strictEqual(yield* Effect.flip(process!.run(LeaderElection.run("job", own))), own)
        const itself = yield* Effect.forkScoped(process!.run(LeaderElection.run("job", Effect.interrupt)))
        yield* Effect.sleep("1 seconds")
        const exit = fibers.exitOf(itself)
        assert.isTrue(exit !== undefined && Exit.hasInterrupts(exit))
      })
    )
  )

  virtual(
    "whoever resigns and does not come back is told so",
    Effect.gen(function* () {
      const [process] = yield* setup(1)
      const error = yield* Effect.flip(
        process!.run(
          LeaderElection.run("job", (term) => Effect.andThen(term.resign, Effect.never), { afterResign: "never" })
        )
      )
      assert(error instanceof LeaderElection.Resigned)
      assert.include(error.message, '"job"')
      assert.isTrue(Option.isNone(yield* process!.locks.get("job")))
      // By whoever has no term.
      const run = yield* Effect.forkChild(
        Effect.flip(process!.run(LeaderElection.run("job", Effect.never, { afterResign: "never" })))
      )
      yield* Effect.sleep("1 seconds")
      assert.isFalse(yield* process!.run(LeaderElection.resign("other")))
      assert.isTrue(yield* process!.run(LeaderElection.resign("job")))
      assert.strictEqual((yield* Fiber.join(run))._tag, "Resigned")
    })
  )

  virtual(
    "holdAtMost is the longest term",
    Effect.gen(function* () {
      const [process] = yield* setup(1)
      const resource = new Resource()
      yield* Effect.forkScoped(process!.run(LeaderElection.run("job", writing(resource), { holdAtMost: "10 seconds" })))
      yield* Effect.sleep("10 minutes")
      assert.isAtLeast(resource.tokens.length, 50)
      assert.strictEqual(resource.overlaps, 0)
      // It rests for half a second or so, in case that others are better off.
      assert.isAtLeast(resource.longestGap, 400)
      assert.isAtMost(resource.longestGap, 800)
    })
  )
})

describe("a storage that fails", () => {
  virtual(
    "while it campaigns is told of, ever more rarely, and does not end the run",
    logging((said) =>
      Effect.gen(function* () {
        const [process] = yield* setup(1)
        let failed = 0
        yield* Effect.forkScoped(
          Stream.runForEach(process!.locks.events, ({ _tag }) =>
            Effect.sync(() => {
              if (_tag === "AcquireFailed") failed++
            })
          )
        )
        yield* Effect.sleep("1 millis")
        yield* process!.link.set(["claim"], Faulty.refuse)
        const resource = new Resource()
        yield* Effect.forkScoped(process!.run(LeaderElection.run("job", writing(resource))))
        yield* Effect.sleep("10 minutes")
        assert.isAtLeast(failed, 12)
        assert.isAtMost(failed, 60)
        // At the first, the second, the fourth, and so on.
        const lines = said.filter((line) => line.includes("cannot campaign"))
        assert.strictEqual(lines.length, Math.floor(Math.log2(failed)) + 1)
        yield* process!.mend
        yield* sleepsUntil(() => resource.tokens.length === 1)
        assert.strictEqual(said.filter((line) => line.includes('leads "job"')).length, 1)
      })
    )
  )

  virtual(
    "for good, as without rights, is an error of the run; so are bad ids and options, before any I/O",
    Effect.gen(function* () {
      const [process] = yield* setup(1)
      const wrong = [
        LeaderElection.run("", Effect.void),
        LeaderElection.run("job", Effect.void, { leaseExpireAfter: 0 }),
        LeaderElection.run("job", Effect.void, { again: "ever" as never }),
        LeaderElection.run("job", Effect.void, { afterResign: -1 }),
        LeaderElection.run("job", Effect.void, { restart: "soon" as never }),
        LeaderElection.run("job", Effect.void, { ownerId: "me" } as never),
        LeaderElection.run("job", Effect.void, { rest: 1 } as never),
        LeaderElection.run("job", Effect.void, null as never),
        LeaderElection.run("job", "body" as never)
      ]
      const fields = yield* Effect.forEach(wrong, (self) =>
        Effect.map(
          Effect.flip(
            process!.run(self as Effect.Effect<never, LeaderElection.CampaignError, StorageLock.StorageLock>)
          ),
          (error) => ("field" in error ? error.field : error._tag)
        )
      )
      assert.deepStrictEqual(fields, [
        "lockId",
        "leaseExpireAfter",
        "again",
        "afterResign",
        "restart",
        "ownerId",
        "rest",
        "options",
        "body"
      ])
      assert.strictEqual(process!.link.calls.claim, 0)
      yield* process!.link.set(["claim"], { before: Faulty.failure("Permission", "no", false) })
      const error = yield* Effect.flip(process!.run(LeaderElection.run("job", Effect.never)))
      assert.deepInclude({ ...error }, { _tag: "StorageError", reason: "Permission" })
    })
  )
})

/** Whether somebody leads, as it is told to who hears of it, and polls but once a day. */
const looking = (process: Effect.Success<ReturnType<typeof setup>>[number]) =>
  Effect.gen(function* () {
    const seen: Array<boolean> = []
    const fiber = yield* Effect.forkScoped(
      process.run(
        Stream.runForEach(LeaderElection.leader("job", { pollEvery: "1 day" }), (leader) =>
          Effect.sync(() => void seen.push(Option.isSome(leader)))
        )
      )
    )
    return { fiber, seen }
  })

describe("those who only look", () => {
  virtual(
    "are told who leads: the first value at once, then changes only",
    Effect.gen(function* () {
      const [first, second, looker] = yield* setup(3)
      const seen: Array<number | undefined> = []
      yield* Effect.forkScoped(
        looker!.run(
          Stream.runForEach(LeaderElection.leader("job", { pollEvery: "2 seconds" }), (leader) =>
            Effect.sync(() => void seen.push(Option.getOrUndefined(Option.map(leader, ({ token }) => token))))
          )
        )
      )
      yield* Effect.sleep("10 seconds")
      assert.deepStrictEqual(seen, [undefined])
      const resource = new Resource()
      const running = yield* Effect.forkChild(first!.run(LeaderElection.run("job", writing(resource))))
      yield* Effect.sleep("30 seconds")
      assert.deepStrictEqual(seen, [undefined, resource.tokens[0]])
      // While its storage is cut, it tells nothing.
      yield* looker!.link.set(["get"], Faulty.refuse)
      yield* Effect.forkScoped(second!.run(LeaderElection.run("job", writing(resource))))
      yield* Fiber.interrupt(running)
      yield* Effect.sleep("30 seconds")
      assert.strictEqual(seen.length, 2)
      yield* looker!.mend
      yield* Effect.sleep("3 seconds")
      assert.deepStrictEqual(seen, [undefined, ...resource.tokens])
      assert.strictEqual(resource.tokens.length, 2)
      // Some reads, and no write.
      assert.isAtMost(looker!.link.calls.get, 60)
      assert.strictEqual(looker!.link.calls.claim, 0)
    })
  )

  virtual(
    "hear of a change at once where there are wake-ups, of this election alone",
    Effect.gen(function* () {
      const [first, looker] = yield* setup(2)
      const running = yield* Effect.forkChild(first!.run(LeaderElection.run("job", Effect.never)))
      yield* Effect.sleep("1 seconds")
      const { seen } = yield* looking(looker!)
      yield* Effect.sleep("1 seconds")
      const { get } = looker!.link.calls
      yield* Effect.scoped(first!.locks.acquire("another"))
      yield* Effect.sleep("1 seconds")
      assert.strictEqual(looker!.link.calls.get, get)
      yield* Fiber.interrupt(running)
      yield* Effect.sleep("1 seconds")
      assert.deepStrictEqual(seen, [true, false])
    })
  )

  virtual(
    "hear of a leader in their own layer at once, and of nothing else that happens there",
    Effect.gen(function* () {
      const [process] = yield* setup(1)
      const { fiber, seen } = yield* looking(process!)
      yield* Effect.sleep("1 seconds")
      const running = yield* Effect.forkChild(process!.run(LeaderElection.run("job", Effect.never)))
      yield* Effect.sleep("1 seconds")
      assert.deepStrictEqual(seen, [false, true])
      const { get } = process!.link.calls
      yield* Effect.scoped(process!.locks.acquire("another"))
      // It is renewed meanwhile.
      yield* Effect.sleep("30 minutes")
      assert.strictEqual(process!.link.calls.get, get)
      yield* Fiber.interrupt(running)
      yield* Effect.sleep("1 seconds")
      assert.deepStrictEqual(seen, [false, true, false])
      yield* Fiber.interrupt(fiber)
      const { get: reads } = process!.link.calls
      yield* Effect.scoped(process!.locks.acquire("job"))
      yield* Effect.sleep("2 days")
      assert.strictEqual(process!.link.calls.get, reads)
    })
  )

  virtual(
    "hear that all may have changed, and of the next term of one owner; what is no layer's they poll; afterwards nobody listens",
    Effect.gen(function* () {
      const [process] = yield* setup(1)
      const { locks } = process!
      const core = coreOf(locks)!
      const { fiber, seen } = yield* looking(process!)
      yield* Effect.sleep("1 seconds")
      const { get } = process!.link.calls
      core.events.hinted("all")
      yield* Effect.sleep("1 seconds")
      assert.strictEqual(process!.link.calls.get, get + 1)
      for (let i = 0; i < 2; i++) yield* Effect.scoped(locks.acquire("job", "me"))
      const tokens: Array<number> = []
      yield* Effect.forkScoped(
        Stream.runForEach(onlooker.leader({ ...locks }, "job", 1_000), (leader) =>
          Effect.sync(() => void tokens.push(Option.isSome(leader) ? leader.value.token : 0))
        )
      )
      yield* locks.lock("job", "me")
      yield* Effect.sleep("2 seconds")
      yield* locks.unlock("job", "me")
      yield* locks.lock("job", "me")
      yield* Effect.sleep("2 seconds")
      assert.strictEqual(
        tokens.filter((token) => token > 0).length,
        2,
        "the same owner, with another token, is another leader"
      )
      assert.isTrue(seen.at(-1))
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(core.events.listening, 0)
    })
  )

  virtual(
    "of one's own process listen no longer than they look",
    Effect.gen(function* () {
      const [process] = yield* setup(1)
      const all = elections.of(process!.locks)
      let listening = 0
      const listen = all.listen.bind(all)
      all.listen = (listener) => {
        listening++
        const forget = listen(listener)
        return () => {
          listening--
          forget()
        }
      }
      const looks = process!.run(Stream.runDrain(LeaderElection.isLeader("job")))
      const fiber = yield* Effect.forkScoped(looks)
      yield* Effect.sleep("1 seconds")
      assert.strictEqual(listening, 1)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(listening, 0)
    })
  )

  virtual(
    "say once that they cannot look, and once that they can again",
    logging((said) =>
      Effect.gen(function* () {
        const [process] = yield* setup(1)
        yield* process!.link.set(["get"], Faulty.refuse)
        yield* Effect.forkScoped(
          process!.run(Stream.runDrain(LeaderElection.leader("job", { pollEvery: "2 seconds" })))
        )
        yield* Effect.sleep("1 minutes")
        const about = () => said.filter((line) => line.includes('who leads "job"'))
        assert.lengthOf(about(), 1)
        assert.match(about()[0]!, /^effect-storage-lock: cannot tell who leads "job": ./)
        yield* process!.mend
        yield* Effect.sleep("1 minutes")
        assert.deepStrictEqual(about().slice(1), ['effect-storage-lock: can tell again who leads "job"'])
      })
    )
  )

  virtual(
    "whose rights are missing, or whose input is wrong, are told so",
    Effect.gen(function* () {
      const [process] = yield* setup(1)
      yield* process!.link.set(["get"], { before: Faulty.failure("Permission", "no", false) })
      for (const [stream, what] of [
        [LeaderElection.leader("job"), "StorageError"],
        [LeaderElection.leader(""), "InvalidLockId"],
        [LeaderElection.leader("job", { pollEvery: 0 }), "InvalidOptions"],
        [LeaderElection.leader("job", { poll: 0 } as never), "InvalidOptions"]
      ] as const)
        assert.strictEqual((yield* Effect.flip(process!.run(Stream.runDrain(stream))))._tag, what)
      const defect = new Error("of the test")
      yield* process!.link.set(["get"], { before: Effect.die(defect) })
      const exit = yield* Effect.exit(process!.run(Stream.runDrain(LeaderElection.leader("job"))))
      assert.isTrue(Exit.isFailure(exit) && String(Cause.squash(exit.cause)).includes("of the test"))
    })
  )

  virtual(
    "whether this process leads: false from the loss on, though the body is still ending",
    Effect.gen(function* () {
      const [process] = yield* setup(1)
      const seen: Array<string> = []
      const at = (what: unknown) => Effect.sync(() => void seen.push(String(what)))
      yield* Effect.forkScoped(process!.run(Stream.runForEach(LeaderElection.isLeader("job"), at)))
      yield* Effect.sleep("1 millis")
      yield* Effect.forkScoped(
        process!.run(
          LeaderElection.run(
            "job",
            Effect.never.pipe(Effect.onInterrupt(() => Effect.andThen(Effect.sleep("100 millis"), at("ended"))))
          )
        )
      )
      yield* Effect.sleep("1 seconds")
      yield* process!.cut
      yield* Effect.sleep("5 seconds")
      assert.deepStrictEqual(seen, ["false", "true", "false", "ended"])
      yield* process!.mend
      yield* Effect.sleep("30 seconds")
      assert.deepStrictEqual(seen, ["false", "true", "false", "ended", "true"])
    })
  )
})

describe("a singleton", () => {
  virtual(
    "runs once in all processes, after failures, too, and ends with its layer",
    logging((said) =>
      Effect.gen(function* () {
        const [first, second] = yield* setup(2)
        const resource = new Resource()
        const ran = { first: 0, second: 0 }
        const scoped = (process: NonNullable<typeof first>, name: "first" | "second") =>
          process.run(
            Layer.build(
              LeaderElection.singleton("job", (term) => {
                ran[name]++
                return name === "first" && ran.first === 1
                  ? Effect.andThen(Effect.sleep("1 seconds"), Effect.fail("not ready"))
                  : writing(resource)(term)
              })
            )
          )
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* scoped(first!, "first")
            yield* Effect.sleep("100 millis")
            yield* scoped(second!, "second")
            yield* Effect.sleep("20 seconds")
            assert.deepStrictEqual(ran, { first: 1, second: 1 })
          })
        )
        assert.isTrue(Option.isNone(yield* first!.locks.get("job")))
        assert.strictEqual(said.filter((line) => line.includes("the body of the leader")).length, 1)
        const error = yield* Effect.flip(
          Effect.scoped(first!.run(Layer.build(LeaderElection.singleton("job", Effect.void, { again: "x" as never }))))
        )
        assert.instanceOf(error, InvalidOptions)
        yield* first!.link.set(["claim"], { before: Faulty.failure("Permission", "no", false) })
        yield* Effect.scoped(
          Effect.andThen(
            first!.run(Layer.build(LeaderElection.singleton("job", Effect.void))),
            Effect.sleep("1 seconds")
          )
        )
        assert.strictEqual(said.filter((line) => line.includes("does not campaign")).length, 1)
      })
    )
  )
})
