/** Events as the rows of an audit, and back. */
import * as DateTime from "#effect/DateTime"
import * as Option from "#effect/Option"
import * as Schema from "#effect/Schema"
import type { Row, Written } from "../AuditStore.js"
import { StorageError } from "../LockError.js"
import { LockEvent } from "../LockEvent.js"

/**
 * An event of a kind that this version does not know, or one that was changed by hand.
 *
 * @since 0.5.0
 * @category models
 */
export interface Unreadable {
  readonly _tag: "Unreadable"
  readonly at: DateTime.Utc
  readonly lockId: string
  /** The `_tag` that it was written with. */
  readonly event: string
  /** As it is stored. */
  readonly detail: string
}

const encode = Schema.encodeSync(LockEvent)
const decode = Schema.decodeUnknownOption(LockEvent)

/** In UTF-16 units. Drivers may say much. */
const longestMessage = 1_000

/** Without what the driver says: that may be long, and may be secret. */
const bare = (error: StorageError): StorageError =>
  new StorageError({
    reason: error.reason,
    operation: error.operation,
    isRetryable: error.isRetryable,
    applied: error.applied,
    message: error.message.slice(0, longestMessage)
  })

export type Place = Pick<Row, "id" | "namespace" | "host" | "pid">

export const rowOf = (event: LockEvent, place: Place): Row => {
  const told = "error" in event && event.error instanceof StorageError ? { ...event, error: bare(event.error) } : event
  const {
    _tag,
    at: _at,
    lockId = "",
    ownerId = "",
    ownerLabel = "",
    token = 0,
    ...detail
  } = encode(told as LockEvent) as object as { readonly _tag: string } & Partial<Row>
  return {
    ...place,
    at: DateTime.toEpochMillis(event.at),
    event: _tag,
    lockId,
    ownerId,
    ownerLabel,
    token,
    detail: JSON.stringify(detail)
  }
}

export const eventOf = (row: Written): LockEvent | Unreadable => {
  const at = DateTime.makeUnsafe(row.at)
  try {
    const { event: _tag, lockId, ownerId, ownerLabel, token } = row
    const more = JSON.parse(row.detail) as object
    const event = decode({ ...more, _tag, at: DateTime.formatIso(at), lockId, ownerId, ownerLabel, token })
    if (Option.isSome(event)) return event.value
  } catch {
    // No JSON.
  }
  return { _tag: "Unreadable", at, lockId: row.lockId, event: row.event, detail: row.detail }
}
