/** Why a hold is gone is judged by the record that the storage shows in its place, and by nothing else. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as TestClock from "#harness/testing/TestClock"
import type { LostReason } from "../../src/LockError.js"
import { type LockRecord, revokedHold } from "../../src/LockRecord.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import { heard } from "../support/logged.js"
import * as Process from "../support/process.js"

interface Case {
  /** What the storage shows, made from the record of the hold; nothing if it shows none. */
  readonly shows: (record: LockRecord) => LockRecord | undefined
  readonly reason: LostReason
  readonly detail: RegExp | undefined
}

const cases: Record<string, Case> = {
  "no record at all": { shows: () => undefined, reason: "Vanished", detail: /no record/ },
  "a lower token: the storage was set back": {
    shows: (record) => ({ ...record, token: record.token - 1, version: record.version + 5 }),
    reason: "Vanished",
    detail: /older state/
  },
  "the same token at an older version: it was set back to before this claim": {
    shows: (record) => ({ ...record, version: record.version - 1, holds: ["another"] }),
    reason: "Vanished",
    detail: /older state/
  },
  "a lower token, though it looks revoked": {
    shows: (record) => ({ ...record, token: record.token - 1, holds: [revokedHold] }),
    reason: "Vanished",
    detail: /older state/
  },
  "a higher token, held": {
    shows: (record) => ({ ...record, token: record.token + 1, version: 1, holds: ["another"], ownerId: "b" }),
    reason: "Taken",
    detail: undefined
  },
  "a higher token, free again": {
    shows: (record) => ({ ...record, token: record.token + 1, holds: [] }),
    reason: "Taken",
    detail: undefined
  },
  "a higher token, taken away from that one, too": {
    shows: (record) => ({ ...record, token: record.token + 1, holds: [revokedHold] }),
    reason: "Taken",
    detail: undefined
  },
  "the mark of an operator": {
    shows: (record) => ({ ...record, version: record.version + 1, holds: [revokedHold] }),
    reason: "Forced",
    detail: undefined
  },
  "its own record, emptied": {
    shows: (record) => ({ ...record, version: record.version + 1, holds: [] }),
    reason: "Forced",
    detail: undefined
  },
  "its own record, with this very hold": {
    shows: (record) => record,
    reason: "Expired",
    detail: /ran ahead by more than `clockMargin`/
  },
  "its own record, with this hold and others": {
    shows: (record) => ({ ...record, version: record.version + 1, holds: ["another", ...record.holds] }),
    reason: "Expired",
    detail: /ran ahead/
  },
  "its own record, with other holds only": {
    shows: (record) => ({ ...record, version: record.version + 1, holds: ["another"] }),
    reason: "Vanished",
    detail: /other holds of this owner/
  }
}

describe("a renewal that finds", () => {
  for (const [name, { detail, reason, shows }] of Object.entries(cases)) {
    it.effect(`${name} tells ${reason}`, () =>
      heard(() =>
        Effect.gen(function* () {
          const storage = yield* MemoryStorage.make()
          let instead = false
          const a = yield* Process.make({
            ...storage,
            renew: (requests) =>
              instead
                ? Effect.map(storage.get(requests[0]!.lockId), (found) => [
                    { _tag: "NotHeld" as const, current: shows(Option.getOrThrow(found).record) }
                  ])
                : storage.renew(requests)
          })
          const lock = yield* a.locks.acquire("foo")
          const before = yield* lock.info
          instead = true
          const error = yield* Effect.flip(lock.renew)
          assert(error._tag === "LockLost")
          assert.strictEqual(error.reason, reason)
          if (detail === undefined) assert.isUndefined(error.detail)
          else assert.match(error.detail ?? "", detail)
          assert.strictEqual(error.token, before.token)
          // Final, and the same for all who ask.
          instead = false
          yield* TestClock.adjust("30 seconds")
          assert.deepInclude({ ...(yield* Effect.flip(lock.check)) }, { _tag: "LockLost", reason })
          assert.deepInclude({ ...(yield* Effect.flip(lock.lost)) }, { _tag: "LockLost", reason })
        })
      )
    )
  }
})
