/** Single changes of the library, each a bug that somebody could make. The simulation must find them all. */
export interface Mutant {
  readonly name: string
  readonly what: string
  readonly file: string
  /** Is there exactly once. */
  readonly replace: string
  readonly by: string
}

const mutant = (name: string, what: string, file: string, replace: string, by: string): Mutant => ({
  name,
  what,
  file: `src/${file}`,
  replace,
  by
})

export const mutants: ReadonlyArray<Mutant> = [
  // The deadline.
  mutant(
    "deadline-from-reply",
    "the deadline is counted from the answer to the claim",
    "core/acquire.ts",
    "deadlineOf(start, validFor, options)",
    "deadlineOf(core.timeline.now(), validFor, options)"
  ),
  mutant(
    "deadline-from-renewal-reply",
    "the deadline is counted from the answer to the renewal",
    "core/hold.ts",
    "deadlineOf(start, outcome.validFor, this.options)",
    "deadlineOf(this.core.timeline.now(), outcome.validFor, this.options)"
  ),
  mutant(
    "deadline-of-the-retry",
    "a repeated claim counts a whole lease, not what the storage says is left",
    "core/hold.ts",
    "start + Math.min(lease, validFor / 1000) - margin",
    "start + (validFor > 0 ? lease : 0) - margin"
  ),
  mutant(
    "no-margin",
    "the clock margin is not taken off",
    "core/hold.ts",
    "Math.min(lease, validFor / 1000) - margin",
    "Math.min(lease, validFor / 1000) - 0 * margin"
  ),
  mutant(
    "time-stands-still",
    "a suspend is not noticed: the wall clock is not looked at",
    "core/timeline.ts",
    "jumped += offset - base",
    "jumped += 0"
  ),
  mutant(
    "deadline-not-watched",
    "the loss is noticed when a renewal is due, not at the deadline",
    "core/hold.ts",
    "let due = Math.min(this.renewAt, this.deadline)",
    "let due = this.renewAt"
  ),
  mutant(
    "too-late-is-not-noticed",
    "a claim whose answer came too late counts",
    "core/acquire.ts",
    "if (deadline > core.timeline.now()) {",
    "if (deadline > 0) {"
  ),
  mutant(
    "refresh-stops-after-an-error",
    "a renewal that failed is not tried again",
    "core/hold.ts",
    "this.renewLater(now + Math.max(5, Math.min((this.deadline - now) / 10, this.options.refresh / 2)))",
    "void now"
  ),
  mutant("never-renewed", "nothing is renewed", "core/hold.ts", "this.core.due.add(this)", "void this.core.due"),

  // The identity of a hold.
  mutant(
    "renew-resurrects",
    "a renewal brings back what has expired",
    "LockRecord.ts",
    "if (record.kind !== exclusive || !isLive(record, now) || !record.holds.includes(request.holdId)) return",
    "if (!record.holds.includes(request.holdId)) return"
  ),
  mutant(
    "renew-ignores-hold",
    "a renewal of any hold id renews the lease",
    "LockRecord.ts",
    "if (record.kind !== exclusive || !isLive(record, now) || !record.holds.includes(request.holdId)) return",
    "if (!isLive(record, now)) return"
  ),
  mutant(
    "release-by-owner",
    "a release frees the lock with all its holds",
    "LockRecord.ts",
    "const holds = record.holds.filter((hold) => hold !== request.holdId)",
    "const holds: ReadonlyArray<string> = []"
  ),
  mutant(
    "release-ignores-hold",
    "a release takes out the last hold, whichever it names",
    "LockRecord.ts",
    'if (record === undefined || record.kind !== exclusive || !record.holds.includes(request.holdId)) {\n    return { record, outcome: { _tag: "NotHeld" } }\n  }\n  const holds = record.holds.filter((hold) => hold !== request.holdId)',
    'if (record === undefined || record.holds.length === 0) {\n    return { record, outcome: { _tag: "NotHeld" } }\n  }\n  const holds = record.holds.slice(0, -1)'
  ),
  mutant(
    "reentry-not-counted",
    "a reentry does not put its hold in",
    "LockRecord.ts",
    "holds: [...record.holds, request.holdId],",
    "holds: record.holds,"
  ),

  // The record.
  mutant(
    "owner-not-compared",
    "a claim enters whoever holds the lock",
    "LockRecord.ts",
    "if (record.ownerId !== request.ownerId || record.kind !== exclusive) {",
    "if (record.kind !== exclusive) {"
  ),
  mutant(
    "token-restarts",
    "the token starts over with each hold",
    "LockRecord.ts",
    "token: Math.max((record?.token ?? 0) + 1, now),",
    "token: 1,"
  ),
  mutant(
    "token-by-clock-alone",
    "the token follows the clock, also back",
    "LockRecord.ts",
    "token: Math.max((record?.token ?? 0) + 1, now),",
    "token: Math.max(1, now),"
  ),
  mutant(
    "token-by-count-alone",
    "the token counts from what is remembered, so that a purge restarts it",
    "LockRecord.ts",
    "token: Math.max((record?.token ?? 0) + 1, now),",
    "token: (record?.token ?? 0) + 1,"
  ),
  mutant(
    "token-kept",
    "whoever takes over has the token of the one before",
    "LockRecord.ts",
    "token: Math.max((record?.token ?? 0) + 1, now),",
    "token: record?.token ?? Math.max(1, now),"
  ),
  mutant(
    "lease-shrinks-on-reentry",
    "a reentry sets the lease again, though it was longer",
    "LockRecord.ts",
    "leaseExpireTime: Math.max(record.leaseExpireTime, now + request.lease)\n  }\n  return { record: next",
    "leaseExpireTime: now + request.lease / 2\n  }\n  return { record: next"
  ),
  mutant(
    "expires-early",
    "a lock is free when half of its margin is left",
    "LockRecord.ts",
    "record.holds.length > 0 && record.leaseExpireTime > now",
    "record.holds.length > 0 && record.leaseExpireTime > now + 200_000"
  ),
  mutant(
    "revoke-at-once",
    'an operator\'s "leaseEnd" frees at once',
    "LockRecord.ts",
    'if (request.when === "now") {',
    'if (request.when === "now" || request.when === "leaseEnd") {'
  ),

  // The storages and the adapter.
  mutant(
    "purge-of-live-rows",
    "a purge drops every row",
    "backends/memory/MemoryStorage.ts",
    "filter((record) => record.leaseExpireTime < before)\n          for",
    "filter((record) => record.leaseExpireTime < Infinity || before < 0)\n          for"
  ),
  mutant(
    "version-not-checked",
    "an update does not look at the version",
    "backends/memory/MemoryStorage.ts",
    "return at(lockId, expected, () => {",
    "return at(lockId, records.get(lockId)?.version, () => {"
  ),
  mutant(
    "create-over-another",
    "a create does not look whether there is a record",
    "backends/memory/MemoryStorage.ts",
    "create: (lockId, _version, record) => at(lockId, undefined,",
    "create: (lockId, _version, record) => at(lockId, records.get(lockId)?.version,"
  ),
  mutant(
    "observed-for-half",
    "a waiter takes over after half of the observed lease",
    "common/observation.ts",
    "record.leaseExpireTime - (at - observe(record, at, false).since)",
    "record.leaseExpireTime / 2 - (at - observe(record, at, false).since)"
  ),
  mutant(
    "observation-not-restarted",
    "a renewal does not restart the watching",
    "common/observation.ts",
    "if (before !== undefined && before.version === record.version && before.hold === hold) return",
    "if (before !== undefined && before.token === record.token && before.hold === hold) return"
  ),
  mutant(
    "repeat-shows-old-version",
    "without a clock, a repeated claim writes no new version for those who watch",
    "VersionedStore.ts",
    'if (observed === undefined || step.outcome._tag !== "Claimed" || step.record !== record) return step',
    'if (observed === undefined || step.outcome._tag !== "Held") return step'
  ),
  mutant(
    "client-clock",
    "over a store with a clock, the client's clock judges",
    "kinds/reads.ts",
    "Effect.zipWith(store.get(lockId), store.time!, (found, now)",
    "Effect.zipWith(store.get(lockId), Effect.clockWith((clock) => Effect.map(clock.currentTimeMillis, (millis) => millis * 1000)), (found, now)"
  ),

  mutant(
    "set-back-not-noticed",
    "a wall clock that was set back hides the next suspend that is shorter",
    "core/timeline.ts",
    "else if (offset < base) base = offset",
    "else if (offset < base) void offset"
  ),
  mutant(
    "one-in-a-hundred",
    "of a hundred holds that are due at once, the last is not renewed",
    "core/refresher.ts",
    "    chunk.push(hold)",
    "    if (chunk.length + 1 < chunkSize) chunk.push(hold)"
  ),

  // A clock that is given.
  mutant(
    "leap-is-believed",
    "a clock that is provided is believed, whatever it told before",
    "common/course.ts",
    "if (course === undefined) return begin(now)",
    "if (course === undefined || tolerance > 0) return begin(now)"
  ),
  mutant(
    "leap-is-believed-the-second-time",
    "a clock that has leapt is believed when it is asked again",
    "common/course.ts",
    "at - since >= steadyFor",
    "at - since >= 0"
  ),

  // What is left, and what is told.
  mutant(
    "unknown-claim-forgotten",
    "who is told that somebody else has the lock forgets an earlier claim that had no answer",
    "core/claimant.ts",
    "return this.mayHold || this.inflight > 0 || this.unsure !== undefined",
    "return this.mayHold || this.inflight > 0"
  ),
  mutant(
    "answered-release-is-final",
    "a release that is answered is final, though a claim may yet arrive",
    "core/settling.ts",
    "if (answered && !isUnsure(core, claimant)) return",
    "if (answered) return"
  ),
  mutant(
    "time-out-says-not-applied",
    "a call that had no answer is told as not applied",
    "core/calls.ts",
    'applied: "unknown",\n    message: `no answer from',
    'applied: "no",\n    message: `no answer from'
  ),
  mutant(
    "thrown-says-not-applied",
    "a call in which the driver threw is told as not applied",
    "core/checkedAnswers.ts",
    'isRetryable: false, applied: "unknown", message, cause',
    'isRetryable: false, applied: "no", message, cause'
  ),
  mutant(
    "last-call-tells-all",
    "an acquire that fails tells of its last call alone, whatever became of those before",
    "core/acquire.ts",
    'withApplied(error, gaveBack || claimant.mayBeIn ? "unknown" : "no")',
    'withApplied(error, gaveBack || error._tag === "LockTimeout" ? "unknown" : error.applied)'
  ),
  mutant(
    "outage-is-contention",
    "who waits behind one that asks in vain is told that somebody has the lock",
    "core/acquire.ts",
    "here === undefined ? queue.outage(began, now) : undefined",
    "here !== undefined ? queue.outage(began, now) : undefined"
  ),
  mutant(
    "forgotten-is-forced",
    "a record that is gone is told as the deed of an operator",
    "core/hold.ts",
    'if (current === undefined) return ["Vanished", "it has no record of this lock"]',
    'if (current === undefined) return ["Forced"]'
  ),
  mutant(
    "forced-is-taken",
    "whoever lost a lock is told that another took it",
    "core/hold.ts",
    'if (current.token > token) return ["Taken"]',
    'if (current.token >= token) return ["Taken"]'
  ),

  // The way to a hold and back.
  mutant(
    "calls-without-bound",
    "a call that hangs is waited for for ever",
    "core/calls.ts",
    "handler.overdue?.(error)\n      interrupt()",
    "void [handler, interrupt]"
  ),
  mutant(
    "hint-during-claim-lost",
    "a hint that comes while a claim is under way is forgotten",
    "core/acquire.ts",
    "if (waiter.hinted || !queue.mayGo(waiter)) return queued",
    "if (!queue.mayGo(waiter)) return queued"
  ),
  mutant("hints-not-heard", "nobody listens for hints", "core/acquire.ts", "core.listen.notify()", "void core.listen"),
  mutant(
    "hint-is-ownership",
    "whoever hears that the lock is free believes to have it",
    "core/acquire.ts",
    "if (waiter.hinted || !queue.mayGo(waiter)) return queued",
    'if (waiter.hinted && holder !== undefined) return { _tag: "Held", hold: new Hold(core, this.claimant, this.wanted.options, holder, core.timeline.now(), core.timeline.now() + this.wanted.options.lease - this.wanted.options.margin) }\n    if (waiter.hinted || !queue.mayGo(waiter)) return queued'
  ),
  mutant(
    "waits-through-interruption",
    "who waits for an answer cannot be interrupted",
    "core/acquire.ts",
    "Effect.as(this.restore(this.waiter.signal.waitWithin), state)",
    "Effect.as(this.waiter.signal.waitWithin, state)"
  ),
  mutant(
    "abandoned-is-forgotten",
    "a claim whose caller has left is not released",
    "core/acquire.ts",
    "if (claimant.mayBeIn) addTask(",
    "if (false as boolean) addTask("
  ),
  mutant(
    "queue-without-order",
    "every waiter of a process asks the storage",
    "core/lockQueue.ts",
    "return this.isHead(waiter) || this.named?.ownerId === waiter.ownerId",
    "return this.waiters.has(waiter) || this.named?.ownerId === waiter.ownerId"
  ),
  mutant(
    "head-does-not-hand-on",
    "who leaves the head of the queue tells nobody",
    "core/lockQueue.ts",
    "if (wasHead) this.waiters?.first?.signal.notify()",
    "if (wasHead) return"
  ),
  mutant(
    "reentry-queues",
    "the owner that has the lock queues behind those who wait for it",
    "core/lockQueue.ts",
    "if (this.holders.size > 0) return this.isHolder(waiter.ownerId)",
    "if (this.holders.size > 0) return this.isHead(waiter) && this.isHolder(waiter.ownerId)"
  ),
  mutant(
    "clock-read-twice",
    "what is due now seems to be later, by a second reading of the clock",
    "core/acquire.ts",
    "const due = Math.min(this.latest, this.queue.due(this.waiter, now))",
    "const due = Math.min(this.latest, this.queue.due(this.waiter, this.core.timeline.now()))"
  ),
  mutant(
    "turn-never-comes",
    "who leaves a hint to others waits for the next poll",
    "core/turns.ts",
    "Math.max(this.began, this.lastHint) + Math.min(longestTurn, short * Math.min(longestSlot, 1.25 * this.interval))",
    "short > 0 ? Number.POSITIVE_INFINITY : now"
  ),
  mutant(
    "time-out-not-heard",
    "the end of `acquireTimeout` wakes nobody",
    "core/acquire.ts",
    "this.expired = true\n      this.waiter.signal.notify()",
    "this.expired = true"
  ),
  mutant(
    "body-left-behind",
    "who is interrupted leaves its body behind",
    "core/guard.ts",
    "Effect.flatMap(Effect.andThen(Fiber.interrupt(body), Fiber.await(body)), (exit) =>",
    "Effect.flatMap(Effect.succeed(Exit.failCause(first.cause)), (exit) =>"
  ),
  mutant(
    "lost-at-once-given-back",
    "a lost hold is released at its deadline, while its body ends",
    "core/hold.ts",
    "core.timers.set(end + this.options.margin, () => this.giveBack())",
    "this.giveBack()"
  ),
  mutant(
    "loss-not-told",
    "nobody is told of a loss",
    "core/hold.ts",
    "this.listeners?.forEach((tell) => tell(this.error!))",
    "void this.listeners"
  ),
  mutant(
    "body-outlives-loss",
    "a guarded body is not stopped when its lock is lost",
    "core/guard.ts",
    "const forget = ground.onLost((error) => resume(fibers.inTurn(Effect.fail(error))))",
    "const forget = () => {}"
  ),
  mutant(
    "closing-leaves-fibers",
    "closing the layer does not end the workers",
    "core/calls.ts",
    "direct.stop(undefined)\n      workers.close()",
    "direct.stop(undefined)"
  ),
  mutant(
    "writer-beside-readers",
    "a write goes beside reads",
    "kinds/readWrite.ts",
    'one !== "write" && other !== "write" &&',
    'one !== "write" &&'
  ),
  mutant(
    "own-limit-alone",
    "permits go by the claim's own limit alone",
    "kinds/semaphore.ts",
    "Math.min(...all.map(({ limit }) => limit))",
    "all[all.length - 1]!.limit"
  ),
  mutant(
    "observation-goes-on",
    "without a clock, one of several leases that was renewed is watched on as the one before",
    "kinds/observed.ts",
    "seen?.beat === beat ? seen :",
    "seen !== undefined ? { ...seen, beat } :"
  ),
  mutant(
    "answers-mixed-up",
    "of claims that travel together all have the answer of the first",
    "kinds/gather.ts",
    "answer(Exit.succeed(exit.value[index]))",
    "answer(Exit.succeed(exit.value[index * 0]))"
  ),
  mutant(
    "group-never-abandoned",
    "a store that does not answer keeps everybody waiting for a lock that several may hold",
    "kinds/gather.ts",
    "Effect.raceFirst(sent, abandoned(lockId, members))",
    "sent"
  ),
  mutant(
    "who-leaves-blocks-others",
    "a waiter that was refused, and gives up, keeps those behind it waiting",
    "core/sharedQueue.ts",
    "if (this.refused !== waiter) return",
    "return"
  ),
  mutant(
    "upgrade-keeps-old-token",
    "who has upgraded reads on with the token from before",
    "StorageReadWriteLock.ts",
    "hold.renumber(token)",
    "void [hold, token]"
  )
]
