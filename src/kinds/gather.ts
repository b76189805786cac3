/**
 * Requests of one process for one lock travel together: while one compare-and-set is under way, those that come gather, and the next one takes them all. So a thousand readers need a handful of writes, and
 * no two of them make each other miss a version.
 */
import * as Cause from "#effect/Cause"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as renewals from "../common/renewals.js"
import type { StorageError } from "../LockError.js"
import type { Moment } from "../LockKind.js"
import type { LockRecord, Step } from "../LockRecord.js"
import { TimeLimit } from "../Storage.js"

/** `ahead`: by how much the clock may be ahead of the moment. */
export type Transition<O> = (record: LockRecord | undefined, moment: Moment, ahead: number) => Step<O>

/** What keeps and frees goes first, and is never held up by what wants to get in. */
export type Urgency = "urgent" | "claim"

interface Member {
  readonly transition: Transition<unknown>
  readonly urgency: Urgency
  readonly limit: number
  readonly answer: (exit: Exit.Exit<unknown, StorageError>) => void
  wanted: boolean
}

export type Change = <O>(lockId: string, urgency: Urgency, transition: Transition<O>) => Effect.Effect<O, StorageError>

/** `once` is one compare-and-set, tried again for as long as others are faster; urgent ones are told apart. */
export const make = (
  once: (
    lockId: string,
    urgency: Urgency,
    transition: Transition<ReadonlyArray<unknown>>
  ) => Effect.Effect<ReadonlyArray<unknown>, StorageError>
): { readonly change: Change; readonly size: () => number } => {
  const gathering = new Map<string, Array<Member>>()

  const together =
    (members: ReadonlyArray<Member>): Transition<ReadonlyArray<unknown>> =>
    (found, moment, ahead) =>
      renewals.fold(found, members, (record, { transition }) => transition(record, moment, ahead))

  /** A group that failed without a trace goes again without its claims: a hold is not lost for a claim that came along. */
  const send = (lockId: string, members: ReadonlyArray<Member>): Effect.Effect<void> => {
    const urgent = members.filter(({ urgency }) => urgency === "urgent")
    const limit = Duration.millis(Math.max(...members.map(({ limit }) => limit)))
    return Effect.flatMap(
      Effect.exit(
        Effect.provideService(
          Effect.suspend(() => once(lockId, urgent.length > 0 ? "urgent" : "claim", together(members))),
          TimeLimit,
          limit
        )
      ),
      (exit) => {
        if (Exit.isSuccess(exit)) {
          members.forEach(({ answer }, index) => answer(Exit.succeed(exit.value[index])))
          return Effect.void
        }
        const isMixed = urgent.length > 0 && urgent.length < members.length
        const alone = isMixed && isUnapplied(exit) ? urgent : []
        for (const member of members) if (!alone.includes(member)) member.answer(exit)
        return alone.length > 0 ? send(lockId, alone) : Effect.void
      }
    )
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

  const change: Change = (lockId, urgency, transition) =>
    Effect.flatMap(TimeLimit, (limit) =>
      Effect.suspend(() => {
        let settle: (exit: Exit.Exit<any, StorageError>) => void = () => {}
        let told: Exit.Exit<any, StorageError> | undefined
        const member: Member = {
          transition,
          urgency,
          limit: Duration.toMillis(limit),
          answer: (exit) => {
            told = exit
            settle(exit)
          },
          wanted: true
        }
        const others = gathering.get(lockId)
        if (others === undefined) gathering.set(lockId, [member])
        else others.push(member)
        const answered = Effect.callback<any, StorageError>((resume) => {
          if (told !== undefined) return resume(told)
          settle = resume
          return Effect.sync(() => {
            member.wanted = false
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

const rank = ({ urgency }: Member): number => (urgency === "urgent" ? 0 : 1)

const isUnapplied = ({ cause }: Exit.Failure<unknown, StorageError>): boolean => {
  const error = Cause.findErrorOption(cause)
  return error._tag === "Some" && error.value.applied === "no"
}
