/**
 * Writes that one turn of the event loop brings commit together: the commit, which waits for the disk, is nearly all that a write costs. The first of a turn goes at once, as long as
 * turns bring one each. If anything fails, nothing of the group was done, and each goes by itself: so no write can fail another.
 */
import * as Effect from "#effect/Effect"
import type { StorageError } from "../../LockError.js"
import type { Connection } from "./driver.js"
import type { Run, Named } from "./handle.js"

interface Member {
  readonly text: string
  readonly params: Named | undefined
  readonly done: (rows: ReadonlyArray<unknown>) => void
  readonly goAlone: () => void
}

export const make = ({ execute, together }: Pick<Connection, "execute" | "together">, alone: Run): Run => {
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

  return <Row>(operation: string, text: string, params?: Named) =>
    Effect.suspend((): Effect.Effect<ReadonlyArray<Row>, StorageError> => {
      const isFirst = !isTurnOpen
      if (isFirst) {
        isTurnOpen = true
        process.nextTick(turnIsOver)
        if (!areMany) return alone(operation, text, params)
      }
      return Effect.callback((resume) => {
        gathered.push({
          text,
          params,
          done: (rows) => resume(Effect.succeed(rows as ReadonlyArray<Row>)),
          goAlone: () => resume(alone(operation, text, params))
        })
      })
    })
}
