/**
 * Writes that one turn of the event loop brings commit together: the commit, which waits for the disk, is nearly all that a write costs. The first of a turn goes at once, as long as
 * turns bring one each. If anything fails, nothing of the group was done, and each goes by itself: so no write can fail another.
 */
import * as Effect from "#effect/Effect"
import type { StorageError } from "../../LockError.js"
import type { Connection } from "./driver.js"
import type { AtOnce, Named, Run } from "./handle.js"

interface Member {
  readonly text: string
  readonly params: Named | undefined
  readonly done: (rows: ReadonlyArray<unknown>) => void
  readonly goAlone: () => void
}

export const make = (
  { execute, together }: Pick<Connection, "execute" | "together">,
  alone: Run
): { readonly write: Run; readonly atOnce: AtOnce } => {
  let gathered: Array<Member> = []
  let isTurnOpen = false
  let areMany = false

  const commit = (members: ReadonlyArray<Member>) => {
    let all: ReadonlyArray<ReadonlyArray<unknown>>
    try {
      all = together(() => members.map(({ params, text }) => execute(text, params)))
    } catch {
      return members.forEach(({ goAlone }) => goAlone())
    }
    members.forEach(({ done }, i) => done(all[i]!))
  }

  const turnIsOver = () => {
    isTurnOpen = false
    const members = gathered
    gathered = []
    areMany = members.length > 1
    if (areMany) commit(members)
    else members[0]?.goAlone()
  }

  /** Whether one that comes now is to go at once, by itself. */
  const goesAtOnce = (): boolean => {
    if (isTurnOpen) return false
    isTurnOpen = true
    process.nextTick(turnIsOver)
    return !areMany
  }

  return {
    write: <Row>(operation: string, text: string, params?: Named) =>
      Effect.suspend((): Effect.Effect<ReadonlyArray<Row>, StorageError> =>
        goesAtOnce()
          ? alone(operation, text, params)
          : Effect.callback((resume) => {
              gathered.push({
                text,
                params,
                done: (rows) => resume(Effect.succeed(rows as ReadonlyArray<Row>)),
                goAlone: () => resume(alone(operation, text, params))
              })
            })
      ),
    atOnce: {
      read: execute,
      isCurrent: () => true,
      write: (text, params, done, otherwise) => {
        const now = () => {
          let rows: ReadonlyArray<unknown>
          try {
            rows = execute(text, params)
          } catch {
            return otherwise()
          }
          done(rows)
        }
        if (goesAtOnce()) now()
        else gathered.push({ text, params, done, goAlone: now })
      }
    }
  }
}
