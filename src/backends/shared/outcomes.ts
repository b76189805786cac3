/** What an operation came to, told by the record that stands there after it. */
import * as LockRecord from "../../LockRecord.js"

/** What a claim came to, by the record that is there after it, of which so much is left. A hold id is of one claim alone: if it is there, it is this one's, whenever it was applied. */
export const claimed = (
  { holdId, ownerId }: LockRecord.Claim,
  record: LockRecord.LockRecord,
  left: number
): LockRecord.ClaimOutcome =>
  record.ownerId === ownerId && record.kind === LockRecord.exclusive && record.holds.includes(holdId)
    ? { _tag: "Claimed", record, validFor: left }
    : { _tag: "Held", holder: record, retryAfter: left }

/** What a renewal came to, by the record that is there after it. A hold that is in, and whose lease is not over, is renewed for what is left of it, whoever did that. */
export const renewed = (
  { holdId }: LockRecord.Renew,
  record: LockRecord.LockRecord,
  now: number
): LockRecord.RenewOutcome =>
  record.kind === LockRecord.exclusive && LockRecord.isLive(record, now) && record.holds.includes(holdId)
    ? { _tag: "Renewed", leaseExpireTime: record.leaseExpireTime, validFor: record.leaseExpireTime - now }
    : { _tag: "NotHeld", current: record }
