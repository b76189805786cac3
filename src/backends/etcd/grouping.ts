/**
 * Claims and releases that one turn of the event loop brings travel together, as one transaction of transactions: a call and a commit cost far more than what is in them. Nothing waits in order to be
 * grouped. If the server refuses a group, each of it goes by itself: so none can fail another.
 */
import * as Effect from "#effect/Effect"
import type { StorageError } from "../../LockError.js"
import type { Part, Replies, Store } from "../shared/observed/store.js"
import * as errors from "./errors.js"

type Send = Store<Buffer, Buffer>["send"]

interface Member {
  readonly operation: string
  readonly part: Part<Buffer>
  readonly until: number
  readonly done: (result: Effect.Effect<Replies<Buffer>, StorageError>) => void
  isOver: boolean
}

/** Half of what a server allows by itself (`--max-txn-ops`), and few enough that others soon have their turn there. */
const largest = 64

/** How much more time one of a group may have than another, in milliseconds: the least counts for all. */
const likeness = 50

/** Whether this is what the server says of a request as it is. */
const isRefusal = ({ applied, cause, reason }: StorageError): boolean =>
  applied === "no" && reason !== "Connection" && errors.codeOf(cause) !== undefined

const groupsOf = (members: ReadonlyArray<Member>): ReadonlyArray<ReadonlyArray<Member>> => {
  const groups: Array<{ readonly members: Array<Member>; readonly locks: Set<string> }> = []
  for (const member of members) {
    const { lockId } = member.part
    const group = groups.find(
      ({ locks, members }) =>
        members.length < largest &&
        members[0]!.operation === member.operation &&
        Math.abs(members[0]!.until - member.until) <= likeness &&
        !locks.has(lockId)
    )
    if (group === undefined) groups.push({ members: [member], locks: new Set([lockId]) })
    else {
      group.members.push(member)
      group.locks.add(lockId)
    }
  }
  return groups.map(({ members }) => members)
}

/** Writes for one lock go through here; all else as before. */
export const make = (send: Send): Send => {
  let gathered: Array<Member> = []

  const alone = ({ done, operation, part, until }: Member) => done(send(operation, [part], until))

  const together = (members: ReadonlyArray<Member>) => {
    const parts = members.map(({ part }) => part)
    const until = Math.min(...members.map((member) => member.until))
    // No member's own fiber: it may be interrupted, and the others go on.
    Effect.runFork(
      Effect.match(send(members[0]!.operation, parts, until), {
        onFailure: (error) => {
          for (const member of members) {
            if (!isRefusal(error)) member.done(Effect.fail(error))
            else if (!member.isOver) alone(member)
          }
        },
        onSuccess: ({ indexes, replies }) =>
          members.forEach(({ done }, i) => done(Effect.succeed({ indexes, replies: [replies[i]!] })))
      })
    )
  }

  const flush = () => {
    const members = gathered.filter(({ isOver }) => !isOver)
    gathered = []
    for (const group of groupsOf(members)) {
      if (group.length === 1) alone(group[0]!)
      else together(group)
    }
  }

  return (operation, parts, until) => {
    const [part] = parts
    if (parts.length > 1 || part!.ask._tag !== "Write") return send(operation, parts, until)
    return Effect.callback((resume) => {
      const member: Member = { operation, part: part!, until, done: resume, isOver: false }
      if (gathered.push(member) === 1) process.nextTick(flush)
      return Effect.sync(() => {
        member.isOver = true
      })
    })
  }
}
