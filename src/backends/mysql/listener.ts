/**
 * A session of its own that sleeps until a lock is freed for which this process waits.
 *
 * It takes a name for each of those locks (see `sleepers.ts`), looks whether one is free already, and sleeps. Whoever frees one wakes it. Then it looks again which are free. All of that is one packet. The look
 * before the sleep waits for a release that is being committed, so one that did not see the name is seen; a release after the look sees the name. What is left is a wake-up in the instant before the sleep
 * begins: then waiters poll.
 *
 * The names end with the packet, so a process that is awake holds no place of others.
 *
 * A process that waits for one lock alone waits for its first name, behind others: so the server keeps them in a queue, and a release wakes the one that has waited longest. Who gets the name because another was woken
 * leaves that one a moment to claim, and looks then.
 */
import * as Effect from "#effect/Effect"
import * as fibers from "#effect/fibers"
import type * as Scope from "#effect/Scope"
import type * as Stream from "#effect/Stream"
import type * as Mysql from "mysql2"
import { randomBytes } from "node:crypto"
import type { StorageError } from "../../LockError.js"
import * as hints from "../shared/hints.js"
import type { Notices } from "../shared/notices.js"
import { type Executor, runQuery } from "../sql/executor.js"
import * as sleepers from "./sleepers.js"
import * as connection from "./connection.js"
import * as errors from "./errors.js"
import type { Awaited } from "./awaited.js"
import * as judge from "./judge.js"
import { decoded, hex, type Packet } from "./packet.js"
import * as socket from "./socket.js"

export interface Options {
  readonly source: connection.Source
  /** The pool, by which the session is woken when this process waits for other locks. */
  readonly executor: Executor<Packet>
  readonly awaited: Awaited
  readonly nameOf: sleepers.NameOf
  /** Quoted. */
  readonly table: string
  readonly notices: Notices
}

/** So many locks at most are waited for in this way. */
const most = 64

/** Seconds. Then it looks whether all is well. The shorter where it has not got the first place for each lock. */
const longSleep = 10
const shortSleep = 1

/** Seconds that who was woken has to claim before the next one looks. */
const courtesy = 0.005

/** Milliseconds: how long it may take to connect and to answer, and a goodbye. */
const patience = 5_000
const longestGoodbye = 1_000

/** So long the connection stays when nobody waits. */
const idle = 30_000

/** Between two tries to wake the session, which may be just before its sleep. */
const stirPause = 50

/** The server gives up waiting for a row after so many seconds. */
const seconds = 1

/** It was woken at another moment, ran out of the server's time, or met somebody who has a row locked: it begins again. */
const passing = new Set([1205, 1213, 1317, 1969, 3024])

const leave = "DO RELEASE_ALL_LOCKS()"

/** Takes names for what is waited for. `@esl_g`: 0 if it has all that it wants. `@esl_w`: how long it may sleep at most. */
const places = (wanted: ReadonlyArray<string>, own: string, nameOf: sleepers.NameOf): ReadonlyArray<string> => {
  const mine = `IF(GET_LOCK(${sleepers.quoted(own)}, 0) = 1, 0, 1)`
  const longest = `IF(@esl_g = 0, ${longSleep}, ${shortSleep})`
  const [only] = wanted
  if (wanted.length > 1 || only === undefined)
    return [
      `SET @esl_g = ${mine} + ${wanted.map((lockId) => sleepers.takePlace(nameOf(lockId))).join(" + ")}`,
      `SET @esl_w = ${longest}`
    ]
  const first = sleepers.firstOf(nameOf(only))
  return [
    `SET @esl_g = ${mine}`,
    `SET @esl_f = GET_LOCK(${first}, 0)`,
    `SET @esl_n = IF(@esl_f = 1, 1, GET_LOCK(${first}, ${longSleep}))`,
    `DO SLEEP(IF(@esl_f = 1, 0, ${courtesy}))`,
    `SET @esl_w = IF(@esl_n = 1, ${longest}, 0)`
  ]
}

/** The results at the end are the locks that are held, and whether the server takes no writes. */
const round = (wanted: ReadonlyArray<string>, own: string, { nameOf, table }: Options): string => {
  const held = `FROM ${table} WHERE lock_id IN (${wanted.map(hex).join(", ")}) AND ${judge.live}`
  return [
    leave,
    ...places(wanted, own, nameOf),
    judge.sample,
    `SELECT IF(COUNT(*) < ${wanted.length}, 0, @esl_w) INTO @esl_z ${held} LIMIT 1 LOCK IN SHARE MODE`,
    "DO SLEEP(@esl_z)",
    leave,
    judge.sample,
    `SELECT lock_id ${held} LIMIT ${most}`,
    "SELECT @@global.read_only AS closed LIMIT 1"
  ].join(";\n")
}

/** `stir` wakes the session, which hears nothing else while it sleeps, and says when that was answered. */
const goodbye = (one: Mysql.Connection, stir: (done: () => void) => void): Effect.Effect<void> =>
  Effect.callback((resume) => {
    let isOver = false
    const over = () => {
      isOver = true
      clearTimeout(timer)
      clearTimeout(again)
      socket.hangUp(one)
      resume(Effect.void)
    }
    const timer = setTimeout(over, longestGoodbye)
    let again: NodeJS.Timeout | undefined
    const rouse = () => stir(() => (again = isOver ? undefined : setTimeout(rouse, stirPause)))
    if (socket.streamOf(one).destroyed) return over()
    socket.streamOf(one).once("close", over)
    rouse()
    one.end()
  })

/** Hints for the locks of `awaited`, over one connection that is opened when somebody waits, and closed when nobody does. */
export const make = (options: Options): Effect.Effect<Stream.Stream<string>, never, Scope.Scope> =>
  Effect.flatMap(fibers.run, (run) => {
    const { executor, awaited, notices, source } = options
    /** By which this session is woken by its own process. */
    const own = `esl:own:${randomBytes(16).toString("hex")}`
    const rouse = { statement: sleepers.wake([own]), values: [] }
    /** The session has not answered yet: it may be asleep. */
    let isAsked = false

    const open = Effect.callback<Mysql.Connection, StorageError>((resume) => {
      const abort = connection.open({ source, patience, seconds, run }, (error, one) =>
        resume(one === undefined ? Effect.fail(errors.fromDriver("wakeUps", error, "connecting")) : Effect.succeed(one))
      )
      return Effect.sync(abort)
    })
    const opened = Effect.acquireRelease(open, (one) =>
      goodbye(one, (done) => {
        if (isAsked) executor.run("wakeUps", rouse, longestGoodbye, done)
      })
    )

    const ask = (one: Mysql.Connection, sql: string, millis: number) =>
      Effect.callback<ReadonlyArray<unknown>, unknown>((resume) => {
        isAsked = true
        one.query(sql, (error: unknown, results: unknown) => {
          isAsked = false
          resume(error === null ? Effect.succeed(results as ReadonlyArray<unknown>) : Effect.fail(error))
        })
      }).pipe(
        Effect.timeoutOrElse({
          duration: millis,
          orElse: () => Effect.fail(errors.noAnswer("wakeUps", millis))
        })
      )

    /** Other locks are waited for than it sleeps for. */
    const stirring = Effect.forever(
      Effect.andThen(
        awaited.changed,
        Effect.andThen(Effect.ignore(runQuery(executor, "wakeUps", rouse, patience)), Effect.sleep(stirPause))
      )
    )

    const sleep = (one: Mysql.Connection, wanted: ReadonlyArray<string>, tell: (hint: string) => void) =>
      Effect.raceFirst(
        Effect.suspend(() => ask(one, round(wanted, own, options), 2_000 * longSleep + patience)),
        stirring
      ).pipe(
        Effect.matchEffect({
          onFailure: (error) =>
            passing.has(errors.numberOf(error) ?? 0)
              ? Effect.andThen(ask(one, leave, patience), Effect.sleep(stirPause))
              : Effect.fail(error),
          onSuccess: (results) => {
            const [rows, [server]] = results.slice(-2).map(decoded) as [ReadonlyArray<any>, ReadonlyArray<any>]
            if (!/^(0|off)$/i.test(String(server!.closed)))
              return Effect.fail(errors.unfit("the server has become read-only: locks are freed at another"))
            const held = new Set(rows.map(({ lock_id }) => lock_id))
            for (const lockId of wanted) {
              if (held.has(lockId)) continue
              awaited.forget(lockId)
              tell(lockId)
            }
            notices.over("listen", "wake-ups are heard again")
            return Effect.void
          }
        })
      )

    /** Until nobody has waited for a while. */
    const session = (tell: (hint: string) => void) =>
      Effect.scoped(
        Effect.gen(function* () {
          const one = yield* opened
          const died = Effect.callback<never, unknown>((resume) => {
            const fail = (error: unknown) => resume(Effect.fail(error ?? new Error("the connection ended")))
            one.once("error", fail)
            one.once("end", fail)
          })
          const work = Effect.gen(function* () {
            yield* ask(one, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", patience)
            while (true) {
              const wanted = awaited.look(most)
              if (wanted.length > 0) yield* sleep(one, wanted, tell)
              else {
                const more = yield* Effect.raceFirst(
                  Effect.as(awaited.changed, true),
                  Effect.as(Effect.sleep(idle), false)
                )
                if (!more) return
              }
            }
          })
          return yield* Effect.raceFirst(work, died)
        })
      )

    const listen = (tell: (hint: string) => void): Effect.Effect<never, StorageError> =>
      Effect.forever(
        Effect.suspend(() =>
          awaited.look(most).length === 0
            ? awaited.changed
            : Effect.mapError(session(tell), (error) => errors.fromDriver("wakeUps", error, "connecting"))
        )
      )

    return hints.make({
      listen,
      expects: (lockId) => awaited.expects(lockId),
      failed: (error) =>
        Effect.sync(() => notices.warn("listen", `no wake-ups for now, waiters poll. ${error.message}`))
    })
  })
