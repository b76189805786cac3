/** Calls to etcd: the connections, in rotation where there are several endpoints, the token of a user, and a bound for every call. */
import * as Grpc from "@grpc/grpc-js"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { InvalidOptions, type StorageError } from "../../LockError.js"
import * as errors from "./errors.js"
import type { ResolvedTls, ResolvedUrl, User } from "./options.js"
import * as protocol from "./protocol.js"

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
}

/** How to reach one endpoint, anew each time. */
export type Open = () => Grpc.Client

export interface Options {
  readonly endpoints: ReadonlyArray<Open>
  readonly user: User | undefined
  /** Whether the connections are ours to close. */
  readonly owned: boolean
}

const settings: Grpc.ClientOptions = {
  // Each layer has connections of its own: one that hangs can be left for another.
  "grpc.use_local_subchannel_pool": 1,
  "grpc.initial_reconnect_backoff_ms": 50,
  "grpc.max_reconnect_backoff_ms": 1000,
  // Not faster: etcd ends connections that ask more often than every 5 seconds, or without a call.
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 5_000,
  "grpc.keepalive_permit_without_calls": 0,
  "grpc.enable_retries": 0,
  "grpc.service_config_disable_resolution": 1,
  "grpc.max_receive_message_length": -1,
  "grpc.primary_user_agent": "effect-storage-lock"
}

export const opens = ({ endpoints, tls }: ResolvedUrl, pem: ResolvedTls): ReadonlyArray<Open> | InvalidOptions => {
  try {
    const credentials = tls ? Grpc.credentials.createSsl(pem.ca, pem.key, pem.cert) : Grpc.credentials.createInsecure()
    return endpoints.map((endpoint) => () => new Grpc.Client(endpoint, credentials, settings))
  } catch {
    // What is wrong with them is not told: it might quote the key.
    return new InvalidOptions({ field: "tls", kind: "not to be read", rule: "certificates and a key in PEM that belong together" })
  }
}

export const openChannel = (channel: Grpc.Channel): Open => () =>
  new Grpc.Client(channel.getTarget(), Grpc.credentials.createInsecure(), { channelOverride: channel })

/** How long the driver may fail to connect, in milliseconds, before its channel is left for a new one: it was seen never to try again. */
const longestSilence = 3_000

/** No answer in time. */
class Late {}

export const make = ({ endpoints, owned, user }: Options): Effect.Effect<Client, never, Scope.Scope> =>
  Effect.gen(function*() {
    const clients: Array<Grpc.Client | undefined> = endpoints.map(() => undefined)
    /** When something last came from each endpoint. */
    const heard: Array<number> = endpoints.map(() => Number.NEGATIVE_INFINITY)
    const opened: Array<number> = endpoints.map(() => Number.NEGATIVE_INFINITY)
    const active = new Set<() => void>()
    let current = 0
    let isClosed = false
    const login = Effect.unsafeMakeSemaphore(1)

    // A member without a leader cannot serve: better told at once than after a time-out.
    const anonymous = new Grpc.Metadata()
    anonymous.set("hasleader", "true")
    let metadata: Grpc.Metadata | undefined = user === undefined ? anonymous : undefined

    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        isClosed = true
        active.forEach((cancel) => cancel())
        if (owned) clients.forEach((client) => client?.close())
      })
    )

    const at = (index: number) => {
      let client = clients[index]
      if (client === undefined) {
        client = clients[index] = endpoints[index]!()
        opened[index] = performance.now()
      }
      return client
    }

    /**
     * This endpoint did not serve: the next one's turn. A connection from which nothing came for the length of a whole call is given up, and so is one that cannot be
     * made for long.
     */
    const leave = (index: number, silentSince?: number) => {
      if (current === index) current = (index + 1) % endpoints.length
      const isDead = silentSince !== undefined
        ? heard[index]! < silentSince
        : Math.max(heard[index]!, opened[index]!) < performance.now() - longestSilence
      if (owned && isDead) {
        clients[index]?.close()
        clients[index] = undefined
      }
    }

    const once = <I, O>(index: number, method: protocol.Method<I, O>, request: I, meta: Grpc.Metadata, until: number) =>
      Effect.async<O, unknown>((resume) => {
        let call: Grpc.ClientUnaryCall | undefined
        let over = false
        const stop = () => {
          over = true
          clearTimeout(timer)
          active.delete(cancel)
          call?.cancel()
        }
        const cancel = () => {
          resume(Effect.fail(new Late()))
          stop()
        }
        const timer = setTimeout(cancel, Math.max(0, until - performance.now()))
        active.add(cancel)
        try {
          call = at(index).makeUnaryRequest(method.path, method.serialize, method.deserialize, request, meta, (error, value) => {
            // Of a call that was given up the driver itself says that it was cancelled: nothing was heard of the server.
            if (over) return
            clearTimeout(timer)
            active.delete(cancel)
            if (error === null || errors.codeOf(error) !== errors.code.unavailable) heard[index] = performance.now()
            resume(error === null ? Effect.succeed(value!) : Effect.fail(error))
          })
        } catch (error) {
          // A channel that was closed throws.
          stop()
          resume(Effect.fail({ code: errors.code.unavailable, details: error instanceof Error ? error.message : String(error) }))
        }
        return Effect.sync(stop)
      })

    const isReady = (index: number) => at(index).getChannel().getConnectivityState(true) === Grpc.connectivityState.READY

    /**
     * An endpoint that answers. Asked before anything is sent that matters, so that a server that cannot be reached is certain not to have applied it.
     */
    const connect = (operation: string, until: number): Effect.Effect<number, StorageError> =>
      Effect.suspend(() => {
        if (isClosed) return errors.closed(operation)
        if (isReady(current)) return Effect.succeed(current)
        return seek(operation, until, endpoints.length)
      })

    const seek = (operation: string, until: number, left: number): Effect.Effect<number, StorageError> =>
      Effect.suspend(() => {
        const index = current
        const start = performance.now()
        return Effect.matchEffect(once(index, protocol.status, {}, anonymous, start + (until - start) / left), {
          onSuccess: () => Effect.succeed(index),
          onFailure: (error) => {
            if (isClosed) return errors.closed(operation)
            // It may mind that we have not said who we are: it is there.
            if (!(error instanceof Late) && errors.codeOf(error) !== errors.code.unavailable) return Effect.succeed(index)
            leave(index, error instanceof Late ? start : undefined)
            return left > 1
              ? seek(operation, until, left - 1)
              : error instanceof Late
              ? errors.noAnswer(operation, performance.now() - start, "no")
              : errors.fromDriver(operation, error, "no")
          }
        })
      })

    const authenticate = (operation: string, { name, password }: User, index: number, until: number, start = performance.now()) =>
      once(index, protocol.authenticate, { name, password: Redacted.value(password) }, anonymous, until).pipe(
        Effect.map(({ token }) => {
          const found = anonymous.clone()
          found.set("token", token)
          return metadata = found
        }),
        Effect.catchAll((error): Effect.Effect<Grpc.Metadata, StorageError> => {
          if (error instanceof Late) return errors.noAnswer(operation, performance.now() - start, "no")
          // Where authentication is not enabled, everybody may.
          if (errors.codeOf(error) === errors.code.failedPrecondition) return Effect.succeed(metadata = anonymous)
          const refused = [errors.code.invalidArgument, errors.code.permissionDenied, errors.code.unauthenticated] as ReadonlyArray<unknown>
          return refused.includes(errors.codeOf(error)) ? errors.refused(operation, error) : errors.fromDriver(operation, error, "no")
        })
      )

    /** One login for all who need it: the server makes each a matter of much computing. */
    const identify = (operation: string, index: number, until: number, start = performance.now()): Effect.Effect<Grpc.Metadata, StorageError> =>
      Effect.suspend(() =>
        metadata !== undefined ? Effect.succeed(metadata) : login.withPermits(1)(
          Effect.suspend(() => metadata !== undefined ? Effect.succeed(metadata) : authenticate(operation, user!, index, until))
        ).pipe(Effect.timeoutFail({
          duration: Math.max(1, until - start),
          onTimeout: () => errors.noAnswer(operation, performance.now() - start, "no")
        }))
      )

    /** Tokens end by time, with a restart, and when rights are changed (which has the code of an invalid argument). */
    const forget = (used: Grpc.Metadata, error: unknown): boolean => {
      const found = errors.codeOf(error)
      if (user === undefined || (found !== errors.code.unauthenticated && found !== errors.code.invalidArgument)) return false
      if (metadata === used) metadata = undefined
      return true
    }

    const attempt = <I, O>(
      operation: string,
      method: protocol.Method<I, O>,
      request: I,
      until: number,
      kind: "reads" | "writes",
      again: boolean
    ): Effect.Effect<O, StorageError> =>
      Effect.flatMap(connect(operation, until), (index) =>
        Effect.flatMap(identify(operation, index, until), (meta) => {
          const start = performance.now()
          return Effect.catchAll(once(index, method, request, meta, until), (error) => {
            const applied = kind === "reads" ? "no" : undefined
            if (error instanceof Late) {
              if (isClosed) return Effect.fail(applied === "no" ? errors.closed(operation) : errors.noAnswer(operation, performance.now() - start, "unknown"))
              leave(index, start)
              return errors.noAnswer(operation, performance.now() - start, applied ?? "unknown")
            }
            if (errors.codeOf(error) === errors.code.unavailable) leave(index)
            return forget(meta, error) && again
              ? attempt(operation, method, request, until, kind, false)
              : errors.fromDriver(operation, error, applied)
          })
        }))

    return {
      call: (operation, method, request, until, kind) => attempt(operation, method, request, until, kind, true),
      watch: (request, on, patience) =>
        Effect.gen(function*() {
          const operation = "wakeUps"
          const until = performance.now() + patience
          const index = yield* connect(operation, until)
          const meta = yield* identify(operation, index, until)
          return yield* Effect.async<never, StorageError>((resume) => {
            const { watch } = protocol
            const stream = at(index).makeBidiStreamRequest(watch.path, watch.serialize, watch.deserialize, meta)
            const timer = setTimeout(() => end(errors.noAnswer(operation, patience, "no")), patience)
            const stop = () => {
              clearTimeout(timer)
              active.delete(stop)
              stream.cancel()
            }
            const end = (error: StorageError) => {
              stop()
              resume(error)
            }
            active.add(stop)
            stream.on("data", (response: protocol.WatchResponse) => {
              heard[index] = performance.now()
              clearTimeout(timer)
              const error = on(response)
              if (error !== undefined) end(error)
            })
            stream.on("error", (error) => {
              forget(meta, error)
              if (errors.codeOf(error) === errors.code.unavailable) leave(index)
              end(errors.fromDriver(operation, error, "no"))
            })
            stream.on("end", () => end(errors.fromDriver(operation, { code: errors.code.unavailable, details: "the stream ended" }, "no")))
            stream.write(request)
            return Effect.sync(stop)
          })
        })
    }
  })
