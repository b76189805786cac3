/** Processes of a fleet in virtual time, over one simulated storage: they crash and start over, stand still, are cut off, and end in order. What they do is a program of each. */
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Scope from "#effect/Scope"
import { withRootsOfItsOwn } from "#harness/machine"
import type { Event } from "../simulate/history.js"
import { Link } from "../simulate/link.js"
import { Machine } from "../simulate/machine.js"
import { healthy, type Network, type Plan, type StorageKind } from "../simulate/plan.js"
import { Rng } from "../simulate/random.js"
import { alone } from "../simulate/run.js"
import { Server } from "../simulate/server.js"
import { World } from "../simulate/world.js"
import type * as Storage from "../../src/Storage.js"
import type * as VersionedStore from "../../src/VersionedStore.js"

export interface Setting {
  readonly seed: string
  readonly storage: StorageKind
  /** Milliseconds, as everywhere. */
  readonly lease: number
  readonly length: number
  readonly network: Network
  readonly record: (event: Event) => void
  /** The network has lost something. */
  readonly onLoss?: (() => void) | undefined
}

export interface Opened {
  readonly storage: Storage.Service
  readonly versioned: VersionedStore.Service
}

/** Until its process ends; its finalizers run when that ends in order. */
export type Program = (member: Member, opened: Opened) => Effect.Effect<void, never, Scope.Scope>

export const rough: Network = {
  ...healthy,
  slowest: 50,
  rare: 0.01,
  rareMillis: 5000,
  lostRequest: 0.005,
  lostReply: 0.005,
  unknown: 0.002,
  duplicate: 0.01,
  lostHint: 0.1,
  lateHint: 0.1
}

const planOf = ({ length, lease, network, storage }: Setting, seed: number): Plan => ({
  seed,
  storage,
  lease,
  margin: lease / 10,
  refresh: lease / 3,
  locks: 1,
  calm: false,
  storageRate: 1,
  wander: 0,
  faultsEnd: length,
  hourLater: false,
  network,
  processes: [],
  faults: [],
  // So that several services of a process hear its hints.
  kinds: true
})

export class Fleet {
  readonly world: World
  readonly server: Server
  readonly members: ReadonlyArray<Member>
  readonly plan: Plan

  private constructor(
    readonly setting: Setting,
    skews: ReadonlyArray<number>,
    readonly program: Program
  ) {
    const rng = new Rng(setting.seed)
    this.plan = planOf(setting, rng.int(0, 1e9))
    this.world = new World(rng.fork("turns"))
    this.server = new Server(this.world, this.plan, setting.record)
    this.members = skews.map((skew, index) => new Member(this, index, skew))
  }

  /** `skews`: what the wall clock of each process is ahead by. `during` is called once, to plan what goes wrong. */
  static run<A>(
    setting: Setting,
    skews: ReadonlyArray<number>,
    program: Program,
    during: (fleet: Fleet) => void,
    result: (fleet: Fleet) => A
  ): A {
    return withRootsOfItsOwn(() => {
      const fleet = new Fleet(setting, skews, program)
      for (const member of fleet.members) fleet.world.after(member.index * 700, () => member.start())
      during(fleet)
      alone(fleet.world, () => fleet.world.advance(setting.length))
      for (const { machine } of fleet.members) machine.kill()
      fleet.server.close()
      return result(fleet)
    })
  }
}

export class Member {
  machine!: Machine
  private isStarted = false
  private link: Link | undefined
  private scope: Scope.Closeable | undefined
  private incarnation = 0
  /** It is away, or about to be. */
  ending = false
  startedAt = 0

  constructor(
    private readonly fleet: Fleet,
    readonly index: number,
    private readonly skew: number
  ) {}

  get name(): string {
    return this.machine.name
  }

  get isUp(): boolean {
    return this.isStarted && !this.ending && !this.machine.dead && !this.machine.stopped
  }

  start(): void {
    const { plan, program, server, setting, world } = this.fleet
    const name = `p${this.index + 1}.${++this.incarnation}`
    const seed = `${setting.seed} ${name}`
    const { record } = setting
    this.ending = false
    this.isStarted = true
    this.startedAt = world.now
    this.machine = new Machine(name, world, seed, 1, 0, (text) => record({ type: "log", t: world.now, p: name, text }))
    this.machine.stepWall(this.skew)
    const link = new Link(
      world,
      this.machine,
      server,
      plan,
      new Rng(`${seed} link`),
      record,
      this.fleet.setting.onLoss ?? (() => {}),
      (globalThis as any).trace !== undefined
    )
    this.link = link
    this.machine.fork(
      Effect.flatMap(Scope.make(), (scope) => {
        this.scope = scope
        return Effect.flatMap(link.opened, (opened) => Scope.provide(program(this, opened), scope))
      })
    )
  }

  private again(millis: number): void {
    this.link?.close()
    this.fleet.world.after(millis, () => this.start())
  }

  crash(millis: number): void {
    if (this.ending) return
    const { setting, world } = this.fleet
    setting.record({ type: "crash", t: world.now, p: this.name })
    this.ending = true
    this.machine.kill()
    this.again(millis)
  }

  /** In order: its scope closes, and then it ends. */
  end(millis: number): void {
    const { scope } = this
    if (this.ending || scope === undefined) return
    const { setting, world } = this.fleet
    const { machine } = this
    setting.record({ type: "closing", t: world.now, p: this.name })
    this.ending = true
    machine.fork(
      Effect.andThen(
        Scope.close(scope, Exit.void),
        Effect.sync(() =>
          world.after(10_000, () => {
            machine.kill()
            this.again(millis)
          })
        )
      )
    )
  }

  stop(millis: number, suspended: boolean): void {
    if (this.ending) return
    const { setting, world } = this.fleet
    setting.record({ type: "stop", t: world.now, p: this.name, until: world.now + millis, suspended })
    if (suspended) this.machine.suspend(millis)
    else this.machine.pause(millis)
  }

  cut(millis: number): void {
    if (this.ending) return
    this.link?.partition(millis)
  }
}
