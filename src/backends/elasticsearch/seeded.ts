/**
 * For observed leases, which have no clock to begin with: the tokens and versions of a new record begin above when the index was made. So they grow also over an index that was dropped and recreated,
 * for no lock is claimed a million times a second.
 */
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as LockRecord from "../../LockRecord.js"
import type * as Storage from "../../Storage.js"
import * as VersionedStore from "../../VersionedStore.js"

/** What stands for a record that is not there: free, and changed last when the index was made. */
const absent = (lockId: string, floor: number): LockRecord.LockRecord => ({
  lockId,
  kind: LockRecord.exclusive,
  format: LockRecord.format,
  ownerId: "",
  holds: [],
  token: floor,
  version: floor,
  lockBeginTime: 0,
  leaseExpireTime: 0,
  data: ""
})

/** No record of the store itself is at this version: they are above. */
const isAbsent = (record: LockRecord.LockRecord | undefined, floor: number): boolean =>
  record !== undefined && record.version === floor && record.token === floor && record.holds.length === 0

export const storage = (
  store: VersionedStore.Service,
  floor: () => number,
  options: VersionedStore.Options
): Storage.Service => {
  const over = VersionedStore.toStorage(
    {
      ...store,
      get: (lockId) =>
        Effect.map(store.get(lockId), (found) => Option.orElse(found, () => Option.some(absent(lockId, floor())))),
      update: (lockId, expected, record) =>
        expected === floor() ? store.create(lockId, record.version, record) : store.update(lockId, expected, record)
    },
    options
  )
  return {
    ...over,
    renew: (requests) =>
      Effect.map(over.renew(requests), (answers) =>
        answers.map((answer) =>
          answer._tag === "NotHeld" && isAbsent(answer.current, floor()) ? { _tag: "NotHeld" } : answer
        )
      )
  }
}
