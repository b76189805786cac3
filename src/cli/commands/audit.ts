/** `storage-lock audit`: prints the audit trail, and follows it. */
import { setTimeout as sleep } from "node:timers/promises"
import type { AuditEntry } from "../../promise/events.js"
import { StorageError } from "../../promise/errors.js"
import type { AuditQuery, Locks } from "../../promise/types.js"
import { codes } from "../codes.js"
import { UsageError } from "../failure.js"
import type { Io } from "../io.js"
import type { Asked } from "../parse.js"
import { connected, where } from "../storage.js"
import { shown } from "../table.js"
import * as values from "../values.js"

/** In milliseconds, as the storage may see entries in another order than that of their times. */
const overlap = 15_000
const pause = 1_000

/** Errors have what is said of them in no field that JSON shows. */
const withErrors = (_: string, value: unknown): unknown =>
  value instanceof Error ? { ...value, name: value.name, message: value.message } : value

/** What an event says beyond who and where. */
const rest = (event: AuditEntry["event"]): string => {
  switch (event.type) {
    case "Acquired":
      return `after ${Math.round(event.waited)} ms`
    case "Waiting":
    case "Refused":
      return event.holder === undefined ? "" : `held by ${event.holder.ownerLabel || event.holder.ownerId}`
    case "Lost":
      return event.detail === undefined ? event.reason : `${event.reason}: ${event.detail}`
    case "Released":
      return event.confirmed ? `after ${Math.round(event.held)} ms` : "not confirmed"
    case "Forced":
      return event.when
    case "Dropped":
      return `${event.count} events`
    case "AcquireFailed":
    case "RenewalFailed":
    case "StorageFailing":
      return event.error.message
    default:
      return ""
  }
}

const line = ({ event, host, pid }: AuditEntry): string =>
  [
    event.at.toISOString(),
    event.type === "Unreadable" ? `Unreadable (${shown(event.event)})` : event.type,
    ...("lockId" in event && event.lockId !== "" ? [shown(event.lockId)] : []),
    ...("ownerId" in event ? [shown(event.ownerLabel || event.ownerId)] : []),
    ...("token" in event ? [`token ${event.token}`] : []),
    `${shown(host)} pid ${pid}`,
    ...[rest(event)].filter((text) => text !== "").map(shown)
  ].join("  ")

/** What is followed goes on after an outage, with nothing twice. */
async function* followed(locks: Locks, query: AuditQuery, io: Io): AsyncGenerator<AuditEntry> {
  const told = new Map<string, number>()
  let newest = query.since?.getTime()
  for (let isFailing = false; !io.signal.aborted;) {
    const since = newest === undefined ? undefined : new Date(Math.max(query.since?.getTime() ?? 0, newest - overlap))
    const entries = locks.audit({ ...query, since })
    const end = () => void entries.return?.()
    io.signal.addEventListener("abort", end, { once: true })
    try {
      for await (const entry of entries) {
        isFailing = false
        if (told.has(entry.id)) continue
        newest = Math.max(newest ?? 0, entry.writtenAt.getTime())
        told.set(entry.id, entry.writtenAt.getTime())
        for (const [id, at] of told) if (at < newest - overlap) told.delete(id)
        yield entry
      }
    } catch (error) {
      if (query.follow !== true || !(error instanceof StorageError) || !error.isRetryable) throw error
      if (!isFailing) io.err(error.message)
      isFailing = true
      await sleep(pause, undefined, { signal: io.signal }).catch(() => {})
      continue
    } finally {
      io.signal.removeEventListener("abort", end)
    }
    return
  }
}

export const audit = async (asked: Asked, io: Io): Promise<number> => {
  const at = where(asked, io.env)
  const [lockId, ...more] = at.positionals
  if (more.length > 0) throw new UsageError(`one lock, and not ${at.positionals.length}`, asked.command.name)
  const span = values.time("since", asked.flags["since"] as string | undefined)
  const most = values.count("limit", asked.flags["limit"] as string | undefined) ?? Number.POSITIVE_INFINITY
  const follow = asked.flags["follow"] === true
  const name = asked.flags["name"] as string | undefined
  const json = asked.flags["json"] === true
  return connected(at, io, {}, async (locks) => {
    const query = { lockId, name, follow, since: span === undefined ? undefined : new Date(Date.now() - span) }
    let count = 0
    for await (const entry of followed(locks, query, io)) {
      io.out(json ? JSON.stringify(entry, withErrors) : line(entry))
      if (++count >= most) break
    }
    if (count === 0 && !follow) io.err("nothing was kept")
    return codes.ok
  })
}
