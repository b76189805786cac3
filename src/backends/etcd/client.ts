/** Calls to etcd: at an endpoint that serves and is of our cluster, with the token of a user, and with a bound for every call. */
import * as Grpc from "@grpc/grpc-js"
import * as Effect from "#effect/Effect"
import * as Semaphore from "#effect/Semaphore"
import * as Redacted from "effect/Redacted"
import type * as Scope from "#effect/Scope"
import type { StorageError } from "../../LockError.js"
import * as Notices from "../shared/notices.js"
import * as channels from "./channels.js"
import * as errors from "./errors.js"
import type { User } from "./options.js"
import * as protocol from "./protocol.js"
import type { Reach, Source } from "./source.js"
import * as stream from "./stream.js"
import * as unary from "./unary.js"

export interface Client {
  /** `until` is a moment of `performance.now()`. What only reads is surely not applied when it fails. */
  readonly call: <I, O>(
    operation: string,
    method: protocol.Method<I, O>,
    request: I,
    until: number,
    kind: "reads" | "writes"
  ) => Effect.Effect<O, StorageError>
  /** Never succeeds. `on` may end it by an error. */
  readonly watch: (
    request: protocol.WatchRequest,
    on: (response: protocol.WatchResponse) => StorageError | undefined,
    patience: number
  ) => Effect.Effect<never, StorageError>
  /** Asks all endpoints that answer within `millis` which cluster they belong to, and fails if it is not one. */
  readonly compareEndpoints: (millis: number) => Effect.Effect<void, StorageError>
}

export interface Options {
  readonly source: Source
  /** Whether the connections are ours to close. */
  readonly owned: boolean
}

export const make = ({ owned, source }: Options): Effect.Effect<Client, never, Scope.Scope> =>
  Effect.gen(function* () {
    const notices = yield* Notices.make("EtcdStorage")
    const active = new Set<() => void>()
    const pool = channels.make(owned)
    let reach = source.initial
    if (reach !== undefined) pool.replace(reach.opens)
    /** Of the first one that answered. */
    let cluster: number | undefined
    let isClosed = false
    const login = Semaphore.makeUnsafe(1)

    // A member without a leader cannot serve: better told at once than after a time-out.
    const anonymous = new Grpc.Metadata()
    anonymous.set("hasleader", "true")
    let metadata: Grpc.Metadata | undefined

    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        isClosed = true
        active.forEach((cancel) => cancel())
        if (owned) pool.close()
      })
    )

    const nameOf = (endpoint: channels.Endpoint): string => {
      try {
        return pool
          .client(endpoint)
          .getChannel()
          .getTarget()
          .replace(/^(dns|ipv[46]):/, "")
      } catch {
        return "an endpoint"
      }
    }

    /** Whether an answer is of another cluster than the first one was. */
    const fault = (header: Partial<protocol.Header["header"]> | null | undefined): boolean => {
      const id = header?.clusterId
      if (id === undefined || id === 0) return false
      cluster ??= id
      return id !== cluster
    }

    const { once } = unary.make({ active, client: pool.client, isForeign: fault })

    const isSame = (a: User | undefined, b: User | undefined): boolean =>
      a === b ||
      (a !== undefined &&
        b !== undefined &&
        a.name === b.name &&
        Redacted.value(a.password) === Redacted.value(b.password))

    const learnReach = (found: Reach) => {
      if (reach === undefined || reach.opens !== found.opens) pool.replace(found.opens)
      if (!isSame(reach?.user, found.user)) metadata = undefined
      if (found.user === undefined) metadata = anonymous
      reach = found
    }

    /** Where to connect, as of now, unless it never changes. */
    const ask = (operation: string, until: number, began: number): Effect.Effect<void, StorageError> =>
      source.fixed ? Effect.void : Effect.map(bounded(operation, until, source.now(operation, began)), learnReach)

    const bounded = <A>(
      operation: string,
      until: number,
      effect: Effect.Effect<A, StorageError>
    ): Effect.Effect<A, StorageError> => {
      const start = performance.now()
      return Effect.timeoutOrElse(effect, {
        duration: Math.max(1, until - start),
        orElse: () => Effect.fail(errors.noAnswer(operation, performance.now() - start, "no"))
      })
    }

    const isReady = (): boolean => {
      try {
        // One that is to be made with what its options are now must not be begun before they are known.
        return reach !== undefined && pool.isReady(pool.current(), source.fixed)
      } catch {
        return false
      }
    }

    /**
     * An endpoint that answers, serves, and is of our cluster, as it said since it was connected. Asked before anything is sent that matters, so that a server that cannot be reached, or is another one
     * now, is certain not to have applied it.
     */
    const connect = (operation: string, until: number, began: number): Effect.Effect<channels.Endpoint, StorageError> =>
      Effect.suspend(() => {
        if (isClosed) return errors.closed(operation)
        return isReady()
          ? Effect.succeed(pool.current())
          : Effect.andThen(
              ask(operation, until, began),
              Effect.suspend(() => seek(operation, until, pool.size()))
            )
      })

    const seek = (
      operation: string,
      until: number,
      left: number,
      worst?: StorageError
    ): Effect.Effect<channels.Endpoint, StorageError> =>
      Effect.suspend(() => {
        const endpoint = pool.current()
        const start = performance.now()
        const pass = (error: StorageError, silentSince?: number) => {
          // What its name leads to may be another one the next time.
          pool.leave(endpoint, errors.isForeign(error) ? Number.POSITIVE_INFINITY : silentSince)
          if (errors.isForeign(error)) notices.warn("cluster", error.message)
          // What may pass is told before what is as it is.
          const told = worst === undefined || error.isRetryable ? error : worst
          return left > 1 ? seek(operation, until, left - 1, told) : Effect.fail(told)
        }
        const good = () => {
          pool.confirm(endpoint)
          notices.over("cluster")
          return Effect.succeed(endpoint)
        }
        return Effect.matchEffect(once(endpoint, protocol.status, {}, anonymous, start + (until - start) / left), {
          onSuccess: ({ isLearner, leader }) =>
            isLearner
              ? pass(errors.unfit(operation, nameOf(endpoint), "it is a learner"))
              : leader === 0
                ? pass(errors.unfit(operation, nameOf(endpoint), "it has no leader"))
                : good(),
          onFailure: (error) => {
            if (isClosed) return errors.closed(operation)
            if (error instanceof unary.Late)
              return pass(errors.noAnswer(operation, performance.now() - start, "no"), start)
            if (error instanceof unary.Foreign) return pass(errors.foreign(operation, nameOf(endpoint), "no"))
            if (error instanceof unary.Odd) return pass(errors.odd(operation, "no"))
            // It may mind that we have not said who we are: it is there.
            return errors.isUnavailable(error) ? pass(errors.fromDriver(operation, error, "no")) : good()
          }
        })
      })

    const authenticate = (
      operation: string,
      { name, password }: User,
      endpoint: channels.Endpoint,
      until: number,
      start = performance.now()
    ) =>
      once(endpoint, protocol.authenticate, { name, password: Redacted.value(password) }, anonymous, until).pipe(
        Effect.map(({ token }) => {
          const found = anonymous.clone()
          found.set("token", token)
          return (metadata = found)
        }),
        Effect.catch((error): Effect.Effect<Grpc.Metadata, StorageError> => {
          if (error instanceof unary.Late) return errors.noAnswer(operation, performance.now() - start, "no")
          if (error instanceof unary.Foreign) return errors.foreign(operation, nameOf(endpoint), "no")
          if (error instanceof unary.Odd) return errors.odd(operation, "no")
          // Where authentication is not enabled, everybody may.
          if (errors.codeOf(error) === errors.code.failedPrecondition) return Effect.succeed((metadata = anonymous))
          const refused = [
            errors.code.invalidArgument,
            errors.code.permissionDenied,
            errors.code.unauthenticated
          ] as ReadonlyArray<unknown>
          return refused.includes(errors.codeOf(error))
            ? errors.refused(operation, error, !source.fixed)
            : errors.fromDriver(operation, error, "no")
        })
      )

    /** One login for all who need it: the server makes each a matter of much computing. Who we are is asked again for each. */
    const identify = (
      operation: string,
      endpoint: channels.Endpoint,
      until: number,
      start: number
    ): Effect.Effect<Grpc.Metadata, StorageError> =>
      Effect.suspend(() =>
        metadata !== undefined
          ? Effect.succeed(metadata)
          : bounded(
              operation,
              until,
              login.withPermits(1)(
                Effect.suspend(() =>
                  metadata !== undefined
                    ? Effect.succeed(metadata)
                    : Effect.flatMap(source.now(operation, start), ({ user }) => {
                        if (user === undefined) return Effect.succeed((metadata = anonymous))
                        return authenticate(operation, user, endpoint, until)
                      })
                )
              )
            )
      )

    /** Tokens end by time, with a restart, and when rights are changed (which has the code of an invalid argument). */
    const forget = (used: Grpc.Metadata, error: unknown): boolean => {
      const found = errors.codeOf(error)
      if (reach?.user === undefined || (found !== errors.code.unauthenticated && found !== errors.code.invalidArgument))
        return false
      if (metadata === used) metadata = undefined
      return true
    }

    const attempt = <I, O>(
      operation: string,
      method: protocol.Method<I, O>,
      request: I,
      until: number,
      kind: "reads" | "writes",
      again: boolean,
      more = pool.size(),
      began = performance.now()
    ): Effect.Effect<O, StorageError> =>
      Effect.flatMap(connect(operation, until, began), (endpoint) =>
        Effect.flatMap(identify(operation, endpoint, until, began), (meta) => {
          const start = performance.now()
          return Effect.catch(once(endpoint, method, request, meta, until), (error) => {
            const applied = kind === "reads" ? "no" : undefined
            if (error instanceof unary.Late) {
              if (isClosed)
                return Effect.fail(
                  applied === "no"
                    ? errors.closed(operation)
                    : errors.noAnswer(operation, performance.now() - start, "unknown")
                )
              pool.leave(endpoint, start)
              return errors.noAnswer(operation, performance.now() - start, applied ?? "unknown")
            }
            if (error instanceof unary.Odd) return errors.odd(operation, applied ?? "unknown")
            const isElsewhere = error instanceof unary.Foreign || errors.isUnavailable(error)
            if (isElsewhere) pool.leave(endpoint, error instanceof unary.Foreign ? Number.POSITIVE_INFINITY : undefined)
            // What only reads is asked of the next one.
            if (isElsewhere && kind === "reads" && more > 1)
              return attempt(operation, method, request, until, kind, again, more - 1)
            if (error instanceof unary.Foreign) return errors.foreign(operation, nameOf(endpoint), applied ?? "unknown")
            return forget(meta, error) && again
              ? attempt(operation, method, request, until, kind, false, more)
              : errors.fromDriver(operation, error, applied)
          })
        })
      )

    return {
      call: (operation, method, request, until, kind) => attempt(operation, method, request, until, kind, true),
      compareEndpoints: (millis) =>
        Effect.suspend(() => {
          const until = performance.now() + millis
          const ours = pool.current()
          return Effect.forEach(
            pool.all().filter((endpoint) => endpoint !== ours),
            (endpoint) => {
              const name = nameOf(endpoint)
              return once(endpoint, protocol.status, {}, anonymous, until).pipe(
                Effect.catch((error) =>
                  error instanceof unary.Foreign ? errors.foreign("setup", name, "no") : Effect.void
                ),
                // Connected again when its turn comes.
                Effect.ensuring(Effect.sync(() => pool.drop(endpoint)))
              )
            },
            { concurrency: "unbounded", discard: true }
          )
        }),
      watch: (request, on, patience) =>
        Effect.gen(function* () {
          const { watch } = protocol
          const operation = "wakeUps"
          const until = performance.now() + patience
          const began = performance.now()
          const endpoint = yield* connect(operation, until, began)
          const meta = yield* identify(operation, endpoint, until, began)
          return yield* stream.open({
            active,
            patience,
            start: () =>
              pool.client(endpoint).makeBidiStreamRequest(watch.path, watch.serialize, watch.deserialize, meta),
            request,
            hear: (response) => {
              endpoint.heard = performance.now()
              if (fault(response.header)) {
                pool.leave(endpoint, Number.POSITIVE_INFINITY)
                return errors.foreign(operation, nameOf(endpoint), "no")
              }
              return watch.isRight(response, request) ? on(response) : errors.odd(operation, "no")
            },
            failed: (error) => {
              forget(meta, error)
              if (errors.isUnavailable(error)) pool.leave(endpoint)
            }
          })
        })
    }
  })
