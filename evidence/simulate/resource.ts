/** What the locks protect: it remembers the highest token of those that have written, and of those that have read, and rejects who is older: a write must be as new as both, a read as the last write. It also lets every other holder look at its lock whenever somebody gets one. */
import type { Lock } from "../../src/StorageLock.js"
import type { Stage } from "./actor.js"
import type { Access } from "./history.js"
import type { Machine } from "./machine.js"
import type { Rng } from "./random.js"

interface Holder {
  readonly machine: Machine
  readonly look: () => void
}

export class Resource {
  private readonly written = new Map<string, number>()
  private readonly read = new Map<string, number>()
  private readonly inside = new Map<string, Map<string, Holder>>()

  constructor(private readonly rng: Rng) {}

  write({ machine, record, world }: Stage, lockId: string, lock: Lock, access: Access | undefined): void {
    const { holdId: hold, token } = lock
    const sent = world.now
    world.after(this.rng.chance(0.1) ? this.rng.between(0, 500) : this.rng.between(0, 5), () => {
      const accepted = access === "unfenced" || this.admits(lockId, token, access === "read")
      const event = { type: "write", t: world.now, p: machine.name, lock: lockId, hold, token, sent, accepted } as const
      record(access === undefined ? event : { ...event, access })
    })
  }

  private admits(lockId: string, token: number, isRead: boolean): boolean {
    const { read, written } = this
    if (token < (written.get(lockId) ?? 0) || (!isRead && token < (read.get(lockId) ?? 0))) return false
    const numbers = isRead ? read : written
    numbers.set(lockId, Math.max(numbers.get(lockId) ?? 0, token))
    return true
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
