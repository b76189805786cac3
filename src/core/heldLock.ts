/** A hold, as its holder sees it. */
import * as Effect from "#effect/Effect"
import { pipeArguments } from "effect/Pipeable"
import * as LockInformation from "../LockInformation.js"
import { type Lock, LockTypeId } from "./api.js"
import { guard } from "./guard.js"
import type { Hold } from "./hold.js"
import { renewOne } from "./refresher.js"

class HeldLock implements Lock {
  constructor(private readonly hold: Hold) {}

  // As all that follows, on the prototype: a lock is made for every acquire.
  get [LockTypeId](): typeof LockTypeId {
    return LockTypeId
  }
  pipe() {
    // eslint-disable-next-line prefer-rest-params
    return pipeArguments(this, arguments)
  }
  get lockId() {
    return this.hold.claimant.lockId
  }
  get ownerId() {
    return this.hold.claimant.ownerId
  }
  get holdId() {
    return this.hold.claimant.holdId
  }
  get token() {
    return this.hold.token
  }
  get info() {
    return Effect.sync(() => LockInformation.fromRecord(this.hold.record, this.lockId))
  }
  get lost() {
    return this.hold.lost
  }
  get check() {
    return this.hold.check
  }
  get unsafeRemainingMillis(): Lock["unsafeRemainingMillis"] {
    return () => this.hold.remaining()
  }
  get renew(): Lock["renew"] {
    const renewal = Effect.flatMap(renewOne(this.hold.core, this.hold), (answer) =>
      answer._tag === "StorageError" ? Effect.fail(answer) : Effect.void
    )
    return this.check.pipe(Effect.andThen(renewal), Effect.andThen(this.check))
  }
  get guard(): Lock["guard"] {
    return (self) => guard(this.hold, self)
  }
  get release() {
    return this.hold.release
  }
}

export const makeLock = (hold: Hold): Lock => new HeldLock(hold)
