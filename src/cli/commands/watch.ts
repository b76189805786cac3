import { setTimeout as sleep } from "node:timers/promises"
import { codes } from "../codes.js"
import { StorageError } from "../../promise/errors.js"
import type { Io } from "../io.js"
import type { Asked } from "../parse.js"
import type { LockInformation } from "../../promise/information.js"
import { connected, where } from "../storage.js"
import { ofLocks, shown } from "../table.js"
import * as values from "../values.js"

interface Change {
  readonly at: Date
  readonly change: "held" | "free"
  readonly lock: LockInformation
}

/** Held by another hold than before is held anew. */
const changes = (
  before: ReadonlyMap<string, LockInformation>,
  now: ReadonlyMap<string, LockInformation>
): ReadonlyArray<Change> => {
  const at = new Date()
  const freed = [...before.values()].filter(({ lockId }) => !now.has(lockId))
  const held = [...now.values()].filter(
    ({ lockId, ownerId, token }) => before.get(lockId)?.token !== token || before.get(lockId)?.ownerId !== ownerId
  )
  return [
    ...freed.map((lock): Change => ({ at, change: "free", lock })),
    ...held.map((lock): Change => ({ at, change: "held", lock }))
  ]
}

const line = ({ at, change, lock }: Change): string =>
  `${at.toISOString()}  ${change}  ${shown(lock.lockId)}${change === "free" ? "" : `  ${shown(lock.ownerLabel || lock.ownerId || "(revoked)")}  token ${lock.token}`}`

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
