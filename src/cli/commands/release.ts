/** `storage-lock release`: frees a lock whose token is known. */
import { codes } from "../codes.js"
import { UsageError } from "../failure.js"
import { holdsOf } from "../holds.js"
import type { Io } from "../io.js"
import type { Asked } from "../parse.js"
import { connected, lockOf, where } from "../storage.js"
import { shown } from "../table.js"
import * as values from "../values.js"

export const release = async (asked: Asked, io: Io): Promise<number> => {
  const at = where(asked, io.env)
  const lockId = lockOf(at, asked)
  const token = values.count("token", asked.flags["token"] as string | undefined)
  if (token === undefined) throw new UsageError("--token says which hold is meant: get shows it", "release")
  const when = asked.flags["now"] === true ? "now" : "leaseEnd"
  return connected(at, io, {}, async (locks) => {
    // Afterwards the record names nobody.
    const before = when === "leaseEnd" ? await locks.get(lockId).catch(() => undefined) : undefined
    const done = await locks.forceRelease(lockId, { token, when })
    if (asked.flags["json"] === true) io.out(JSON.stringify({ lockId, token, when, released: done }))
    else if (!done) io.err("the hold with this token is over already: nothing was changed")
    else if (when === "now") io.out("freed; its former holder may go on until it notices")
    else {
      const found = await locks.get(lockId)
      const holdIn = (record: typeof found) =>
        record === undefined ? undefined : holdsOf(record).find((hold) => hold.token === token)
      const lock = holdIn(found)
      const holder = holdIn(before)
      const whom = holder === undefined ? "" : ` from ${shown(holder.ownerLabel || holder.ownerId || "(revoked)")}`
      io.out(
        `taken away${whom}; it becomes free when its lease ends${lock === undefined ? "" : `, at ${lock.leaseExpireTime.toISOString()}`}`
      )
    }
    return done ? codes.ok : codes.no
  })
}
