/** Wake-ups: for each lock that somebody here waits for, one request that the server answers when its key has changed. */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import type * as Stream from "#effect/Stream"
import { StorageError } from "../../LockError.js"
import type { ClaimOutcome } from "../../LockRecord.js"
import * as hints from "../shared/hints.js"
import type { Engine } from "../shared/observed/engine.js"
import * as records from "./records.js"
import type { Requests } from "./requests.js"

/** How long the server waits before it says that nothing has changed, in milliseconds: one that hangs is noticed not much later. */
const patience = 15_000

/** In milliseconds. Who still waits has asked again by then: at the end of the lease at the latest. */
const grace = 1_000

/** So many locks that were claimed in vain are remembered. */
const capacity = 1_024

export interface Waits {
  readonly wakeUps: Stream.Stream<string>
  /** What a claim was answered, and which change it has seen. */
  readonly heard: (outcome: ClaimOutcome, lockId: string, revision: number) => Effect.Effect<void>
}

/** `most`: so many requests at once. Who waits for any more locks polls. */
export const make = (
  requests: Requests,
  keys: records.Keys,
  engine: Pick<Engine<never>, "note">,
  most: number
): Effect.Effect<Waits, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const board = hints.board()
    /** Until when, by `performance.now()`. */
    const awaited = new Map<string, number>()
    const watched = new Set<string>()
    const outages = hints.outages("ConsulStorage")

    const isAwaited = (lockId: string): boolean => board.isHeard() && (awaited.get(lockId) ?? 0) > performance.now()

    /** Whether the lock may be free for somebody now. */
    const look = (lockId: string, before: number) =>
      Effect.flatMap(requests.wait(keys.key(lockId), before, patience), (found) => {
        outages.over()
        const { index } = found
        if (index === before) return Effect.succeed({ index, free: false })
        const record = found._tag === "Entry" ? records.record("wakeUps", lockId, found.value) : undefined
        // What cannot be read is for a claim to say. Where the index has gone back, nothing is as it was known.
        if (record instanceof StorageError || index < before) return Effect.succeed({ index, free: true })
        const seen = { record, revision: record === undefined ? 0 : index }
        return Effect.map(engine.note(lockId, seen, index), (free) => ({ index, free }))
      })

    const watch = (lockId: string, from: number): Effect.Effect<void> => {
      const next = (before: number): Effect.Effect<void, StorageError> =>
        Effect.flatMap(look(lockId, before), ({ free, index }) => {
          if (free) {
            awaited.delete(lockId)
            board.tell(lockId)
          }
          if (isAwaited(lockId)) return next(index)
          watched.delete(lockId)
          return Effect.void
        })
      return next(from).pipe(
        Effect.catch((error) => {
          watched.delete(lockId)
          return error.reason === "Closed" ? Effect.void : outages.warn(error)
        })
      )
    }

    return {
      wakeUps: board.stream(Effect.void),
      heard: (outcome, lockId, revision) =>
        Effect.suspend(() => {
          awaited.delete(lockId)
          if (outcome._tag === "Claimed" || most === 0) return Effect.void
          awaited.set(lockId, performance.now() + (outcome.retryAfter ?? 0) / 1_000 + grace)
          if (awaited.size > capacity) awaited.delete(awaited.keys().next().value!)
          if (!board.isHeard() || watched.has(lockId) || watched.size >= most) return Effect.void
          watched.add(lockId)
          return Effect.asVoid(Effect.forkIn(Effect.interruptible(watch(lockId, revision)), scope))
        })
    }
  })
