/** One request at a time to DynamoDB: with a bound, and tried again only where nothing was done. */
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import * as Effect from "#effect/Effect"
import type { StorageError } from "../../LockError.js"
import * as errors from "./errors.js"
import { once, originalOf } from "./once.js"

/** The driver's client, and what is known of who we are. */
export interface Connection {
  readonly client: DynamoDBClient
  readonly isClosed: () => boolean
  /** What the end of the layer cancels. */
  readonly active: Set<() => void>
  /** Has the credentials asked for again, if they can be. */
  readonly refused?: (() => void) | undefined
}

/** A command, built again for each try. */
export type Ask<O> = (client: DynamoDBClient, signal: AbortSignal) => Promise<O>

export interface Caller {
  /** `until` is a moment of `performance.now()`. */
  readonly call: <O>(operation: string, ask: Ask<O>, until: number, kind: errors.Kind) => Effect.Effect<O, StorageError>
}

/** `setTimeout` fires at once beyond this. */
const longestTimer = 2 ** 31 - 1

/** Pauses before a request is tried again that was refused for its rate, in milliseconds: doubled until this, and jittered. */
const firstPause = 50
const longestPause = 1_000

interface Sendable {
  readonly send: (command: object, options: { readonly abortSignal: AbortSignal }) => Promise<unknown>
}

/** Sends a command of the SDK as it is, once. */
export const sent =
  <O>(make: () => object): Ask<O> =>
  (client, abortSignal) =>
    (client as unknown as Sendable).send(once(make()), { abortSignal }) as Promise<O>

export const make = (connection: Connection): Caller => {
  const { active } = connection

  const one = <O>(operation: string, ask: Ask<O>, until: number, kind: errors.Kind): Effect.Effect<O, StorageError> =>
    Effect.callback((resume) => {
      if (connection.isClosed()) return resume(errors.closed(operation, "no"))
      const abort = new AbortController()
      const millis = Math.max(0, until - performance.now())
      let over = false
      const end = (answer: Effect.Effect<O, StorageError>) => {
        if (over) return
        over = true
        clearTimeout(timer)
        active.delete(close)
        resume(answer)
      }
      const close = () => {
        end(errors.closed(operation, kind === "reads" ? "no" : "unknown"))
        abort.abort()
      }
      const timer = setTimeout(
        () => {
          end(errors.noAnswer(operation, millis, kind))
          abort.abort()
        },
        Math.min(millis, longestTimer)
      )
      active.add(close)
      const answer = async () => end(Effect.succeed(await ask(connection.client, abort.signal)))
      answer().catch((error: unknown) => end(errors.fromDriver(operation, originalOf(error), kind)))
      return Effect.sync(() => {
        over = true
        clearTimeout(timer)
        active.delete(close)
        abort.abort()
      })
    })

  const call = <O>(
    operation: string,
    ask: Ask<O>,
    until: number,
    kind: errors.Kind
  ): Effect.Effect<O, StorageError> => {
    let pause = firstPause
    let asked = false
    const attempt: Effect.Effect<O, StorageError> = Effect.suspend(() =>
      Effect.catch(one(operation, ask, until, kind), (error) => {
        if (errors.hasUnknownCredentials(error)) {
          const first = !asked
          asked = true
          connection.refused?.()
          const known = connection.refused === undefined ? error : errors.maybeOthers(error)
          // The SDK sets its clock by such an answer, and asks for credentials again: so one more try is worth it.
          return first && performance.now() < until ? attempt : Effect.fail(known)
        }
        const isBroken =
          kind === "reads" && error.reason === "Connection" && error.isRetryable && !errors.isRefused(error)
        if (!errors.mayPass(error) && !isBroken) return Effect.fail(error)
        const wait = pause * (0.5 + Math.random())
        pause = Math.min(2 * pause, longestPause)
        return performance.now() + wait < until ? Effect.andThen(Effect.sleep(wait), attempt) : Effect.fail(error)
      })
    )
    return attempt
  }

  return { call }
}
