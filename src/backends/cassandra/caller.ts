/** One statement at a time to Cassandra: with a bound, to the node that is right for the lock, and to another one or again only where nothing was done. */
import { type Client, type Host, policies, types } from "cassandra-driver"
import * as Effect from "#effect/Effect"
import type { StorageError } from "../../LockError.js"
import type { Connection } from "./clients.js"
import type * as coordinators from "./coordinators.js"
import * as errors from "./errors.js"

export interface Statement {
  readonly text: string
  readonly values: ReadonlyArray<string>
  /** Of the lock that it is about. */
  readonly lockId?: string
  /** `ballot`: what is read or written by lightweight transaction. `quorum`: what a majority has. `any`: what each node knows by itself. */
  readonly level: "ballot" | "quorum" | "any"
  readonly kind: errors.Kind
  readonly page?: { readonly size: number; readonly from: string | undefined }
}

export interface Caller {
  /** `until` is a moment of `performance.now()`. */
  readonly call: (
    operation: string,
    statement: Statement,
    until: number
  ) => Effect.Effect<types.ResultSet, StorageError>
}

/** `setTimeout` fires at once beyond this. */
const longestTimer = 2 ** 31 - 1

/** A connection is not given up before, in milliseconds, however short the limit of who waits: others use it, too. */
const leastPatience = 1_000

/** No node is waited for any longer, in milliseconds, however much time there is: by itself it gives up after some seconds. */
const longestPatience = 15_000

/** Pauses before a read is tried again, in milliseconds: doubled until the second, and jittered. */
const firstPause = 20
const longestPause = 500

/** For so long, in milliseconds, the client may try to reach the nodes again, if it could ask none: a connection that broke is there again sooner, and so is one to a node that has just come back. */
const toReconnect = 1_500

/** With less than this left, in milliseconds, nothing is tried again. */
const worthwhile = 20

const never = new policies.retry.FallthroughRetryPolicy()

/** What the driver is told, whatever the client is set to. A repeat is up to the library, which names each hold. */
const optionsOf = ({ kind, level, page, values }: Statement, host: Host, local: boolean, readTimeout: number) => {
  const { consistencies } = types
  const serial = local ? consistencies.localSerial : consistencies.serial
  const quorum = local ? consistencies.localQuorum : consistencies.quorum
  return {
    host,
    readTimeout,
    consistency: level === "any" ? consistencies.localOne : level === "ballot" && kind === "reads" ? serial : quorum,
    serialConsistency: serial,
    // To prepare it, nodes would have to be asked that are not right for the lock, or that hang.
    prepare: false,
    hints: values.map(() => "text"),
    isIdempotent: false,
    retry: never,
    autoPage: false,
    traceQuery: false,
    captureStackTrace: false,
    // No time of ours is stored.
    timestamp: null as never,
    ...(page === undefined
      ? {}
      : { fetchSize: page.size, ...(page.from === undefined ? {} : { pageState: page.from }) })
  }
}

export const make = (connection: Connection, plan: coordinators.Coordinators, local: boolean): Caller => {
  const { active } = connection

  const once = (
    operation: string,
    client: Client,
    host: Host,
    statement: Statement,
    millis: number
  ): Effect.Effect<types.ResultSet, StorageError> =>
    Effect.callback((resume) => {
      const { kind } = statement
      if (connection.isClosed()) return resume(errors.closed(operation, "no"))
      let over = false
      const end = (answer: Effect.Effect<types.ResultSet, StorageError>) => {
        if (over) return
        over = true
        clearTimeout(timer)
        active.delete(close)
        resume(answer)
      }
      const close = () => end(errors.closed(operation, kind === "reads" ? "no" : "unknown"))
      const timer = setTimeout(() => end(errors.noAnswer(operation, millis, kind)), Math.min(millis, longestTimer))
      active.add(close)
      const patience = Math.min(Math.max(Math.ceil(millis), leastPatience), longestTimer)
      const answer = async () =>
        end(
          Effect.succeed(
            await client.execute(statement.text, [...statement.values], optionsOf(statement, host, local, patience))
          )
        )
      answer().catch((error: unknown) => end(errors.fromDriver(operation, error, kind)))
      return Effect.sync(() => {
        over = true
        clearTimeout(timer)
        active.delete(close)
      })
    })

  const call: Caller["call"] = (operation, statement, until) => {
    const { kind, lockId } = statement
    let pause = firstPause
    let renewed = false
    let lonely: number | undefined

    const left = () => until - performance.now()

    const from = (
      client: Client,
      hosts: ReadonlyArray<Host>,
      last: StorageError | undefined
    ): Effect.Effect<types.ResultSet, StorageError> => {
      const [host, ...others] = hosts
      if (host === undefined) return exhausted(client, last ?? errors.noNode(operation))
      // Of what is left, half is for whatever has to be done afterwards: to ask another node, or to look what became of it.
      const millis = Math.min(Math.max(0, left() / 2), longestPatience)
      return Effect.catch(once(operation, client, host, statement, millis), (error) => {
        if (errors.isSilent(error) && (error.cause !== undefined || millis >= leastPatience)) plan.silent(host)
        if (left() < worthwhile) return Effect.fail(error)
        if (errors.isElsewhere(error)) return from(client, others, error)
        if (kind === "writes") return Effect.fail(error)
        if (errors.isSilent(error)) return others.length > 0 ? from(client, others, error) : again(error)
        return errors.mayPass(error) ? again(error) : Effect.fail(error)
      })
    }

    const again = (error: StorageError): Effect.Effect<types.ResultSet, StorageError> => {
      const wait = pause * (0.5 + Math.random())
      pause = Math.min(2 * pause, longestPause)
      return left() - wait < worthwhile ? Effect.fail(error) : Effect.andThen(Effect.sleep(wait), begin)
    }

    /** Nobody could be asked: those who are known may not be there any more, or we may not be who we were. */
    const exhausted = (client: Client, error: StorageError): Effect.Effect<types.ResultSet, StorageError> => {
      lonely ??= performance.now() + Math.min(toReconnect, left() / 2)
      const { renew, trouble } = connection
      const patient = lonely
      const wait = Effect.suspend(() =>
        performance.now() < patient && error.isRetryable
          ? again(error)
          : Effect.fail(errors.because(operation, error, trouble?.(), renew !== undefined))
      )
      if (renewed || renew === undefined) return wait
      renewed = true
      return Effect.flatMap(renew(operation, client, until), (is) => (is ? begin : wait))
    }

    const begin: Effect.Effect<types.ResultSet, StorageError> = Effect.suspend(() => {
      const client = connection.client()
      return from(client, plan.of(client, lockId), undefined)
    })
    return begin
  }

  return { call }
}
