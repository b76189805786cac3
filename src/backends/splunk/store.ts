/**
 * Splunk's KV store as a store of observed expiry. It compares nothing, but of several who insert a document of one key a single one can: so the document of version n + 1 is the proof that nobody else has written after
 * version n, as long as version n is there as well. What was written is therefore read back: what stands alone was written after a version that is gone, and is taken away again.
 */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import { randomBytes } from "node:crypto"
import { StorageError } from "../../LockError.js"
import type { Page, Part, Reply, Seen, Store } from "../shared/observed/store.js"
import { statusOf } from "../http/errors.js"
import * as errors from "./errors.js"
import * as records from "./records.js"
import { type Find, newest, type Requests, since } from "./requests.js"

/** The name of the last lock that was told. */
export type Cursor = string

/** So many inserts of one operation are under way at once. */
const concurrency = 8

/** So many locks are read by one request. */
const atOnce = 100

/** So many versions back it is looked whether all are there. */
const chain = 16

/** So many versions are read by one request of a list. */
const pageSize = 1_000

/** After so many versions of a lock, the old ones are dropped, if they are older than this, in milliseconds. */
const trimEach = 32
const keptFor = 3_600_000

/** Until a member that lags shows what was written, it is asked again after so many milliseconds. */
const pause = 25

interface Write {
  readonly at: number
  readonly part: Part<never> & { readonly ask: { readonly _tag: "Write" } }
  /** Of just this write. */
  readonly by: string
}

/** A write that was inserted, or another stands in its place. */
interface Tried extends Write {
  readonly inserted: boolean
}

type Answer = readonly [at: number, reply: Reply<never>]

type Versions = ReadonlyArray<records.Version>

const inChunks = <A>(all: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(all.length / atOnce) }, (_, n) => all.slice(n * atOnce, (n + 1) * atOnce))

export const make = (requests: Requests): Effect.Effect<Store<never, Cursor>, never, Scope.Scope> =>
  Effect.map(Effect.scope, (scope) => {
    const seen = (operation: string, version: records.Version | undefined): Seen<never> | StorageError => {
      if (version === undefined) return { record: undefined, revision: 0 }
      const record = records.recordOf(operation, version)
      return record instanceof StorageError ? record : { record, revision: version.seq }
    }

    const present = (operation: string, versions: Versions): Reply<never> => {
      const found = seen(operation, versions[0])
      return found instanceof StorageError ? found : { _tag: "Present", seen: found }
    }

    /** Many by one request, or one by one where a server has no such request. */
    const findEach = (operation: string, finds: ReadonlyArray<Find>, until: number) =>
      Effect.catchIf(
        requests.findEach(operation, finds, until),
        (error) => [400, 404, 405].includes(statusOf(error) ?? 0),
        () =>
          Effect.map(
            Effect.forEach(finds, (find) => requests.find(operation, find, until), { concurrency }),
            (all) => all.flat()
          )
      )

    /** What was found of each of these locks, the newest first. */
    const versionsOf = (
      operation: string,
      finds: ReadonlyArray<Find & { readonly lock: string }>,
      until: number
    ): Effect.Effect<ReadonlyMap<string, Versions>, StorageError> =>
      Effect.map(
        finds.length === 1
          ? requests.find(operation, finds[0]!, until)
          : Effect.map(
              Effect.forEach(
                inChunks(finds.map(({ limit, query, sort }) => ({ limit, query, sort }))),
                (some) => findEach(operation, some, until),
                { concurrency }
              ),
              (all) => all.flat()
            ),
        (documents) => {
          const found = new Map<string, Array<records.Version>>()
          for (const document of documents) {
            const version = records.read(document)
            if (version === undefined) continue
            const others = found.get(version.lock)
            if (others === undefined) found.set(version.lock, [version])
            else others.push(version)
          }
          for (const versions of found.values()) versions.sort((a, b) => b.seq - a.seq)
          return found
        }
      )

    const readEach = (
      operation: string,
      looks: ReadonlyArray<{ readonly at: number; readonly lock: string }>,
      until: number
    ): Effect.Effect<ReadonlyArray<Answer>> =>
      looks.length === 0
        ? Effect.succeed([])
        : Effect.match(
            versionsOf(
              operation,
              looks.map(({ lock }) => ({ ...newest(lock), lock })),
              until
            ),
            {
              onFailure: (error): ReadonlyArray<Answer> => looks.map(({ at }) => [at, error]),
              onSuccess: (found) => looks.map(({ at, lock }) => [at, present(operation, found.get(lock) ?? [])])
            }
          )

    const readOne = (operation: string, at: number, lock: string, until: number): Effect.Effect<Answer> =>
      Effect.map(readEach(operation, [{ at, lock }], until), ([answer]) => answer!)

    const insert = (operation: string, write: Write, until: number): Effect.Effect<Tried | Answer> => {
      const { by, part } = write
      const seq = part.ask.base.revision + 1
      const document = records.version(part.lockId, seq, part.ask.next, by, Date.now())
      return Effect.match(requests.insert(operation, records.keyOf(document.lock, seq), document, until), {
        onFailure: (error): Answer => [write.at, error],
        onSuccess: (inserted): Tried => ({ ...write, inserted })
      })
    }

    /**
     * What came of a write, by the versions from the one before it on.
     *
     * - `lags`: this member has not what another one has acknowledged.
     * - `alone`: it was written after a version that is gone. It is no proof of anything.
     */
    const judged = (
      { by, inserted, part }: Tried,
      versions: Versions
    ): "written" | "beaten" | "lags" | "alone" | "lost" => {
      const base = part.ask.base.revision
      const top = versions[0]?.seq ?? 0
      const mine = versions.find(({ seq }) => seq === base + 1)
      if (mine === undefined && inserted) return versions.length === chain ? "lost" : top > base + 1 ? "beaten" : "lags"
      if (mine?.by !== by) return "beaten"
      const lowest = Math.max(base, 1)
      const whole = versions.every(({ seq }, n) => seq === top - n)
      if (!whole) return "alone"
      const bottom = versions[versions.length - 1]!.seq
      return bottom === lowest ? "written" : versions.length < chain ? "alone" : "lost"
    }

    /**
     * In the background, and nobody's failure. Some are kept in any case, for whoever reads back what it has written; and so is the first one: who knows nothing of a lock tries to write it, and is refused where there is one.
     */
    const trim = (lock: string, seq: number): Effect.Effect<void> =>
      Effect.gen(function* () {
        const until = performance.now() + 10_000
        // Versions are written one after another: what is before an old one is as old, whatever its clock said.
        const find = { query: { lock, at: { $lt: Date.now() - keptFor } }, sort: "seq:-1", limit: 1 }
        const old = records.read((yield* requests.find("trim", find, until))[0])
        const first = Math.min(old?.seq ?? 0, seq - 4 * chain)
        const between = [{ lock }, { seq: { $gt: 1 } }, { seq: { $lt: first } }]
        if (first > 2) yield* requests.dropAll("trim", { $and: between }, until)
      }).pipe(Effect.ignore, Effect.interruptible, Effect.forkIn(scope), Effect.asVoid)

    /** Takes away what stands alone, and tells what is there then. */
    const takeBack = (operation: string, { at, part }: Tried, lock: string, until: number): Effect.Effect<Answer> =>
      requests.drop(operation, records.keyOf(lock, part.ask.base.revision + 1), until).pipe(
        Effect.matchEffect({
          onFailure: (error) =>
            Effect.succeed<Answer>([
              at,
              errors.unseen(operation, `what was written after a version that is gone stays: ${error.message}`)
            ]),
          onSuccess: () => readOne(operation, at, lock, until)
        })
      )

    /** Reads back what was written, until it can be told what came of each. */
    const settle = (
      operation: string,
      tried: ReadonlyArray<Tried>,
      until: number
    ): Effect.Effect<ReadonlyArray<Answer>> =>
      Effect.gen(function* () {
        if (tried.length === 0) return []
        const finds = tried.map(({ part }) => {
          const lock = records.nameOf(part.lockId)
          return { ...since(lock, Math.max(part.ask.base.revision, 1), chain), lock }
        })
        const found = yield* Effect.result(versionsOf(operation, finds, until))
        if (found._tag === "Failure") {
          const error = errors.unseen(operation, `what was written could not be read back: ${found.failure.message}`)
          return tried.map(({ at, inserted }): Answer => [at, inserted ? error : found.failure])
        }
        const answers: Array<Answer> = []
        const lagging: Array<Tried> = []
        for (const [n, write] of tried.entries()) {
          const { lock } = finds[n]!
          const versions = found.success.get(lock) ?? []
          const { ask } = write.part
          const seq = ask.base.revision + 1
          switch (judged(write, versions)) {
            case "written":
              answers.push([write.at, { _tag: "Written", seen: { record: ask.next, revision: seq } }])
              if (seq % trimEach === 0) yield* trim(lock, seq)
              break
            case "beaten":
              // Whatever is there now may be older than what was not seen of it.
              if (versions.length > 0) answers.push([write.at, present(operation, versions)])
              else answers.push(yield* readOne(operation, write.at, lock, until))
              break
            case "lags":
              lagging.push(write)
              break
            case "alone":
              answers.push(yield* takeBack(operation, write, lock, until))
              break
            case "lost":
              answers.push([
                write.at,
                errors.unseen(
                  operation,
                  `${JSON.stringify(write.part.lockId)} was changed too often since it was written`
                )
              ])
          }
        }
        if (lagging.length > 0) {
          if (performance.now() + pause >= until)
            return [
              ...answers,
              ...lagging.map(({ at }): Answer => [
                at,
                errors.unseen(operation, "what was written is not there yet: the member that is asked lags behind")
              ])
            ]
          answers.push(...(yield* Effect.delay(settle(operation, lagging, until), pause)))
        }
        return answers
      })

    const send: Store<never, Cursor>["send"] = (operation, parts, until) =>
      Effect.gen(function* () {
        const looks: Array<{ readonly at: number; readonly lock: string }> = []
        const writes: Array<Write> = []
        parts.forEach((part, at) => {
          if (part.ask._tag === "Write")
            writes.push({ at, part: part as Write["part"], by: randomBytes(12).toString("base64url") })
          else looks.push({ at, lock: records.nameOf(part.lockId) })
        })
        const told = yield* readEach(operation, looks, until)
        const outcomes = yield* Effect.forEach(writes, (write) => insert(operation, write, until), { concurrency })
        const tried = outcomes.filter((each): each is Tried => "inserted" in each)
        const failed = outcomes.filter((each): each is Answer => !("inserted" in each))
        const replies = new Map([...told, ...failed, ...(yield* settle(operation, tried, until))])
        return { replies: parts.map((_, at) => replies.get(at)!) }
      })

    return {
      name: "SplunkStorage",
      send,
      /** By their names; of each the newest version, which comes first. */
      page: (operation, from, until) =>
        Effect.map(
          requests.find(
            operation,
            { query: { lock: { $gt: from ?? "" } }, sort: "lock:1,seq:-1", limit: pageSize },
            until
          ),
          (documents): Page<never, Cursor> => {
            const all: Array<Seen<never> | StorageError> = []
            let last: string | undefined
            for (const document of documents) {
              const version = records.read(document)
              if (version === undefined || version.lock === last) continue
              last = version.lock
              const found = seen(operation, version)
              if (found instanceof StorageError || found.record !== undefined) all.push(found)
            }
            return { all, next: documents.length < pageSize ? undefined : last }
          }
        )
    }
  })
