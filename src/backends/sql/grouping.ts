/**
 * Grouping under load: what waits for a connection at the same moment travels together.
 *
 * As long as a connection is free, each request is sent alone, at once, by the statement for one. When all are busy, requests wait, and the first connection that comes
 * free takes along all that have gathered, in one statement. Nothing ever waits in order to be grouped. What a group does not answer (its row is locked by
 * somebody, or it is not there) is sent alone, so one member can neither hold up nor fail the others.
 */
import * as Result from "#effect/Result"
import { StorageError } from "../../LockError.js"
import { type Executor, longestTimer, type Query, type Answer } from "./executor.js"
import type { Row } from "./record.js"

interface Waiting<R> {
  readonly request: R
  /** By `performance.now()`. */
  readonly until: number
  readonly done: (result: Answer) => void
  readonly timer: NodeJS.Timeout
  sent: boolean
  answered: boolean
}

/** Enough to make the round trip and the commit a small part, and few enough that nobody waits long behind a group. */
const largest = 64

export const make = <S, R extends { readonly lockId: string }>(
  operation: string,
  executor: Executor<S>,
  name: string,
  one: (request: R) => Query<S>,
  many: ((requests: ReadonlyArray<R>) => Query<S>) | undefined
): ((request: R, millis: number, done: (result: Answer) => void) => void) => {
  const alone = (request: R, millis: number, done: (result: Answer) => void) =>
    executor.run(operation, one(request), millis, done)
  if (many === undefined) return alone

  let active = 0
  let waiting: Array<Waiting<R>> = []

  const timedOut = (sent: boolean, millis: number) =>
    Result.fail(
      new StorageError({
        reason: "Timeout",
        operation: `${name}.${operation}`,
        isRetryable: true,
        applied: sent ? "unknown" : "no",
        message: sent
          ? `no answer within ${Math.round(millis)} ms; the statement may have been applied`
          : `no connection was free within ${Math.round(millis)} ms: the server does not answer, or is overloaded`
      })
    )

  const answer = (member: Waiting<R>, result: Answer) => {
    if (member.answered) return
    member.answered = true
    clearTimeout(member.timer)
    member.done(result)
  }

  const left = (member: Waiting<R>) => Math.max(1, member.until - performance.now())

  const finished = () => {
    active--
    if (waiting.length > 0) send()
  }

  const sendAlone = (member: Waiting<R>) => {
    active++
    member.sent = true
    alone(member.request, left(member), (result) => {
      answer(member, result)
      finished()
    })
  }

  /** Those that come first, and no lock twice: the second one's outcome depends on the first one's. */
  const take = (): Array<Waiting<R>> => {
    const group: Array<Waiting<R>> = []
    const locks = new Set<string>()
    const rest: Array<Waiting<R>> = []
    for (const member of waiting) {
      if (member.answered) continue
      if (group.length < largest && !locks.has(member.request.lockId)) {
        locks.add(member.request.lockId)
        group.push(member)
      } else {
        rest.push(member)
      }
    }
    waiting = rest
    return group
  }

  const send = () => {
    const group = take()
    if (group.length === 0) return
    if (group.length === 1) return sendAlone(group[0]!)
    active++
    for (const member of group) member.sent = true
    executor.run(operation, many(group.map(({ request }) => request)), Math.max(...group.map(left)), (result) => {
      if (Result.isFailure(result)) {
        // Nothing of it was done, and one of them may be to blame.
        const { applied, reason } = result.failure
        const byOne = applied === "no" && reason !== "Connection" && reason !== "Closed"
        for (const member of group) {
          if (byOne && !member.answered) sendAlone(member)
          else answer(member, result)
        }
      } else {
        const rows = new Map<string, Row>()
        // Whatever else a row may be: nobody's is none, and each is asked alone.
        for (const row of Array.isArray(result.success) ? result.success : [])
          if (typeof row?.lock_id === "string") rows.set(row.lock_id, row)
        for (const member of group) {
          const row = rows.get(member.request.lockId)
          if (row !== undefined) answer(member, Result.succeed([row]))
          else if (!member.answered) sendAlone(member)
        }
      }
      finished()
    })
  }

  return (request, millis, done) => {
    if (active < executor.width && waiting.length === 0) {
      active++
      // As without grouping: no second timer.
      return alone(request, millis, (result) => {
        done(result)
        finished()
      })
    }
    const member: Waiting<R> = {
      request,
      until: performance.now() + millis,
      done,
      timer: setTimeout(() => answer(member, timedOut(member.sent, millis)), Math.min(millis, longestTimer)),
      sent: false,
      answered: false
    }
    waiting.push(member)
  }
}
