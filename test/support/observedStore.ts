/** A store of observed expiry in memory, which does what a test tells it to. */
import * as Effect from "#effect/Effect"
import type { StorageErrorReason } from "../../src/LockError.js"
import { StorageError } from "../../src/LockError.js"
import * as LockRecord from "../../src/LockRecord.js"
import * as json from "../../src/backends/shared/observed/json.js"
import type { Part, Replies, Reply, Seen, Store } from "../../src/backends/shared/observed/store.js"

/** What becomes of the next request. `lost`: the reply, so that it fails; `unknown`: a later read tells; `late`: so does it, but the write is still on its way until `arrive`. */
export type Fault = "none" | "lost" | "lost before" | "unknown" | "unknown, not applied" | "late" | "down"

export interface MemoryStore extends Store<number, string> {
  readonly records: Map<string, LockRecord.LockRecord>
  /** What was asked, one text for each request. */
  readonly asked: () => ReadonlyArray<string>
  readonly faults: Array<Fault>
  /** Runs before the next request is served: what others do meanwhile. */
  meanwhile: (() => void) | undefined
  /** The store's own count, if it has one. */
  index: number | undefined
  readonly unreadable: Set<string>
  /** What is late arrives now. */
  readonly arrive: () => void
}

const failed = (operation: string, reason: StorageErrorReason, applied: "no" | "unknown") =>
  new StorageError({ reason, operation, isRetryable: reason !== "Schema", applied, message: `${reason}, by the test` })

export const make = (takes: boolean): MemoryStore => {
  const records = new Map<string, LockRecord.LockRecord>()
  const unreadable = new Set<string>()
  const faults: Array<Fault> = []
  const late: Array<Part<number>> = []
  let asked: Array<string> = []

  const seen = (lockId: string): Seen<number> => {
    const record = records.get(lockId)
    return record === undefined ? { record, revision: 0 } : { record, revision: record.version }
  }

  const put = (lockId: string, record: LockRecord.LockRecord | undefined) => {
    if (store.index !== undefined) store.index++
    if (record === undefined) records.delete(lockId)
    else records.set(lockId, record)
  }

  const serve = ({ ask, lockId }: Part<number>): Reply<number> => {
    const found = records.get(lockId)
    if (unreadable.has(lockId)) return failed("read", "Schema", "no")
    if (ask._tag === "Take") {
      const { claim, over } = ask
      if (found === undefined || found.holds.length === 0 || json.isSame(found, over?.record)) {
        const { record } = LockRecord.claim(found && { ...found, leaseExpireTime: 0 }, claim, 0)
        put(lockId, record)
        return { _tag: "Written", seen: seen(lockId) }
      }
    }
    if (ask._tag === "Write" && json.isSame(found, ask.base.record)) {
      put(lockId, ask.next)
      return { _tag: "Written", seen: seen(lockId) }
    }
    return { _tag: "Present", seen: seen(lockId) }
  }

  const store: MemoryStore = {
    name: "test",
    records,
    unreadable,
    faults,
    arrive: () => late.splice(0).forEach(serve),
    asked: () => {
      const before = asked
      asked = []
      return before
    },
    meanwhile: undefined,
    index: undefined,
    ...(takes ? { takes } : {}),
    send: (operation, parts) =>
      Effect.suspend((): Effect.Effect<Replies<number>, StorageError> => {
        asked.push(parts.map(({ ask }) => ask._tag).join(" "))
        const meanwhile = store.meanwhile
        store.meanwhile = undefined
        meanwhile?.()
        const fault = faults.shift()
        if (fault === "down") return failed(operation, "Connection", "no")
        if (fault === "lost before") return failed(operation, "Timeout", "unknown")
        if (fault === "late") late.push(...parts)
        if (fault === "unknown, not applied" || fault === "late")
          return Effect.succeed({
            replies: parts.map(() => ({ _tag: "Unknown" as const, error: failed(operation, "Timeout", "unknown") }))
          })
        const replies = parts.map(serve)
        if (fault === "lost") return failed(operation, "Timeout", "unknown")
        return Effect.succeed({
          indexes: store.index === undefined ? undefined : [store.index],
          replies:
            fault === "unknown"
              ? parts.map(() => ({ _tag: "Unknown" as const, error: failed(operation, "Timeout", "unknown") }))
              : replies
        })
      }),
    page: (_operation, from = "") =>
      Effect.sync(() => {
        const ids = [...records.keys()].filter((id) => id > from).sort()
        const page = ids.slice(0, 3)
        return { all: page.map(seen), next: ids.length > page.length ? page[page.length - 1] : undefined }
      })
  }
  return store
}
