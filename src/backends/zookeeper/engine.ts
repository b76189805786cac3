/** ZooKeeper as a store of observed expiry: a change compares the version of the node, and a read right behind it, on the same connection, tells what is there instead. */
import * as Effect from "#effect/Effect"
import { StorageError } from "../../LockError.js"
import type { ResolvedOperation } from "../shared/options.js"
import * as engine from "../shared/observed/engine.js"
import type { Ask, Page, Part, Replies, Reply, Seen, Store } from "../shared/observed/store.js"
import type { Answer } from "./client/connection.js"
import * as protocol from "./client/protocol.js"
import { type Client, faultOf } from "./client.js"
import * as errors from "./errors.js"
import * as records from "./records.js"

type State = records.State

/** The names of all nodes, and how many are done. */
export interface Cursor {
  readonly names: ReadonlyArray<string>
  readonly at: number
}

export interface Engine extends engine.Engine<State, Cursor> {
  /** How far the store is. */
  readonly probe: (until: number) => Effect.Effect<void, StorageError>
  /** Whether somebody here has asked for this lock lately, and did not get it. */
  readonly isWanted: (lockId: string) => boolean
  /** Notes what was read of a lock, and says whether it may be free for somebody now. */
  readonly told: (lockId: string, node: protocol.Node | undefined) => Effect.Effect<boolean>
}

const pageSize = 500

/** How long a lock that was asked for is wanted, in milliseconds, and how many are. */
const interest = 600_000
const mostWanted = 10_000

type Write = Extract<Ask<State>, { readonly _tag: "Write" }>

/** One that the server read, and will not do; but for these it says so before it changes anything. */
const doubtful = new Set<number>([
  protocol.code.systemError,
  protocol.code.operationTimeout,
  protocol.code.sessionExpired,
  protocol.code.sessionMoved
])

const misses = new Set<number>([protocol.code.noNode, protocol.code.badVersion, protocol.code.nodeExists])

export const make = (client: Client, settings: ResolvedOperation): Engine => {
  const wanted = new Map<string, number>()
  const pathOf = (lockId: string) => `${client.root()}/${records.nameOf(lockId)}`

  const note = (operation: string, lockId: string, reply: Reply<State>) => {
    if (operation !== "claim" || reply instanceof StorageError || reply._tag === "Unknown") return
    wanted.delete(lockId)
    if (reply._tag === "Written" || (reply.seen.record?.holds.length ?? 0) === 0) return
    if (wanted.size >= mostWanted) wanted.delete(wanted.keys().next().value!)
    wanted.set(lockId, performance.now())
  }

  const writing = (lockId: string, { base }: Write, bytes: Buffer): protocol.Request<protocol.Stat> =>
    base.state === undefined
      ? protocol.create(pathOf(lockId), bytes, client.acls())
      : protocol.setData(pathOf(lockId), bytes, base.state.version)

  const looked = (operation: string, lockId: string, answer: Answer<protocol.Node>): Reply<State> => {
    if (answer._tag === "Refused" && answer.code === protocol.code.noNode)
      return { _tag: "Present", seen: records.absent }
    if (answer._tag !== "Done") return faultOf(operation, answer)!
    const seen = records.read(operation, lockId, answer.value)
    return seen instanceof StorageError ? seen : { _tag: "Present", seen }
  }

  /** Nothing, of one that missed. */
  const wrote = (
    operation: string,
    lockId: string,
    { base, next }: Write,
    answer: Answer<protocol.Stat>
  ): Reply<State> | undefined => {
    switch (answer._tag) {
      case "Done": {
        const stat = answer.value
        if (base.state !== undefined && base.state.czxid !== stat.czxid) return errors.replaced(operation, lockId)
        const state = records.stateOf(stat)
        return {
          _tag: "Written",
          seen:
            next === undefined ? { record: next, revision: 0, state } : { record: next, revision: stat.mzxid, state }
        }
      }
      case "Refused": {
        if (doubtful.has(answer.code))
          return { _tag: "Unknown", error: errors.refused(operation, answer.code, "unknown") }
        if (!misses.has(answer.code)) return errors.refused(operation, answer.code)
        // Without the root nothing can be made.
        return answer.code === protocol.code.noNode && base.state === undefined
          ? errors.foreign(operation, client.root(), true)
          : undefined
      }
      case "Lost":
        return { _tag: "Unknown", error: errors.failed(operation, answer.failure, "unknown") }
      case "Unsent":
        return errors.failed(operation, answer.failure, "no")
    }
  }

  const indexOf = (answers: ReadonlyArray<Answer<unknown>>): ReadonlyArray<number> => {
    let highest = 0
    for (const answer of answers)
      if (answer._tag === "Done" || answer._tag === "Refused") highest = Math.max(highest, answer.zxid)
    return highest === 0 ? [] : [highest]
  }

  /** The newest change that an answer has told of. */
  let newest = 0
  const heard = (answers: ReadonlyArray<Answer<unknown>>): ReadonlyArray<number> => {
    const indexes = indexOf(answers)
    newest = Math.max(newest, ...indexes)
    return indexes
  }

  /**
   * Reads behind a `sync`: each as new as the leader was. One that was cut off from the others may still believe for a while that it leads: so what is older than what was told before is read again,
   * behind a change that is refused, but not before a majority has agreed that it is. If it is older still, the ensemble was restored.
   */
  const look = (operation: string, lockIds: ReadonlyArray<string>, until: number) =>
    Effect.gen(function* () {
      const before = newest
      const reads = lockIds.map((lockId) => protocol.getData(pathOf(lockId)))
      let [first, ...answers] = yield* client.send(operation, [protocol.sync(client.root()), ...reads], until)
      let fault = faultOf(operation, first!)
      if (fault === undefined && indexOf(answers).some((index) => index < before)) {
        ;[first, ...answers] = yield* client.send(operation, [protocol.refusedChange(client.root()), ...reads], until)
        const code = first!._tag === "Refused" ? first!.code : undefined
        if (code === protocol.code.badVersion) newest = 0
        else
          fault =
            code === protocol.code.noNode ? errors.foreign(operation, client.root(), true) : faultOf(operation, first!)
      }
      return {
        replies: lockIds.map((lockId, i): Reply<State> => fault ?? looked(operation, lockId, answers[i]!)),
        indexes: heard(answers)
      }
    })

  /** A change and a read in one flight. */
  const one = (
    operation: string,
    lockId: string,
    ask: Write,
    until: number
  ): Effect.Effect<Replies<State>, StorageError> => {
    const bytes = records.encode(operation, ask.next)
    if (bytes instanceof StorageError) return Effect.fail(bytes)
    return Effect.map(
      client.send(operation, [writing(lockId, ask, bytes), protocol.getData(pathOf(lockId))], until),
      (answers) => ({
        replies: [wrote(operation, lockId, ask, answers[0]!) ?? looked(operation, lockId, answers[1]!)],
        indexes: heard(answers)
      })
    )
  }

  /** All changes in one flight; what they missed, and what is only read, in another. */
  const many = (
    operation: string,
    parts: ReadonlyArray<Part<State>>,
    until: number
  ): Effect.Effect<Replies<State>, StorageError> =>
    Effect.suspend(() => {
      const replies: Array<Reply<State> | undefined> = parts.map(() => undefined)
      const writes: Array<{
        readonly i: number
        readonly ask: Write
        readonly request: protocol.Request<protocol.Stat>
      }> = []
      parts.forEach(({ ask, lockId }, i) => {
        if (ask._tag !== "Write") return
        const bytes = records.encode(operation, ask.next)
        if (bytes instanceof StorageError) replies[i] = bytes
        else writes.push({ i, ask, request: writing(lockId, ask, bytes) })
      })
      return Effect.flatMap(
        writes.length === 0
          ? Effect.succeed([])
          : client.send(
              operation,
              writes.map(({ request }) => request),
              until
            ),
        (answers) => {
          writes.forEach(({ ask, i }, at) => {
            replies[i] = wrote(operation, parts[i]!.lockId, ask, answers[at]!)
          })
          const open = parts.flatMap((_, i) => (replies[i] === undefined ? [i] : []))
          const indexes = heard(answers)
          if (open.length === 0) return Effect.succeed({ replies: replies as ReadonlyArray<Reply<State>>, indexes })
          const read = look(
            operation,
            open.map((i) => parts[i]!.lockId),
            until
          )
          return Effect.map(
            // What was written is told, whatever becomes of the rest.
            Effect.catch(read, (error) =>
              Effect.succeed({ replies: open.map((): Reply<State> => error), indexes: [] })
            ),
            (found): Replies<State> => {
              open.forEach((i, at) => (replies[i] = found.replies[at]))
              return { replies: replies as ReadonlyArray<Reply<State>>, indexes: [...indexes, ...found.indexes] }
            }
          )
        }
      )
    })

  const store: Store<State, Cursor> = {
    name: "ZookeeperStorage",
    send: (operation, parts, until) => {
      const [first] = parts
      const sent =
        parts.length > 1
          ? many(operation, parts, until)
          : first!.ask._tag === "Write"
            ? one(operation, first!.lockId, first!.ask, until)
            : look(operation, [first!.lockId], until)
      return Effect.map(sent, (found) => {
        parts.forEach(({ lockId }, i) => note(operation, lockId, found.replies[i]!))
        return found
      })
    },
    page: (operation, from, until) =>
      Effect.gen(function* () {
        let cursor = from
        if (cursor === undefined) {
          const [synced, found] = yield* client.send(
            operation,
            [protocol.sync(client.root()), protocol.getChildren(client.root())],
            until
          )
          const fault = faultOf(operation, synced!) ?? faultOf(operation, found!)
          if (fault !== undefined) return yield* fault
          const names = (found as Extract<Answer<ReadonlyArray<string>>, { readonly _tag: "Done" }>).value
          cursor = { names: [...names].sort(), at: 0 }
        }
        const { at, names } = cursor
        const part = names.slice(at, at + pageSize)
        const all: Array<Seen<State> | StorageError> = []
        const lockIds: Array<string> = []
        for (const name of part) {
          const lockId = records.lockIdOf(name)
          if (lockId !== undefined) lockIds.push(lockId)
          else
            all.push(
              errors.schema(
                operation,
                `the node ${JSON.stringify(name)} is no lock's: choose another \`root\` that nothing else is below`
              )
            )
        }
        const { indexes, replies } = yield* look(operation, lockIds, until)
        for (const reply of replies) {
          if (reply instanceof StorageError) all.push(reply)
          else if (reply._tag === "Present" && reply.seen.record !== undefined) all.push(reply.seen)
        }
        const next = at + part.length
        const page: Page<State, Cursor> = {
          all,
          index: indexes[0],
          next: next < names.length ? { names, at: next } : undefined
        }
        return page
      })
  }

  const core = engine.make(store, settings)
  return {
    ...core,
    probe: (until) =>
      // Only who is connected knows what stands in front of the root.
      Effect.flatMap(client.send("setup", [], until), () =>
        Effect.flatMap(
          client.send("setup", [protocol.sync(client.root()), protocol.getData(client.root())], until),
          (answers) => {
            for (const answer of answers) {
              const fault = faultOf("setup", answer)
              if (fault !== undefined) return Effect.fail(fault)
            }
            core.learn(heard(answers)[0]!)
            return Effect.void
          }
        )
      ),
    isWanted: (lockId) => {
      const since = wanted.get(lockId)
      if (since === undefined) return false
      if (performance.now() - since < interest) return true
      wanted.delete(lockId)
      return false
    },
    told: (lockId, node) => {
      const seen = node === undefined ? records.absent : records.read("wakeUps", lockId, node)
      return seen instanceof StorageError
        ? Effect.succeed(false)
        : core.note(lockId, seen, node?.stat.mzxid ?? core.index())
    }
  }
}
