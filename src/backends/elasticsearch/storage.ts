/** The native storage over Elasticsearch: scripted updates, judged by the server's clock. */
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Stream from "#effect/Stream"
import { freeFor } from "../../common/freeFor.js"
import { StorageError } from "../../LockError.js"
import * as LockRecord from "../../LockRecord.js"
import * as Storage from "../../Storage.js"
import * as direct from "../../common/direct.js"
import * as renewals from "../../common/renewals.js"
import * as outcomes from "../shared/outcomes.js"
import * as errors from "./errors.js"
import * as pages from "./pages.js"
import * as record from "./record.js"
import { type At, atOf, type Requests } from "./requests.js"
import type { Json } from "../http/json.js"
import { isMissing, type Runner } from "./runner.js"
import * as scripts from "./scripts.js"

export const guarantees = {
  name: "ElasticsearchStorage",
  clock: "storage",
  time: "real",
  leaseGranularity: 1_000,
  shortestLease: 50_000,
  longestId: 4 * 255
} as const satisfies Storage.Guarantees

/** A readable record, and the clock by which it was judged. */
interface Timed {
  readonly current: LockRecord.LockRecord
  readonly now: number
  /** Whether the script stored what it left. */
  readonly stored: boolean
}

/** What a script was answered with, alone or as one of many. */
const timed = (operation: string, body: Json): Timed | StorageError => {
  const source: Json = body.get._source
  const current = record.read(operation, "storage", String(body._id), source, false)
  if (current instanceof StorageError) return current
  return Number.isSafeInteger(source.now)
    ? { current, now: source.now, stored: body.result !== "noop" }
    : errors.odd(operation, "writes", "the answer bears no clock")
}

/** The server's clock, in microseconds. The document is there, unless the index was recreated. */
export const time = (runner: Runner, requests: Requests, operation: string): Effect.Effect<number, StorageError> =>
  Effect.flatMap(runner.run(operation, requests.clock(scripts.clock("storage"))), ({ body }) =>
    Number.isSafeInteger(body.get?._source?.now)
      ? Effect.succeed(body.get._source.now as number)
      : Effect.fail(errors.odd(operation, "reads", "the answer bears no clock"))
  )

const held = (now: number): Json => ({
  bool: { filter: [{ exists: { field: "holds" } }, { range: { expires: { gt: now } } }] }
})

/** The port by scripts: each operation is one request on one document, judged by the clock of the server that runs it. */
export const make = (runner: Runner, requests: Requests): Storage.Service => {
  const claim = runner.asking(
    "claim",
    (request: LockRecord.Claim) => requests.upsert(request.lockId, scripts.claim(request)),
    (request, { body }): LockRecord.ClaimOutcome | StorageError => {
      const found = timed("claim", body)
      if (found instanceof StorageError) return found
      const { current, now } = found
      return outcomes.claimed(request, current, current.leaseExpireTime - now)
    }
  )

  const release = runner.asking(
    "release",
    (request: LockRecord.Release) => requests.update(request.lockId, scripts.release(request), false),
    (_, answer): LockRecord.ReleaseOutcome | StorageError => {
      if (isMissing(answer)) return { _tag: "NotHeld" }
      const found = timed("release", answer.body)
      return found instanceof StorageError
        ? found
        : found.stored
          ? { _tag: "Released", remaining: found.current.holds.length }
          : { _tag: "NotHeld" }
    },
    isMissing
  )

  const renewed = (request: LockRecord.Renew, item: Json): Storage.RenewAnswer => {
    const status: unknown = item?.status
    if (typeof status !== "number") return errors.odd("renew", "writes", "one of many answers is missing")
    if (isMissing({ status, body: item })) return { _tag: "NotHeld" }
    if (status >= 300) return errors.told("renew", status, item.error ?? {}, "writes")
    const found = timed("renew", item)
    if (found instanceof StorageError) return found
    const { current, now } = found
    return outcomes.renewed(request, current, now)
  }

  const renew: Storage.Service["renew"] = (requested) =>
    requested.length === 0
      ? Effect.succeed([])
      : Effect.flatMap(
          runner.run(
            "renew",
            requests.many(requested.map((request) => [request.lockId, scripts.renew(request)] as const))
          ),
          ({ body }) => {
            const items: unknown = body.items
            return Array.isArray(items)
              ? renewals.settle(requested.map((request, n) => renewed(request, (items[n] as Json)?.update as Json)))
              : Effect.fail(errors.odd("renew", "writes", "an answer to many has none for each"))
          }
        )

  const revoke = direct.effectOf(
    runner.asking(
      "revoke",
      (request: LockRecord.Revoke) => requests.update(request.lockId, scripts.revoke(request), false),
      (request, answer): LockRecord.RevokeOutcome | StorageError => {
        if (isMissing(answer)) return { _tag: "NotHeld" }
        const found = timed("revoke", answer.body)
        if (found instanceof StorageError) return found
        const { current, now, stored } = found
        const already =
          request.when === "leaseEnd" &&
          current.kind === LockRecord.exclusive &&
          current.token === request.token &&
          current.holds[0] === LockRecord.revokedHold &&
          LockRecord.isLive(current, now)
        return { _tag: stored || already ? "Revoked" : "NotHeld" }
      },
      isMissing
    )
  )

  const get = direct.effectOf(
    runner.asking(
      "get",
      (lockId: string) => requests.look(lockId, scripts.read),
      (_, answer): Option.Option<Storage.Snapshot> | StorageError => {
        if (isMissing(answer)) return Option.none()
        const found = timed("get", answer.body)
        if (found instanceof StorageError) return found
        const { current, now } = found
        return LockRecord.isLive(current, now)
          ? Option.some({ record: current, validFor: current.leaseExpireTime - now })
          : Option.none()
      },
      isMissing
    )
  )

  const list = Stream.unwrap(
    Effect.map(time(runner, requests, "list"), (now) =>
      pages.all(runner, requests, "list", held(now)).pipe(
        Stream.mapEffect((hit) => {
          const found = record.read("list", "storage", String(hit._id), hit._source as Json, false)
          return found instanceof StorageError
            ? Effect.fail(found)
            : Effect.succeed({ record: found, validFor: found.leaseExpireTime - now })
        })
      )
    )
  )

  /** Each as it was found: whoever takes or renews one makes another version of it. */
  const purge = (before: number, total: number): Effect.Effect<number, StorageError> =>
    Effect.gen(function* () {
      yield* runner.run("purge", requests.refresh)
      const old = {
        bool: { filter: [{ exists: { field: "lockId" } }, { range: { expires: { lt: before } } }] }
      }
      const { body } = yield* runner.run("purge", requests.page(old, pages.pageSize, undefined))
      const found = pages.hitsOf(body).flatMap((hit): ReadonlyArray<readonly [string, At]> => {
        const at = atOf(hit)
        const read = record.read("purge", "storage", String(hit._id), hit._source as Json, false)
        return at === undefined || read instanceof StorageError ? [] : [[String(hit._id), at]]
      })
      if (found.length === 0) return total
      const dropped = yield* runner.run("purge", requests.dropMany(found))
      const items = dropped.body.items as ReadonlyArray<Json>
      const gone = items.filter(({ delete: one }) => one.status === 200).length
      return gone === 0 || found.length < pages.pageSize ? total + gone : yield* purge(before, total + gone)
    })

  return direct.offer(
    Storage.Storage.of({
      claim: direct.effectOf(claim),
      renew,
      release: direct.effectOf(release),
      revoke,
      get,
      list,
      purge: (olderThan) =>
        Effect.suspend(() => {
          const micros = freeFor(olderThan)
          return Number.isSafeInteger(micros)
            ? Effect.flatMap(time(runner, requests, "purge"), (now) => purge(now - micros, 0))
            : Effect.succeed(0)
        }),
      wakeUps: Stream.empty,
      guarantees
    }),
    { claim, release }
  )
}
