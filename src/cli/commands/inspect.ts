/** `list` and `get`. */
import { codes } from "../codes.js"
import type { Io } from "../io.js"
import type { Asked } from "../parse.js"
import { connected, lockOf, none, where } from "../storage.js"
import { ofLock, ofLocks } from "../table.js"

export const list = async (asked: Asked, io: Io): Promise<number> => {
  const at = where(asked, io.env)
  none(at, asked)
  return connected(at, io, {}, async (locks) => {
    if (asked.flags["json"] === true) for await (const lock of locks.list()) io.out(JSON.stringify(lock))
    else {
      const all = []
      for await (const lock of locks.list()) all.push(lock)
      if (all.length === 0) io.err("nobody holds a lock")
      else ofLocks(all).forEach(io.out)
    }
    return codes.ok
  })
}

export const get = async (asked: Asked, io: Io): Promise<number> => {
  const at = where(asked, io.env)
  const lockId = lockOf(at, asked)
  return connected(at, io, {}, async (locks) => {
    const lock = await locks.get(lockId)
    if (asked.flags["json"] === true) io.out(JSON.stringify(lock ?? null))
    else if (lock === undefined) io.err("nobody holds it")
    else ofLock(lock).forEach(io.out)
    return lock === undefined ? codes.no : codes.ok
  })
}
