/**
 * Requests of one process for one lock travel together: while one compare-and-set is under way, those that come gather, and the next one takes them all. So a thousand readers need a handful of writes, and
 * no two of them make each other miss a version.
 */
import * as Cause from "#effect/Cause"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as renewals from "../common/renewals.js"
import { StorageError } from "../LockError.js"
import type { Moment } from "../LockKind.js"
import type { LockRecord, Step } from "../LockRecord.js"
import { TimeLimit } from "../Storage.js"

/** `ahead`: by how much the clock may be ahead of the moment. */
export type Transition<O> = (record: LockRecord | undefined, moment: Moment, ahead: number) => Step<O>

/** What keeps and frees goes first, and is never held up by what wants to get in. */
export type Urgency = "urgent" | "claim"

/** Whether what is asked of a record is the same at any time: then it does not wait for a clock that somebody has to tell. */
export type Timeless = (record: LockRecord | undefined) => boolean

interface Member {
  readonly transition: Transition<unknown>
  readonly timeless: Timeless
  readonly urgency: Urgency
  readonly limit: number
  readonly answer: (exit: Exit.Exit<unknown, StorageError>) => void
  wanted: boolean
  /** Called when it waits no more. */
  left: () => void
}

export type Change = <O>(
  lockId: string,
  urgency: Urgency,
  transition: Transition<O>,
  timeless: Timeless
) => Effect.Effect<O, StorageError>

type Answers = ReadonlyArray<unknown>

/**
 * `once` is one compare-and-set, tried again for as long as others are faster; urgent ones are told apart. `refuse` tells why a record is too large to be written, if it is: asked of claims alone, for
 * what keeps and frees must go on.
 */
export const make = (
  once: Change,
  refuse: (record: LockRecord) => StorageError | undefined = () => undefined
): { readonly change: Change; readonly size: () => number } => {
  const gathering = new Map<string, Array<Member>>()

  const together =
    (members: ReadonlyArray<Member>): Transition<Answers | StorageError> =>
    (found, moment, ahead) => {
      const step = renewals.fold(found, members, (record, { transition }) => transition(record, moment, ahead))
      const { record } = step
      const refused = record === undefined || record === found || members.every(isUrgent) ? undefined : refuse(record)
      return refused === undefined ? step : { record: found, outcome: refused }
    }

  /** A group that failed without a trace goes again in parts. */
  const send = (lockId: string, members: ReadonlyArray<Member>): Effect.Effect<void> => {
    const limit = Duration.millis(Math.max(...members.map(({ limit }) => limit)))
    const sent = Effect.provideService(
      Effect.flatMap(
        Effect.suspend(() =>
          once(lockId, members.some(isUrgent) ? "urgent" : "claim", together(members), (record) =>
            members.every(({ timeless }) => timeless(record))
          )
        ),
        (answers) => (answers instanceof StorageError ? answers : Effect.succeed(answers))
      ),
      TimeLimit,
      limit
    )
    return Effect.flatMap(Effect.exit(Effect.raceFirst(sent, abandoned(lockId, members))), (exit) => {
      if (Exit.isSuccess(exit)) {
        members.forEach(({ answer }, index) => answer(Exit.succeed(exit.value[index])))
        return Effect.void
      }
      const parts = again(members, exit)
      const answered = new Set(members)
      for (const part of parts) for (const member of part) answered.delete(member)
      for (const { answer } of answered) answer(exit)
      return Effect.forEach(parts, (part) => send(lockId, part), { discard: true })
    })
  }

  const run = (lockId: string): Effect.Effect<void> =>
    Effect.suspend(() => {
      const members = gathering
        .get(lockId)!
        .splice(0)
        .filter(({ wanted }) => wanted)
      if (members.length === 0) {
        gathering.delete(lockId)
        return Effect.void
      }
      members.sort((one, other) => rank(one) - rank(other))
      return Effect.andThen(send(lockId, members), run(lockId))
    })

  const change: Change = (lockId, urgency, transition, timeless) =>
    Effect.flatMap(TimeLimit, (limit) =>
      Effect.suspend(() => {
        let settle: (exit: Exit.Exit<any, StorageError>) => void = () => {}
        let told: Exit.Exit<any, StorageError> | undefined
        const member: Member = {
          transition,
          timeless,
          urgency,
          limit: Duration.toMillis(limit),
          answer: (exit) => {
            told = exit
            settle(exit)
          },
          wanted: true,
          left: () => {}
        }
        const others = gathering.get(lockId)
        if (others === undefined) gathering.set(lockId, [member])
        else others.push(member)
        const answered = Effect.callback<any, StorageError>((resume) => {
          if (told !== undefined) return resume(told)
          settle = resume
          return Effect.sync(() => {
            member.wanted = false
            member.left()
          })
        })
        // Not a child of whoever came first: it serves others, too. It begins when they all have joined that are ready now.
        return others === undefined
          ? Effect.andThen(
              Effect.forkDetach(Effect.andThen(Effect.yieldNow, Effect.interruptible(run(lockId)))),
              answered
            )
          : answered
      })
    )

  return { change, size: () => gathering.size }
}

const isUrgent = ({ urgency }: Member): boolean => urgency === "urgent"

/**
 * When none of them waits any more, which the core sees to in time. Else a store that never answers would keep those waiting that come later, and something would go on after the layer has closed.
 */
const abandoned = (lockId: string, members: ReadonlyArray<Member>): Effect.Effect<never, StorageError> =>
  Effect.callback((resume) => {
    const look = () => {
      if (members.some(({ wanted }) => wanted)) return
      resume(
        Effect.fail(
          new StorageError({
            reason: "Timeout",
            operation: "VersionedStore.update",
            isRetryable: true,
            applied: "unknown",
            message: `nobody waits any more for what was asked of ${JSON.stringify(lockId)}`
          })
        )
      )
    }
    for (const member of members) member.left = look
    look()
  })

const rank = (member: Member): number => (isUrgent(member) ? 0 : 1)

/** Which parts of a group are tried again: its renewals and releases, for a hold is not lost for a claim that came along; of claims that were too many for the record, as many get in as have room. */
const again = (
  members: ReadonlyArray<Member>,
  { cause }: Exit.Failure<unknown, StorageError>
): ReadonlyArray<ReadonlyArray<Member>> => {
  const error = Cause.findErrorOption(cause)
  if (error._tag === "None" || error.value.applied !== "no") return []
  const isTooLarge = error.value.reason === "TooLarge"
  const urgent = members.filter(isUrgent)
  const claims = members.slice(urgent.length)
  if (urgent.length > 0) return claims.length === 0 ? [] : isTooLarge ? [urgent, claims] : [urgent]
  if (!isTooLarge || claims.length === 1) return []
  const half = (claims.length + 1) >> 1
  return [claims.slice(0, half), claims.slice(half)]
}
