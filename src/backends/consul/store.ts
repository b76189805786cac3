/** Consul as a store of observed expiry: a transaction compares the index of the key's last change. One that fails names the keys that stood in the way, and these are read by a second request. */
import * as Effect from "#effect/Effect"
import { StorageError } from "../../LockError.js"
import type { Page, Part, Reply, Seen, Store } from "../shared/observed/store.js"
import { statusOf } from "../http/errors.js"
import * as errors from "./errors.js"
import * as records from "./records.js"
import { type Entry, type Found, mostOperations, type Operation, type Requests } from "./requests.js"

/** Keys that are still to be read. */
export type Cursor = ReadonlyArray<string>

/** So many requests of one operation are under way at once. */
const concurrency = 4

/** A repeat of these finds what the first try has done, and goes on from there. A release would find that there is nothing to release. */
const repeatable = new Set(["claim", "renew"])

const absent: Seen<never> = { record: undefined, revision: 0 }

interface Write {
  readonly at: number
  readonly key: string
  readonly part: Part<never> & { readonly ask: { readonly _tag: "Write" } }
}

interface Look {
  readonly at: number
  readonly key: string
}

type Answers = ReadonlyArray<readonly [at: number, reply: Reply<never>]>

/** To delete is to compare, and then to delete: by itself, Consul takes a key that is not there for one that it has deleted. */
const operationsOf = ({ key, part: { ask } }: Write): ReadonlyArray<Operation> =>
  ask.next !== undefined
    ? [{ Verb: "cas", Key: key, Index: ask.base.revision, Value: records.value(ask.next) }]
    : ask.base.revision === 0
      ? [{ Verb: "get", Key: key }]
      : [
          { Verb: "check-index", Key: key, Index: ask.base.revision },
          { Verb: "delete", Key: key }
        ]

const inChunks = <A>(
  all: ReadonlyArray<A>,
  most: number,
  weight: (one: A) => number
): ReadonlyArray<ReadonlyArray<A>> => {
  const chunks: Array<Array<A>> = []
  let room = 0
  for (const one of all) {
    if (room < weight(one)) {
      chunks.push([])
      room = most
    }
    room -= weight(one)
    chunks[chunks.length - 1]!.push(one)
  }
  return chunks
}

export const make = (requests: Requests, keys: records.Keys): Store<never, Cursor> => {
  /** Fewer, once a server has found a request too large. Nothing of that one was applied. */
  let most = mostOperations
  /** The store's count of changes, as it was told last. */
  let known = 0

  /** A linearizable answer is never older than what was known when it was asked for. The engine goes on with higher tokens; people have to know. */
  const noticed = (indexes: ReadonlyArray<number>, before: number): Effect.Effect<void> => {
    const back = indexes.find((index) => index < before)
    known = back ?? Math.max(known, ...indexes)
    return back === undefined
      ? Effect.void
      : Effect.logWarning(
          "ConsulStorage: the index of the store has gone back: it was restored, or another cluster answers under this name. It may have no record of locks that are held, so others can take them"
        )
  }

  const seenIn = (operation: string, lockId: string, { index, value }: Entry): Seen<never> | StorageError => {
    const record = records.record(operation, lockId, value)
    return record instanceof StorageError ? record : { record, revision: index }
  }

  const present = (operation: string, lockId: string, found: Found): Reply<never> => {
    const seen = found._tag === "Absent" ? absent : seenIn(operation, lockId, found)
    return seen instanceof StorageError ? seen : { _tag: "Present", seen }
  }

  const send: Store<never, Cursor>["send"] = (operation, parts, until) =>
    Effect.suspend(() => {
      const indexes: Array<number> = []
      const before = known

      const getOne = ({ at, key }: Look): Effect.Effect<Answers[number], never> =>
        Effect.match(requests.get(operation, key, until), {
          onFailure: (error): Answers[number] => [at, error],
          onSuccess: (found): Answers[number] => {
            // Of a key that is there, no more than its own index is told.
            if (found._tag === "Absent") indexes.push(found.index)
            return [at, present(operation, parts[at]!.lockId, found)]
          }
        })

      const getEach = (looks: ReadonlyArray<Look>) => Effect.forEach(looks, getOne, { concurrency })

      /** Many by one request, which fails if one of them is not there. What the token may not read is left out of the answer. */
      const getMany = (looks: ReadonlyArray<Look>): Effect.Effect<Answers> =>
        looks.length < 3
          ? getEach(looks)
          : Effect.matchEffect(
              requests.transact(
                operation,
                looks.map(({ key }): Operation => ({ Verb: "get", Key: key })),
                "reads",
                true,
                until
              ),
              {
                onFailure: (error) => Effect.succeed(looks.map(({ at }): Answers[number] => [at, error])),
                onSuccess: (answer): Effect.Effect<Answers> => {
                  if (answer._tag === "Refused")
                    return Effect.zipWith(
                      getEach(looks.filter((_, n) => answer.positions.has(n))),
                      getMany(looks.filter((_, n) => !answer.positions.has(n))),
                      (a, b) => [...a, ...b]
                    )
                  const told = looks.flatMap(({ at, key }): Answers => {
                    const entry = answer.entries.get(key)
                    return entry === undefined ? [] : [[at, present(operation, parts[at]!.lockId, entry)]]
                  })
                  return Effect.map(getEach(looks.filter(({ key }) => !answer.entries.has(key))), (rest) => [
                    ...told,
                    ...rest
                  ])
                }
              }
            )

      /**
       * What is there in place of what was expected. If it is just that, the comparison was not what failed: in a transaction, a token that may not write is told by words alone, but a request of its own
       * is refused by its status.
       */
      const beaten = (writes: ReadonlyArray<Write>): Effect.Effect<Answers> =>
        Effect.flatMap(getMany(writes), (answers) =>
          Effect.forEach(
            answers,
            ([at, reply]): Effect.Effect<Answers[number]> => {
              const { key, part } = writes.find((write) => write.at === at)!
              return reply instanceof StorageError ||
                reply._tag !== "Present" ||
                reply.seen.revision !== part.ask.base.revision
                ? Effect.succeed([at, reply])
                : Effect.match(requests.mayWrite(operation, key, until), {
                    onFailure: (error): Answers[number] => [at, error],
                    onSuccess: (): Answers[number] => [at, reply]
                  })
            },
            { concurrency }
          )
        )

      const write = (writes: ReadonlyArray<Write>): Effect.Effect<Answers> =>
        Effect.suspend(() => {
          const operations = writes.flatMap((each) => operationsOf(each).map((one) => ({ ...one, of: each })))
          return Effect.matchEffect(
            requests.transact(
              operation,
              operations.map(({ of: _, ...one }) => one),
              "writes",
              repeatable.has(operation),
              until
            ),
            {
              onFailure: (error): Effect.Effect<Answers> => {
                if (statusOf(error) === 413 && writes.length > 1) {
                  most = Math.max(2, Math.min(most, operations.length - 1))
                  const half = (writes.length + 1) >> 1
                  return Effect.zipWith(write(writes.slice(0, half)), write(writes.slice(half)), (a, b) => [...a, ...b])
                }
                return Effect.succeed(writes.map(({ at }): Answers[number] => [at, error]))
              },
              onSuccess: (answer): Effect.Effect<Answers> => {
                if (answer._tag === "Refused") {
                  const named = new Set(operations.filter((_, n) => answer.positions.has(n)).map((one) => one.of))
                  const others = writes.filter((each) => !named.has(each))
                  return Effect.zipWith(
                    beaten([...named]),
                    others.length === 0 ? Effect.succeed([]) : write(others),
                    (a, b): Answers => [...a, ...b]
                  )
                }
                return Effect.succeed(
                  writes.map(({ at, key, part: { ask } }): Answers[number] => {
                    if (ask.next === undefined) return [at, { _tag: "Written", seen: absent }]
                    const entry = answer.entries.get(key)
                    if (entry === undefined)
                      return [at, errors.odd(operation, "writes", "an answer to a write does not tell its index")]
                    indexes.push(entry.index)
                    return [at, { _tag: "Written", seen: { record: ask.next, revision: entry.index } }]
                  })
                )
              }
            }
          )
        })

      const looks: Array<Look> = []
      const writes: Array<Write> = []
      parts.forEach((part, at) => {
        const key = keys.key(part.lockId)
        if (part.ask._tag === "Write") writes.push({ at, key, part: part as Write["part"] })
        else looks.push({ at, key })
      })
      const asked = [
        ...inChunks(looks, mostOperations, () => 1).map(getMany),
        ...inChunks(writes, most, (one) => operationsOf(one).length).map(write)
      ]
      return Effect.flatMap(
        Effect.forEach(asked, (each) => each, { concurrency }),
        (all) => {
          const replies = new Map(all.flat())
          return Effect.as(noticed(indexes, before), { indexes, replies: parts.map((_, at) => replies.get(at)!) })
        }
      )
    })

  return {
    name: "ConsulStorage",
    send,
    /** The names of all keys, and then their values by as many as one transaction tells. */
    page: (operation, from, until) =>
      Effect.gen(function* () {
        const all = (from ?? (yield* requests.keys(operation, keys.prefix, until))).filter(
          (key) => from !== undefined || keys.lockId(key) !== undefined
        )
        const now = all.slice(0, mostOperations)
        if (now.length === 0) return { all: [], next: undefined }
        const { replies } = yield* send(
          operation,
          now.map((key) => ({ lockId: keys.lockId(key)!, ask: { _tag: "Read" } })),
          until
        )
        const page: Page<never, Cursor> = {
          all: replies.flatMap((reply): ReadonlyArray<Seen<never> | StorageError> =>
            reply instanceof StorageError
              ? [reply]
              : reply._tag === "Present" && reply.seen.record !== undefined
                ? [reply.seen]
                : []
          ),
          next: all.length > mostOperations ? all.slice(mostOperations) : undefined
        }
        return page
      })
  }
}
