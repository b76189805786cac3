/** Why a hold can be over, in words. */
import * as Schema from "#effect/Schema"

/** `LockError.LostReason`, where it is explained. */
export const Reason = Schema.Literals(["Expired", "Taken", "Forced", "Vanished", "HeldTooLong", "Closed", "Released"])
export type Reason = typeof Reason.Type

/** Why a hold is over, in words: for the error, and for the log. */
export const lostBecause: Record<Reason, string> = {
  Expired: "its lease could not be renewed in time",
  Taken: "another owner has it",
  Forced: "it was released by force",
  Vanished: "the storage has no record of it any more: its data was flushed, evicted, restored, replaced or hidden",
  HeldTooLong: "it was held for as long as `holdAtMost` allows",
  Closed: "the StorageLock layer was closed",
  Released: "it was given back"
}
