/** Wakes those who wait for a lock when it was freed. It comes after the release, whose answer says whether anybody waits: where nobody does, nothing more is sent. */
import * as Result from "#effect/Result"
import type { StorageError } from "../../LockError.js"
import type { Notices } from "../shared/notices.js"
import type { Executor } from "../sql/executor.js"
import * as sleepers from "./sleepers.js"
import * as errors from "./errors.js"
import type { Packet } from "./packet.js"

/** For so long, in milliseconds, nobody is woken after that was refused. */
const pause = 5_000

/** How long it may take, its wait for a connection included. Later it is no hint any more. */
const patience = 1_000

const trouble = "notify"

/** Nobody has the name any more: who had it has woken by itself. */
const isGone = (error: StorageError): boolean => errors.numberOf(error.cause) === 1094

/** What a connection is to blame for. */
const passes = ({ reason }: StorageError): boolean =>
  reason === "Connection" || reason === "Timeout" || reason === "Conflict" || reason === "Closed"

const namesOf = ({ sleepers }: sleepers.Answered): ReadonlyArray<string> => sleepers ?? []

/** A hint that is lost, or refused, fails nothing: a release is done before it is sent. */
export const make = (executor: Executor<Packet>, notices: Notices): Executor<Packet> => {
  let quietUntil = Number.NEGATIVE_INFINITY

  const wake = (names: ReadonlyArray<string>): void =>
    executor.run("wakeUps", { statement: sleepers.wake(names), values: [] }, patience, (result) => {
      if (Result.isSuccess(result)) return notices.over(trouble, "wake-ups are sent again")
      const error = result.failure
      if (isGone(error)) {
        // It ended the packet, and the others were not woken.
        if (names.length > 1) for (const name of names) wake([name])
        return
      }
      if (passes(error)) return
      quietUntil = performance.now() + pause
      notices.warn(
        trouble,
        `locks are freed, but those who wait for them cannot be woken, and poll: ${error.message}. ` +
          "A session of another user is woken only with the right CONNECTION_ADMIN (MariaDB: CONNECTION ADMIN): let all processes use one user, grant it, or set `notify: false`"
      )
    })

  return {
    width: executor.width,
    run: (operation, query, millis, done) =>
      query.statement.wakes !== true
        ? executor.run(operation, query, millis, done)
        : executor.run(operation, query, millis, (result) => {
            if (Result.isFailure(result) || performance.now() < quietUntil) return done(result)
            const names = result.success.flatMap(namesOf)
            if (names.length === 0) return done(result)
            wake(names)
            done(
              Result.succeed(result.success.map((row) => (namesOf(row).length === 0 ? row : { ...row, awaited: true })))
            )
          })
  }
}
