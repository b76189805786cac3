/** Both ports over Redis: one script, and one round trip, for each operation. */
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Result from "#effect/Result"
import * as Stream from "#effect/Stream"
import * as direct from "../../common/direct.js"
import { freeFor } from "../../common/freeFor.js"
import type { StorageError } from "../../LockError.js"
import * as LockRecord from "../../LockRecord.js"
import * as Storage from "../../Storage.js"
import * as VersionedStore from "../../VersionedStore.js"
import * as renewals from "../../common/renewals.js"
import type * as Notices from "../shared/notices.js"
import type { Ports } from "../shared/layers.js"
import * as audit from "./audit.js"
import { type Call, type Connection, read as readReply, readNow, type Replicas } from "./connection.js"
import * as errors from "./errors.js"
import * as Grouping from "./grouping.js"
import * as replies from "./replies.js"
import * as scripts from "./scripts.js"
import * as turns from "./turns.js"

export interface Settings {
  /** Of keys, that of the client's own included. */
  readonly prefix: string
  /** Empty: nobody is told. */
  readonly channel: string
  /** Milliseconds. */
  readonly operationTimeout: number
  readonly wait: Replicas | undefined
  readonly wakeUps: Stream.Stream<string> | undefined
  readonly notices: Notices.Notices
}

const pageSize = 500

const guarantees = {
  name: "RedisStorage",
  clock: "storage",
  time: "real",
  leaseGranularity: 1,
  shortestLease: 1_000,
  longestId: 4 * 255
} as const satisfies Storage.Guarantees

const says =
  (word: string) =>
  (reply: unknown): boolean =>
    replies.list(reply)[0] === word

/** In patterns of SCAN these are more than themselves. */
const literally = (text: string): string => text.replace(/[\\*?[\]]/g, "\\$&")

const newer = (operation: string, lockId: string, format: unknown): StorageError =>
  errors.schema(
    operation,
    `the record of ${JSON.stringify(lockId)} has format ${String(format)}, newer than ${LockRecord.format}: update effect-storage-lock`
  )

/** A write by compare-and-set does not wait for replicas: where they are asked for, there is none that could pass for one that does. */
const withoutReplicas = (store: VersionedStore.Service): VersionedStore.Service => {
  const refused = (operation: string) => () =>
    errors.schema(
      operation,
      "with `wait` there are exclusive locks alone: read-write locks and semaphores do not wait for replicas. Give them a layer without `wait`"
    )
  return {
    ...store,
    create: refused("create"),
    update: refused("update"),
    delete: refused("delete"),
    modify: refused("modify")
  }
}

/** Both ports over one prefix. Every operation on a lock is one script, and one round trip. */
export const make = (connection: Connection, settings: Settings): Ports => {
  const { channel, prefix } = settings
  const touch = settings.wait !== undefined
  const shared = scripts.shared(channel, prefix, touch)
  const keyOf = (lockId: string) => prefix + lockId

  const within = <A>(operation: string, use: (call: Call) => Effect.Effect<A, StorageError>) =>
    Effect.flatMap(Storage.TimeLimit, (limit) =>
      use({ operation, millis: Math.min(settings.operationTimeout, Duration.toMillis(limit)) })
    )

  const run = (
    operation: string,
    script: scripts.Script,
    keys: ReadonlyArray<string>,
    args: ReadonlyArray<string>,
    concerns?: ((reply: unknown) => boolean) | undefined
  ) =>
    within(operation, (call) =>
      connection.script(
        concerns === undefined || settings.wait === undefined
          ? call
          : { ...call, wait: { ...settings.wait, concerns } },
        script,
        keys,
        args
      )
    )

  /** With replicas to wait for, each waits for those of its own write. */
  const group = settings.wait === undefined ? Grouping.make(connection, shared) : undefined

  /** Who waits polls as well: what cannot be published is told to operators, once, and harms nobody. */
  const heard = (unheard: unknown) => {
    if (channel === "") return
    if (unheard === "") return settings.notices.over("publish", "wake-ups are published again")
    settings.notices.warn(
      "publish",
      `wake-ups cannot be published, waiters poll (${String(unheard)}). The user needs +publish and &prefix*; or set \`notify: false\``
    )
  }

  /** The answer of a script for one lock. One that is not as usual is a list that begins with a word. */
  const understood = <A>(
    operation: string,
    lockId: string,
    understand: (answer: unknown) => A,
    reply: () => unknown
  ): Effect.Effect<A, StorageError> =>
    readNow(operation, () => {
      const answer = reply()
      if (Array.isArray(answer)) {
        if (answer[0] === "newer") return Effect.fail(newer(operation, lockId, answer[1]))
        if (answer[0] === "foreign")
          return Effect.fail(
            errors.schema(
              operation,
              `the key of ${JSON.stringify(lockId)} is not a record of a lock: choose another \`prefix\``
            )
          )
      }
      return Effect.succeed(understand(answer))
    })

  interface Asked<A> {
    readonly words: ReadonlyArray<string>
    readonly understand: (answer: unknown) => A
  }

  /** By a callback, and with others where there are any. `concerns`: whether an answer is of something written whose replication is waited for. */
  const asking =
    <Request extends { readonly lockId: string }, A>(
      operation: "claim" | "release",
      of: (request: Request) => Asked<A>,
      concerns?: (answer: unknown) => boolean
    ): direct.Ask<Request, A> =>
    (request, limit, done) => {
      const { lockId } = request
      const { understand, words } = of(request)
      if (group === undefined) {
        const first = (reply: unknown) => replies.list(reply)[0]
        const wait = concerns && ((reply: unknown) => concerns(first(reply)))
        return done(
          Effect.flatMap(run(operation, scripts.many, [keyOf(lockId)], [...shared, ...words], wait), (reply) =>
            understood(operation, lockId, understand, () => first(reply))
          )
        )
      }
      const call = { operation, millis: Math.min(settings.operationTimeout, limit) }
      group({ call, key: keyOf(lockId), words }, (answer) =>
        done(
          Result.isSuccess(answer)
            ? understood(operation, lockId, understand, () => answer.success)
            : Effect.fail(answer.failure)
        )
      )
    }

  const renewed = (request: LockRecord.Renew, now: number, answer: ReadonlyArray<unknown>): Storage.RenewAnswer => {
    switch (answer[0]) {
      case "renewed": {
        const leaseExpireTime = replies.integer(answer[1])
        return { _tag: "Renewed", leaseExpireTime, validFor: leaseExpireTime - now }
      }
      case "other":
        return { _tag: "NotHeld", current: replies.recordOf(request.lockId, answer, 1) }
      case "newer":
        return newer("renew", request.lockId, answer[1])
      case "none":
        return { _tag: "NotHeld" }
      default:
        throw new replies.OddReply("the server's answer to a renewal is none that is known")
    }
  }

  const renewSome = (
    requests: ReadonlyArray<LockRecord.Renew>
  ): Effect.Effect<ReadonlyArray<Storage.RenewAnswer>, StorageError> =>
    Effect.flatMap(
      run(
        "renew",
        scripts.renew,
        requests.map((request) => keyOf(request.lockId)),
        requests.flatMap((request) => [request.holdId, String(request.lease)]),
        (reply) => replies.list(reply).slice(1).some(says("renewed"))
      ),
      (reply) =>
        readReply("renew", () => {
          const [now, ...answers] = replies.list(reply)
          return requests.map((request, i) => renewed(request, replies.integer(now), replies.list(answers[i])))
        })
    )

  /** A script on a cluster may touch one slot only, and locks are in slots of their own. A node that is gone fails the renewals of its own locks alone. */
  const renewAll = (
    requests: ReadonlyArray<LockRecord.Renew>
  ): Effect.Effect<ReadonlyArray<Storage.RenewAnswer>, StorageError> => {
    return connection.isCluster
      ? renewals.byLock(requests, (groups) =>
          Effect.forEach(groups, ([, group]) => Effect.catch(renewSome(group), Effect.succeed), {
            concurrency: "unbounded"
          })
        )
      : Effect.flatMap(renewSome(requests), renewals.settle)
  }

  /** What was read of a page of keys, with the time of the same sample. On a cluster each node has its own. */
  const readPage = (operation: string, keys: ReadonlyArray<string>, live: boolean) => {
    const read = (keys: ReadonlyArray<string>) =>
      Effect.flatMap(run(operation, scripts.get, keys, [live ? "1" : "0"]), (reply) =>
        readReply(operation, () => {
          const [now, ...found] = replies.list(reply)
          return keys.flatMap((key, i) => {
            const fields = replies.list(found[i])
            return fields.length === 0
              ? []
              : [{ now: replies.integer(now), record: replies.recordOf(key.slice(prefix.length), fields, 0) }]
          })
        })
      )
    return connection.isCluster
      ? Effect.map(
          Effect.forEach(keys, (key) => read([key]), { concurrency: "unbounded" }),
          (all) => all.flat()
        )
      : keys.length === 0
        ? Effect.succeed([])
        : read(keys)
  }

  /** All keys, in pages, each once. A key that is there during the whole scan is found. */
  const scan = (operation: string): Stream.Stream<ReadonlyArray<string>, StorageError> =>
    Stream.suspend(() => {
      const seen = new Set<string>()
      return Stream.fromIterableEffect(within(operation, connection.masters)).pipe(
        Stream.flatMap((node) =>
          Stream.paginate("0", (cursor) =>
            Effect.flatMap(
              within(operation, (call) =>
                connection.command(
                  call,
                  "scan",
                  [cursor, "match", literally(prefix) + "*", "count", String(pageSize)],
                  node
                )
              ),
              (reply) =>
                readReply(operation, () => {
                  const [next, keys] = replies.list(reply)
                  const fresh = replies
                    .list(keys)
                    .map(replies.text)
                    .filter((key) => !seen.has(key) && seen.add(key))
                  return [[fresh], next === "0" ? Option.none<string>() : Option.some(replies.text(next))] as const
                })
            )
          )
        )
      )
    })

  const records = (live: boolean) =>
    Stream.flatMap(scan("list"), (keys) => Stream.fromIterableEffect(readPage("list", keys, live)))

  const read = (operation: string, lockId: string) =>
    Effect.map(readPage(operation, [keyOf(lockId)], false), ([found]) => found)

  const purge = (micros: number) =>
    Stream.runFoldEffect(
      scan("purge"),
      () => 0,
      (sum, keys) => {
        const drop = (keys: ReadonlyArray<string>) =>
          Effect.flatMap(run("purge", scripts.purge, keys, [String(micros)]), (reply) =>
            readReply("purge", () => replies.integer(reply))
          )
        const dropped = connection.isCluster
          ? Effect.map(
              Effect.forEach(keys, (key) => drop([key]), { concurrency: "unbounded" }),
              (all) => all.reduce((a, b) => a + b, 0)
            )
          : keys.length === 0
            ? Effect.succeed(0)
            : drop(keys)
        return Effect.map(dropped, (count) => sum + count)
      }
    )

  const claim = asking(
    "claim",
    ({ holdId, lease, lockId, ownerId, ownerLabel }: LockRecord.Claim): Asked<LockRecord.ClaimOutcome> => ({
      words: scripts.claimWords(holdId, ownerId, lease, ownerLabel ?? ""),
      understand: (answer) => {
        if (typeof answer === "string") {
          const [began, token, version] = replies.integers(answer, 3)
          const record = {
            lockId,
            kind: LockRecord.exclusive,
            format: LockRecord.format,
            ownerId,
            ...LockRecord.labelled(ownerLabel ?? ""),
            holds: [holdId],
            token: token!,
            version: version!,
            lockBeginTime: began!,
            leaseExpireTime: began! + lease,
            data: ""
          }
          return { _tag: "Claimed", record, validFor: lease }
        }
        const [word, now, ...values] = replies.list(answer)
        const record = replies.recordOf(lockId, values, 0)
        const left = record.leaseExpireTime - replies.integer(now)
        if (word === "claimed") return { _tag: "Claimed", record, validFor: left }
        if (word === "held") return { _tag: "Held", holder: record, retryAfter: left }
        throw new replies.OddReply("the server's answer to a claim is none that is known")
      }
    }),
    (answer) => typeof answer === "string" || says("claimed")(answer)
  )

  const release = asking("release", ({ holdId }: LockRecord.Release): Asked<LockRecord.ReleaseOutcome> => ({
    words: scripts.releaseWords(holdId),
    understand: (answer) => {
      if (!Array.isArray(answer)) {
        const remaining = replies.integer(answer)
        if (remaining === 0) heard("")
        return { _tag: "Released", remaining }
      }
      const [word, unheard] = replies.list(answer)
      if (word === "none") return { _tag: "NotHeld" }
      if (word !== "unheard") throw new replies.OddReply("the server's answer to a release is none that is known")
      heard(replies.text(unheard))
      return { _tag: "Released", remaining: 0 }
    }
  }))

  const storage = Storage.Storage.of({
    claim: direct.effectOf(claim),
    renew: (requests) => (requests.length === 0 ? Effect.succeed([]) : renewAll(requests)),
    release: direct.effectOf(release),
    revoke: ({ lockId, token, when }) =>
      Effect.flatMap(
        run(
          "revoke",
          scripts.revoke,
          [keyOf(lockId)],
          [
            String(token),
            when === "now" ? "" : replies.textOf([LockRecord.revokedHold]),
            channel,
            lockId,
            touch ? "1" : ""
          ],
          says("done")
        ),
        (reply) =>
          understood(
            "revoke",
            lockId,
            (answer): LockRecord.RevokeOutcome => {
              const [word, , unheard] = replies.list(answer)
              if (word === "none") return { _tag: "NotHeld" }
              replies.text(unheard)
              if (when === "now") heard(unheard)
              return { _tag: "Revoked" }
            },
            () => reply
          )
      ),
    get: (lockId) =>
      Effect.flatMap(read("get", lockId), (found) => {
        if (found === undefined) return Effect.succeedNone
        const { now, record } = found
        if (record.format > LockRecord.format) return newer("get", lockId, record.format)
        return Effect.succeed(
          LockRecord.isLive(record, now)
            ? Option.some({ record, validFor: record.leaseExpireTime - now })
            : Option.none()
        )
      }),
    list: records(true).pipe(
      Stream.filter(({ now, record }) => LockRecord.isLive(record, now)),
      Stream.map(({ now, record }) => ({ record, validFor: record.leaseExpireTime - now }))
    ),
    purge: (olderThan) =>
      Effect.suspend(() => {
        const micros = freeFor(olderThan)
        return Number.isSafeInteger(micros) ? purge(micros) : Effect.succeed(0)
      }),
    wakeUps: settings.wakeUps ?? Stream.empty,
    guarantees,
    audit: audit.make(connection, prefix, settings.operationTimeout)
  })

  const compareAndSet = (operation: string, script: scripts.Script, lockId: string, args: ReadonlyArray<string>) =>
    Effect.flatMap(run(operation, script, [keyOf(lockId)], args), (reply) =>
      Effect.flatMap(
        readReply(operation, () => {
          const [done, unheard] = replies.list(reply)
          if (unheard !== undefined && unheard !== "") heard(unheard)
          return replies.integer(done)
        }),
        (done) => (done === 1 ? Effect.void : new VersionedStore.VersionMiss({ lockId }))
      )
    )

  const { clock: _, ...unclocked } = guarantees

  const create = (record: LockRecord.LockRecord) =>
    compareAndSet("create", scripts.create, record.lockId, replies.valuesOf(record))
  const update = (record: LockRecord.LockRecord, expected: number, turn: string) =>
    compareAndSet("update", scripts.update, record.lockId, [
      ...replies.valuesOf(record),
      String(expected),
      channel,
      record.lockId,
      turn
    ])

  const ask = (lockId: string, id: string) =>
    Effect.flatMap(run("modify", scripts.turn, [keyOf(lockId)], [id, String(turns.longest * 1000)]), (reply) =>
      understood(
        "modify",
        lockId,
        (answer): turns.Turn => {
          const [word, told, ...fields] = replies.list(answer)
          if (word === "wait") return { _tag: "Wait", before: replies.integer(told) }
          if (word !== "turn") throw new replies.OddReply("the server's answer to a change is none that is known")
          const found = fields.length === 0 ? undefined : replies.recordOf(lockId, fields, 0)
          return { _tag: "Ours", found, now: replies.integer(told) }
        },
        () => reply
      )
    )
  const leave = (lockId: string, id: string) =>
    connection.run(
      { operation: "modify", millis: settings.operationTimeout },
      scripts.leave,
      [keyOf(lockId)],
      [id],
      true,
      () => {}
    )

  const versioned = VersionedStore.VersionedStore.of({
    create: (lockId, version, record) => create({ ...record, lockId, version }),
    update: (lockId, expected, record) => update({ ...record, lockId }, expected, ""),
    modify: turns.modify({
      ask,
      leave,
      create,
      update,
      patience: within("modify", ({ millis }) => Effect.succeed(millis))
    }),
    delete: (lockId, expected) => compareAndSet("delete", scripts.drop, lockId, [String(expected)]),
    get: (lockId) => Effect.map(read("get", lockId), (found) => Option.fromNullishOr(found?.record)),
    list: Stream.map(records(false), ({ record }) => record),
    // The key names the node of a cluster whose clock it is: always the same.
    time: Effect.flatMap(run("time", scripts.time, [prefix], []), (reply) =>
      readReply("time", () => replies.integer(reply))
    ),
    wakeUps: settings.wakeUps,
    guarantees: { ...unclocked, name: "RedisStorage.versioned" }
  })

  return {
    storage: direct.offer(storage, { claim, release }),
    versioned: settings.wait === undefined ? versioned : withoutReplicas(versioned),
    isLess: settings.wait !== undefined
  }
}
