/** What the locks protect: it remembers the highest token and rejects lower ones. It also lets every other holder look at its lock whenever somebody gets one. */
import type { Lock } from "../../src/StorageLock.js"
import type { Stage } from "./actor.js"
import type { Machine } from "./machine.js"
import type { Rng } from "./random.js"

interface Holder {
  readonly machine: Machine
  readonly look: () => void
}

export class Resource {
  private readonly highest = new Map<string, number>()
  private readonly inside = new Map<string, Map<string, Holder>>()

  constructor(private readonly rng: Rng) {}

  write({ machine, record, world }: Stage, lockId: string, lock: Lock): void {
    const { holdId: hold, token } = lock
    const sent = world.now
    world.after(this.rng.chance(0.1) ? this.rng.between(0, 500) : this.rng.between(0, 5), () => {
      const accepted = token >= (this.highest.get(lockId) ?? 0)
      if (accepted) this.highest.set(lockId, token)
      record({ type: "write", t: world.now, p: machine.name, lock: lockId, hold, token, sent, accepted })
    })
  }

  enter(lockId: string, hold: string, machine: Machine, look: () => void): void {
    let holders = this.inside.get(lockId)
    if (holders === undefined) this.inside.set(lockId, (holders = new Map()))
    for (const other of holders.values()) if (!other.machine.dead && !other.machine.stopped) other.look()
    holders.set(hold, { machine, look })
  }

  leave(lockId: string, hold: string): void {
    this.inside.get(lockId)?.delete(hold)
  }
}
