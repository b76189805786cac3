/** One process of the plan, through its crashes and restarts: a machine, a link and a layer at a time. */
import * as Context from "#effect/Context"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as Layer from "#effect/Layer"
import * as Scope from "#effect/Scope"
import * as Storage from "../../src/Storage.js"
import * as StorageLock from "../../src/StorageLock.js"
import * as StorageReadWriteLock from "../../src/StorageReadWriteLock.js"
import * as StorageSemaphore from "../../src/StorageSemaphore.js"
import * as VersionedStore from "../../src/VersionedStore.js"
import { act } from "./actor.js"
import type { Event } from "./history.js"
import { Link } from "./link.js"
import { Machine } from "./machine.js"
import type { Services } from "./parts.js"
import type { Plan } from "./plan.js"
import { Rng } from "./random.js"
import type { Resource } from "./resource.js"
import type { Server } from "./server.js"
import type { World } from "./world.js"

export interface Surroundings {
  readonly world: World
  readonly plan: Plan
  readonly server: Server
  readonly resource: Resource
  readonly record: (event: Event) => void
  /** Counts a fault of the network. */
  readonly count: (kind: string) => void
  readonly next: () => number
  readonly traced: boolean
}

/** The storage, with a word of what its process asks for and gives back. */
const told = (
  storage: Storage.Service,
  tell: (type: "asks" | "knows" | "gives", lock: string, hold: string) => void
): Storage.Service => ({
  ...storage,
  claim: (request) => {
    tell("asks", request.lockId, request.holdId)
    const known = Effect.sync(() => tell("knows", request.lockId, request.holdId))
    return storage.claim(request).pipe(
      Effect.tap(known),
      Effect.tapError(({ applied }) => (applied === "no" ? known : Effect.void))
    )
  },
  release: (request) => {
    tell("gives", request.lockId, request.holdId)
    return storage.release(request)
  }
})

export class Process {
  machine!: Machine
  link!: Link
  private locks: StorageLock.Service | undefined
  private storage: Storage.Service | undefined
  private scope: Scope.Closeable | undefined
  /** Opens the layer. */
  private opening: Fiber.Fiber<unknown, unknown> | undefined
  private incarnation = 0
  private restarting = false
  /** How far each actor has come; a restarted process goes on there. */
  private readonly progress: Array<number>
  private running = 0
  private closing = false

  constructor(
    private readonly around: Surroundings,
    readonly index: number
  ) {
    this.progress = this.plan.actors.map(() => 0)
    this.start()
  }

  private get plan() {
    return this.around.plan.processes[this.index]!
  }

  /** Whether it has asked the clock that is provided. */
  get knowsTime(): boolean {
    return this.storage !== undefined
  }

  get idle(): boolean {
    return !this.restarting && !this.closing && this.running === 0 && this.locks !== undefined
  }

  private say(text: string): void {
    this.around.record({ type: "fault", t: this.around.world.now, p: this.machine.name, text })
  }

  private start(): void {
    const { count, next, plan, record, resource, server, traced, world } = this.around
    const name = `p${this.index + 1}${this.incarnation === 0 ? "" : `.${this.incarnation + 1}`}`
    const seed = `${plan.seed} ${this.index} ${this.incarnation++}`
    const machine = new Machine(name, world, seed, this.plan.rate, this.plan.startOfClock, (text) =>
      record({ type: "log", t: world.now, p: name, text })
    )
    const link = new Link(world, machine, server, plan, new Rng(`${seed} link`), record, count, traced)
    this.machine = machine
    this.link = link
    this.locks = undefined
    this.storage = undefined
    this.running = 0
    const options = {
      // The plans purge.
      purgeAfter: "infinity",
      leaseExpireAfter: Duration.millis(plan.lease),
      leaseRefreshInterval: Duration.millis(plan.refresh),
      clockMargin: Duration.millis(plan.margin),
      ownerLabel: name
    } as const
    const layer = (storage: Storage.Service) =>
      StorageLock.layer(options).pipe(Layer.provide(Layer.succeed(Storage.Storage, storage)))
    const shared = (store: VersionedStore.Service) =>
      Layer.merge(StorageReadWriteLock.layer(options), StorageSemaphore.layer(options)).pipe(
        Layer.provide(Layer.succeed(VersionedStore.VersionedStore, store))
      )
    this.opening = machine.fork(
      Effect.gen(
        function* (this: Process) {
          this.scope = yield* Scope.make()
          const opened = yield* link.opened
          const storage = told(opened.storage, (type, lock, hold) =>
            record({ type, t: world.now, p: name, lock, hold })
          )
          this.storage = storage
          const context = yield* Effect.orDie(Layer.buildWithScope(layer(storage), this.scope))
          const locks = Context.get(context, StorageLock.StorageLock)
          this.locks = locks
          let services: Services = { exclusive: locks }
          if (plan.kinds === true) {
            const more = yield* Effect.orDie(Layer.buildWithScope(shared(opened.versioned), this.scope))
            services = {
              exclusive: locks,
              readWrite: Context.get(more, StorageReadWriteLock.StorageReadWriteLock),
              semaphore: Context.get(more, StorageSemaphore.StorageSemaphore)
            }
          }
          const stage = { world, machine, services, storage, resource, record, next }
          for (const [index, actions] of this.plan.actors.entries()) {
            this.running++
            machine.fork(
              Effect.gen(
                function* (this: Process) {
                  while (this.progress[index]! < actions.length) yield* act(stage, actions[this.progress[index]!++]!)
                  this.running--
                }.bind(this)
              )
            )
          }
        }.bind(this)
      )
    )
  }

  pause(millis: number, suspended: boolean): void {
    const { record, world } = this.around
    record({ type: "stop", t: world.now, p: this.machine.name, until: world.now + millis, suspended })
    if (suspended) this.machine.suspend(millis)
    else this.machine.pause(millis)
  }

  crash(millis: number): void {
    if (this.restarting || this.closing) return
    this.around.record({ type: "crash", t: this.around.world.now, p: this.machine.name })
    this.machine.kill()
    this.restart(millis)
  }

  private restart(millis: number): void {
    this.link.close()
    this.restarting = true
    this.around.world.after(millis, () => {
      this.restarting = false
      this.start()
    })
  }

  /** The layer closes while its program goes on; then the process ends, in order, and starts over. */
  close(millis: number): void {
    if (this.restarting || this.closing || this.scope === undefined) return
    this.say("closes its layer")
    this.shut(() => this.restart(millis))
  }

  /** Closes the layer; once it is closed and nobody uses it any more, nothing may be left. */
  shut(then: () => void): void {
    const { record, world } = this.around
    const { machine, opening, scope } = this
    this.closing = true
    record({ type: "closing", t: world.now, p: machine.name })
    const since = world.now
    machine.fork(
      Effect.andThen(
        // A program that is ended while it starts opens nothing more.
        Effect.andThen(Fiber.interrupt(opening!), Scope.close(scope!, Exit.void)),
        Effect.sync(() => {
          // Bodies that were told have ended by then; what was interrupted needs a moment.
          const look = (tries: number) => {
            if (machine.dead) return
            if (this.running > 0 && tries > 0) {
              world.after(this.around.plan.lease, () => look(tries - 1))
              return
            }
            if (machine.fibers > 0 || machine.timers.size > 0) {
              record({
                type: "leak",
                t: world.now,
                p: machine.name,
                text: `${machine.fibers} fibers and ${machine.timers.size} timers, after its layer was closed`
              })
            }
            machine.kill()
            this.closing = false
            this.say(`is closed, after ${(world.now - since).toFixed(1)} ms`)
            then()
          }
          world.after(1, () => look(20))
        })
      )
    )
  }

  /** Whether each lock can be had soon: what a line or a hold that was left over would prevent. */
  probe(then: () => void): void {
    const { plan, record, world } = this.around
    const { locks, machine } = this
    const acquireTimeout = Duration.millis(Math.min(900, plan.lease * 0.9))
    const lockIds = Array.from({ length: plan.locks }, (_, i) => `lock${i}`)
    machine.fork(
      Effect.andThen(
        Effect.forEach(
          lockIds,
          (lockId) =>
            Effect.catch(Effect.scoped(locks!.acquire(lockId, undefined, { acquireTimeout })), (error) =>
              Effect.sync(() =>
                record({
                  type: "leak",
                  t: world.now,
                  p: machine.name,
                  text: `${lockId} cannot be had, though nobody wants it any more: ${error._tag}: ${error.message}`
                })
              )
            ),
          { discard: true }
        ),
        Effect.sync(then)
      )
    )
  }

  glance(): void {
    const { locks, machine } = this
    for (let i = 0; i < this.around.plan.locks; i++) machine.fork(Effect.ignore(locks!.get(`lock${i}`)))
  }

  purge(): void {
    this.machine.fork(Effect.ignore(this.storage!.purge(Duration.hours(1))))
  }

  /** For a report of who still waits. */
  get unfinished(): string {
    return `${this.running} actors at ${this.progress.join(", ")}`
  }
}
