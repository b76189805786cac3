/** `storage-lock run`: runs a command under a lock. */
import type { LockInformation } from "../../promise/information.js"
import type { AcquireOptions, HoldOptions, Lock, Locks } from "../../promise/types.js"
import { codes } from "../codes.js"
import { UsageError } from "../failure.js"
import { holdsOf, untold } from "../holds.js"
import type { Io } from "../io.js"
import type { Asked } from "../parse.js"
import { supervise } from "../run/supervise.js"
import { connected, lockOf, where } from "../storage.js"
import { shown } from "../table.js"
import * as values from "../values.js"

/** How the lock is taken: alone unless something else is said. */
const wayOf = ({ flags }: Asked): Way => {
  const text = (name: string) => flags[name] as string | undefined
  const [reads, writes] = [flags["read"] === true, flags["write"] === true]
  const limit = values.count("limit", text("limit"), "run")
  const permits = values.count("permits", text("permits"), "run")
  const wrong = (message: string) => new UsageError(message, "run")
  if (reads && writes) throw wrong("a lock is taken to read or to write: give one of --read and --write")
  if (limit === undefined && permits !== undefined)
    throw wrong("--limit says how many permits there are in all: --permits 2 --limit 5")
  if (limit === undefined) return { mode: reads ? "read" : writes ? "write" : undefined }
  if (reads || writes)
    throw wrong("--limit is for a semaphore, --read and --write for a read-write lock: give one kind")
  if (limit > most) throw wrong(`--limit must be at most ${most}`)
  if (permits !== undefined && permits > limit) throw wrong(`--permits must be at most the limit, which is ${limit}`)
  if (text("owner") !== undefined)
    throw wrong("--owner enters a lock again, and a semaphore is not entered again: take all permits at once")
  return { limit, permits: permits ?? 1 }
}

type Way = { readonly mode: "read" | "write" | undefined } | { readonly limit: number; readonly permits: number }

const most = 1_000_000

const take = (
  { readWrite, semaphore, ...locks }: Pick<Locks, "acquire" | "tryAcquire" | "readWrite" | "semaphore">,
  lockId: string,
  way: Way,
  options: AcquireOptions,
  waits: boolean
): Promise<Lock | undefined> => {
  if ("limit" in way) return semaphore[waits ? "acquire" : "tryAcquire"](lockId, { ...options, ...way })
  if (way.mode === "read") return readWrite[waits ? "read" : "tryRead"](lockId, options)
  if (way.mode === "write") return readWrite[waits ? "write" : "tryWrite"](lockId, options)
  return locks[waits ? "acquire" : "tryAcquire"](lockId, options)
}

/** Who is in the way, as far as it is known. */
const whoIn = (lock: LockInformation | undefined): string => {
  if (lock === undefined) return ""
  const [first, ...others] = holdsOf(lock)
  const count = others.length + untold(lock)
  const revoked = `(revoked, and blocked until ${lock.leaseExpireTime.toISOString()})`
  return `: ${shown(first!.ownerLabel || first!.ownerId || revoked)}${count === 0 ? "" : `, and ${count} more`}`
}

export const run = async (asked: Asked, io: Io): Promise<number> => {
  const { flags, rest } = asked
  const text = (name: string) => flags[name] as string | undefined
  const at = where(asked, io.env)
  const lockId = lockOf(at, asked)
  const [command, ...args] = rest ?? []
  if (command === undefined) throw new UsageError("the command to run comes behind --", "run")
  if (flags["try"] === true && flags["wait"] !== undefined)
    throw new UsageError("--try does not wait: give one of --try and --wait", "run")
  const way = wayOf(asked)
  const lease = values.time("lease", text("lease")) ?? 30_000
  const wait = values.time("wait", text("wait"))
  const longest = values.time("hold-at-most", text("hold-at-most"))
  const [bound, what] = longest !== undefined && longest < lease ? [longest, "--hold-at-most"] : [lease, "the lease"]
  const grace = values.time("grace", text("grace")) ?? bound / 6
  if (grace > bound / 2) throw new UsageError(`--grace must be at most half of ${what}, which is ${bound} ms`, "run")
  const say = flags["quiet"] === true ? () => {} : io.err
  const hold: HoldOptions = {
    leaseExpireAfter: lease,
    acquireTimeout: wait,
    holdAtMost: longest,
    ownerLabel: text("label")
  }
  return connected(at, io, {}, async (locks) => {
    const options = { ...hold, ownerId: text("owner"), signal: io.signal }
    const lock = await take(locks, lockId, way, options, flags["try"] !== true)
    if (lock === undefined) {
      const found = await locks.get(lockId).catch(() => undefined)
      say(
        "limit" in way
          ? `there are not so many permits free${whoIn(found)}`
          : `somebody else has the lock${whoIn(found)}`
      )
      return codes.busy
    }
    try {
      return await supervise(lock, { command, args, grace, longest }, io)
    } finally {
      await lock.release()
    }
  })
}
