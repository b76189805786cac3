import type { HoldOptions } from "../../promise/types.js"
import { codes } from "../codes.js"
import { UsageError } from "../failure.js"
import type { Io } from "../io.js"
import type { Asked } from "../parse.js"
import { supervise } from "../run/supervise.js"
import { connected, lockOf, where } from "../storage.js"
import { shown } from "../table.js"
import * as values from "../values.js"

export const run = async (asked: Asked, io: Io): Promise<number> => {
  const { flags, rest } = asked
  const text = (name: string) => flags[name] as string | undefined
  const at = where(asked, io.env)
  const lockId = lockOf(at, asked)
  const [command, ...args] = rest ?? []
  if (command === undefined) throw new UsageError("the command to run comes behind --", "run")
  if (flags["try"] === true && flags["wait"] !== undefined)
    throw new UsageError("--try does not wait: give one of --try and --wait", "run")
  const lease = values.time("lease", text("lease")) ?? 30_000
  const grace = values.time("grace", text("grace")) ?? lease / 6
  if (grace > lease / 2) throw new UsageError(`--grace must be at most half of the lease, which is ${lease} ms`, "run")
  const wait = values.time("wait", text("wait"))
  const longest = values.time("hold-at-most", text("hold-at-most"))
  const say = flags["quiet"] === true ? () => {} : io.err
  const hold: HoldOptions = {
    leaseExpireAfter: lease,
    acquireTimeout: wait,
    holdAtMost: longest,
    ownerLabel: text("label")
  }
  return connected(at, io, {}, async (locks) => {
    const options = { ...hold, ownerId: text("owner"), signal: io.signal }
    const lock = flags["try"] === true ? await locks.tryAcquire(lockId, options) : await locks.acquire(lockId, options)
    if (lock === undefined) {
      const holder = await locks.get(lockId).catch(() => undefined)
      say(`somebody else has the lock${holder === undefined ? "" : `: ${shown(holder.ownerLabel || holder.ownerId)}`}`)
      return codes.busy
    }
    try {
      return await supervise(lock, { command, args, grace }, io)
    } finally {
      await lock.release()
    }
  })
}
