/** Hints for those who wait, from a subscription that is kept up through outages. */
import * as Effect from "#effect/Effect"
import * as Queue from "#effect/Queue"
import * as Random from "#effect/Random"
import type * as Scope from "#effect/Scope"
import * as Stream from "#effect/Stream"
import * as direct from "../../common/direct.js"
import type { StorageError } from "../../LockError.js"

export interface Source {
  /** One connection, until it dies. It tells the id of a lock that may be free, or `"all"`. */
  readonly listen: (tell: (hint: string) => void) => Effect.Effect<never, StorageError>
  /** After each connection that died. */
  readonly failed: (error: StorageError) => Effect.Effect<void>
  /** Of a source that tells one process at a time. */
  readonly expects?: direct.Hints["expects"]
  /** Whether another connection is worth trying. */
  readonly again?: (error: StorageError) => boolean
}

/** One warning for each outage: from the first failure until it is over. */
export const outages = (storage: string) => {
  let isOut = false
  return {
    over: (): void => {
      isOut = false
    },
    /** Whether it is the first failure of an outage. */
    begins: (): boolean => {
      const first = !isOut
      isOut = true
      return first
    },
    warn(error: StorageError): Effect.Effect<void> {
      return this.begins()
        ? Effect.logWarning(`${storage}: no wake-ups for now, waiters poll. ${error.message}`)
        : Effect.void
    }
  }
}

/** A subscriber that does not keep up loses its hints, and is told so by one `"all"`. */
const longestBacklog = 1024

/** Pauses between connections, in milliseconds: doubled until this, and jittered. */
const firstPause = 50
const longestPause = 5_000

/** A connection that lived so long, in milliseconds, was a good one: after it, pauses are short again. */
const longLife = 30_000

const offerTo =
  (queue: Queue.Queue<string>) =>
  (hint: string): void => {
    if (Queue.sizeUnsafe(queue) < longestBacklog) return void Queue.offerUnsafe(queue, hint)
    Effect.runSync(Effect.exit(Queue.clear(queue)))
    Queue.offerUnsafe(queue, "all")
  }

/** Who subscribes to hints, and is told them. */
export interface Board {
  /** May be called by a driver: nothing in it throws. */
  readonly tell: (hint: string) => void
  readonly isHeard: () => boolean
  /** `begin` is run for each subscriber, when it can be told. */
  readonly stream: (begin: Effect.Effect<void>) => Stream.Stream<string>
}

export const board = (expects?: direct.Hints["expects"]): Board => {
  const subscribers = new Set<(hint: string) => void>()
  const subscribe = (subscriber: (hint: string) => void) =>
    Effect.acquireRelease(
      Effect.sync(() => void subscribers.add(subscriber)),
      () => Effect.sync(() => void subscribers.delete(subscriber))
    )
  return {
    tell: (hint) => {
      for (const subscriber of subscribers) subscriber(hint)
    },
    isHeard: () => subscribers.size > 0,
    stream: (begin) => {
      const stream = Stream.unwrap(
        Effect.gen(function* () {
          const queue = yield* Effect.acquireRelease(Queue.unbounded<string>(), Queue.shutdown)
          yield* subscribe(offerTo(queue))
          yield* begin
          return Stream.fromQueue(queue)
        })
      )
      direct.offerHints(stream, {
        listen: (tell) => Effect.scoped(Effect.andThen(subscribe(tell), Effect.andThen(begin, Effect.never))),
        expects,
        tells: expects === undefined ? "all" : "one"
      })
      return stream
    }
  }
}

/** Hints from one connection for all who subscribe. It is opened at the first subscription, lives in the scope of the layer, and comes back whenever it dies. */
export const make = (source: Source): Effect.Effect<Stream.Stream<string>, never, Scope.Scope> =>
  Effect.map(Effect.scope, (scope) => {
    const { stream, tell } = board(source.expects)

    let pause = firstPause
    const session = Effect.suspend(() => {
      const began = performance.now()
      return Effect.catch(source.listen(tell), (error) =>
        Effect.gen(function* () {
          yield* source.failed(error)
          if (source.again?.(error) === false) return false
          if (performance.now() - began > longLife) pause = firstPause
          yield* Effect.sleep(pause * (yield* Random.nextBetween(0.5, 1.5)))
          pause = Math.min(2 * pause, longestPause)
          return true
        })
      )
    })
    const loop = Effect.repeat(session, { while: (more) => more })

    let started = false
    return stream(
      Effect.suspend(() => {
        if (started) return Effect.void
        started = true
        return loop.pipe(Effect.ignore({ log: true }), Effect.interruptible, Effect.forkIn(scope), Effect.asVoid)
      })
    )
  })
