/**
 * Claims and releases that one turn of the event loop brings travel together, as one script of many keys. Nothing waits in order to be grouped: what was gathered is sent before the
 * loop goes on. A member that fails, and every member of a group that the server refuses as a whole, is sent again by itself: so none can fail or hold up another.
 */
import * as Result from "#effect/Result"
import type { Answer, Call, Connection } from "./connection.js"
import * as errors from "./errors.js"
import * as scripts from "./scripts.js"

export interface Request {
  readonly call: Call
  readonly key: string
  /** As `many` wants them. */
  readonly words: ReadonlyArray<string>
}

/** Enough to make the round trip a small part, and few enough that the server, which does nothing beside a script, is soon free for others. */
const largest = 64

interface Member extends Request {
  /** The answer to this one. */
  readonly done: (answer: Answer) => void
}

/** What decides the node of a cluster: a script may touch keys of one slot only, and keys with equal tags are in one. */
const tagOf = (key: string): string => {
  const from = key.indexOf("{")
  const to = from < 0 ? -1 : key.indexOf("}", from + 1)
  return to > from + 1 ? key.slice(from + 1, to) : key
}

/** `shared`: the words that all of them share. */
export const make = (
  connection: Connection,
  shared: ReadonlyArray<string>
): ((request: Request, done: (answer: Answer) => void) => void) => {
  let gathered: Array<Member> = []

  /** Of a list with an answer for each. One that there is not is odd, and is told so where it is read. */
  const alone = ({ call, done, key, words }: Member, millis = call.millis) =>
    connection.run(
      millis === call.millis ? call : { ...call, millis },
      scripts.many,
      [key],
      [...shared, ...words],
      true,
      (answer) =>
        done(
          Result.isSuccess(answer)
            ? Result.succeed(Array.isArray(answer.success) ? answer.success[0] : undefined)
            : answer
        )
    )

  const together = (members: ReadonlyArray<Member>) => {
    const { call } = members[0]!
    const began = performance.now()
    const again = (member: Member) => alone(member, Math.max(1, call.millis - (performance.now() - began)))
    const keys: Array<string> = []
    const args = [...shared]
    for (const { key, words } of members) {
      keys.push(key)
      for (const word of words) args.push(word)
    }
    connection.run(call, scripts.many, keys, args, true, (answer) => {
      if (Result.isSuccess(answer)) {
        const replies: ReadonlyArray<unknown> = Array.isArray(answer.success) ? answer.success : []
        members.forEach((member, i) => {
          const reply = replies[i]
          if (Array.isArray(reply) && reply[0] === "failed") again(member)
          else member.done(Result.succeed(reply))
        })
        return
      }
      const error = answer.failure
      const isRefused = error.applied === "no" && errors.isReply(error.cause)
      for (const member of members)
        if (isRefused) again(member)
        else member.done(Result.fail(errors.relabelled(member.call.operation, error)))
    })
  }

  const send = (members: ReadonlyArray<Member>) => {
    for (let from = 0; from < members.length; from += largest) {
      const some = members.length <= largest ? members : members.slice(from, from + largest)
      if (some.length === 1) alone(some[0]!)
      else together(some)
    }
  }

  /** One time-out counts for all of a group, and one node gets it. */
  const flush = () => {
    const all = gathered
    gathered = []
    const { millis } = all[0]!.call
    if (!connection.isCluster && all.every(({ call }) => call.millis === millis)) return send(all)
    const fit = new Map<string, Array<Member>>()
    for (const member of all) {
      const name = `${member.call.millis} ${connection.isCluster ? tagOf(member.key) : ""}`
      const group = fit.get(name)
      if (group === undefined) fit.set(name, [member])
      else group.push(member)
    }
    fit.forEach(send)
  }

  return ({ call, key, words }, done) => {
    if (gathered.push({ call, key, words, done }) === 1) process.nextTick(flush)
  }
}
