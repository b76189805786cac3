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
  readonly word: "claim" | "release"
  readonly key: string
  readonly args: ReadonlyArray<string>
}

/** Enough to make the round trip a small part, and few enough that the server, which does nothing beside a script, is soon free for others. */
const largest = 64

interface Member extends Request {
  readonly done: (answer: Answer) => void
}

const fill = (args: ReadonlyArray<string>): ReadonlyArray<string> =>
  args.concat(Array.from<string>({ length: scripts.stride - 1 - args.length }).fill(""))

/** Without Cluster, whose scripts may touch one slot alone. */
export const make = (connection: Connection): ((request: Request, done: (answer: Answer) => void) => void) => {
  let gathered: Array<Member> = []

  const alone = ({ args, call, done, key, word }: Member, millis = call.millis) =>
    connection.run({ ...call, millis }, scripts[word], [key], args, true, done)

  const together = (members: ReadonlyArray<Member>) => {
    const [{ call }] = members as readonly [Member]
    const began = performance.now()
    const again = (member: Member) => alone(member, Math.max(1, call.millis - (performance.now() - began)))
    connection.run(
      call,
      scripts.many,
      members.map(({ key }) => key),
      members.flatMap(({ args, word }) => [word, ...fill(args)]),
      true,
      (answer) => {
        const error = Result.isFailure(answer) ? answer.failure : undefined
        const replies = Result.isSuccess(answer) && Array.isArray(answer.success) ? answer.success : []
        members.forEach((member, i) => {
          const reply: unknown = replies[i]
          if (error === undefined)
            if (Array.isArray(reply) && reply[0] === "failed") again(member)
            else member.done(Result.succeed(reply))
          else if (error.applied === "no" && errors.isReply(error.cause)) again(member)
          else member.done(Result.fail(errors.relabelled(member.call.operation, error)))
        })
      }
    )
  }

  /** One time-out counts for all of a group. */
  const flush = () => {
    let rest = gathered
    gathered = []
    while (rest.length > 0) {
      const { millis } = rest[0]!.call
      const fit = rest.filter(({ call }) => call.millis === millis)
      const some = fit.slice(0, largest)
      if (some.length === 1) alone(some[0]!)
      else together(some)
      rest = some.length === rest.length ? [] : rest.filter((member) => !some.includes(member))
    }
  }

  return (request, done) => {
    if (gathered.push({ ...request, done }) === 1) process.nextTick(flush)
  }
}
