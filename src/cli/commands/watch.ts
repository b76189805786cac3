/** `storage-lock watch`: shows locks as they come and go. */
import { setTimeout as sleep } from "node:timers/promises"
import { codes } from "../codes.js"
import { StorageError } from "../../promise/errors.js"
import type { Io } from "../io.js"
import type { Asked } from "../parse.js"
import type { Holder, LockInformation } from "../../promise/information.js"
import { heldAs, type Hold, holdsOf } from "../holds.js"
import { connected, where } from "../storage.js"
import { ofLocks, shown } from "../table.js"
import * as values from "../values.js"

interface Change {
  readonly at: Date
  readonly change: "held" | "free"
  readonly lock: LockInformation
  /** Of a lock that several may hold. */
  readonly holder?: Holder | undefined
}

const isSame = (one: Hold, other: Hold): boolean => one.token === other.token && one.ownerId === other.ownerId

/** Held by another hold than before is a new hold. Where several may hold it, each comes and goes by itself. */
const changes = (
  before: ReadonlyMap<string, LockInformation>,
  now: ReadonlyMap<string, LockInformation>
): ReadonlyArray<Change> => {
  const at = new Date()
  const of = (locks: ReadonlyMap<string, LockInformation>, lockId: string): ReadonlyArray<Hold> => {
    const lock = locks.get(lockId)
    return lock === undefined ? [] : holdsOf(lock)
  }
  const told = (change: Change["change"], { holder, ...lock }: Hold): Change => ({
    at,
    change,
    lock,
    ...(holder === undefined ? {} : { holder })
  })
  const freed = [...before].flatMap(([lockId, lock]) => {
    const left = of(now, lockId)
    // What is revoked is held on until its lease ends; and what is exclusive goes on to the next holder.
    const isHeld = (hold: Hold) =>
      hold.holder === undefined ? left.length > 0 : left.some(({ token }) => token === hold.token)
    return holdsOf(lock).filter((hold) => !isHeld(hold))
  })
  const held = [...now].flatMap(([lockId, lock]) => {
    const was = of(before, lockId)
    return holdsOf(lock).filter((hold) => !was.some((one) => isSame(one, hold)))
  })
  return [...freed.map((hold) => told("free", hold)), ...held.map((hold) => told("held", hold))]
}

const line = ({ at, change, holder, lock }: Change): string => {
  const who = shown(lock.ownerLabel || lock.ownerId || "(revoked)")
  const as = holder === undefined ? "" : `  ${heldAs({ ...lock, holder })}`
  const rest = change === "free" && holder === undefined ? "" : `  ${who}${as}  token ${lock.token}`
  return `${at.toISOString()}  ${change}  ${shown(lock.lockId)}${rest}`
}

export const watch = async (asked: Asked, io: Io): Promise<number> => {
  const at = where(asked, io.env)
  const every = values.time("every", asked.flags["every"] as string | undefined) ?? 1_000
  const most = values.count("count", asked.flags["count"] as string | undefined) ?? Number.POSITIVE_INFINITY
  const json = asked.flags["json"] === true
  const draw = json ? undefined : io.draw
  const wanted = new Set(at.positionals)
  return connected(at, io, {}, async (locks) => {
    let before = new Map<string, LockInformation>()
    let isFailing = false
    for (let looks = 1; ; looks++) {
      try {
        const now = new Map<string, LockInformation>()
        for await (const lock of locks.list())
          if (wanted.size === 0 || wanted.has(lock.lockId)) now.set(lock.lockId, lock)
        if (draw === undefined)
          for (const change of changes(before, now)) io.out(json ? JSON.stringify(change) : line(change))
        else draw([`${new Date().toISOString()}  ${now.size} held`, "", ...ofLocks([...now.values()])].join("\n"))
        before = now
        isFailing = false
      } catch (error) {
        // It may be back soon, and whoever watches wants to see that.
        if (!(error instanceof StorageError) || !error.isRetryable) throw error
        if (draw !== undefined) draw(`${new Date().toISOString()}  ${error.message}`)
        else if (!isFailing) io.err(error.message)
        isFailing = true
      }
      if (looks >= most || io.signal.aborted) return codes.ok
      await sleep(every, undefined, { signal: io.signal }).catch(() => {})
    }
  })
}
