/** The way of one process to the storage, on which everything may go wrong that goes wrong on networks. */
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Option from "#effect/Option"
import * as Queue from "#effect/Queue"
import * as Schedule from "#effect/Schedule"
import * as Stream from "#effect/Stream"
import { StorageError } from "../../src/LockError.js"
import * as Storage from "../../src/Storage.js"
import * as VersionedStore from "../../src/VersionedStore.js"
import type { Event } from "./history.js"
import type { Machine } from "./machine.js"
import { healthy, type Network, type Plan, steadyFor, toleranceOf } from "./plan.js"
import type { Rng } from "./random.js"
import { none, type Operation, type Server } from "./server.js"
import type { World } from "./world.js"

const reasons = [
  ["Connection", true],
  ["Connection", true],
  ["Timeout", true],
  ["Conflict", true],
  ["Permission", false],
  ["Schema", false],
  ["Unknown", false],
  ["Closed", false]
] as const

const guarantees = {
  name: "Simulated",
  time: "program" as const,
  leaseGranularity: 1,
  shortestLease: 1000,
  longestId: 1020
}

export class Link {
  private partitionedUntil = 0
  private refusedUntil = 0
  private swallowedUntil = 0
  private hiccups = 0
  private network: Network
  /** One for each who listens: where there are kinds, several. */
  private readonly hints: Array<Queue.Queue<string>> = []
  private readonly hear = (lockId: string) => {
    const { lateHint, lostHint } = this.network
    const lost = this.rng.chance(lostHint)
    const late = this.rng.chance(lateHint) ? this.rng.between(0, this.plan.lease) : this.latency()
    const again = this.rng.chance(0.05)
    if (lost || this.partitionedUntil > this.world.now) return this.count("lost hint")
    this.deliver(lockId, late)
    if (again) this.deliver(lockId, late + 1)
  }

  constructor(
    private readonly world: World,
    private readonly machine: Machine,
    private readonly server: Server,
    private readonly plan: Plan,
    private readonly rng: Rng,
    private readonly record: (event: Event) => void,
    private readonly count: (kind: string) => void,
    private readonly traced: boolean
  ) {
    this.network = world.now < plan.faultsEnd ? plan.network : healthy
    server.hearers.add(this.hear)
  }

  heal(): void {
    this.network = healthy
    this.partitionedUntil = this.refusedUntil = this.swallowedUntil = this.hiccups = 0
  }

  /** Nothing comes through, and nobody says so. */
  partition(millis: number): void {
    this.partitionedUntil = this.world.now + millis
  }

  /** Connections are refused at once. */
  refuse(millis: number): void {
    this.refusedUntil = this.world.now + millis
  }

  /** Requests come through, answers do not. */
  swallow(millis: number): void {
    this.swallowedUntil = this.world.now + millis
  }

  /** The next call fails. */
  hiccup(): void {
    this.hiccups++
  }

  falseHint(): void {
    this.deliver(this.rng.chance(0.5) ? "all" : `lock${this.rng.int(0, this.plan.locks - 1)}`, 0)
  }

  close(): void {
    this.server.hearers.delete(this.hear)
  }

  private deliver(lockId: string, millis: number): void {
    this.world.after(millis, () =>
      this.machine.whenRunning(() => {
        this.note(`wake-up for ${lockId}`)
        for (const hints of this.hints) Queue.offerUnsafe(hints, lockId)
      })
    )
  }

  private latency(): number {
    const { fastest, rare, rareMillis, slowest } = this.network
    const usual = this.rng.between(fastest, slowest)
    return this.rng.chance(rare) ? usual + this.rng.between(0, rareMillis) : usual
  }

  private note(text: string): void {
    if (this.traced) this.record({ type: "message", t: this.world.now, p: this.machine.name, text })
  }

  private failure(
    op: string,
    reason: StorageError["reason"],
    isRetryable: boolean,
    applied: "no" | "unknown"
  ): StorageError {
    return new StorageError({
      reason,
      operation: `Simulated.${op}`,
      isRetryable,
      applied,
      message: `simulated: ${reason}`
    })
  }

  private call<A, E>(
    op: string,
    lockIds: ReadonlyArray<string>,
    operation: Operation<A, E>
  ): Effect.Effect<A, E | StorageError> {
    return Effect.callback<A, E | StorageError>((resume) => {
      const { machine, network, rng, world } = this
      const sent = world.now
      // All draws at once, whatever comes of them: then a fault more or less changes little else.
      const [there, back, again, unsaid] = [
        this.latency(),
        this.latency(),
        rng.between(0, 2 * this.plan.lease),
        rng.between(1, this.plan.lease / 2)
      ]
      const error = rng.chance(network.error) ? rng.pick(reasons) : undefined
      const lostRequest = rng.chance(network.lostRequest)
      const lostReply = rng.chance(network.lostReply)
      const unknown = rng.chance(network.unknown)
      const duplicated = rng.chance(network.duplicate)
      const silent = rng.chance(0.6)
      const more = network.longThere > 0 ? rng.between(0, network.longThere) : 0
      const throws = network.throws > 0 && rng.chance(network.throws)
      let told = false
      const tell = (exit: Exit.Exit<A, E | StorageError>, millis: number) =>
        world.after(millis, () =>
          machine.whenRunning(() => {
            if (told) return
            told = true
            this.note(`${op} ← ${Exit.isSuccess(exit) ? summary(exit.value) : "error"}`)
            resume(exit)
          })
        )
      const fail = (reason: StorageError["reason"], isRetryable: boolean, applied: "no" | "unknown", millis: number) =>
        tell(Exit.fail(this.failure(op, reason, isRetryable, applied)), millis)

      this.note(`${op} ${lockIds.join(" ")} →`)
      if (this.hiccups > 0) {
        this.hiccups--
        fail("Connection", true, "no", there)
      } else if (throws) {
        this.count("throws")
        if (!silent) world.after(there, () => this.server.arrive(machine.name, op, sent, lockIds, operation, () => {}))
        tell(Exit.die(new Error(`simulated: ${op} throws`)), there + back)
      } else if (this.refusedUntil > world.now) fail("Connection", true, "no", there)
      else if (error !== undefined) {
        this.count("error")
        fail(error[0], error[1], "no", there)
      } else if (lostRequest || this.partitionedUntil > world.now) {
        this.count("lost request")
        this.note(`${op} is lost`)
        if (!silent) fail("Connection", true, "unknown", unsaid)
      } else {
        world.after(there + more, () =>
          this.server.arrive(machine.name, op, sent, lockIds, operation, (exit) => {
            if (lostReply || this.swallowedUntil > world.now || this.partitionedUntil > world.now) {
              this.count("lost reply")
              this.note(`the answer to ${op} is lost`)
              if (!silent) fail(rng.chance(0.5) ? "Connection" : "Timeout", true, "unknown", unsaid)
            } else if (unknown) {
              this.count("applied, told as unknown")
              fail(rng.chance(0.5) ? "Connection" : "Unknown", rng.chance(0.7), "unknown", back)
            } else tell(exit, back)
          })
        )
        if (duplicated) {
          this.count("late copy")
          world.after(there + again, () =>
            this.server.arrive(machine.name, `${op} (again)`, sent, lockIds, operation, () => {})
          )
        }
      }
      return Effect.sync(() => {
        told = true
      })
    })
  }

  /** The clock that is provided: over a way of its own, on which it may be asked in vain, or tell nonsense. */
  private get clock(): Effect.Effect<number, unknown> {
    return Effect.callback<number, unknown>((resume) => {
      const { machine, plan, rng, world } = this
      const [there, back] = [rng.between(0, plan.margin / 8), rng.between(0, plan.margin / 8)]
      const luck = rng.between(0, 1)
      const wrong = !plan.calm && world.now < plan.faultsEnd
      let told = false
      world.after(there, () => {
        const now = this.server.time() / 1000
        world.after(back, () =>
          machine.whenRunning(() => {
            if (told || (wrong && luck < 0.02)) return
            told = true
            if (wrong && luck < 0.05) resume(Effect.fail("simulated: no time"))
            else if (wrong && luck < 0.06) resume(Effect.die("simulated: no clock"))
            else resume(Effect.succeed(wrong && luck < 0.08 ? now / 1000 : wrong && luck < 0.1 ? Number.NaN : now))
          })
        )
      })
      return Effect.sync(() => {
        told = true
      })
    })
  }

  private get wakeUps(): Stream.Stream<string> {
    const own = () => {
      const hints = Effect.runSync(Queue.unbounded<string>())
      this.hints.push(hints)
      return Stream.fromQueue(hints)
    }
    return this.plan.kinds === true ? Stream.suspend(own) : own()
  }

  /** The storage as this process sees it, once it knows the time; and the store with its records, for locks of other kinds. */
  get opened(): Effect.Effect<{ readonly storage: Storage.Service; readonly versioned: VersionedStore.Service }> {
    const { plan } = this
    if (plan.storage === "native")
      return Effect.succeed({ storage: this.native(), versioned: plan.kinds === true ? this.versioned() : none })
    const store = this.versioned()
    if (plan.storage !== "provided")
      return Effect.succeed({ storage: VersionedStore.toStorage(store), versioned: store })
    const timed = VersionedStore.withTime(
      store,
      { name: "Simulated clock", now: this.clock },
      {
        tolerance: Duration.millis(toleranceOf(plan)),
        steadyFor: Duration.millis(steadyFor(plan)),
        maxAge: 0,
        timeout: Duration.millis(plan.margin / 3)
      }
    )
    return Effect.map(Effect.orDie(Effect.retry(timed, Schedule.spaced("5 millis"))), (store) => ({
      storage: VersionedStore.toStorage(store),
      versioned: store
    }))
  }

  private versioned(): VersionedStore.Service {
    const wakeUps = this.wakeUps
    const call = <A, E>(
      op: string,
      lockIds: ReadonlyArray<string>,
      run: (store: VersionedStore.Service) => Effect.Effect<A, E>
    ) => this.call(op, lockIds, ({ versioned }) => run(versioned))
    return VersionedStore.VersionedStore.of({
      create: (lockId, version, record) => call("create", [lockId], (_) => _.create(lockId, version, record)),
      update: (lockId, version, record) => call("update", [lockId], (_) => _.update(lockId, version, record)),
      delete: (lockId, version) => call("delete", [lockId], (_) => _.delete(lockId, version)),
      // As words, and not as the object that another process has written.
      get: (lockId) =>
        call("read", [lockId], (_) =>
          Effect.map(
            _.get(lockId),
            Option.map((record) => ({ ...record }))
          )
        ),
      list: Stream.unwrap(
        Effect.map(
          call("list", [], (_) => Stream.runCollect(_.list)),
          Stream.fromIterable
        )
      ),
      time: ["versioned", "native"].includes(this.plan.storage) ? call("time", [], (_) => _.time!) : undefined,
      wakeUps,
      guarantees
    })
  }

  private native(): Storage.Service {
    const wakeUps = this.wakeUps
    const call = <A, E>(
      op: string,
      lockIds: ReadonlyArray<string>,
      run: (storage: Storage.Service) => Effect.Effect<A, E>
    ) => this.call(op, lockIds, ({ native }) => run(native))
    const all = Array.from({ length: this.plan.locks }, (_, i) => `lock${i}`)
    return Storage.Storage.of({
      claim: (request) => call(`claim ${request.holdId}`, [request.lockId], (_) => _.claim(request)),
      renew: (requests) =>
        call(
          `renew ${requests.map((_) => _.holdId).join(" ")}`,
          requests.map((_) => _.lockId),
          (_) => _.renew(requests)
        ),
      release: (request) => call(`release ${request.holdId}`, [request.lockId], (_) => _.release(request)),
      revoke: (request) => call(`revoke ${request.token}`, [request.lockId], (_) => _.revoke(request)),
      get: (lockId) => call("get", [lockId], (_) => _.get(lockId)),
      list: Stream.unwrap(
        Effect.map(
          call("list", [], (_) => Stream.runCollect(_.list)),
          Stream.fromIterable
        )
      ),
      purge: (olderThan) => call("purge", all, (_) => _.purge(olderThan)),
      wakeUps,
      guarantees: { ...guarantees, clock: "storage" }
    })
  }
}

const summary = (answer: unknown): string =>
  Array.isArray(answer)
    ? answer.map(summary).join(", ")
    : typeof answer === "object" && answer !== null && "_tag" in answer
      ? String(answer._tag)
      : String(answer)
